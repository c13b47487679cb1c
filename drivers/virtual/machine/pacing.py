"""The paced runtime: answers like the model, takes as long as the profile.

Takes the runtime it wraps and the profiles; gives the wire's outcome and, per execution, how well the pace was kept.
One execution at a time per lane, as a sequential accelerator would do, is the agent's part.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from drivers.agent.runtimes import LoadedInfo, Outcome
from drivers.virtual.machine.stopping import in_paced_time
from drivers.virtual.machine.waiting import wait_until
from testbed.wire.messages import CANCELLED_EXIT

if TYPE_CHECKING:
    from drivers.agent.runtimes import Runtime
    from drivers.virtual.machine.clock import SkewedClock
    from drivers.virtual.machine.replay import Replay
    from testbed.model.profile import HwProfile
    from testbed.wire import Tensor

_LONGEST_TAIL_NS = 50_000

Work = Callable[[str], AbstractContextManager[None]]


class PacedRuntime:
    """Wraps a runtime so that each execution takes the service time drawn for it.

    The draw is ``profile.service_at(batch, exit, q=u)`` with ``u`` uniform and seeded; ``exit`` is the deepest
    that an item of the batch took. Where the wrapped runtime alone takes longer than that, the excess shows as
    pace error.

    Reports per execution: ``asked_ns`` on the board's clock, like the agent's stamps; on the host's clock
    ``pace_error_ns`` (actual - asked) and, where that alone took longer than asked, ``real_ns`` (spent on the
    answer itself); for replayed answers ``replayed``, and ``audited`` with ``audit_differs`` (0 or 1). Short,
    because on a serial line a report takes longer than some inferences. What the wrapped runtime reports is
    dropped but for what is to be kept: its times are this host's, not the board's.
    """

    def __init__(
        self,
        inner: Runtime,
        profiles: Mapping[str, HwProfile],
        *,
        clock: SkewedClock,
        seed: int = 0,
        spin_ns: int = 600_000,
        replays: Mapping[str, Replay] | None = None,
        audit_frac: float = 0.01,
        work: Work | None = None,
        keep: Sequence[str] = (),
        found: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """Pace ``inner``.

        Args:
            inner: really runs models.
            profiles: by model.
            clock: the board's; profiles are in its seconds.
            seed: of the draws.
            spin_ns: spinning time at the end of a wait [ns].
            replays: stored answers by model; models without them are really run.
            audit_frac: share of replayed executions that are run as well and compared.
            work: entered while a model executes, e.g. to draw power.
            keep: what the wrapped runtime reports that is the board's, e.g. cycles of its logic.
            found: asked after each execution for what else there is to report, e.g. of an audit.
        """
        self._inner = inner
        self._profiles = profiles
        self._clock = clock
        self._spin = spin_ns
        self._replays = dict(replays or {})
        self._audit_frac = audit_frac
        self._work = work or (lambda model: nullcontext())
        self._keep = tuple(keep)
        self._found = found
        self._paces = random.Random(f"pace/{seed}")
        self._audits = random.Random(f"audit/{seed}")
        self._guard = threading.Lock()
        self._tail = 0

    def load(
        self, model: str, paths: Sequence[str], options: Mapping[str, object], instances: int
    ) -> LoadedInfo:
        """Load it really, and take as long as the profile says.

        Raises:
            ValueError: there is no profile to pace it by.
        """
        profile = self._profile(model)
        start = time.monotonic_ns()
        # One thread unless told otherwise: a library that spins on every core would disturb the pace of all boards.
        info = self._inner.load(model, paths, {"threads": 1, **options}, instances)
        if profile.load_ms is not None:
            wait_until(start + round(profile.load_ms.value * 1e6), 0)
        if profile.memory_bytes is not None:
            return LoadedInfo(round(profile.memory_bytes.value) * max(instances, 1), info.text)
        return info

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
        """Answer, then wait until the drawn service time has passed; the agent calls it once at a time per lane."""
        start = time.monotonic_ns()
        profile = self._profile(model)
        with self._guard:
            u, audit = self._paces.random(), self._audits.random() < self._audit_frac
        with self._work(model):
            batch = max(len(thresholds) - len(cancelled()), 1)
            rules = in_paced_time(thresholds, stop_after_ns, profile, batch, u)
            outcome = self._answer(model, instance, inputs, rules, samples, cancelled, lost_rows, audit)
            real = time.monotonic_ns() - start
            asked = _service(profile, outcome.exits, u)
            report = dict(outcome.report, asked_ns=asked)
            if real > asked:
                report["real_ns"] = real
            outcome = Outcome(outcome.exits, outcome.outputs, report)
            due = start + self._clock.host_ns(asked)
            woke = wait_until(due - self._tail, self._spin)
        end = time.monotonic_ns()
        # What is left to do after the wait is part of the service time, so the next wait ends that much earlier.
        self._tail += (min(end - woke, _LONGEST_TAIL_NS) - self._tail) // 8
        report["pace_error_ns"] = end - due
        return outcome

    def _answer(
        self,
        model: str,
        instance: int,
        inputs: Sequence[Tensor],
        thresholds: Sequence[Sequence[float]],
        samples: Sequence[int],
        cancelled: Callable[[], AbstractSet[int]],
        lost_rows: int,
        audit: bool,
    ) -> Outcome:
        """What the model says; its report holds only what concerns the emulation."""

        def really() -> Outcome:
            never = (0,) * len(thresholds)
            return self._inner.run(model, instance, inputs, thresholds, never, samples, cancelled, lost_rows)

        replay = self._replays.get(model)
        if replay is None or not replay.knows(samples):
            outcome = really()
            kept = {name: outcome.report[name] for name in self._keep if name in outcome.report}
            return outcome._replace(report={**kept, **self._found()})
        outcome = replay.answer(samples, thresholds, cancelled())
        report = {"replayed": 1}
        if audit:
            report |= {"audited": 1, "audit_differs": int(not replay.agrees(really(), outcome))}
        return outcome._replace(report=report)

    def unload(self, model: str) -> None:
        """Free it."""
        self._inner.unload(model)

    def facts(self) -> dict[str, object]:
        """The wrapped runtime's facts, and that it is paced."""
        return {**self._inner.facts(), "paced": True, "replayed": sorted(self._replays)}

    def _profile(self, model: str) -> HwProfile:
        profile = self._profiles.get(model)
        if profile is None:
            raise ValueError(
                f"the virtual board has no profile of {model!r}; it has {sorted(self._profiles)}"
            )
        return profile


def _service(profile: HwProfile, exits: Sequence[int], u: float) -> int:
    """Service time of a batch at probability ``u`` [ns, board's clock]; 0 if all of it was cancelled."""
    taken = [exit_ for exit_ in exits if exit_ != CANCELLED_EXIT]
    return profile.service_at(len(taken), min(max(taken), profile.exits - 1), u) if taken else 0
