"""What is known of a model on a board, each field with its origin."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from testbed.model.ids import BoardId, ModelId, TaskId
from testbed.model.origin import Origin
from testbed.units import Ns

MeteredKind: TypeAlias = Literal["chip", "rail", "board", "wall"]


class Metered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a power or energy figure covers; figures of different kinds must not be compared without saying so.

    Attributes:
        kind: ``chip``: supply of the processor alone; ``rail``: rails inside a board, as its own sensors see them;
            ``board``: direct-current input of the whole board; ``wall``: mains input, power supply included.
        what: what exactly, in words.
    """

    kind: MeteredKind
    what: str


class Quantity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that knows where it comes from.

    Attributes:
        value: in the unit of the field's name.
        source: publication, run folder or reasoning behind it; mandatory.
        sigma: standard uncertainty in the same unit, or ``None``.
        metered: of a power, what it covers; ``None`` where it is no power, or nobody said.
    """

    value: float
    origin: Origin
    source: str
    sigma: float | None = None
    metered: Metered | None = None


class InferenceEnergy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Energy of one inference: one item of a batch of this size that leaves at this exit.

    Attributes:
        value: [mJ], of one item, not of the batch. sigma: standard uncertainty [mJ], or ``None``.
        net: power at rest over the same time is subtracted. n: inferences behind it; 0 where nobody counted.
    """

    batch: int
    value: float
    origin: Origin
    source: str
    metered: Metered
    exit: int = 0
    sigma: float | None = None
    net: bool = False
    n: int = 0


class Confidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the confidence at one exit is worth on the calibration set: the table a threshold is picked from.

    Attributes:
        threshold: confidences, increasing within [0, 1].
        kept_frac: per threshold, share of the items that are at least as confident.
        accuracy: per threshold, share of those kept that is right; 1 by convention where none is kept.
        n: items counted.
    """

    threshold: tuple[float, ...]
    kept_frac: tuple[float, ...]
    accuracy: tuple[float, ...]
    origin: Origin
    source: str
    exit: int = 0
    n: int = 0


class Provenance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the figures of a profile came to be, as far as it is known; what is empty, nobody said.

    Attributes:
        run: run folder, or submission, that the figures are from.
        board: identity of the very board: name, serial, processor, memory.
        power_mode: as the board calls it. clocks: by domain, with the unit.
        versions: of everything between the model file and the silicon.
        hashes: SHA-256 of the files that the figures were read from or made with, by name.
        meter: maker, model, sampling; meter_accuracy: as its data sheet or its calibration says.
        citation: how to cite the figures; licence: under which they were published.
        temperature_c: lowest and highest seen while it was measured; empty where the board tells none.
        remarks: what happened meanwhile that a reader should know, and why a figure is missing.
    """

    run: str = ""
    board: dict[str, str] = {}
    power_mode: str = ""
    clocks: dict[str, str] = {}
    versions: dict[str, str] = {}
    hashes: dict[str, str] = {}
    meter: str = ""
    meter_accuracy: str = ""
    citation: str = ""
    licence: str = ""
    temperature_c: tuple[float, ...] = ()
    remarks: tuple[str, ...] = ()


Stopped: TypeAlias = Literal["precise", "budget", "repeats"]
"""Why no more was executed: the intervals were narrow enough, the time was up, or so many were asked for."""


class Service(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Service time (start to finish) of one batch size at one exit, as quantiles.

    Attributes:
        batch: items executed together.
        exit: exit at which all of the batch leave.
        p: probabilities, increasing within [0, 1]; ms: the quantiles there [ms], same length.
        n: executions behind it; 0 where nobody counted. warmup: executions before these that were kept apart.
        p50_ms, p99_ms: 95 % confidence interval of that quantile; empty where nobody took one.
        stopped: why it was not executed more often; ``None`` where nobody said.
    """

    batch: int
    p: tuple[float, ...]
    ms: tuple[float, ...]
    origin: Origin
    source: str
    exit: int = 0
    n: int = 0
    warmup: int = 0
    p50_ms: tuple[float, ...] = ()
    p99_ms: tuple[float, ...] = ()
    stopped: Stopped | None = None

    def quantile(self, q: float) -> Ns:
        """Service time at probability ``q``, linear between the stored quantiles [ns]."""
        p, ms = self.p, self.ms
        if q <= p[0]:
            return round(ms[0] * 1e6)
        for i in range(1, len(p)):
            if q <= p[i]:
                span = p[i] - p[i - 1]
                w = (q - p[i - 1]) / span if span > 0 else 1.0
                return round((ms[i - 1] * (1 - w) + ms[i] * w) * 1e6)
        return round(ms[-1] * 1e6)


class Concurrent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Service time while more than one execution is under way on the board.

    Attributes:
        batch: items of each execution. exit: exit at which they leave.
        instances: copies of the model that execute at the same time, each in a lane of its own.
        beside: another model that executes all the while in one lane more; empty for none.
        p, ms: as in `Service`. items_per_s: items of this model that all instances together finish in a second.
        n: executions behind it. warmup: executions before these that were kept apart.
        stopped: as in `Service`.
    """

    batch: int
    instances: int
    p: tuple[float, ...]
    ms: tuple[float, ...]
    items_per_s: float
    origin: Origin
    source: str
    beside: str = ""
    exit: int = 0
    n: int = 0
    warmup: int = 0
    stopped: Stopped | None = None


class HwProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model on one kind of board.

    Attributes:
        board: profile folder name, e.g. ``virtual-jetson``; a lab file names it per board.
        service: at least batch 1 at every exit, sorted by (exit, batch).
        accuracy: per exit, fraction correct on the set that its source names.
        class_accuracy: per exit and class, fraction of that class that is answered correctly, of the same
            origin as ``accuracy``; empty where nobody counted.
        kept_bytes: per part, size of what it hands on for one item; a part ends at the exit of its index.
        active_w: power while executing; idle_w: power at rest; both of the board's total rail, metered alike.
        energy_mj: energy of one inference, sorted by (exit, batch, net); metered as the powers are.
        accuracy_metric: what ``accuracy`` is: ``top-1``, ``AUC``, ``mAP``, ``F1`` or ``1-WER`` (word errors).
        confidence: one per exit at most, sorted by exit; empty where nobody counted.
        concurrent: sorted by exit, batch, instances, beside; empty where nobody tried.
        link_rtt_ms, link_bytes_per_s: smallest round trip and rate towards the board of the link it was measured over.
        meter_refresh_ms: longest that the meter can take from one new value to the next, as its samples show.
        sha256: hash of the model file(s) the figures belong to, in chain order.
    """

    schema: int
    board: str
    model: ModelId
    task: TaskId
    service: tuple[Service, ...]
    accuracy: tuple[Quantity, ...]
    class_accuracy: tuple[tuple[float, ...], ...] = ()
    kept_bytes: tuple[int, ...] = ()
    sha256: tuple[str, ...] = ()
    active_w: Quantity | None = None
    idle_w: Quantity | None = None
    load_ms: Quantity | None = None
    memory_bytes: Quantity | None = None
    created: str = ""
    energy_mj: tuple[InferenceEnergy, ...] = ()
    accuracy_metric: str = "top-1"
    confidence: tuple[Confidence, ...] = ()
    concurrent: tuple[Concurrent, ...] = ()
    link_rtt_ms: Quantity | None = None
    link_bytes_per_s: Quantity | None = None
    meter_refresh_ms: Quantity | None = None
    provenance: Provenance | None = None

    def service_at(self, batch: int = 1, exit_: int | None = None, q: float = 0.5) -> Ns:
        """Service time of a batch at an exit (default: the last) [ns]; see `service_at`."""
        return service_at(self.service, batch, exit_, q)

    def service_of(self, layers: tuple[int, int], batch: int = 1, q: float = 0.5) -> Ns:
        """Service time of a half-open range of parts: up to its last exit, less what lies before the first [ns]."""
        first, end = layers
        before = self.service_at(batch, first - 1, q) if first > 0 else 0
        return max(self.service_at(batch, end - 1, q) - before, 0)

    @property
    def exits(self) -> int:
        """Number of exits."""
        return len(self.accuracy)

    @property
    def metered(self) -> Metered | None:
        """What its powers and energies cover; ``None`` where it has none, or none says."""
        said = [q.metered for q in (self.active_w, self.idle_w) if q is not None and q.metered is not None]
        return next(iter([*said, *(row.metered for row in self.energy_mj)]), None)

    def energy_at(
        self, batch: int = 1, exit_: int | None = None, *, net: bool = False
    ) -> InferenceEnergy | None:
        """Energy of one inference as stored for exactly this batch and exit (default: the last), or ``None``."""
        last = self.exits - 1 if exit_ is None else exit_
        rows = (e for e in self.energy_mj if (e.batch, e.exit, e.net) == (batch, last, net))
        return next(rows, None)


def service_at(service: tuple[Service, ...], batch: int = 1, exit_: int | None = None, q: float = 0.5) -> Ns:
    """Service time of a batch at an exit (default: the last) [ns].

    Between stored batch sizes linear; beyond the largest, proportional to its batches.
    """
    last = max(s.exit for s in service) if exit_ is None else exit_
    rows = [s for s in service if s.exit == last]
    below = [s for s in rows if s.batch <= batch]
    above = [s for s in rows if s.batch >= batch]
    if below and above:
        lo, hi = below[-1], above[0]
        a, b = lo.quantile(q), hi.quantile(q)
        return a if hi.batch == lo.batch else round(a + (b - a) * (batch - lo.batch) / (hi.batch - lo.batch))
    if below:
        return round(below[-1].quantile(q) * batch / below[-1].batch)
    return rows[0].quantile(q)


class ProfileBook(Struct, frozen=True):
    """All profiles of a lab, by board *in the lab file* and model."""

    rows: dict[tuple[BoardId, ModelId], HwProfile]

    def find(self, board: BoardId, model: ModelId) -> HwProfile | None:
        """The profile, or ``None`` where nobody made one."""
        return self.rows.get((board, model))

    def models_on(self, board: BoardId, task: TaskId) -> tuple[HwProfile, ...]:
        """Profiles of a board for a task, by name of the model."""
        return tuple(p for (b, _), p in sorted(self.rows.items()) if b == board and p.task == task)
