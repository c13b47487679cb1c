"""Everything that may take long and is no inference: files, models, settings, meters; one after the other.

The queue is short. When it is full the reader waits, and so, by back-pressure, does the host.
"""

from __future__ import annotations

import queue
import threading
import traceback
from typing import TYPE_CHECKING

from drivers.agent.sampler import Sampler
from drivers.agent.settings import SettingError
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.agent.datagrams import Datagrams
    from drivers.agent.meters import Meter
    from drivers.agent.outlet import Outlet
    from drivers.agent.residency import Residency
    from drivers.agent.settings import BoardSettings
    from drivers.agent.state import BlobStore
    from testbed.wire import Message

ORDERS = frozenset((m.AskBlob, m.PutBlob, m.LoadModel, m.UnloadModel, m.Settings, m.Meter, m.OpenDatagrams))
_QUEUE_LENGTH = 16
_TAKEOVER_SECONDS = 5.0  # for what a former holder left running


class Housekeeper:
    """One thread that carries out ``ORDERS`` as they come."""

    def __init__(
        self,
        blobs: BlobStore,
        residency: Residency,
        settings: BoardSettings,
        meters: Mapping[str, Meter],
        outlet: Outlet,
        now_ns: Callable[[], int],
        datagrams: Datagrams,
    ) -> None:
        """Start the thread."""
        self._blobs = blobs
        self._residency = residency
        self._settings = settings
        self._meters = meters
        self._outlet = outlet
        self._now_ns = now_ns
        self._datagrams = datagrams
        self._samplers: dict[str, Sampler] = {}
        self._queue: queue.Queue[Message | Callable[[], None]] = queue.Queue(_QUEUE_LENGTH)
        threading.Thread(target=self._run, name="housekeeper", daemon=True).start()

    def put(self, order: Message | Callable[[], None]) -> None:
        """Queue an order, or something to call in its turn; waits while the queue is full."""
        self._queue.put(order)

    def start_over(self) -> None:
        """Another holder of the board (in turn): stop meters, close the socket, unload models, put settings back."""
        self.stop_meters()
        self._datagrams.close()
        for model in self._residency.models():
            self._residency.unload(model, timeout_s=_TAKEOVER_SECONDS)
        for failure in self._settings.restore():
            self._outlet.send(m.Log(30, f"setting not restored: {failure}"))

    def clean_up(self) -> None:
        """The first holder of this agent (in turn): put back what an agent before it left."""
        for failure in self._settings.clean_up():
            self._outlet.send(m.Log(30, f"setting of an earlier agent not restored: {failure}"))

    def stop_meters(self) -> None:
        """End all sampling (in turn)."""
        for name in list(self._samplers):
            self._samplers.pop(name).stop()

    def _run(self) -> None:
        while True:
            order = self._queue.get()
            try:
                if callable(order):
                    order()
                else:
                    self._carry_out(order)
            except Exception as error:  # noqa: BLE001 - reported, and the agent goes on
                number = getattr(order, "request", 0)
                text = f"{type(error).__name__}: {error}"
                self._outlet.send(m.Failed("request", number, "agent", text, traceback.format_exc()))

    def _carry_out(self, order: Message) -> None:
        send = self._outlet.send
        if isinstance(order, m.PutBlob):
            send(self._blobs.put(order))
        elif isinstance(order, m.AskBlob):
            send(self._blobs.state_of(order.sha256))
        elif isinstance(order, m.LoadModel):
            send(self._residency.load(order))
        elif isinstance(order, m.UnloadModel):
            text = self._residency.unload(order.model)
            send(m.Loaded(order.request, order.model, not text, 0, 0, text))
        elif isinstance(order, m.Settings):
            send(self._set(order))
        elif isinstance(order, m.Meter):
            self._meter(order)
        elif isinstance(order, m.OpenDatagrams):
            send(self._datagrams.open(order))

    def _set(self, order: m.Settings) -> m.SettingsReply:
        try:
            if order.value:
                return m.SettingsReply(order.request, True, self._settings.write(order.name, order.value), "")
            return m.SettingsReply(order.request, True, self._settings.read(order.name), "")
        except SettingError as error:
            return m.SettingsReply(order.request, False, "", str(error))

    def _meter(self, order: m.Meter) -> None:
        names = [order.meter] if order.meter else list(self._meters)
        for name in names:
            if name in self._samplers:
                self._samplers.pop(name).stop()
            if not order.on:
                continue
            if name not in self._meters:
                known = ", ".join(self._meters) or "none"
                text = f"no meter {name!r} on this board; there are: {known}"
                self._outlet.send(m.Failed("request", 0, "no-meter", text, ""))
                continue
            meter = self._meters[name]
            self._samplers[name] = Sampler(name, meter, order.period_ns, self._now_ns, self._outlet)
