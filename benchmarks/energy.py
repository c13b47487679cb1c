"""How wrong energies are, and whether their stated uncertainty holds: known loads through every type of meter.

Each of at least 200 drawn instances per type sees each kind of load once. What it says goes the way of a trial: blocks
with board stamps, clock fit, trace, idle before and after, load. Truth is the load's exact integral.

coverage_ci_hi_min  lowest upper end, over all types, of Wilson's 95 % interval for the share of |error| <= 2 sigma, net
                    and gross, with the meter's gain as drawn and with it known
sharpness_median    median of |error| / sigma over everything; 0.67 for normal errors, small where sigma is inflated
attributed_*        the same for the power of two kinds of executions that most meters cannot tell apart (no target)
rel_err_square_max  largest error of a square load's energy, gain and offset apart, windows of at least 100 periods
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from benchmarks.signals.loads import LOADS, Load, executions, square
from benchmarks.signals.meters import BASE_NS, TAIL_S, Ina3221, Seen
from benchmarks.signals.types import ORIN_NX, TYPES, Type
from benchmarks.signals.zeus import zeus_joules
from benchmarks.verdict import arguments, conclude
from testbed.measure.attribute import attribute, cut
from testbed.measure.energy import EnergyBook, Idle
from testbed.measure.stats import wilson_of
from testbed.measure.trace import total_trace
from testbed.model.energy import PowerTrace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from testbed.model.energy import Energy

INSTANCES = 200
SQUARES = 20
PEER_RUNS = 12
SEED = 20_261_126
MARGIN_S = 0.2
COVERED = 2.0
NOMINAL = 0.954
TARGETS = {
    "coverage_ci_hi_min": {"min": NOMINAL},
    "sharpness_median": {"min": 0.3, "max": 1.2},
    "rel_err_square_max": {"max": 0.01},
}


class Error(msgspec.Struct, frozen=True):
    """Error of one energy [J], its sigma [J], and the true gross energy [J]."""

    error_j: float
    sigma_j: float
    truth_j: float


def main() -> int:
    """Run all of it."""
    quick = arguments(__doc__).quick
    instances, squares, peers = (20, 2, 1) if quick else (INSTANCES, SQUARES, PEER_RUNS)
    every: list[float] = []
    highs: dict[str, float] = {}
    print(
        f"{'meter':18} {'load':9} {'2 sigma covers: net':>20} {'gross':>7} {'gain known':>11} {'|error|/sigma':>14}"
    )
    for number, (name, kind) in enumerate(TYPES.items()):
        kept: dict[str, list[float]] = defaultdict(list)
        for load_number, load_name in enumerate(LOADS):
            cell: dict[str, list[float]] = defaultdict(list)
            for instance in range(instances):
                rng = np.random.default_rng([SEED, number, load_number, instance])
                for what, found in _errors(kind, load_name, rng):
                    cell[what].append(abs(found.error_j) / found.sigma_j)
            shown = [f"{np.mean(np.asarray(cell[w]) <= COVERED):.3f}" if cell[w] else "-" for w in _KINDS]
            ratios = [ratio for values in cell.values() for ratio in values]
            print(
                f"{name:18} {load_name:9} {shown[0]:>20} {shown[1]:>7} {shown[2]:>11} {np.median(ratios):>14.2f}"
            )
            every += ratios
            for what, values in cell.items():
                kept[what] += values
        for what, values in kept.items():
            covered = float(np.mean(np.asarray(values) <= COVERED))
            high = wilson_of(covered, len(values), float(len(values))).high
            highs[f"{name}, {what}"] = high if high is not None else 0.0
    worst = min(highs, key=highs.__getitem__)
    print(f"lowest coverage: {worst}, interval up to {highs[worst]:.4f}")
    squares_max = max(_square_error(name, number, squares) for number, name in enumerate(TYPES))
    figures = {
        "coverage_ci_hi_min": highs[worst],
        "sharpness_median": float(np.median(every)),
        "rel_err_square_max": squares_max,
    }
    figures |= _attributed(max(instances // 4, 2))
    figures |= _beside_zeus(peers)
    n = {
        "instances": instances,
        "types": len(TYPES),
        "loads": len(LOADS),
        "errors": len(every),
        "peer": peers,
    }
    return conclude("energy", figures, TARGETS, n)


_KINDS = ("net", "gross", "net, gain known")


def _errors(kind: Type, load_name: str, rng: np.random.Generator) -> Iterator[tuple[str, Error]]:
    """One instance on one load: net and gross, and once more with the gain known.

    The net of a load that never changes is left out: it is 0 with any meter.
    """
    length = rng.uniform(12, 20) if kind.sensor_s < 0.5 else rng.uniform(20, 40)
    load = LOADS[load_name](rng, length, kind.idle_w, kind.load_w)
    seen = kind.meter.look(load, rng)
    trace = _trace(seen)
    found = _energy(trace, load)
    truth = _truth(load)
    idle = load.idle_w * length
    if load_name != "constant":
        yield "net", _error(found.net_j, found.sigma_j, truth - idle, truth)
        known = _energy(_gain_apart(trace, seen), load)
        yield "net, gain known", _error(known.net_j, known.sigma_j, truth - idle, truth)
    yield "gross", _error(found.gross_j, found.sigma_gross_j, truth, truth)


def _trace(seen: Seen) -> PowerTrace:
    trace = total_trace(seen.blocks, seen.clocks, seen.traits)
    if isinstance(trace, str):
        raise TypeError(trace)
    return trace


def _energy(trace: PowerTrace, load: Load) -> Energy:
    book, idle = _resting(trace, load)
    return book.energy((_ns(load.start), _ns(load.end)), idle)


def _resting(trace: PowerTrace, load: Load) -> tuple[EnergyBook, Idle]:
    """The trace summed up, and idle power before and after the load."""
    book = EnergyBook(trace)
    rest = [(1.0, load.start - MARGIN_S), (load.end + MARGIN_S, load.end + TAIL_S - 1.0)]
    return book, book.idle([(_ns(a), _ns(b)) for a, b in rest])


def _error(value: float | None, sigma: float | None, truth: float, whole: float) -> Error:
    if value is None or not sigma:
        raise TypeError("a meter of this benchmark gave no figure")
    return Error(value - truth, sigma, whole)


def _truth(load: Load) -> float:
    begin, end = load.energy(np.array([load.start, load.end]))
    return float(end - begin)


def _gain_apart(trace: PowerTrace, seen: Seen) -> PowerTrace:
    """The same samples from the same meter, had its gain been known."""
    return PowerTrace(
        t=trace.t,
        power_w=trace.power_w / seen.gain,
        rail=trace.rail,
        meter=trace.meter,
        board=trace.board,
        origin=trace.origin,
        bound=trace.bound,
        traits=msgspec.structs.replace(trace.traits, gain_frac=0.0),
        step_w=None if trace.step_w is None else trace.step_w / seen.gain,
        step_j=trace.step_j / seen.gain,
        offset_w=trace.offset_w,
    )


def _square_error(name: str, number: int, repeats: int) -> float:
    """Largest relative error of the gross energy, gain and offset apart, over windows of 100 to 120 periods."""
    kind = TYPES[name]
    found = []
    for instance in range(repeats):
        rng = np.random.default_rng([SEED, 99, number, instance])
        length = kind.sensor_s * rng.uniform(100, 120)
        load = square(length, kind.idle_w, kind.load_w * rng.uniform(0.9, 1.0))
        energy = _energy(_trace(kind.meter.exact().look(load, rng)), load)
        if energy.gross_j is None:
            raise TypeError(energy.reason)
        found.append(abs(energy.gross_j / _truth(load) - 1))
    print(f"square load of 100 sensor periods, gain and offset apart: {name:18} within {max(found):.4f}")
    return max(found)


def _attributed(repeats: int) -> dict[str, float]:
    """Coverage and sharpness of the power of two kinds of executions, attributed by the regression, gain as drawn."""
    ratios: list[float] = []
    refused = 0
    for number, (name, kind) in enumerate(TYPES.items()):
        found: list[float] = []
        for instance in range(repeats):
            rng = np.random.default_rng([SEED, 55, number, instance])
            length = 30.0 if kind.sensor_s < 0.5 else 60.0
            load, spans, which, powers = executions(rng, length, kind.idle_w, kind.load_w)
            book, idle = _resting(_trace(kind.meter.look(load, rng)), load)
            ns = BASE_NS + np.rint(spans * 1e9).astype(np.int64)
            windows = cut(book, (_ns(load.start), _ns(load.end)), idle, ns, which, 2)
            told = windows if isinstance(windows, str) else attribute([windows], ("first", "second"))
            for one, power in zip(np.eye(2), powers, strict=True):
                value = told if isinstance(told, str) else told.of(one)
                if isinstance(value, str):
                    refused += 1
                else:
                    found.append(abs(value[0] - power) / value[1])
        covered = f"{np.mean(np.asarray(found) <= COVERED):.3f}" if found else "-"
        middle = f"{np.median(found):.2f}" if found else "-"
        print(
            f"attributed to two kinds of executions: {name:18} 2 sigma covers {covered}, |error|/sigma {middle}"
        )
        ratios += found
    return {
        "attributed_coverage": float(np.mean(np.asarray(ratios) <= COVERED)),
        "attributed_sharpness_median": float(np.median(ratios)),
        "attributed_refused_frac": refused / (refused + len(ratios)),
    }


def _beside_zeus(repeats: int) -> dict[str, float]:
    """Median and largest relative error of the gross energy, ours and Zeus', on the same files of the same meters."""
    meter = ORIN_NX.exact()
    runs, truths, ours = [], [], []
    for load_number, load_name in enumerate(LOADS):
        for instance in range(repeats):
            rng = np.random.default_rng([SEED, 77, load_number, instance])
            load = LOADS[load_name](rng, rng.uniform(12, 20), 4.0, 12.0)
            t = np.arange(rng.uniform(0, 6.6e-3), load.end + TAIL_S, 6.6e-3)
            millivolts, milliamps, _ = meter.raw(load, rng, t)
            mv, ma = (np.rint(values[:, 0]).astype(int).tolist() for values in (millivolts, milliamps))
            runs.append({"t": t.tolist(), "mv": mv, "ma": ma, "start": load.start, "end": load.end})
            truths.append(_truth(load))
            ours.append(
                _energy(_trace(_polled(meter, t, millivolts * milliamps / 1e6, load, rng)), load).gross_j
                or 0.0
            )
    theirs = zeus_joules(runs)
    if isinstance(theirs, str):
        print(f"Zeus {theirs}")
        return {}
    figures: dict[str, float] = {}
    for name, values in (("ours", ours), ("zeus", theirs)):
        off = np.abs(np.asarray(values) / np.asarray(truths) - 1).reshape(len(LOADS), repeats)
        each = ", ".join(f"{load} {np.median(row):.4f}" for load, row in zip(LOADS, off, strict=True))
        print(f"{name:5} median relative error, gain and offset apart, same sysfs tree: {each}")
        figures |= {f"{name}_rel_err_median": float(np.median(off)), f"{name}_rel_err_max": float(off.max())}
    return figures


def _polled(
    meter: Ina3221, t: NDArray[np.float64], watts: NDArray[np.float64], load: Load, rng: np.random.Generator
) -> Seen:
    """The tree read every 20 ms, as the board's sampler does."""
    asked = np.arange(float(t[0]) + 0.01, load.end + TAIL_S - 0.1, meter.poll_s)
    asked = asked + rng.uniform(0, 2e-3, asked.size)
    return meter.seen(load, rng, asked, watts[np.searchsorted(t, asked, side="right") - 1])


def _ns(seconds: float) -> int:
    return BASE_NS + round(seconds * 1e9)


if __name__ == "__main__":
    sys.exit(main())
