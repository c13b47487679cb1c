"""The board's own meters as its agent tells of them: which to stream, and what they sent as an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from testbed.errors import BoardError, did_you_mean
from testbed.model.meter import MeterTraits
from testbed.model.record import PowerSamples, SampleFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.boards.composition import CommonOptions
    from testbed.wire import messages as m

CURE = "Correct `meters` in the lab file, or mend what keeps the meter away"


def meters_of(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the agent said of each meter, by name: ``rails``, ``total``, ``scope`` and more."""
    found = facts.get("meters")
    return found if isinstance(found, dict) else {}


def wanted_meters(facts: Mapping[str, Any], common: CommonOptions, board: str) -> tuple[str, ...]:
    """Those the lab file names, else the one the agent prefers; none on a board without any, or if not asked for.

    Raises:
        BoardError: one that the lab file names is not there; says why.
    """
    if not common.meter_period_ms:
        return ()
    if not common.meters:
        default = facts.get("meter")
        return (default,) if default else ()
    for name in common.meters:
        if name not in meters_of(facts):
            why = (facts.get("meters_absent") or {}).get(name) or did_you_mean(name, meters_of(facts))
            raise BoardError(f"no meter {name!r} there: {why}", board=board, cure=CURE)
    return common.meters


def traits_of(facts: Mapping[str, Any]) -> dict[str, MeterTraits]:
    """What the agent states of its meters' errors, by name; a meter that states nothing is left out.

    Raises:
        BoardError: what it states cannot be understood.
    """
    try:
        return {
            name: msgspec.convert(about["traits"], MeterTraits)
            for name, about in meters_of(facts).items()
            if "traits" in about
        }
    except msgspec.ValidationError as error:
        cure = "Use an agent of this version"
        raise BoardError(f"the agent's words on its meters: {error}", cure=cure) from error


def power_event(
    message: m.PowerSamples, facts: Mapping[str, Any], board: str, boot: int, origin: str
) -> PowerSamples:
    """The message as the rest of the testbed knows it."""
    firsts, lasts = message.fault_spans[::2], message.fault_spans[1::2]
    runs = zip(message.faults, message.fault_counts, firsts, lasts, strict=False)
    return PowerSamples(
        board=board,
        boot=boot,
        meter=message.meter,
        rails=tuple(message.rails),
        total=tuple(meters_of(facts).get(message.meter, {}).get("total", ())),
        t=tuple(message.t),
        power_w=tuple(message.power_w),
        origin=origin,
        dropped=message.dropped,
        faults=tuple(
            SampleFault(kind=kind, count=count, first=first, last=last) for kind, count, first, last in runs
        ),
    )
