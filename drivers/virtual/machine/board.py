"""Puts the injected parts together and hands them to the agent's ``main``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from drivers.agent.program import main as agent_main
from drivers.agent.runtimes.onnxruntime import OnnxRuntime
from drivers.virtual.machine.clock import Offset, SkewedClock
from drivers.virtual.machine.config import MachineConfig, read_config
from drivers.virtual.machine.load import Load
from drivers.virtual.machine.pacing import PacedRuntime
from drivers.virtual.machine.power import VirtualIna3221
from drivers.virtual.machine.replay import read_replay
from drivers.virtual.machine.waiting import die_with_parent, sharpen_timers, take_priority

if TYPE_CHECKING:
    from pathlib import Path

NOT_EMULATED = {
    "concurrency": "a virtual board paces each lane by itself: more instances or another model beside it slow nothing "
    "down there, and what is told of several at a time says nothing of a device",
    "settings": "power mode and clocks are set and put back on a virtual board, but its pace and its watts stay those "
    "of its profile",
}
"""What this board shows no effect of, by what a run may ask for; a profile takes it over as a remark."""


def run_agent(file: Path, boot_id: str, offset: Path, arguments: list[str]) -> int:
    """Be the agent of a virtual board until it ends; its exit code."""
    die_with_parent()
    sharpen_timers()
    config = read_config(file)
    punctual = config.realtime and take_priority()
    clock = SkewedClock(offset=Offset(offset), drift_ppb=config.clock_drift_ppb)
    load = Load(
        config.idle_w, {m: p.active_w.value for m, p in config.profiles.items() if p.active_w is not None}
    )
    with ExitStack() as stack:
        if config.rails:
            stack.enter_context(VirtualIna3221(config.root, config.rails, load, seed=config.seed))
        return agent_main(
            [*arguments, "--sysfs-root", str(config.root)],
            clock=clock,
            runtimes={"overlay": lambda: paced_overlay(config, clock, load)}
            if config.programs
            else {"onnxruntime": lambda: paced(config, clock, load)},
            facts={
                "virtual": True,
                "boot_id": boot_id,
                "hostname": config.name,
                "realtime": punctual,
                "not_emulated": NOT_EMULATED,
                **config.facts,
            },
        )


def paced(config: MachineConfig, clock: SkewedClock, load: Load) -> PacedRuntime:
    """The agent's onnxruntime, paced by the board's profiles."""
    replaying = config.answers == "replay"
    return PacedRuntime(
        OnnxRuntime(),
        config.profiles,
        clock=clock,
        seed=config.seed,
        spin_ns=config.spin_ns,
        replays={
            model: read_replay(path, sha256=config.predictions_sha256.get(model, ""))
            for model, path in config.predictions.items()
        }
        if replaying
        else {},
        audit_frac=config.audit_frac,
        work=load.executing,
    )


def paced_overlay(config: MachineConfig, clock: SkewedClock, load: Load) -> PacedRuntime:
    """The agent's runtime for overlays on a modelled logic, paced by the board's profiles."""
    from drivers.agent.runtimes.overlay.runtime import OverlayRuntime
    from drivers.virtual.pynq.audit import Audit
    from drivers.virtual.pynq.fabric import fault_at
    from drivers.virtual.pynq.live import live_logic

    audit = None
    if config.audit_rtl and config.audit_frac > 0:
        audit = Audit(config.audit_frac, config.seed)
        audit.start()
    faults = dict(map(fault_at, config.faults))
    return PacedRuntime(
        OverlayRuntime(live_logic(config.programs.values(), audit, faults=faults), root=config.root),
        config.profiles,
        clock=clock,
        seed=config.seed,
        spin_ns=config.spin_ns,
        work=load.executing,
        keep=("pl_cycles", "bus_stalls", "pl_ns", "rows_masked"),
        found=audit.report if audit is not None else dict,
    )
