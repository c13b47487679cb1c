"""Variant selection in the manner of INFaaS (Romero et al., USENIX ATC 2021), with LRU loading.

One variant per accuracy level instead of one confidence threshold: what confidence scaling is compared with. Per
request, in this order:

1. of the first few variants that are accurate enough, in order of accuracy, the cheapest one (energy of an inference at
   work; unknown power last) that is loaded, not overloaded and in time;
2. the one with the least load time plus inference time. A second counts against one that is not loaded, so loaded
   ones are preferred until they are that far behind; loading evicts what was used least recently, and the request
   waits for it.

A baseline refuses nothing: where no variant is accurate enough the most accurate ones are taken and the answer is
marked degraded; where none is in time, the soonest.

Source: order, share of candidates, penalty and overload limits as in the published code (github stanford-mast/INFaaS,
head 4c5ff7b). Ours differs in its favour: the code takes the slowest variant that is in time, since slow means cheap
there; between edge and data centre it does not, so cost itself is compared. Left out: its cache of the last choices (it
saves a search and decides nothing), the worker autoscaler (boards are given), and the rule that keeps accelerators
free of requests with more than 100 ms (it is about the price of an accelerator).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.action import Action, Answer, Decision
from testbed.model.ids import BoardId
from testbed.model.lab import parse_options
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.view import Health
from testbed.policy import PolicySettings
from testbed.policy.memory import Memory
from testbed.policy.runners import Pick, Runner, finish_on, infer, make_runner
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from testbed.model.ids import ModelId, TaskId
    from testbed.model.profile import HwProfile
    from testbed.model.request import Request
    from testbed.model.view import CaseView, View
    from testbed.ports import Policy

ATTEMPTS = 2
PENALTY = 1 * S
"""Counted against a variant that would have to be loaded."""
OVERLOADED, RELIEVED = 2.5, 1.5
"""Mean response over predicted at which a variant counts as overloaded, and no longer."""
BACKLOG = 800 * MS
"""Work queued on a lane beyond this is overload at once."""
SMOOTHING = 0.1


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy's table in a campaign file.

    Attributes:
        sites: where variants may run; all by default.
    """

    sites: tuple[str, ...] = ()


class Variant(Struct, frozen=True):
    """A model on a board. ``load`` is how long it takes to load [ns], ``cost`` its energy at work [J]."""

    board: BoardId
    runner: Runner
    accuracy: float
    load: Ns
    cost: float

    @property
    def key(self) -> tuple[BoardId, ModelId]:
        """Board and model."""
        return self.board, self.runner.model


class Pace:
    """How a variant does lately: mean ratio of the time on its board to the service time predicted."""

    def __init__(self) -> None:
        """As predicted."""
        self.ratio = 1.0
        self.over = False

    def saw(self, ratio: float) -> None:
        """One answer took this much of its prediction."""
        self.ratio += SMOOTHING * (ratio - self.ratio)
        self.over = self.ratio > (RELIEVED if self.over else OVERLOADED)


class Infaas:
    """Chooses a variant per request, and loads what it lacks."""

    def __init__(self, settings: PolicySettings) -> None:
        """Check the options.

        Raises:
            ConfigError: an option that does not exist.
        """
        options = parse_options(settings.options, Options, file="policy infaas", key="options")
        self._variants: dict[TaskId, list[Variant]] = {}
        for site, boards in settings.sites.items():
            for board in boards if not options.sites or site in options.sites else ():
                for model in settings.models.get(board, ()):
                    profile = settings.profiles.find(board, model)
                    if profile is not None:
                        self._variants.setdefault(profile.task, []).append(_variant(profile, board))
        for variants in self._variants.values():
            variants.sort(key=lambda v: (v.accuracy, v.runner.service, v.key))
        self._memory = Memory(settings.profiles)
        self._pace: dict[tuple[BoardId, ModelId], Pace] = {}
        self._awaited: dict[BoardId, ModelId] = {}
        known = [v for found in self._variants.values() for v in found]
        self._accuracy = {v.key: v.accuracy for v in known}
        self._service = {v.key: v.runner.service for v in known}

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """Nothing is placed beforehand: what is asked for is loaded."""
        return Placement()

    def decide(self, now: Ns, view: View) -> Decision:
        """Order what waits, answer what was told, and try a failed attempt once more elsewhere.

        A load that fails leaves its board awaited, so that it is ordered again by the next request that wants it.
        """
        actions: list[Action] = []
        given: dict[BoardId, int] = {}
        for board, model in list(self._awaited.items()):
            if model in view.boards[board].resident or view.boards[board].health is Health.DOWN:
                del self._awaited[board]
        for request_id in view.touched:
            case = view.cases[request_id]
            if case.steps and case.steps[-1].ok:
                self._learn(case)
        for case in view.waiting.values():
            last = case.steps[-1] if case.steps else None
            if last is not None and last.ok:
                short = self._accuracy[last.board, last.model] < (case.request.min_accuracy or 0.0)
                actions.append(
                    Answer(request=case.request.id, steps=(last.id,), label=last.label, degraded=short)
                )
            elif len(case.steps) < ATTEMPTS:
                self._serve(now, view, case, actions, given)
        return Decision(actions=tuple(actions))

    def _serve(
        self, now: Ns, view: View, case: CaseView, actions: list[Action], given: dict[BoardId, int]
    ) -> None:
        """Order a request's inference, or the load it waits for."""
        request = case.request
        without = {step.board for step in case.steps}
        variants = [v for v in self._enough(request) if v.board not in without]
        size = view.payload_bytes(request.id)
        loaded = []
        for variant in variants:
            board = variant.board
            if self._awaited.get(board, variant.runner.model) != variant.runner.model:
                continue  # it empties the board for another variant
            pick = finish_on(view.boards[board], variant.runner, size, now, given.get(board, 0))
            if pick is not None:
                loaded.append((variant, pick))
        chosen = self._ready(now, view, request, loaded) or self._least(now, view, variants, loaded, actions)
        if chosen is None:
            return
        variant, pick = chosen
        actions.append(infer(view, request.id, pick))
        given[variant.board] = given.get(variant.board, 0) + 1
        self._memory.touch(*variant.key)

    def _ready(
        self, now: Ns, view: View, request: Request, loaded: list[tuple[Variant, Pick]]
    ) -> tuple[Variant, Pick] | None:
        """Rule 1: loaded, not overloaded, in time."""
        fit = [
            (v, pick)
            for v, pick in loaded[: _candidates(now, request)]
            if (request.deadline is None or pick.finish <= request.deadline)
            and not self._overloaded(now, view, v)
        ]
        return min(fit, key=lambda found: (found[0].cost, found[1].finish, found[0].key), default=None)

    def _least(
        self,
        now: Ns,
        view: View,
        variants: list[Variant],
        loaded: list[tuple[Variant, Pick]],
        actions: list[Action],
    ) -> tuple[Variant, Pick] | None:
        """Rule 2: least load plus inference time; ``None`` where that has to be loaded first."""
        best = min(loaded, key=lambda found: (found[1].finish, found[0].key), default=None)
        absent = [
            (now + v.load + v.runner.service + state.rtt + PENALTY, v)
            for v in variants
            if (state := view.boards[v.board]).health is not Health.DOWN
            and v.runner.model not in state.resident
            and self._memory.fits(state, v.runner.model)
        ]
        missing = min(absent, key=lambda found: (found[0], found[1].key), default=None)
        if missing is None or (best is not None and best[1].finish <= missing[0]):
            return best
        board, model = missing[1].key
        # One swap of a board at a time: what it replaces may have to finish its work first.
        if self._awaited.setdefault(board, model) == model and not view.boards[board].loading:
            order = self._memory.load(view, board, model)
            if order is not None:
                actions.append(order)
        return None

    def _overloaded(self, now: Ns, view: View, variant: Variant) -> bool:
        backlog = min(view.boards[variant.board].busy_until) - now
        pace = self._pace.get(variant.key)
        return backlog > BACKLOG or (pace is not None and pace.over and backlog > 0)

    def _learn(self, case: CaseView) -> None:
        """Time on the board is what the published code compares; the way there is the same for all its variants."""
        step = case.steps[-1]
        if step.received is None or step.finished is None:
            return
        predicted = self._service[step.board, step.model]
        if predicted:
            pace = self._pace.setdefault((step.board, step.model), Pace())
            pace.saw((step.finished - step.received) / predicted)

    def _enough(self, request: Request) -> list[Variant]:
        """Accurate enough, rising; the most accurate ones where none is."""
        variants = self._variants.get(request.task, [])
        found = [v for v in variants if v.accuracy >= (request.min_accuracy or 0.0)]
        if found or not variants:
            return found
        return [v for v in variants if v.accuracy == variants[-1].accuracy]


def _candidates(now: Ns, request: Request) -> int:
    """How many variants the first rule looks at."""
    if request.deadline is None:
        return 3
    return max(3, round(0.15 * (request.deadline - now) / MS / 0.6))


def _variant(profile: HwProfile, board: BoardId) -> Variant:
    accuracy = profile.accuracy[-1].value
    load = round(profile.load_ms.value * MS) if profile.load_ms is not None else 0
    runner = make_runner(profile, accuracy=accuracy)
    return Variant(board, runner, accuracy, load, runner.watts * runner.service / S)


def infaas(settings: PolicySettings) -> Policy:
    """Entry point ``infaas``."""
    return Infaas(settings)
