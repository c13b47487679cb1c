"""Which models are resident, and the lanes that all of them share."""

from __future__ import annotations

import threading
import time
import traceback
from typing import TYPE_CHECKING

from drivers.agent.executor import Executor
from testbed.errors import TestbedError
from testbed.wire.messages import Failed, Loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.agent.ledger import Entry, Ledger
    from drivers.agent.outlet import Outlet
    from drivers.agent.runtimes import Runtime
    from drivers.agent.state import BlobStore
    from testbed.wire import Message
    from testbed.wire.messages import LoadModel

_UNLOAD_SECONDS = 30.0


class Resident:
    """A model that is loaded."""

    def __init__(self, order: LoadModel, runtime: Runtime, memory_bytes: int) -> None:
        self.order = order
        self.runtime = runtime
        self.instances = max(1, order.instances)
        self.memory_bytes = memory_bytes


class Residency:
    """The models of this agent. ``submit`` is for the readers, everything else for the housekeeper.

    Instance i of every model runs in lane i; there are as many lanes as any model ever had instances.
    """

    def __init__(
        self,
        factories: Mapping[str, Callable[[], Runtime]],
        blobs: BlobStore,
        ledger: Ledger,
        outlet: Outlet,
        now_ns: Callable[[], int],
        *,
        report_start: bool,
    ) -> None:
        """Make no runtime yet."""
        self._factories = factories
        self._blobs = blobs
        self._ledger = ledger
        self._outlet = outlet
        self._now_ns = now_ns
        self._report_start = report_start
        self._runtimes: dict[str, Runtime] = {}
        self._models: dict[str, Resident] = {}
        self._lanes: list[Executor] = []
        self._lock = threading.Lock()

    def models(self) -> list[str]:
        """Names of what is resident."""
        with self._lock:
            return sorted(self._models)

    def facts(self) -> dict[str, object]:
        """What each runtime says about itself; one that cannot says why."""
        return {name: self._facts_of(name) for name in self._factories}

    def _facts_of(self, name: str) -> dict[str, object]:
        try:
            return dict(self._runtime(name).facts())
        except Exception as error:  # noqa: BLE001 - a broken runtime must not keep the board away
            return {"available": False, "reason": f"{type(error).__name__}: {error}"}

    def submit(self, entry: Entry, *, claim: bool) -> Failed | Executor | None:
        """Queue an admitted action, or say why it cannot be.

        With ``claim``, an idle lane is given to the caller, who has to ``work`` on it.
        """
        infer = entry.infer
        if infer is None:
            return None
        with self._lock:  # kept while queueing: nothing may be queued behind an unload
            resident = self._models.get(infer.model)
            if resident is None:
                return Failed("action", infer.action, "no-model", f"{infer.model!r} is not resident", "")
            if infer.instance >= resident.instances:
                text = f"{infer.model!r} has {resident.instances} instances, no number {infer.instance}"
                return Failed("action", infer.action, "no-instance", text, "")
            lane = self._lanes[infer.instance]
            return lane if lane.put(infer.model, resident.runtime, entry, claim=claim) else None

    def load(self, order: LoadModel) -> Message:
        """Make a model resident; repeating the same order changes nothing."""
        with self._lock:
            resident = self._models.get(order.model)
        if resident is not None and resident.order._replace(request=order.request) == order:
            return Loaded(order.request, order.model, True, 0, resident.memory_bytes, "was resident already")
        if order.runtime not in self._factories:
            text = f"no runtime {order.runtime!r}; there are {', '.join(sorted(self._factories))}"
            return Loaded(order.request, order.model, False, 0, 0, text)
        if resident is not None:
            self.unload(order.model)
        begin = self._now_ns()
        try:
            runtime = self._runtime(order.runtime)
            paths = [str(self._blobs.path(sha256)) for sha256 in order.sha256s]
            info = runtime.load(order.model, paths, order.options, max(1, order.instances))
        except TestbedError as error:
            return Loaded(order.request, order.model, False, 0, 0, str(error))
        except Exception as error:  # noqa: BLE001 - reported, and the agent goes on
            text = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
            return Loaded(order.request, order.model, False, 0, 0, text)
        loaded = Resident(order, runtime, info.memory_bytes)
        with self._lock:
            while len(self._lanes) < loaded.instances:
                self._lanes.append(self._lane(len(self._lanes)))
            self._models[order.model] = loaded
        return Loaded(order.request, order.model, True, self._now_ns() - begin, info.memory_bytes, info.text)

    def unload(self, model: str, *, timeout_s: float = _UNLOAD_SECONDS) -> str:
        """Free a model after what runs has ended; a reason if it did not end in time, and it stays in memory."""
        with self._lock:
            resident = self._models.pop(model, None)
        if resident is None:
            return ""
        lanes = self._lanes[: resident.instances]
        for lane in lanes:
            lane.fail_queued(model)
        until = time.monotonic() + timeout_s
        if not all(lane.wait_until_free_of(model, until - time.monotonic()) for lane in lanes):
            return f"{model!r} still runs; its memory is not freed, and its lane stays taken until it ends"
        resident.runtime.unload(model)
        return ""

    def _lane(self, number: int) -> Executor:
        return Executor(
            number,
            ledger=self._ledger,
            outlet=self._outlet,
            now_ns=self._now_ns,
            report_start=self._report_start,
        )

    def _runtime(self, name: str) -> Runtime:
        if name not in self._runtimes:
            self._runtimes[name] = self._factories[name]()
        return self._runtimes[name]
