"""Energy traces of MLPerf Tiny: both formats, the windows in them, and the power between the windows.

Format 1, v0.5 to v1.3: ``trace1-energy.bin`` is 0xF1, the sample rate as float32 [Hz], then float32 microjoules per
sample, all little-endian. ``trace1-timestamps.json``: seconds, rounded to 1 ms: the trace's start, then start and end
of each window. Format 2, v1.3: ``results.json`` is a list of trials with ``power.samples`` in joules per 1 ms and
``power.timestamps`` as [label, sample index], the last two of which are the window.

A printed energy is the sum of consecutive samples. The stamps of format 1 were rounded after that sum was taken, so
the cut can only be known to a sample at either edge; the printed energy and power tell its length exactly.
"""

from __future__ import annotations

import itertools
import json
import struct
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.energy import PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from testbed.imports.tiny_results import EnergyWindow

RATE_HZ_2 = 1000.0
"""Sample rate of format 2, which does not state it."""
LEVEL_S = 0.02
MARGIN_S = 0.1
"""Kept away from a window, whose stamps are rounded and whose board still settles."""
STEADY_FRAC = 0.05
STEADY_SHARE = 0.8


class EnergySamples:
    """Energy per sample and the measured windows.

    Attributes:
        energy_j: float64 (n,) [J]. rate_hz: samples per second.
        windows: start and end [s] on the trace's own time.
        exact: the windows' edges are sample indices, not rounded stamps.
        unclosed: a last window has a start and no end, and is none of ``windows``.
    """

    __slots__ = ("energy_j", "exact", "rate_hz", "unclosed", "windows")

    def __init__(
        self,
        energy_j: NDArray[np.float64],
        rate_hz: float,
        windows: tuple[tuple[float, float], ...],
        *,
        exact: bool,
        unclosed: bool = False,
    ) -> None:
        """Keep what a reader found."""
        self.energy_j = energy_j
        self.rate_hz = rate_hz
        self.windows = windows
        self.exact = exact
        self.unclosed = unclosed

    def span(self, window: int) -> tuple[int, int]:
        """First sample of a window and one past its last, by its stamps."""
        start, end = self.windows[window]
        first = round(start * self.rate_hz)
        return first, first + round((end - start) * self.rate_hz)

    def sum_j(self, first: int, end: int) -> float:
        """Energy of the samples ``first`` up to ``end`` [J]."""
        return float(self.energy_j[first:end].sum())


class Cut(Struct, frozen=True, kw_only=True):
    """Where a printed energy was cut out of its trace.

    Attributes:
        first, end: samples. energy_j: their sum [J].
        residual_j: printed minus summed [J]. samples_off: the same in mean samples of this window.
    """

    first: int
    end: int
    energy_j: float
    residual_j: float
    samples_off: float


def read_trace1(binary: Path, stamps: Path) -> EnergySamples:
    """Read a trace of format 1.

    Raises:
        ConfigError: not this format, or windows that leave the trace.
    """
    file = binary
    try:
        raw = binary.read_bytes()
        file = stamps
        listed = json.loads(stamps.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(
            f"not readable: {error}", file=file, cure="Check both files of the trace"
        ) from error
    if len(raw) < 9 or raw[0] != 0xF1 or (len(raw) - 5) % 4:
        raise ConfigError(
            "not an energy trace: it must be 0xF1, a rate and whole samples",
            file=binary,
            cure="Copy it again",
        )
    (rate_hz,) = struct.unpack_from("<f", raw, 1)
    if not isinstance(listed, list) or len(listed) < 3:
        raise ConfigError(
            "must list the start, then a start and an end per window", file=stamps, cure="Copy it again"
        )
    # A start without an end, left by a run that was cut short, is no window.
    unclosed = len(listed) % 2 == 0
    edges = [float(stamp) for stamp in (listed[:-1] if unclosed else listed)]
    energy_j = np.frombuffer(raw, dtype="<f4", offset=5).astype(np.float64) * 1e-6
    windows = tuple(zip(edges[1::2], edges[2::2], strict=True))
    samples = EnergySamples(energy_j, float(rate_hz), windows, exact=False, unclosed=unclosed)
    return _checked(samples, stamps)


def read_trace2(file: Path) -> list[EnergySamples]:
    """Read a trace of format 2: one per trial.

    Raises:
        ConfigError: not this format.
    """
    try:
        trials = json.loads(file.read_text("utf-8"))
        if not isinstance(trials, list) or not trials:
            raise ValueError("no list of trials")
        found = []
        for trial in trials:
            power = trial["power"]
            start, end = (int(index) for _, index in power["timestamps"][-2:])
            samples = np.asarray(power["samples"], dtype=np.float64)
            window = (start / RATE_HZ_2, end / RATE_HZ_2)
            found.append(_checked(EnergySamples(samples, RATE_HZ_2, (window,), exact=True), file))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"not the energy trials of an MLPerf Tiny runner: {error!r}", file=file, cure="Copy it again"
        ) from error
    return found


def find_cut(samples: EnergySamples, window: int, printed: EnergyWindow) -> Cut:
    """Which samples add up to a printed energy, among the cuts that the rounded stamps allow.

    The length is what energy and power tell, the first sample within one of the stamp.
    """
    first, end = samples.span(window)
    firsts = (first,) if samples.exact else (first - 1, first, first + 1)
    length = end - first
    if printed.power_uw > 0 and not samples.exact:
        length = round(printed.energy_uj / printed.power_uw * samples.rate_hz)
    sums = {begin: samples.sum_j(begin, begin + length) for begin in firsts}
    begin = min(firsts, key=lambda first: abs(sums[first] - printed.energy_uj * 1e-6))
    residual = printed.energy_uj * 1e-6 - sums[begin]
    mean = sums[begin] / length
    return Cut(
        first=begin,
        end=begin + length,
        energy_j=sums[begin],
        residual_j=residual,
        samples_off=abs(residual) / mean if mean > 0 else float("inf"),
    )


def gap_level_w(traces: Sequence[EnergySamples]) -> float | None:
    """Level between the windows of one run [W]: the board waits or takes its next input there; it does not sleep.

    Where every trial has a trace of its own and so nothing lies between windows, what lies around them counts.
    ``None`` where it does not hold still: under 80 % of 20 ms means within 5 % of their median.
    """
    means: list[NDArray[np.float64]] = []
    for samples in traces:
        width = max(1, round(LEVEL_S * samples.rate_hz))
        margin = round(MARGIN_S * samples.rate_hz)
        spans = [samples.span(window) for window in range(len(samples.windows))]
        if len(spans) > 1:
            gaps = [(before[1], after[0]) for before, after in itertools.pairwise(spans)]
        else:
            gaps = [(0, spans[0][0]), (spans[0][1], samples.energy_j.size)]
        for start, end in gaps:
            inner = samples.energy_j[start + margin : max(start + margin, end - margin)]
            means.append(
                inner[: inner.size // width * width].reshape(-1, width).mean(axis=1) * samples.rate_hz
            )
    levels = np.concatenate(means) if means else np.empty(0)
    if not levels.size:
        return None
    level = float(np.median(levels))
    steady = float((np.abs(levels - level) <= STEADY_FRAC * abs(level)).mean())
    return level if steady >= STEADY_SHARE else None


def gap_median_w(traces: Sequence[EnergySamples]) -> float | None:
    """Median power between the windows [W], steady or not: says whether waiting draws more than the work."""
    inside = [
        samples.energy_j[before[1] : after[0]] * samples.rate_hz
        for samples in traces
        for before, after in itertools.pairwise(samples.span(k) for k in range(len(samples.windows)))
    ]
    return float(np.median(np.concatenate(inside))) if inside else None


def power_trace(samples: EnergySamples, *, board: str, rail: str, meter: str) -> PowerTrace:
    """The same as mean power per sample, stamped where the sample ends, 0 at the trace's start."""
    t = np.round((np.arange(samples.energy_j.size) + 1) / samples.rate_hz * 1e9).astype(np.int64)
    return PowerTrace(
        t=t,
        power_w=samples.energy_j * samples.rate_hz,
        rail=rail,
        meter=meter,
        board=board,
        origin=Origin.CITED,
        traits=MeterTraits(
            quantity="counter",
            period_ns=round(1e9 / samples.rate_hz),
            sources={"quantity": "a sample is the energy since the one before: the runner prints their sums"},
        ),
    )


def _checked(samples: EnergySamples, file: Path) -> EnergySamples:
    edge = 0.0
    for start, end in samples.windows:
        if not edge <= start < end <= samples.energy_j.size / samples.rate_hz + 1e-3:
            raise ConfigError(
                f"window {start} to {end} s does not lie behind the one before and inside the trace",
                file=file,
                cure="Copy the trace again",
            )
        edge = end
    return samples
