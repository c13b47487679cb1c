"""Meters as they see a load: sampling, averaging, steps, gain, offset and clock, each instance drawn within its limits.

A limit a is drawn evenly from [-a, a] and told to the estimate as a/sqrt(3). Figures are of data sheets and papers as
cited with each meter; where none is stated the value is marked as assumed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
from msgspec import Struct

from testbed.measure.clocksync import COORDINATOR, ClockBook, fit_clocks
from testbed.model.meter import MeterTraits, RailTraits
from testbed.model.record import ClockProbe, PowerSamples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.signals.loads import Load

BASE_NS = 10**15
TAIL_S = 8.0
ROOT3 = math.sqrt(3)
MS = 1_000_000


class Seen(Struct, frozen=True, kw_only=True):
    """What one meter said of one load: blocks, clock, and what is known of the meter; ``gain`` as it was drawn."""

    blocks: tuple[PowerSamples, ...]
    clocks: ClockBook
    traits: MeterTraits
    gain: float


class Meter(Struct, frozen=True, kw_only=True):
    """A type of meter, of which instances are drawn; limits of its gain, and of its offset [W]."""

    gain_limit: float
    offset_w: float = 0.0

    def look(self, load: Load, rng: np.random.Generator) -> Seen:
        """What one instance says of a load."""
        raise NotImplementedError

    def exact(self) -> Self:
        """The same type without errors of gain and offset."""
        return msgspec.structs.replace(self, gain_limit=0.0, offset_w=0.0)


def _within(rng: np.random.Generator, limit: float) -> float:
    return float(rng.uniform(-limit, limit))


def _step(values: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    return np.round(values / step) * step


def _poll(load: Load, rng: np.random.Generator, period: float, jitter: float) -> NDArray[np.float64]:
    """Instants at which somebody asks, each a little late as a thread on a small board is."""
    t = np.arange(rng.uniform(0, period), load.end + TAIL_S, period)
    return t + rng.uniform(0, jitter, t.size)


def _refreshed(rng: np.random.Generator, asked: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    """When a register that is renewed every ``period`` was renewed last before each instant."""
    phase = rng.uniform(0, period)
    found: NDArray[np.float64] = np.floor((asked - phase) / period) * period + phase
    return found


def _board_clock(
    load: Load, rng: np.random.Generator, stamps: NDArray[np.float64]
) -> tuple[tuple[int, ...], ClockBook]:
    """Stamps on a clock of its own, and the probes that tell how it runs: round trips of 0.1 to 2 ms."""
    offset, drift = int(rng.integers(-(10**12), 10**12)), rng.uniform(-50e-6, 50e-6)

    def on_board(t: NDArray[np.float64]) -> NDArray[np.int64]:
        ns = np.rint(t * 1e9)
        return BASE_NS + offset + (ns + np.rint(ns * drift)).astype(np.int64)

    sent = (np.arange(0.0, load.end + TAIL_S, 5.0)[:, None] + 0.01 * np.arange(4)).ravel()
    up, down = 50e-6 + rng.exponential(200e-6, (2, sent.size))
    back = sent + up + 20e-6
    columns = (_ns(sent), on_board(sent + up), on_board(back), _ns(back + down))
    probes = [
        ClockProbe(board="b", boot=0, t0=t0, t1=t1, t2=t2, t3=t3)
        for t0, t1, t2, t3 in zip(*(column.tolist() for column in columns), strict=True)
    ]
    return tuple(on_board(stamps).tolist()), fit_clocks(probes)


def _ns(t: NDArray[np.float64]) -> NDArray[np.int64]:
    return BASE_NS + np.rint(t * 1e9).astype(np.int64)


def _block(rails: tuple[str, ...], boot: int, t: tuple[int, ...], watts: NDArray[np.float64]) -> PowerSamples:
    return PowerSamples(
        board="b",
        boot=boot,
        meter="m",
        rails=rails,
        total=rails,
        t=t,
        power_w=tuple(watts.ravel().tolist()),
        origin="simulated",
    )


class Ina3221(Meter, frozen=True, kw_only=True):
    """INA3221 behind Linux' hwmon on a Jetson: volts and amperes of different instants, each in steps.

    Source: TI SBOS576: 1.1 ms a conversion (10 % tolerance), 40 uV and 8 mV a step, shunt offset up to 80 uV, gain
    0.25 %; shunts of 1 %.
    """

    rails: tuple[tuple[str, float, float, float], ...]
    """Name, share of the load, shunt [ohm], bus [V]."""
    poll_s: float = 0.02
    gain_limit: float = 0.0125
    offset_v: float = 80e-6
    line_ohm: float = 0.02

    def exact(self) -> Self:
        """Without errors of gain and offset."""
        return msgspec.structs.replace(self, gain_limit=0.0, offset_v=0.0)

    def raw(
        self, load: Load, rng: np.random.Generator, asked: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Millivolts and milliamperes as the files hold them, each of shape (n, rails), and the gain drawn."""
        gain = 1 + _within(rng, self.gain_limit)
        volts, amps = [], []
        for _, share, shunt, bus in self.rails:
            conversion = 1.1e-3 * (1 + _within(rng, 0.1))
            # The driver waits for a finished conversion, so each value is of some instant around the stamp.
            at_v, at_i = (asked + rng.uniform(-6.6e-3, 6.6e-3, asked.size) for _ in range(2))
            drop = share * self.line_ohm / bus
            sag_v = bus - drop * load.mean(at_v - conversion, at_v)
            power = share * load.mean(at_i - conversion, at_i)
            current = power / (bus - drop * power / share) * gain + _within(rng, self.offset_v) / shunt
            volts.append(_step(sag_v, 8e-3) * 1e3)
            amps.append(_step(current, 40e-6 / shunt) * 1e3)
        return np.column_stack(volts), np.column_stack(amps), gain

    def look(self, load: Load, rng: np.random.Generator) -> Seen:
        """Volts times amperes of each rail."""
        asked = _poll(load, rng, self.poll_s, 2e-3)
        millivolts, milliamps, gain = self.raw(load, rng, asked)
        seen = self.seen(load, rng, asked, millivolts * milliamps / 1e6)
        return msgspec.structs.replace(seen, gain=gain)

    def seen(
        self, load: Load, rng: np.random.Generator, asked: NDArray[np.float64], watts: NDArray[np.float64]
    ) -> Seen:
        """Watts of shape (n, rails) as they were read at these instants."""
        stamps, clocks = _board_clock(load, rng, asked)
        names = tuple(name for name, _, _, _ in self.rails)
        traits = MeterTraits(
            quantity="instant",
            metered="rail",
            window_ns=round(1.1 * MS),
            delay_bound_ns=round(6.6 * MS),
            gain_frac=self.gain_limit / ROOT3,
            rails={
                name: RailTraits(
                    step_v=8e-3, step_a=40e-6 / shunt, bus_v=bus, offset_w=bus * self.offset_v / shunt / ROOT3
                )
                for name, _, shunt, bus in self.rails
            },
        )
        return Seen(blocks=(_block(names, 0, stamps, watts),), clocks=clocks, traits=traits, gain=1.0)


class Register(Meter, frozen=True, kw_only=True):
    """A power register that is renewed by itself, holding the mean of some window: NVML, INA226, bench meters.

    Attributes:
        poll_s, jitter_s: how it is read. period_s: how often it is renewed; 0 for whenever it is read.
        window_s: what it averages. tolerance: of both. step_w: its step.
        late_s: limits of what passes between the end of the window and the stamp, besides waiting for the next value.
        outside: read by the coordinator, on its clock.
    """

    quantity: str
    metered: str
    poll_s: float
    window_s: float
    step_w: float
    period_s: float = 0.0
    tolerance: float = 0.0
    jitter_s: float = 1e-3
    late_s: tuple[float, float] = (0.0, 0.0)
    outside: bool = False

    def look(self, load: Load, rng: np.random.Generator) -> Seen:
        """What the register held whenever it was asked."""
        gain = 1 + _within(rng, self.gain_limit)
        off = 1 + _within(rng, self.tolerance)
        asked = _poll(load, rng, self.poll_s, self.jitter_s)
        late = rng.uniform(*self.late_s)
        end = asked - late
        if self.period_s:
            end = _refreshed(rng, end, self.period_s * off)
        power = load.mean(end - self.window_s * off, end) * gain + _within(rng, self.offset_w)
        watts = _step(power, self.step_w)
        if self.outside:
            stamps, clocks = tuple(_ns(asked).tolist()), ClockBook({})
        else:
            stamps, clocks = _board_clock(load, rng, asked)
        low, high = self.late_s
        traits = MeterTraits(
            quantity=self.quantity,  # type: ignore[arg-type]
            metered=self.metered,  # type: ignore[arg-type]
            period_ns=round(self.period_s * 1e9),
            window_ns=round(self.window_s * 1e9),
            delay_ns=round(((low + high) / 2 + self.period_s / 2) * 1e9),
            delay_bound_ns=round(((high - low) / 2 + self.period_s / 2) * 1e9),
            gain_frac=self.gain_limit / ROOT3,
            rails={"": RailTraits(step_w=self.step_w, offset_w=self.offset_w / ROOT3)},
        )
        boot = COORDINATOR if self.outside else 0
        return Seen(blocks=(_block(("p",), boot, stamps, watts),), clocks=clocks, traits=traits, gain=gain)


class Paced(Meter, frozen=True, kw_only=True):
    """A meter that sends every value it makes, stamped at its end: Yokogawa behind PTDaemon, INA226 on serial."""

    metered: str
    period_s: float
    window_s: float
    step_w: float
    late_s: tuple[float, float]
    stamp_s: float
    tolerance: float = 1e-4

    def look(self, load: Load, rng: np.random.Generator) -> Seen:
        """Every value, stamped late by a constant of its own."""
        gain, off = 1 + _within(rng, self.gain_limit), 1 + _within(rng, self.tolerance)
        end = np.arange(rng.uniform(0, self.period_s), load.end + TAIL_S, self.period_s * off)
        power = load.mean(end - self.window_s * off, end) * gain + _within(rng, self.offset_w)
        stamps = _step(end + rng.uniform(*self.late_s), self.stamp_s)
        low, high = self.late_s
        traits = MeterTraits(
            quantity="average",
            metered=self.metered,  # type: ignore[arg-type]
            period_ns=round(self.period_s * 1e9),
            window_ns=round(self.window_s * 1e9),
            delay_ns=round((low + high) / 2 * 1e9),
            delay_bound_ns=round((high - low) / 2 * 1e9),
            gain_frac=self.gain_limit / ROOT3,
            rails={"": RailTraits(step_w=self.step_w, offset_w=self.offset_w / ROOT3)},
        )
        block = _block(("p",), COORDINATOR, tuple(_ns(stamps).tolist()), _step(power, self.step_w))
        return Seen(blocks=(block,), clocks=ClockBook({}), traits=traits, gain=gain)


class Counter(Meter, frozen=True, kw_only=True):
    """An energy counter: NVML, RAPL."""

    poll_s: float
    period_s: float
    step_j: float

    def look(self, load: Load, rng: np.random.Generator) -> Seen:
        """Mean power from each reading to the next."""
        gain = 1 + _within(rng, self.gain_limit)
        asked = _poll(load, rng, self.poll_s, 2e-3)
        counted = load.energy(_refreshed(rng, asked, self.period_s)) * gain + rng.uniform(0, 1e3)
        joules = np.floor(counted / self.step_j) * self.step_j
        stamps, clocks = _board_clock(load, rng, asked)
        watts = np.diff(joules) / np.diff(asked)
        traits = MeterTraits(
            quantity="counter",
            metered="chip",
            period_ns=round(self.period_s * 1e9),
            delay_ns=round(self.period_s / 2 * 1e9),
            delay_bound_ns=round(self.period_s / 2 * 1e9),
            gain_frac=self.gain_limit / ROOT3,
            rails={"": RailTraits(step_j=self.step_j)},
        )
        block = _block(("p",), 0, stamps[1:], watts)
        return Seen(blocks=(block,), clocks=clocks, traits=traits, gain=gain)
