"""An instrument beside a board, sampled by a thread of ours; its samples become events on the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

from drivers.agent.sampler import Sampler
from testbed.errors import MeterError
from testbed.model.record import PowerSamples, SampleFault
from testbed.ports import PowerMeter
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.model.lab import MeterSpec
    from testbed.model.meter import MeterTraits
    from testbed.ports import Sink
    from testbed.units import Ns

_log = logging.getLogger(__name__)
COORDINATOR = -1
"""Boot number of stamps on the coordinator's clock."""


class Instrument(PowerMeter, Protocol):
    """A driver of this package: a power meter, and what is known of it.

    Attributes:
        about: what it said it is, once started. traits: its errors.
    """

    about: Mapping[str, object]
    traits: MeterTraits


class SampledMeter:
    """See `testbed.ports.BenchMeter` for what each method promises."""

    def __init__(
        self, spec: MeterSpec, instrument: Instrument, period: Ns, *, origin: str = "measured"
    ) -> None:
        """Nothing is contacted before `open`.

        Args:
            period: of reading [ns]. origin: of the samples.
        """
        self.name = spec.name
        self.feeds = spec.feeds
        self.instrument = instrument
        self._period = period
        self._origin = origin
        self._sampler: Sampler | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sink: Sink | None = None

    @property
    def traits(self) -> MeterTraits:
        """Its errors."""
        return self.instrument.traits

    @property
    def about(self) -> dict[str, object]:
        """Rails, total, and what it said it is."""
        instrument = self.instrument
        return {"rails": list(instrument.rails), "total": list(instrument.total), **instrument.about}

    async def open(self, sink: Sink) -> None:
        """Connect, identify, and sample from now on.

        Raises:
            MeterError: it cannot be used.
        """
        self._loop, self._sink = asyncio.get_running_loop(), sink
        try:
            await asyncio.to_thread(self.instrument.start, self._period)
        except MeterError as error:
            raise MeterError(f"meter {self.name}: {error.message}", cure=error.cure) from error
        self._sampler = Sampler(
            self.name, self.instrument, self._period, time.monotonic_ns, self, started=True
        )

    async def settle(self) -> None:
        """The load has been shown: fix the ranges, where the instrument has any to fix."""
        fix = getattr(self.instrument, "fix_ranges", None)
        if fix is not None:
            await asyncio.to_thread(fix)

    async def close(self) -> None:
        """Stop sampling and let go; bounded in time."""
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            await asyncio.to_thread(sampler.stop)
        else:
            await asyncio.to_thread(self.instrument.stop)

    # --- what the sampler's thread calls ------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether the event loop still takes events."""
        return self._loop is not None and not self._loop.is_closed()

    def send(self, message: m.PowerSamples | m.Log) -> None:
        """Hand samples on to the event loop; words go to the log."""
        if isinstance(message, m.Log):
            _log.log(message.level, "%s", message.text)
        elif self._loop is not None and self._sink is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._sink, self._event(message))

    def _event(self, message: m.PowerSamples) -> PowerSamples:
        firsts, lasts = message.fault_spans[::2], message.fault_spans[1::2]
        runs = zip(message.faults, message.fault_counts, firsts, lasts, strict=True)
        return PowerSamples(
            board=self.feeds,
            boot=COORDINATOR,
            meter=self.name,
            rails=tuple(self.instrument.rails),
            total=tuple(self.instrument.total),
            t=tuple(message.t),
            power_w=tuple(message.power_w),
            origin=self._origin,
            dropped=message.dropped,
            faults=tuple(
                SampleFault(kind=kind, count=count, first=first, last=last)
                for kind, count, first, last in runs
            ),
        )
