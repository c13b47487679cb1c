"""What this host was busy with while it measured, from Linux's own counters.

A board that executes on this host competes with emulated ones for its cores. The watched processes' time spent
runnable without a core (``/proc/<pid>/task/*/schedstat``: ran, waited [ns]) and the hypervisor's steal
(``/proc/stat``) tell how much. Source: Linux Documentation/scheduler/sched-stats.rst, accounting/psi.rst, proc(5).
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.model.environment import HostSnapshot, HostUse
from testbed.units import Ns

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT_FRAC = 0.01
"""Above this share of the time in which there was work to do, a measured figure is ``measured (contended)``."""

_PROC = Path("/proc")
_CPU = Path("/sys/devices/system/cpu")
_CLOCK = Path("/sys/devices/system/clocksource/clocksource0")
_MACHINE_ID = Path("/etc/machine-id")


def snapshot(pids: Iterable[int] = (), *, proc: Path = _PROC) -> HostSnapshot:
    """The counters now; what this kernel does not count is ``None``.

    Args:
        pids: processes on this host whose waiting matters, e.g. the agent of a local board; their threads count too.
    """
    run, wait = _waited(pids, proc)
    own_run, own_wait = _waited((os.getpid(),), proc)
    busy, steal = _worked(proc)
    return HostSnapshot(
        t=time.monotonic_ns(),
        cores=os.cpu_count() or 1,
        busy=busy,
        steal=steal,
        run=run,
        wait=wait,
        own_run=own_run,
        own_wait=own_wait,
        stalled=_stalled(proc),
    )


def host_use(before: HostSnapshot, after: HostSnapshot, *, proc: Path = _PROC) -> HostUse:
    """What happened between two snapshots that watched the same processes."""
    span = after.t - before.t
    busy, steal = _grown(before.busy, after.busy), _grown(before.steal, after.steal)
    run, wait = _grown(before.run, after.run), _grown(before.wait, after.wait)
    own_run, own_wait = _grown(before.own_run, after.own_run), _grown(before.own_wait, after.own_wait)
    stalled = _grown(before.stalled, after.stalled)
    lacking = [
        name
        for name, value in (
            ("steal", steal),
            ("run-queue wait", own_wait if wait is None else wait),
            ("pressure", stalled),
        )
        if value is None
    ]
    return HostUse(
        boot_id=boot_id(proc=proc),
        start=before.t,
        end=after.t,
        cores=after.cores,
        busy_frac=_share(busy, span * after.cores),
        steal_frac=_share(steal, busy),
        wait_frac=_share(wait, run),
        own_wait_frac=_share(own_wait, own_run),
        stalled_frac=_share(stalled, span),
        reason=f"not counted: {', '.join(lacking)}" if lacking else "",
    )


def contended(use: HostUse) -> str:
    """Why figures measured on this host count as contended, or an empty string.

    The watched processes' own wait decides where it is known, else the host's pressure: a host about which nothing is
    known counts as contended.
    """
    wait = _waiting(use.wait_frac) if use.wait_frac is not None else use.stalled_frac
    if wait is None:
        return "this host does not say how long work waited for a core"
    if wait > LIMIT_FRAC and use.wait_frac is not None:
        return f"with work to do, it waited for a core {wait:.1%} of the time, limit {LIMIT_FRAC:.0%}"
    if wait > LIMIT_FRAC:
        return f"some task waited for a core {wait:.1%} of the time, limit {LIMIT_FRAC:.0%}"
    if use.steal_frac is not None and use.steal_frac > LIMIT_FRAC:
        return f"{use.steal_frac:.1%} stolen by the hypervisor, limit {LIMIT_FRAC:.0%}"
    return ""


def told(use: HostUse) -> str:
    """What is known of the wait for a core and of steal, in a few words."""
    shares = {
        "with work to do, boards waited for a core {:.1%} of the time": _waiting(use.wait_frac),
        "with work to do, the coordinator waited for a core {:.1%} of the time": _waiting(use.own_wait_frac),
        "some task waited {:.1%} of the time": use.stalled_frac,
        "steal {:.1%}": use.steal_frac,
    }
    known = [what.format(share) for what, share in shares.items() if share is not None]
    return ", ".join([*known, use.reason] if use.reason else known)


def _waiting(wait_frac: float | None) -> float | None:
    """Of the time in which a thread ran or could have run, how much it waited: unlike wait over run, never above 1."""
    return None if wait_frac is None else wait_frac / (1 + wait_frac)


def boot_id(*, proc: Path = _PROC) -> str:
    """This host's boot identifier, or an empty string."""
    return _read(proc / "sys/kernel/random/boot_id").strip()


def cpu_model(*, proc: Path = _PROC) -> str:
    """The processor's name as the kernel gives it, or an empty string."""
    for line in _read(proc / "cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "Hardware"}:
            return value.strip()
    return ""


def governor(*, cpu: Path = _CPU) -> str:
    """The frequency governor of the first core, or an empty string (virtual machines have none)."""
    return _read(cpu / "cpu0/cpufreq/scaling_governor").strip()


def clock_source(*, folder: Path = _CLOCK) -> str:
    """What the kernel reads the time from, e.g. ``tsc``, or an empty string."""
    return _read(folder / "current_clocksource").strip()


def host_id(*, file: Path = _MACHINE_ID) -> str:
    """Tells this host from others without naming it; an empty string where the system has no machine id.

    Hashed, as machine-id(5) asks of everybody who shows it to others.
    """
    machine = _read(file).strip()
    return hashlib.sha256(b"testbed host " + machine.encode()).hexdigest()[:16] if machine else ""


def _waited(pids: Iterable[int], proc: Path) -> tuple[Ns | None, Ns | None]:
    run = wait = 0
    found = False
    for pid in pids:
        for path in sorted((proc / str(pid) / "task").glob("*/schedstat")):
            fields = _read(path).split()
            if len(fields) >= 2 and all(f.isdigit() for f in fields[:2]):
                run, wait, found = run + int(fields[0]), wait + int(fields[1]), True
    return (run, wait) if found else (None, None)


def _worked(proc: Path) -> tuple[Ns | None, Ns | None]:
    fields = _read(proc / "stat").partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return None, None
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(f) for f in fields[1:9])
    return (user + nice + system + irq + softirq) * tick, steal * tick


def _stalled(proc: Path) -> Ns | None:
    for line in _read(proc / "pressure/cpu").splitlines():
        if line.startswith("some ") and "total=" in line:
            return int(line.rpartition("total=")[2]) * 1_000
    return None


def _grown(before: Ns | None, after: Ns | None) -> Ns | None:
    return None if before is None or after is None else max(0, after - before)


def _share(part: Ns | None, whole: Ns | None) -> float | None:
    return None if part is None or not whole else part / whole


def _read(path: Path) -> str:
    """A file of the kernel's, or nothing: threads end and kernels differ, and neither is an error here."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
