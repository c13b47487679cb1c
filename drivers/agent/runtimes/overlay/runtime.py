"""The agent's runtime ``overlay``: models in the programmable logic of a PYNQ board.

A model's files are the compiled program (``.npu``) where the overlay executes programs, then bitstream, ``.hwh`` and
golden answers, if its manifest has some, where the board does not have them already. Options: ``overlay`` (the
manifest, see `manifest`), ``folder`` (on the board, with ``bitstream``, ``hwh`` and ``golden`` as file names in it,
instead of files that travel), ``timeout_ms`` (bound of one execution, default 2000).

Reports per execution: ``pl_cycles`` and ``bus_stalls`` (of the overlay's clock, by its own counters), ``pl_ns`` (the
cycles at that clock) and ``host_ns`` (the rest of the time in here: layout, cache, registers, waiting too long), and
where rows of the input were lost and the overlay left them out, ``rows_masked``; sums over the batch. Items of a batch
go one after another: the overlay holds one at a time.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from drivers.agent.runtimes import LoadedInfo, Outcome
from drivers.agent.runtimes.overlay.confidence import limits_of, probabilities_of, table_of
from drivers.agent.runtimes.overlay.engine import Engine
from drivers.agent.runtimes.overlay.layout import Layout
from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import board_type, read_manifest
from drivers.agent.runtimes.overlay.on_pynq import open_pynq
from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.agent.runtimes.overlay.stream import StreamEngine
from testbed.wire import Tensor
from testbed.wire.messages import CANCELLED_EXIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from drivers.agent.runtimes.overlay.engine import Placed
    from drivers.agent.runtimes.overlay.logic import Logic
    from drivers.agent.runtimes.overlay.manifest import Manifest

    Open = Callable[[Manifest, Sequence[str]], Logic]

KINDS = ("edge-npu", "stream")
_FILES = ("bitstream", "hwh", "golden")
_GOLDEN = _FILES.index("golden")


class _Model(NamedTuple):
    """A program that is resident, with what turns pixels into its input and its logits into probabilities."""

    placed: Placed
    layout: Layout
    tables: Sequence[Any]


class OverlayRuntime:
    """All models of this board's logic; needs numpy, and pynq unless ``open_logic`` brings something else."""

    def __init__(self, open_logic: Open = open_pynq, *, root: Path = Path("/")) -> None:
        """Import and load nothing yet.

        Args:
            open_logic: loads an overlay; a simulated board's own.
            root: where the board's device tree is looked for.
        """
        self._open = open_logic
        self._root = root
        self._manifest: Manifest | None = None
        self._logic: Logic | None = None
        self._engine: Engine | None = None
        self._models: dict[str, _Model] = {}
        self._streams: dict[str, StreamEngine] = {}

    def load(
        self, model: str, paths: Sequence[str], options: Mapping[str, object], instances: int
    ) -> LoadedInfo:
        """Load the overlay if another one or none is in the logic, and make the program resident in memory.

        Raises:
            ImportError: numpy or pynq is not installed.
            OverlayError: the overlay cannot be loaded, or is not the one asked for.
            ProgramError: the program is damaged, or not one.
            ValueError: more than one instance: the logic has one lane.
        """
        if instances != 1:
            raise ValueError(f"an overlay has one lane, not {instances} instances")
        told = options.get("overlay")
        manifest = read_manifest(told if isinstance(told, dict) else {})
        if manifest.kind not in KINDS:
            raise OverlayError(f"no overlay of kind {manifest.kind!r}; there are {', '.join(KINDS)}")
        files = list(paths)
        program = (
            read_program(Path(files.pop(0)).read_bytes()) if manifest.kind == "edge-npu" and files else None
        )
        if manifest.kind == "edge-npu" and program is None:
            raise OverlayError(f"{model} came without its program")
        timeout_s = float(str(options.get("timeout_ms", 2000))) / 1e3
        files = files or _on_board(options)
        logic = self._logic_of(manifest, files)
        self.unload(model)
        if program is None:
            stream = StreamEngine(logic, manifest, timeout_s=timeout_s)
            proved = ""
            if manifest.golden is not None:
                try:
                    proved = (
                        f", {stream.prove(files[_GOLDEN], manifest.golden)} golden answers as they should be"
                    )
                except (OverlayError, IndexError):
                    stream.free()
                    raise
            self._streams[model] = stream
            return LoadedInfo(0, f"overlay {manifest.name}, fed by DMA{proved}")
        if self._engine is None:
            self._engine = Engine(logic, manifest.ip, timeout_s=timeout_s)
        placed = self._engine.place(program)
        tables = [table_of(one) for one in program.exits]
        self._models[model] = _Model(placed, Layout(program.input, placed.given), tables)
        size = len(program.image) + program.input.size + program.record_bytes
        return LoadedInfo(size, f"overlay {manifest.name} at {logic.clock_hz / 1e6:g} MHz")

    def run(
        self,
        model: str,
        instance: int,
        inputs: Sequence[Tensor],
        thresholds: Sequence[Sequence[float]],
        stop_after_ns: Sequence[int],
        samples: Sequence[int],
        cancelled: Callable[[], AbstractSet[int]],
        lost_rows: int = 0,
    ) -> Outcome:
        """Execute item after item; what is cancelled before its turn is left out.

        Raises:
            OverlayError: the overlay failed on an item; it was brought back meanwhile if it could be.
            ValueError: the batch does not match its input.
        """
        import numpy as np

        begin = time.monotonic_ns()
        batch = len(thresholds)
        given = np.frombuffer(inputs[0].data, inputs[0].dtype).reshape(inputs[0].shape)
        if given.shape[:1] != (batch,):
            raise ValueError(f"input of shape {given.shape} for a batch of {batch}")
        if model in self._streams:
            return self._stream(self._streams[model], given, begin, cancelled)
        found, engine, logic = self._models[model], self._engine, self._logic
        assert engine is not None
        assert logic is not None
        exits = found.placed.program.exits
        taken = [CANCELLED_EXIT] * batch
        scores = np.zeros((batch, exits[0].classes), np.float32)
        cycles = stalls = masked = 0
        for i in range(batch):
            if i in cancelled():
                continue
            mask = found.layout.fill(given[i], lost_rows)
            left = math.inf
            if stop_after_ns[i]:
                left = (stop_after_ns[i] - (time.monotonic_ns() - begin)) * logic.clock_hz / 1e9
            record = engine.run(found.placed, limits_of(thresholds[i], exits, left_cycles=left), mask)
            taken[i] = record.exit
            scores[i] = probabilities_of(record.logits, found.tables[record.exit])
            cycles += record.cycles
            stalls += record.stalls
            masked += bin(mask).count("1")
        pl_ns = round(cycles * 1e9 / logic.clock_hz)
        report = {
            "pl_cycles": cycles,
            "bus_stalls": stalls,
            "pl_ns": pl_ns,
            "host_ns": max(time.monotonic_ns() - begin - pl_ns, 0),
        }
        if masked:
            report["rows_masked"] = masked
        return Outcome(taken, (Tensor("float32", scores.shape, scores.tobytes()),), report)

    def unload(self, model: str) -> None:
        """Give its memory back; the overlay stays in the logic."""
        found = self._models.pop(model, None)
        if found is not None and self._engine is not None:
            self._engine.free(found.placed)
        stream = self._streams.pop(model, None)
        if stream is not None:
            stream.free()

    def facts(self) -> Mapping[str, object]:
        """The board's type; what is in the logic, and how often it had to be brought back, or why nothing can be."""
        facts: dict[str, object] = {"available": True, "board": board_type(self._root)}
        if self._logic is not None and self._manifest is not None:
            facts.update(self._logic.facts(), overlay=self._manifest.name, clock_hz=self._logic.clock_hz)
            if self._engine is not None:
                facts.update(self._engine.capabilities(), recovered=dict(self._engine.recovered))
        elif self._open is open_pynq:
            try:
                import numpy as np
                import pynq
            except Exception as error:  # noqa: BLE001 - pynq probes the board when it is imported
                return {"available": False, "reason": f"{type(error).__name__}: {error}"}
            facts.update(pynq=pynq.__version__, numpy=np.__version__)
        return facts

    def _logic_of(self, manifest: Manifest, files: Sequence[str]) -> Logic:
        """The logic with this overlay in it."""
        if self._logic is not None and self._manifest == manifest:
            return self._logic
        for model in (*self._models, *self._streams):
            self.unload(model)  # they were compiled for, or are, the overlay that goes
        if self._logic is not None:
            self._logic.close()
        self._logic = self._engine = self._manifest = None
        self._logic, self._manifest = self._open(manifest, files), manifest
        return self._logic

    def _stream(
        self,
        stream: StreamEngine,
        given: Any,  # noqa: ANN401
        begin: int,
        cancelled: Callable[[], AbstractSet[int]],
    ) -> Outcome:
        import numpy as np

        taken = [CANCELLED_EXIT] * len(given)
        rows: list[Any] = [None] * len(given)
        pl_ns = 0
        for i, item in enumerate(given):
            if i in cancelled():
                continue
            rows[i], took = stream.run(item)
            taken[i] = 0
            pl_ns += took
        classes = next((len(row) for row in rows if row is not None), 1)
        scores = np.stack([np.zeros(classes, np.float32) if row is None else row for row in rows])
        report = {"pl_ns": pl_ns, "host_ns": max(time.monotonic_ns() - begin - pl_ns, 0)}
        return Outcome(taken, (Tensor("float32", scores.shape, scores.tobytes()),), report)


def _on_board(options: Mapping[str, object]) -> list[str]:
    """Bitstream, ``.hwh`` and golden answers that were copied to the board by hand."""
    folder = options.get("folder")
    if not folder:
        return []
    return [str(Path(str(folder)).expanduser() / str(options[name])) for name in _FILES if name in options]
