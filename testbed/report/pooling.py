"""Whether two runs may be pooled: what must agree for their records to be draws from the same thing.

Two runs may be *compared* although they differ; that difference may be the question. *Pooled*, as replicates of one
campaign, they must agree in whatever can move a figure and is not drawn from a seed.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from testbed.model.ids import BoardId
    from testbed.store.reader import Run
    from testbed.store.schema import Header

MAY = "may be pooled"
MUST_NOT = "must not be pooled"

OF_ONE_PROCESS = frozenset({"pid", "boot_id", "executable", "models"})
"""Facts of a board that a replicate need not share: what its agent happens to be and to hold."""


class Check(Struct, frozen=True, kw_only=True):
    """One thing that two runs have in common or not.

    Attributes:
        first, second: what each run says, empty where it says nothing.
        pooling: they must not be pooled unless it agrees. comparing: nor are their figures of like with like.
    """

    what: str
    first: str
    second: str
    pooling: bool
    comparing: bool = False

    @property
    def agrees(self) -> bool:
        """Both say the same."""
        return self.first == self.second


class Pooling(Struct, frozen=True, kw_only=True):
    """What differs between two runs, and whether they may be pooled; ``reasons`` why not."""

    differing: tuple[Check, ...]
    reasons: tuple[str, ...]

    @property
    def may(self) -> bool:
        """They may be pooled."""
        return not self.reasons

    @property
    def verdict(self) -> str:
        """One sentence."""
        return MAY if self.may else f"{MUST_NOT}, because {'; '.join(self.reasons)}"


def pooling(first: Run, second: Run) -> Pooling:
    """Compare all that both headers pin.

    What no header says of an older run counts as different where the other says it: nobody can vouch for it.
    """
    a, b = first.header, second.header
    differing = tuple(check for check in checks(first, second) if not check.agrees)
    reasons = [f"{c.what} differ{'' if c.what.endswith('s') else 's'}" for c in differing if c.pooling]
    if (a.run, a.created) == (b.run, b.created):
        reasons.insert(0, "they are the same run")
    if not (first.complete and second.complete):
        reasons.append("a run is not complete")
    return Pooling(differing=differing, reasons=tuple(reasons))


def checks(first: Run, second: Run) -> list[Check]:
    """Everything that is looked at, the gravest first."""
    a, b = first.header, second.header

    def check(what: str, one: object, two: object, *, pooling: bool = True, comparing: bool = False) -> Check:
        return Check(what=what, first=str(one), second=str(two), pooling=pooling, comparing=comparing)

    def host(what: str, key: str, *, pooling: bool = True) -> Check:
        return check(what, a.host.get(key, ""), b.host.get(key, ""), pooling=pooling)

    said, told = _boards(first), _boards(second)
    fresh = measured_at_start(a) | measured_at_start(b)
    return [
        check("experiment", a.experiment, b.experiment, comparing=True),
        check("workload", _workload(first), _workload(second), pooling=False, comparing=True),
        check("campaign", _campaign(a), _campaign(b)),
        check("time", _time(a), _time(b)),
        check("models", _listed(a.models), _listed(b.models), comparing=True),
        check("lab file", a.lab_sha256, b.lab_sha256, comparing=True),
        check("profiles", _profiles(a, fresh, given=True), _profiles(b, fresh, given=True), comparing=True),
        check(
            "profiles measured at the start",
            _profiles(a, fresh, given=False),
            _profiles(b, fresh, given=False),
            pooling=False,
        ),
        check("processor", _processor(a), _processor(b), comparing=True),
        host("host", "id"),
        host("kernel", "kernel"),
        host("governor", "governor"),
        host("clock source", "clock_source"),
        host("boot", "boot_id", pooling=False),
        check("agent", a.agent_sha256, b.agent_sha256),
        *([] if a.after or b.after else [check("boards", _changed(said, told), _changed(told, said))]),
        check("versions", _changed(a.versions, b.versions), _changed(b.versions, a.versions)),
        check("source", _source(a), _source(b), pooling=False),
    ]


def measured_at_start(header: Header) -> frozenset[BoardId]:
    """Boards whose lab file names no profiles: every run measures them anew, so no two runs have the same."""
    boards: dict[str, Any] = tomllib.loads(header.lab_text).get("boards", {})
    return frozenset(board for board, table in boards.items() if "profiles" not in table)


def _workload(run: Run) -> str:
    """The arrivals of each block: other ones are another draw, which may be pooled but not paired."""
    return _listed({str(t.start.block): t.start.arrivals_sha256 for t in run.trials})


def _boards(run: Run) -> dict[str, str]:
    """What the boards said they are: hardware, system, power mode, governor, runtimes; nothing of one process."""
    said: dict[str, str] = {}
    for facts in (facts for trial in run.trials for facts in trial.boards):
        said[f"{facts.id} is"] = f"{facts.kind}, {facts.origin} over a link {facts.link_origin}"
        for key, value in facts.facts.items():
            if key not in OF_ONE_PROCESS:
                said |= _leaves(f"{facts.id} {key}", value)
    return said


def _leaves(name: str, value: object) -> dict[str, str]:
    """A fact of many parts by its parts, so that only those that differ are shown."""
    if not isinstance(value, dict) or not value:
        return {name: str(value)}
    return {
        key: leaf for part, inner in value.items() for key, leaf in _leaves(f"{name}.{part}", inner).items()
    }


def _campaign(header: Header) -> str:
    """What the experiment varies and keeps, without the seed it was drawn with."""
    kept = {k: v for k, v in header.campaign.items() if k not in {"seed", "sha256", "question"}}
    return ", ".join(f"{name} {value}" for name, value in sorted(kept.items()))


def _time(header: Header) -> str:
    return "real" if header.after is None else f"virtual, after {header.after.run}"


def _profiles(header: Header, fresh: frozenset[BoardId], *, given: bool) -> str:
    return _listed({k: v for k, v in header.profiles.items() if (k.partition("/")[0] not in fresh) == given})


def _processor(header: Header) -> str:
    return f"{header.host.get('cpu') or header.host.get('machine', '')} x {header.host.get('cores')}"


def _changed(one: dict[str, str], other: dict[str, str]) -> str:
    return ", ".join(f"{name} {v}" for name, v in sorted(one.items()) if other.get(name) != v)


def _source(header: Header) -> str:
    return f"{header.git_commit or 'installed package'}{' with changes' if header.git_dirty else ''}"


def _listed(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value[:12]}" for name, value in sorted(values.items()))
