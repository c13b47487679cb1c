"""What a board driver's factory takes, made without a lab file: for `BoardContract` and an author's own tests."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from testbed.model.lab import BoardSpec, ModelFiles

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_SLOW_NS = 50_000_000
_WEIGHTS = bytes(range(256)) * 700  # echo needs none; a few frames, so that an upload is one


def echo_spec(folder: Path, kind: str, options: dict[str, Any] | None = None) -> BoardSpec:
    """A board at the edge with `BoardContract`'s models ``quick`` and ``slow``, run by the agent's ``echo`` runtime.

    A driver that brings models of its own takes it apart: ``msgspec.structs.replace(spec, models=…)``.

    Args:
        folder: where the weights are written and the board's state will lie; a lab file would stand there.
        kind: as the entry point is called. options: the rest of the board's table.
    """
    file = folder / "weights.bin"
    file.write_bytes(_WEIGHTS)

    def model(name: str, **about: int) -> ModelFiles:
        digest = hashlib.sha256(_WEIGHTS).hexdigest()
        return ModelFiles(name=name, task="t", paths=(file,), sha256=(digest,), runtime="echo", options=about)

    return BoardSpec(
        id="board",
        kind=kind,
        site="edge",
        options=options or {},
        file=folder / "lab.toml",
        models={"quick": model("quick"), "slow": model("slow", sleep_ns=_SLOW_NS)},
        profiles={},
        state=folder / "state",
        fence=time.time_ns(),  # grows from test to test, as leases' do
    )
