"""From a meter's blocks to one trace on the coordinator's clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed.measure.align import offsets_at
from testbed.measure.clocksync import COORDINATOR
from testbed.model.energy import UNKNOWN_METER, PowerTrace
from testbed.model.origin import Origin, weakest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from testbed.measure.clocksync import ClockBook
    from testbed.model.meter import MeterTraits
    from testbed.model.record import Alignment, PowerSamples


def total_trace(
    blocks: Iterable[PowerSamples],
    clocks: ClockBook,
    traits: MeterTraits | None = None,
    aligned: Sequence[Alignment] = (),
) -> PowerTrace | str:
    """The board's total power on the coordinator's clock: the sum of its total rails and of no others.

    The sum's steps and offsets are those of the rails as independent parts; its gain is that of one rail, as if all
    were wrong alike, since they share chip, make and temperature.

    Args:
        blocks: of one meter; several boots may follow each other.
        traits: what is known of the meter; without, its samples are taken as they stand.
        aligned: what load patterns told of its stamps, if they are the coordinator's: taken off, and then their
            uncertainty stands in place of that of the delay.

    Returns:
        The trace, or why there is none.

    Source: JCGM 100:2008 (GUM) 5.1.2 for independent, 5.2.2 note 1 for fully correlated parts.
    """
    known = traits if traits is not None else UNKNOWN_METER
    times: list[NDArray[np.int64]] = []
    powers: list[NDArray[np.float64]] = []
    over: list[NDArray[np.int64]] = []
    bound = 0
    last: PowerSamples | None = None
    origins: set[Origin] = set()
    for block in blocks:
        beyond = [(fault.first, fault.last) for fault in block.faults if fault.kind == "saturated"]
        if beyond:
            ends = clocks.convert(block.board, block.boot, np.asarray(beyond, dtype=np.int64).ravel())
            over += [] if ends is None else [ends[0].reshape(-1, 2)]
        if not block.t:
            continue
        columns = [block.rails.index(rail) for rail in block.total if rail in block.rails]
        if len(columns) != len(block.total) or not columns:
            return f"{block.board}: no rail of {', '.join(block.rails)} stands for the board's total"
        stamps = np.asarray(block.t, dtype=np.int64)
        converted = clocks.convert(block.board, block.boot, stamps)
        if converted is None:
            return f"{block.board}: its clock was never probed, so its samples cannot be placed in time"
        watts = np.asarray(block.power_w, dtype=np.float64).reshape(len(block.t), len(block.rails))[
            :, columns
        ]
        limits = [known.rail(rail).full_scale_w for rail in block.total]
        t, bounds = converted[0] - known.delay_ns, converted[1]
        late = offsets_at(aligned, t) if block.boot == COORDINATOR else None
        if late is not None:
            t, bounds = t - late[0], bounds + late[1]
            known = msgspec.structs.replace(known, delay_bound_ns=0)
        times.append(t)
        powers.append(watts.sum(axis=1))
        full = np.any(watts >= [math.inf if limit is None else limit for limit in limits], axis=1)
        over.append(np.repeat(converted[0][full, None], 2, axis=1))
        bound = max(bound, int(bounds.max()))
        origins.add(Origin(block.origin))
        last = block
    if last is None:
        return "no power samples"
    t = np.concatenate(times)
    order = np.argsort(t, kind="stable")
    t = t[order]
    fresh = np.concatenate(([True], t[1:] > t[:-1]))
    rails = [known.rail(rail) for rail in last.total]
    steps = [rail.level_w for rail in rails]
    stated = [step for step in steps if step is not None]
    gain = math.hypot(known.gain_frac, max(rail.volts_frac for rail in rails))
    return PowerTrace(
        t=t[fresh],
        power_w=np.concatenate(powers)[order][fresh],
        rail="+".join(last.total),
        meter=last.meter,
        board=last.board,
        origin=weakest(origins),
        bound=bound,
        traits=msgspec.structs.replace(known, gain_frac=gain),
        step_w=math.hypot(*stated) if len(stated) == len(steps) else None,
        step_j=math.hypot(*(rail.step_j for rail in rails)),
        offset_w=math.hypot(*(rail.offset_w for rail in rails)),
        over=np.concatenate(over),
    )
