"""Energy of the requests of one target, where many requests lie within one sample of the meter.

Work is put into kinds, by board, model, exit and batch size; `testbed.measure.attribute` tells the power of each kind
over all loads of a policy. A request of a batch of n has an n-th of the execution; a failed attempt that was executed
counts as well.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.measure.attribute import Attribution, attribute, cut
from testbed.measure.shares import share_out
from testbed.measure.timeline import timelines
from testbed.model.ids import BoardId, RequestId
from testbed.model.origin import Origin, weakest
from testbed.report.energies import NO_METER, UNREAD, why_none
from testbed.report.meters import Reading
from testbed.report.rows import EnergyRow, WorkRow, no_energy
from testbed.report.steps import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from testbed.measure.clocksync import ClockBook
    from testbed.report.policies import Material
    from testbed.store.reader import Attempt

Kind = tuple[str, int, int]
"""Model, exit, batch size."""


class Execution(Struct, frozen=True, kw_only=True):
    """One execution on a board: what, when on the coordinator's clock [ns], and which requests were in it."""

    kind: Kind
    start: int
    end: int
    requests: tuple[RequestId, ...]


class BoardWork(Struct, frozen=True, kw_only=True):
    """What one board did for one policy, and the power of each kind of it, or why that cannot be told.

    Attributes:
        done: executions by attempt, side by side with the policy's. readings: of the meter that stands for the board.
    """

    board: BoardId
    kinds: tuple[Kind, ...]
    done: tuple[tuple[Execution, ...], ...]
    readings: tuple[Reading | None, ...]
    power: Attribution | str


def board_work(material: Material) -> tuple[BoardWork, ...]:
    """One entry per board that executed something, with a meter or without; none in virtual time, where none can be."""
    if all(facts.origin == Origin.MODELLED.value for facts in material.boards.values()):
        return ()
    each = [
        executions(attempt, clocks, material)
        for attempt, clocks in zip(material.attempts, material.clocks, strict=True)
    ]
    boards = sorted({board for done in each for board in done})
    return tuple(_work(material, board, tuple(done.get(board, ()) for done in each)) for board in boards)


def target_energies(material: Material, work: tuple[BoardWork, ...]) -> dict[float | None, EnergyRow]:
    """Energy per answered request above idle, by the accuracy asked for (``None``: none)."""
    asked = [None if np.isnan(target) else float(target) for target in np.unique(material.columns.target)]
    return {target: _target(material, work, target) for target in dict.fromkeys(asked)}


def work_rows(material: Material, work: tuple[BoardWork, ...]) -> Iterator[WorkRow]:
    """Energy of one execution of each kind: integrated where the meter resolves every one of them, else attributed."""
    for one in work:
        for place, kind in enumerate(one.kinds):
            took = [(e.end - e.start) / 1e9 for done in one.done for e in done if e.kind == kind]
            alone = _alone(one, kind)
            how, value, sigma, reason = "integrated", None, None, ""
            if alone is not None:
                value, sigma = alone
            else:
                how = "attributed"
                unit = np.zeros(len(one.kinds))
                unit[place] = sum(took) / len(took)
                told = one.power if isinstance(one.power, str) else one.power.of(unit)
                if isinstance(told, str):
                    reason = told
                else:
                    value, sigma = told
            yield WorkRow(
                policy=material.policy,
                board=one.board,
                model=kind[0],
                exit=kind[1],
                batch=kind[2],
                executions=len(took),
                mean_ms=sum(took) / len(took) * 1e3,
                net_mj=None if value is None else value * 1e3,
                sigma_mj=None if sigma is None else sigma * 1e3,
                how=how if value is not None else "",
                reason=reason,
            )


def executions(
    attempt: Attempt, clocks: ClockBook, material: Material
) -> dict[BoardId, tuple[Execution, ...]]:
    """What each board executed in one trial, warm-up requests included."""
    found: dict[tuple[BoardId, int], list[tuple[int, int, int, int, str, int]]] = defaultdict(list)
    for records in chunks(attempt.records):
        steps = [step for record in records for step in record.steps]
        for step, line in zip(steps, timelines(records, clocks, material.boards), strict=True):
            if line.started is not None and line.finished is not None and line.finished > line.started:
                found[step.board, step.action].append(
                    (line.request, line.started, line.finished, step.exit, step.model, step.batch)
                )
    made: dict[BoardId, list[Execution]] = defaultdict(list)
    for (board, _), items in found.items():
        _, start, end, _, model, batch = items[0]
        deepest = max(item[3] for item in items)  # a batch runs as far as its deepest item
        requests = tuple(item[0] for item in items)
        made[board].append(Execution(kind=(model, deepest, batch), start=start, end=end, requests=requests))
    return {board: tuple(sorted(done, key=lambda e: e.start)) for board, done in made.items()}


def _work(material: Material, board: BoardId, done: tuple[tuple[Execution, ...], ...]) -> BoardWork:
    readings = tuple(each[board][0] if board in each else None for each in material.readings)
    kinds = tuple(sorted({execution.kind for one in done for execution in one}))
    none = next(
        (why_none(f) for attempt in material.attempts for f in attempt.boards if f.id == board), NO_METER
    )
    power = _power(board, kinds, done, readings, none)
    return BoardWork(board=board, kinds=kinds, done=done, readings=readings, power=power)


def _power(
    board: BoardId,
    kinds: tuple[Kind, ...],
    done: tuple[tuple[Execution, ...], ...],
    readings: tuple[Reading | None, ...],
    none: str,
) -> Attribution | str:
    loads, reasons = [], []
    for one, reading in zip(done, readings, strict=True):
        if reading is None or reading.book is None or reading.load is None:
            reasons.append(reading.energy.reason if reading is not None else none)
            continue
        which = np.asarray([kinds.index(execution.kind) for execution in one], dtype=np.int64)
        windows = cut(reading.book, reading.load, reading.idle, _spans(one), which, len(kinds))
        if isinstance(windows, str):
            reasons.append(windows)
        else:
            loads.append(windows)
    if not loads:
        return "; ".join(dict.fromkeys(reasons))
    return attribute(loads, [f"{board} {_name(kind)}" for kind in kinds])


def _spans(done: Iterable[Execution]) -> NDArray[np.int64]:
    return np.asarray([(e.start, e.end) for e in done], dtype=np.int64).reshape(-1, 2)


def _name(kind: Kind) -> str:
    model, exit_, batch = kind
    return f"{model} exit {exit_} batch {batch}"


def _alone(work: BoardWork, kind: Kind) -> tuple[float, float] | None:
    """Mean net energy of an execution and its standard uncertainty [J], if the meter resolves each of them."""
    values: list[float] = []
    gains: list[float] = []
    idles: list[float] = []
    for done, reading in zip(work.done, work.readings, strict=True):
        mine = [place for place, e in enumerate(done) if e.kind == kind]
        if not mine:
            continue
        if reading is None or reading.book is None or reading.load is None or reading.idle.power_w is None:
            return None
        if any(reading.book.cover((done[place].start, done[place].end)).refusal for place in mine):
            return None
        shares = share_out(reading.book, reading.load, _spans(done)).executions_j
        for place in mine:
            seconds = (done[place].end - done[place].start) / 1e9
            values.append(float(shares[place]) - reading.idle.power_w * seconds)
            idles.append((reading.idle.sigma_w or 0.0) * seconds)
            gains.append(reading.book.trace.traits.gain_frac * values[-1])
    if len(values) < 2:
        return None
    scatter = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(np.mean(values)), math.hypot(scatter, float(np.mean(gains)), float(np.mean(idles)))


def _target(material: Material, work: tuple[BoardWork, ...], target: float | None) -> EnergyRow:
    columns = material.columns
    rows = np.isnan(columns.target) if target is None else columns.target == target
    answered = int((rows & columns.answered).sum())
    without = {
        one.board: one.power for one in work if isinstance(one.power, str) and one.power in {NO_METER, UNREAD}
    }
    telling = [one for one in work if one.board not in without]
    blind = ", ".join(f"{board} ({why})" for board, why in sorted(without.items()))
    scope = ", ".join(_scope(one) for one in telling)
    scope = f"{scope or 'nothing'}, above idle, attributed to these requests by the work done for them" + (
        f"; without {blind}" if blind else ""
    )
    if material.reason:
        return no_energy(f"does not count ({material.reason})", scope)
    if not answered:
        return no_energy("no request was answered", scope)
    if any(attempt.drawn for attempt in material.attempts):
        return no_energy("in virtual time only a whole load has an energy", scope)
    wanted = [
        set(columns.request[rows & (columns.block == attempt.start.block)].tolist())
        for attempt in material.attempts
    ]
    values, sigmas, origins = [], [], []
    for one in telling:
        seconds = _seconds(one, wanted)
        if not seconds.any():
            continue
        told = one.power if isinstance(one.power, str) else one.power.of(seconds)
        if isinstance(told, str):
            return no_energy(told, scope)
        values.append(told[0])
        sigmas.append(told[1])
        origins += [reading.energy.origin for reading in one.readings if reading is not None]
    if not values:
        return no_energy(
            f"no board with a meter did any of the work: {blind or 'nothing was executed'}", scope
        )
    return EnergyRow(
        net_mj=math.fsum(values) / answered * 1e3,
        gross_mj=None,
        sigma_mj=math.hypot(*sigmas) / answered * 1e3,
        total_j=None,
        idle_j=None,
        origin=weakest(origins).value,
        scope=scope,
        reason="",
        how="attributed",
    )


def _seconds(work: BoardWork, wanted: list[set[RequestId]]) -> NDArray[np.float64]:
    """Time spent on each kind for these requests [s]."""
    found = np.zeros(len(work.kinds))
    for done, requests in zip(work.done, wanted, strict=True):
        for execution in done:
            share = sum(request in requests for request in execution.requests) / execution.kind[2]
            found[work.kinds.index(execution.kind)] += share * (execution.end - execution.start) / 1e9
    return found


def _scope(work: BoardWork) -> str:
    return next(
        (
            reading.energy.scope
            for reading in work.readings
            if reading is not None and reading.book is not None
        ),
        work.board,
    )
