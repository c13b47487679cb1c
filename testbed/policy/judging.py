"""Whether a frontend's answer stands: by its confidence, or, for comparison, by chance or by the truth."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

from testbed.errors import ConfigError

if TYPE_CHECKING:
    from testbed.model.execution import Step
    from testbed.model.request import Request
    from testbed.policy import PolicySettings
    from testbed.policy.thresholds import Threshold


class Judge(Protocol):
    """Decides whether an answer of a frontend may stand."""

    def __call__(self, request: Request, row: Threshold, step: Step) -> bool:
        """Whether ``step`` answers ``request``; the same for the same arguments."""


def coin(seed: int, what: str, request: Request) -> float:
    """A number in [0, 1) that depends on the seed, the purpose and the request only."""
    return random.Random(f"{seed}/{what}/{request.id}").random()


def by_confidence(request: Request, row: Threshold, step: Step) -> bool:
    """Sure enough, as calibrated."""
    return row.stands(step.confidence, step.scores)


class ByChance:
    """As many stand as with confidences, but any: what a threshold is worth shows against this."""

    def __init__(self, seed: int) -> None:
        """Draw from this seed."""
        self._seed = seed

    def __call__(self, request: Request, row: Threshold, step: Step) -> bool:
        """Let it stand with the calibrated probability."""
        return coin(self._seed, "stands", request) >= row.p_off


class ByTruth:
    """What is right stands: the bound that no confidence can beat."""

    def __init__(self, settings: PolicySettings) -> None:
        """Needs the truth.

        Raises:
            ConfigError: it is not known here.
        """
        if settings.truth is None:
            raise ConfigError("the oracle needs labelled inputs", cure="Drop it from the campaign's policies")
        self._truth = settings.truth

    def __call__(self, request: Request, row: Threshold, step: Step) -> bool:
        """Compare with the right label."""
        return step.label == self._truth(request)
