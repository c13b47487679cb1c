"""The agent's front door; a virtual board calls ``main`` of the very same ``.pyz`` with parts of its own.

What can be put in its place (all plain objects, nothing to inherit):

``clock``     ``now_ns() -> int`` and ``name: str``; every stamp comes from it. Default:
``time.monotonic_ns``. ``runtimes``  mapping of name to factory of a ``drivers.agent.runtimes.Runtime``;
replaces the default
              ``{"echo", "onnxruntime", "overlay"}``. Factories are called once, when first needed.
``meters``    mapping of name to a ``drivers.agent.meters.Finder``; replaces the default ``FINDERS``.
``facts``     mapping laid over the facts of the welcome; ``boot_id`` in it replaces the board's.
``sha256``    what the agent says it is; default the hash of the ``.pyz`` that holds this file.

Threads: the caller's waits for signals; *read_on* reads the line and executes what it can; *stand_in* reads meanwhile;
*writer* writes; *housekeeper* does files, models, settings; one for each model instance executes the rest; one for each
running meter samples. Requests open no file, start no thread and log nothing.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.agent.condition import Condition
from drivers.agent.datagrams import Datagrams, datagram_facts
from drivers.agent.facts import board_facts, boot_id, machine_name, own_sha256
from drivers.agent.gpu import GpuKnobs
from drivers.agent.housekeeper import Housekeeper
from drivers.agent.jetson import JetsonKnobs
from drivers.agent.lease import BoardLease
from drivers.agent.ledger import Ledger
from drivers.agent.lines import StdioLine, TtyLine
from drivers.agent.meters import find_meters, meter_facts
from drivers.agent.meters.hwmon import find_hwmon
from drivers.agent.meters.ina3221 import find_ina3221, find_ina3221_total
from drivers.agent.meters.nvml import find_nvml
from drivers.agent.meters.rapl import find_rapl
from drivers.agent.meters.tegrastats import find_tegrastats
from drivers.agent.outlet import Outlet
from drivers.agent.pictures import Pictures
from drivers.agent.residency import Residency
from drivers.agent.runtimes.echo import EchoRuntime
from drivers.agent.runtimes.onnxruntime import OnnxRuntime
from drivers.agent.runtimes.overlay.runtime import OverlayRuntime
from drivers.agent.service import Service
from drivers.agent.settings import BoardSettings
from drivers.agent.state import BlobStore
from drivers.agent.temperature import chip_temperatures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from drivers.agent.lines import Line
    from drivers.agent.meters import Finder, Meter
    from drivers.agent.runtimes import Runtime

    class Clock(Protocol):
        """What stamps."""

        name: str

        def now_ns(self) -> int:
            """Integer nanoseconds, never going back."""


# In the order in which they are preferred where nobody names one.
FINDERS: Mapping[str, Finder] = {
    "ina3221": find_ina3221,
    "ina3221-total": find_ina3221_total,
    "tegrastats": find_tegrastats,
    "nvml": find_nvml,
    "hwmon": find_hwmon,
    "rapl": find_rapl,
}
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_SWITCH_SECONDS = 0.001
_TERMINATED = 143
_log = logging.getLogger("testbed.agent")


class MonotonicClock:
    """The system's monotonic clock; it stands still while the board is suspended."""

    name = "time.monotonic_ns"

    def now_ns(self) -> int:
        """Nanoseconds since some instant of this boot."""
        return time.monotonic_ns()


def main(
    argv: Sequence[str],
    *,
    clock: Clock | None = None,
    runtimes: Mapping[str, Callable[[], Runtime]] | None = None,
    meters: Mapping[str, Finder] | None = None,
    facts: Mapping[str, object] | None = None,
    sha256: str | None = None,
) -> int:
    """Run until the line ends; 0: orderly end, 2: unusable arguments, 3: broken line, 143: signal."""
    options = _parse(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="agent: %(message)s")
    try:
        line: Line = TtyLine(options.tty, options.baud) if options.tty else StdioLine()
    except (OSError, ValueError) as error:
        _log.error("cannot use %s: %s", options.tty, error)
        return 2
    sys.stdout = sys.stderr
    sys.setswitchinterval(_SWITCH_SECONDS)
    root, state = Path(options.sysfs_root), Path(options.state).expanduser()
    own = state / machine_name()  # boards of a lab often share a home directory
    now_ns = (clock or MonotonicClock()).now_ns
    try:
        lease, blobs = BoardLease(own), BlobStore(state / "blobs")
    except OSError as error:
        _log.error("cannot keep state in %s: %s", state, error)
        return 2
    factories: Mapping[str, Callable[[], Runtime]] = {
        "echo": EchoRuntime,
        "onnxruntime": OnnxRuntime,
        "overlay": OverlayRuntime,
    }
    factories = factories if runtimes is None else runtimes
    settings = BoardSettings([JetsonKnobs(root), GpuKnobs(), Condition(root)], own / "settings.json")
    outlet = Outlet(
        line, max_message_bytes=_MAX_MESSAGE_BYTES, chunk_bytes=options.chunk_bytes or line.chunk_bytes
    )
    ledger = Ledger(options.max_inflight)
    residency = Residency(factories, blobs, ledger, outlet, now_ns, report_start=options.started)
    fixed: dict[str, object] = {}
    found: dict[str, Meter] = {}

    def warm_up() -> None:
        tell()  # importing a runtime, or asking a meter, takes seconds on some boards: not while a host waits

    def tell() -> dict[str, object]:
        if not fixed:
            fixed.update(board_facts(root))
            fixed["clock"] = (clock or MonotonicClock()).name
            there, absent = find_meters(FINDERS if meters is None else meters, str(root))
            found.update(there)
            fixed["meters"] = meter_facts(found)
            fixed["meter"] = next(iter(found), "")
            fixed["meters_absent"] = absent
            fixed["settings"] = settings.names()
            fixed["runtimes"] = residency.facts()
            fixed["datagrams"] = datagram_facts()
            able = ["datagrams"] if datagram_facts()["available"] else []
            fixed["capabilities"] = [*able, *sorted(f"runtime:{name}" for name in factories)]
            fixed.update(facts or {})
        now = {"temperature_c": temperature} if (temperature := chip_temperatures(root)) else {}
        return {**fixed, **now, "models": residency.models()}

    datagrams = Datagrams(Pictures(ledger, residency, outlet, now_ns))
    housekeeper = Housekeeper(blobs, residency, settings, found, outlet, now_ns, datagrams)
    housekeeper.put(warm_up)
    service = Service(
        line,
        outlet,
        ledger,
        residency,
        housekeeper,
        lease,
        facts=tell,
        boot_id=boot_id(),
        sha256=own_sha256() if sha256 is None else sha256,
        now_ns=now_ns,
        max_message_bytes=_MAX_MESSAGE_BYTES,
    )
    _heed_signals(interrupts=bool(options.tty))
    try:
        code = service.serve()
    except (SystemExit, KeyboardInterrupt):
        code = _TERMINATED
    _heed_no_more()  # the end of the line is a hang-up too, and what was set is to be put back first
    for failure in settings.restore():
        _log.error("setting not restored: %s", failure)
    if code != _TERMINATED:  # whoever ends us holds the lease's lock, and sees us end anyway
        service.leave()
    wrong = {name: count for name, count in outlet.counts.items() if count}
    if wrong:
        _log.info("on the line: %s", wrong)
    return code


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agent.pyz", description="testbed's agent: executes on this board")
    lines = parser.add_mutually_exclusive_group(required=True)
    lines.add_argument("--stdio", action="store_true", help="speak on standard input and output")
    lines.add_argument("--tty", metavar="DEVICE", default="", help="speak on a serial device")
    parser.add_argument("--baud", type=int, default=115200, help="speed of the serial device")
    parser.add_argument("--state", default="~/.cache/testbed", help="folder for files and the lease")
    parser.add_argument(
        "--sysfs-root", default="/", help="folder below which sys, proc and etc are looked for"
    )
    parser.add_argument(
        "--max-inflight", type=int, default=64, help="actions accepted and unfinished at a time"
    )
    parser.add_argument(
        "--chunk-bytes", type=int, default=0, help="largest frame payload sent; 0: by the line"
    )
    parser.add_argument("--started", action="store_true", help="report when an action starts")
    return parser.parse_args(argv)


def _heed_signals(*, interrupts: bool) -> None:
    """End in order when told to; Ctrl-C in a terminal that we share with the host is the host's business."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(_TERMINATED))
    if not interrupts:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _heed_no_more() -> None:
    """On the way out, nobody hurries us but by ``kill -9``; every wait there is bounded."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
