"""Who runs what where, and when an answer stands.

Takes a view of the lab; gives decisions; does not know clocks, files, sockets, logs or how boards are reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from testbed.model.ids import BoardId, ModelId
from testbed.model.profile import ProfileBook
from testbed.model.request import Request
from testbed.policy.thresholds import ThresholdTable

EDGE, DC = "edge", "dc"
"""Sites of a lab, as policies know them."""


class PolicySettings(Struct, frozen=True, kw_only=True):
    """What a policy is built from; the same for all policies of a campaign, but for ``options``.

    Attributes:
        seed: for whatever a policy draws by chance.
        options: the policy's own table of the campaign file.
        thresholds: calibration of the confidence, or ``None`` where nobody calibrated.
        sites: boards by site.
        models: what each board may be asked for.
        profiles: the book that the view shows too; empty where a policy is built only to see whether it refuses its
            options, before any board is contacted.
        truth: the right label of a request, for bounds such as an oracle; a system under test must not ask.
    """

    sites: dict[str, tuple[BoardId, ...]]
    models: dict[BoardId, tuple[ModelId, ...]]
    profiles: ProfileBook
    seed: int = 0
    options: dict[str, Any] = {}
    thresholds: ThresholdTable | None = None
    truth: Callable[[Request], int | None] | None = None
