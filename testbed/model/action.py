"""What a policy may order, and what it expects of it."""

from __future__ import annotations

import enum
import math
from typing import TypeAlias

from msgspec import Struct

from testbed.model.ids import ActionId, BoardId, ModelId, RequestId, StepId
from testbed.model.origin import Origin
from testbed.units import Ns


class Transport(enum.Enum):
    """How the payload travels."""

    RELIABLE = "reliable"
    LOSSY = "lossy"


class ExitRule(Struct, frozen=True, gc=False, kw_only=True):
    """When an item leaves a network with several exits; the last exit always answers.

    Attributes:
        min_confidence: per exit, leave if max softmax is at least this; ``inf`` never, ``0`` always.
            Exits beyond the tuple never stop early. Conditions on profiled constants (accuracy, energy,
            computation, exit number) are known beforehand, so a policy writes them as ``0`` or ``inf``.
        stop_after: leave at the first exit reached this long after the start of execution, or ``None``. The
            rule is looked at when an exit has run, so it overshoots by up to one part: a policy with a hard
            bound subtracts the time of the next part.
    """

    min_confidence: tuple[float, ...] = ()
    stop_after: Ns | None = None

    @classmethod
    def at(cls, exit_: int) -> ExitRule:
        """Always leave at one exit, whatever the confidence."""
        return cls(min_confidence=(math.inf,) * exit_ + (0.0,))


class Sample(Struct, frozen=True, gc=False, tag="sample"):
    """The request's own input."""


class Output(Struct, frozen=True, gc=False, tag="output"):
    """What an earlier action kept on a board: features, an encoded latent.

    On the board that holds it nothing travels; ordered on another board it is first fetched over that
    board's link. It lives until the requests of its batch have ended or its board starts anew; after
    that the action that asks for it fails.

    Attributes:
        action: the action that produced it, ordered with ``keep``.
        port: name of the output; empty for what the last part run hands on to the next.
        item: position in that action's batch.
    """

    action: ActionId
    port: str = ""
    item: int = 0


class Region(Struct, frozen=True, gc=False, tag="region"):
    """A part of a request's input: ``box`` is (left, top, right, bottom) in pixels."""

    request: RequestId
    box: tuple[int, int, int, int]


Input: TypeAlias = Sample | Output | Region
_SAMPLE = Sample()
_RUN_TO_END = ExitRule()


class Place(Struct, frozen=True, gc=False, kw_only=True):
    """Where an item lies on a shared canvas, in pixels.

    Canvases have the model's input size and are what the model executes: the batch size that a profile
    knows is then the number of canvases, not of items.
    """

    canvas: int
    x: int
    y: int


class Item(Struct, frozen=True, gc=False, kw_only=True):
    """One request inside an action; a request may have several items in one batch (regions of its input).

    A job of many inputs that is shared among boards is as many requests of one ``group``.
    """

    request: RequestId
    exit: ExitRule = _RUN_TO_END
    input: Input = _SAMPLE
    place: Place | None = None


class Prediction(Struct, frozen=True, gc=False, kw_only=True):
    """What the policy believed when it ordered an action; stands beside what was observed.

    Attributes:
        finish: expected completion on the coordinator's clock.
        accuracy: expected accuracy of the answer, a fraction.
        energy_j: expected energy of the whole batch, J.
        origin: weakest origin of the profile fields used.
    """

    finish: Ns | None = None
    accuracy: float | None = None
    energy_j: float | None = None
    origin: Origin = Origin.ASSUMED


class Infer(Struct, frozen=True, gc=False, kw_only=True, tag="infer"):
    """Run a model, or a range of its layers, on a batch.

    Attributes:
        model: must be resident, or being loaded by an earlier order; else the action fails.
        instance: lane of the board, from 0. A lane runs one batch at a time whatever the model; a model with
            n instances may run in lanes 0..n-1; where the board lists its cores, lane i is ``cores[i]``.
        layers: half-open range of parts to run, or ``None`` for the whole network.
        codec: how the payload is coded on the link; ``raw`` for as it is.
        keep: leave the outputs on the board for a later ``Output``; the step then may have no label (-1).
        earliest: do not start before.
        latest: if it cannot start by then, do not start at all: it fails with ``WINDOW_MISSED``.
    """

    id: ActionId
    board: BoardId
    model: ModelId
    batch: tuple[Item, ...]
    instance: int = 0
    layers: tuple[int, int] | None = None
    codec: str = "raw"
    transport: Transport = Transport.RELIABLE
    keep: bool = False
    earliest: Ns | None = None
    latest: Ns | None = None
    expected: Prediction | None = None


class Load(Struct, frozen=True, gc=False, kw_only=True, tag="load"):
    """Make a model or overlay resident; nothing else ever evicts.

    Attributes:
        instances: copies held afterwards, also where some are held already.
        evict: dropped at once, to make room; what is queued for them fails.
    """

    id: ActionId
    board: BoardId
    model: ModelId
    instances: int = 1
    evict: tuple[ModelId, ...] = ()


class Answer(Struct, frozen=True, gc=False, kw_only=True, tag="answer"):
    """Close a request from one or several steps.

    Attributes:
        steps: the steps the answer rests on.
        label: the class answered.
        degraded: the policy knows that this is below the accuracy asked for.
    """

    request: RequestId
    steps: tuple[StepId, ...]
    label: int
    degraded: bool = False


class Cancel(Struct, frozen=True, gc=False, kw_only=True, tag="cancel"):
    """Take back an action, or some of its requests.

    Idempotent, and allowed after the request was answered (the loser of a speculation). What was executed
    all the same comes back as a step with its ``cancelled`` stage.
    """

    action: ActionId
    requests: tuple[RequestId, ...] | None = None


class Reject(Struct, frozen=True, gc=False, kw_only=True, tag="reject"):
    """Refuse a request, saying why and the best accuracy on offer."""

    request: RequestId
    reason: str
    best_accuracy: float | None = None


Action: TypeAlias = Infer | Load | Answer | Cancel | Reject


class Decision(Struct, frozen=True, gc=False, kw_only=True):
    """What a policy orders now.

    A waiting request without steps may be left for a revisit. A touched request whose last step did not
    succeed, and which neither waits for another action nor is given one here, ends FAILED.

    Attributes:
        actions: carried out in this order.
        revisit: wake the policy at this instant; it replaces an earlier one, ``None`` clears it.
        replan: ask for ``plan`` on a fresh snapshot.
        notes: what the policy changed about itself and a reader of the run should know (a threshold it raised);
            sentences, kept in the trial's journal.
    """

    actions: tuple[Action, ...] = ()
    revisit: Ns | None = None
    replan: bool = False
    notes: tuple[str, ...] = ()


NOTHING = Decision()
