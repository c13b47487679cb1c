"""What the coordinator's own host was busy with while it measured."""

from __future__ import annotations

from msgspec import Struct

from testbed.units import Ns


class HostSnapshot(Struct, frozen=True, kw_only=True):
    """Counters of the host at one instant; ``None`` where its kernel does not count.

    Attributes:
        t: coordinator's clock.
        busy, steal: CPU time worked, and taken by the hypervisor, summed over the cores [ns].
        run, wait: time the watched processes ran, and were runnable without a core [ns]; ``None`` if none is watched.
        own_run, own_wait: the same of the coordinator's process.
        stalled: time during which at least one task of the host waited for a core [ns].
    """

    t: Ns
    cores: int
    busy: Ns | None = None
    steal: Ns | None = None
    run: Ns | None = None
    wait: Ns | None = None
    own_run: Ns | None = None
    own_wait: Ns | None = None
    stalled: Ns | None = None


class HostUse(Struct, frozen=True, kw_only=True, tag="host"):
    """How contended the host was between two snapshots.

    Attributes:
        boot_id: of the host; a board with the same one runs on it.
        busy_frac: share of all cores' time that was worked. steal_frac: taken by the hypervisor, relative to worked.
        wait_frac: time the watched processes waited for a core, relative to the time they ran, both summed over their
            threads; above 1 where they waited more than they ran. own_wait_frac: the same of the coordinator, whatever
            was watched; what it waited is in every response time.
        stalled_frac: share of the interval in which some task waited for a core.
        reason: which counters the kernel does not have, or an empty string.
    """

    boot_id: str
    start: Ns
    end: Ns
    cores: int
    busy_frac: float | None = None
    steal_frac: float | None = None
    wait_frac: float | None = None
    own_wait_frac: float | None = None
    stalled_frac: float | None = None
    reason: str = ""
