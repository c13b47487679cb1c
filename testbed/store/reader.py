"""Reads a run folder, also one that was cut off in the middle of a write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from testbed.errors import StoreError
from testbed.model.environment import HostUse
from testbed.model.lab import BoardFacts
from testbed.model.record import ClockProbe, PowerSamples, RequestRecord
from testbed.store.provenance import sha256_of
from testbed.store.records import Records, Seen
from testbed.store.schema import (
    COUNTS,
    BoardSeen,
    Drawn,
    Entry,
    Footer,
    Header,
    Logged,
    Note,
    Planned,
    TrialEnd,
    TrialStart,
    Window,
)
from testbed.store.versions import load_footer, load_header

if TYPE_CHECKING:
    from collections.abc import Iterator

_DECODER = msgspec.json.Decoder(Entry)
_EVENT_DECODER = msgspec.msgpack.Decoder(Logged)
_TORN = "torn last line: the writer was stopped in the middle of it"


class Damage(Struct, frozen=True, kw_only=True):
    """Something in a run folder that could not be used; ``line`` counts from 1, 0 stands for the whole file."""

    file: str
    line: int
    reason: str


class Attempt(Struct, frozen=True, kw_only=True):
    """One execution of one trial, as far as it was recorded."""

    start: TrialStart
    end: TrialEnd | None = None
    records: Sequence[RequestRecord] = ()
    probes: tuple[ClockProbe, ...] = ()
    power: tuple[PowerSamples, ...] = ()
    windows: tuple[Window, ...] = ()
    boards: tuple[BoardFacts, ...] = ()
    host: tuple[HostUse, ...] = ()
    drawn: tuple[Drawn, ...] = ()
    notes: tuple[Note, ...] = ()
    damage: tuple[Damage, ...] = ()
    events_file: Path | None = None

    @property
    def finished(self) -> bool:
        """It has its last line."""
        return self.end is not None

    @property
    def counts(self) -> bool:
        """It finished with a status under which its figures count."""
        return self.end is not None and self.end.status in COUNTS

    @property
    def unfinished(self) -> int:
        """Requests that were to come and have no record."""
        return max(0, self.start.requests - len(self.records))

    @property
    def status(self) -> str:
        """The trial's status, ``unfinished`` without a last line."""
        return self.end.status.value if self.end is not None else "unfinished"

    def window(self, name: str) -> Window | None:
        """The last window of that name."""
        return next((w for w in reversed(self.windows) if w.name == name), None)


class Run(Struct, frozen=True, kw_only=True):
    """A run folder, read.

    Attributes:
        trials: one attempt per trial that was begun, in planned order: the last that counts, else the last that
            finished, else the last.
        superseded: the other attempts.
        pending: planned trials that have no attempt that counts: what a resume has to do.
        damage: everything unusable, of all files.
    """

    folder: Path
    header: Header
    footer: Footer | None
    trials: tuple[Attempt, ...]
    superseded: tuple[Attempt, ...]
    pending: tuple[Planned, ...]
    damage: tuple[Damage, ...]

    @property
    def complete(self) -> bool:
        """Every planned trial counts and the footer says so."""
        return not self.pending and self.footer is not None and self.footer.status == "finished"


def read_run(folder: Path) -> Run:
    """Read a run folder as it stands; unfinished and damaged parts are reported, not fatal.

    Raises:
        StoreError: no run there, damaged header or footer, or a schema that this version does not know.
    """
    header = load_header(folder)
    footer = load_footer(folder)
    damage: list[Damage] = []
    by_trial: dict[str, list[Attempt]] = {}
    for path in sorted(folder.glob("trials/*/attempt-*.jsonl"), key=lambda p: (p.parent.name, _number(p))):
        attempt = read_attempt(path, folder)
        if attempt is None:
            damage.append(
                Damage(file=_inside(path, folder), line=1, reason="does not begin with a trial's start")
            )
            continue
        damage.extend(attempt.damage)
        by_trial.setdefault(attempt.start.trial, []).append(attempt)
    if footer is not None:
        damage.extend(_check_hashes(folder, footer))
    order = {planned.trial: place for place, planned in enumerate(header.planned)}
    chosen: list[Attempt] = []
    superseded: list[Attempt] = []
    for trial in sorted(by_trial, key=lambda name: (order.get(name, len(order)), name)):
        attempts = by_trial[trial]
        best = max(attempts, key=lambda a: (a.counts, a.finished, a.start.attempt))
        chosen.append(best)
        superseded.extend(a for a in attempts if a is not best)
    counting = {a.start.trial for a in chosen if a.counts}
    return Run(
        folder=folder,
        header=header,
        footer=footer,
        trials=tuple(chosen),
        superseded=tuple(superseded),
        pending=tuple(p for p in header.planned if p.trial not in counting),
        damage=tuple(damage),
    )


def read_journal(path: Path, root: Path | None = None) -> Iterator[Entry | Damage]:
    """The entries of one journal in order, a line at a time, with a `Damage` in place of each unusable line.

    Raises:
        StoreError: the file cannot be opened.
    """
    name = _inside(path, root)
    try:
        file = path.open("rb")
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", file=path) from error
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                yield Damage(file=name, line=number, reason=_TORN)
                return
            try:
                yield _DECODER.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                yield Damage(file=name, line=number, reason=f"damaged line: {error}")


def read_attempt(path: Path, root: Path | None = None) -> Attempt | None:
    """One journal; ``None`` where its first line is not usable, so that nobody knows what it belongs to.

    Raises:
        StoreError: the file cannot be opened.
    """
    entries = read_journal(path, root)
    start = next(entries, None)
    if not isinstance(start, TrialStart):
        return None
    kept: dict[type, list[Any]] = {}
    seen, count, number, skip = Seen(start.requests), 0, 1, set()
    for number, entry in enumerate(entries, start=2):
        if not isinstance(entry, RequestRecord):
            kept.setdefault(type(entry), []).append(entry)
            if isinstance(entry, Damage):
                skip.add(number)
        elif seen.again(entry.request.id):
            # A second record breaks the promise of one outcome each: said, never silently dropped.
            reason = f"second record of request {entry.request.id}"
            kept.setdefault(Damage, []).append(Damage(file=_inside(path, root), line=number, reason=reason))
            skip.add(number)
        else:
            count += 1
    events = path.with_suffix(".events")
    return Attempt(
        start=start,
        end=next(iter(kept.get(TrialEnd, ())), None),
        records=Records(path, count, frozenset(skip), number),
        probes=tuple(kept.get(ClockProbe, ())),
        power=tuple(kept.get(PowerSamples, ())),
        windows=tuple(kept.get(Window, ())),
        boards=tuple({e.facts.id: e.facts for e in kept.get(BoardSeen, ())}.values()),
        host=tuple(kept.get(HostUse, ())),
        drawn=tuple(kept.get(Drawn, ())),
        notes=tuple(kept.get(Note, ())),
        damage=tuple(kept.get(Damage, ())),
        events_file=events if events.exists() else None,
    )


def read_events(path: Path) -> Iterator[Logged]:
    """Events and decisions of one attempt in order; ends quietly at a torn tail, which only a crash leaves.

    Raises:
        StoreError: the file cannot be opened, or is damaged in the middle.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", file=path) from error
    count = 0
    with file:
        while len(head := file.read(4)) == 4:
            size = int.from_bytes(head, "little")
            data = file.read(size)
            if len(data) < size:
                return
            count += 1
            try:
                yield _EVENT_DECODER.decode(data)
            except msgspec.DecodeError as error:
                raise StoreError(f"event {count} is damaged: {error}", file=path) from error


def _number(path: Path) -> int:
    digits = path.stem.partition("-")[2]
    return int(digits) if digits.isdigit() else 0


def _inside(path: Path, root: Path | None) -> str:
    return str(path.relative_to(root)) if root is not None else str(path)


def _check_hashes(folder: Path, footer: Footer) -> Iterator[Damage]:
    for name, expected in footer.sha256.items():
        path = folder / name
        if not path.is_file():
            yield Damage(file=name, line=0, reason="missing, though the footer lists it")
        elif sha256_of(path) != expected:
            yield Damage(
                file=name, line=0, reason="differs from the hash in the footer: changed after the run"
            )
