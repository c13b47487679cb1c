"""Loading through pynq's interface, on a stand-in with the few members that are used; the real one: test_backends."""

from __future__ import annotations

import hashlib
import sys
from types import ModuleType, SimpleNamespace

import pytest

from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import read_manifest
from drivers.agent.runtimes.overlay.on_pynq import open_pynq
from tests.drivers.agent.runtimes.overlay.conftest import IP, MANIFEST

BIT, HWH = b"bitstream", b"<EDKSYSTEM/>"


class Pynq(ModuleType):
    """As of pynq 4.0.0 on a Zynq-7000 where ``frequency`` is ``None``."""

    __version__ = "4.0.0"

    def __init__(self, frequency) -> None:
        super().__init__("pynq")
        self.done: list = []
        self.fails: Exception | None = None
        module = self

        class Bitstream:
            def download(self, parser=None) -> None:
                module.done.append("bitstream")

        class Overlay(Bitstream):
            def __init__(self, name, download) -> None:
                if module.fails:
                    raise module.fails
                assert not download
                self.bitfile_name, self.parser, self.timestamp = name, object(), "now"
                self.device = SimpleNamespace(name="Pynq-Z2")
                self.ip_dict = {IP: {"phys_addr": 0x43C0_0000}}
                clock = {"enable": 1, "divisor0": 5, "divisor1": 2, "frequency": frequency}
                self.clock_dict = {0: clock, 1: {"enable": 0, "frequency": None}}
                self.hier_0 = SimpleNamespace(axi_dma_0="dma")

            def download(self) -> None:
                float(self.clock_dict[0]["frequency"])  # what pynq 4.0.0 trips over
                module.done.append("overlay")

            def free(self) -> None:
                module.done.append("free")

        self.Bitstream, self.Overlay = Bitstream, Overlay
        self.Device = SimpleNamespace(active_device=SimpleNamespace(name="Pynq-Z2"))
        self.MMIO = lambda address, size, device: (address, size, device.name)
        self.Clocks = SimpleNamespace(
            fclk0_mhz=100.0, set_pl_clk=lambda i, d0, d1: self.done.append(("clock", i, d0, d1))
        )


@pytest.fixture
def files(tmp_path):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for name, data in (("a", BIT), ("b", HWH)):
        (blobs / name).write_bytes(data)
    return [str(blobs / "a"), str(blobs / "b")]


def manifest(**changes):
    pins = {
        "bitstream_sha256": hashlib.sha256(BIT).hexdigest(),
        "hwh_sha256": hashlib.sha256(HWH).hexdigest(),
    }
    return read_manifest({**MANIFEST, **pins, **changes})


def use(monkeypatch, frequency=100.0):
    module = Pynq(frequency)
    monkeypatch.setitem(sys.modules, "pynq", module)
    return module


def test_it_is_loaded_from_one_stem_and_gives_its_parts(monkeypatch, files, tmp_path):
    module = use(monkeypatch)
    logic = open_pynq(manifest(), files)
    assert module.done == ["overlay"]
    assert logic.clock_hz == 100e6
    assert logic.mmio(IP, 4096) == (0x43C0_0000, 4096, "Pynq-Z2")
    assert logic.channels("hier_0.axi_dma_0") == "dma"
    assert logic.facts()["bitstream"] == "edge-npu.bit"
    (folder,) = (tmp_path / "overlays").iterdir()
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == {"edge-npu.bit": BIT, "edge-npu.hwh": HWH}
    for ask in (lambda: logic.mmio("x", 4096), lambda: logic.channels("hier_0.y")):
        with pytest.raises(OverlayError, match="has no"):
            ask()
    logic.reload()
    logic.close()
    assert module.done == ["overlay", "overlay", "free"]


def test_clocks_that_pynq_4_cannot_set_are_set_from_the_divisors(monkeypatch, files):
    module = use(monkeypatch, frequency=None)
    open_pynq(manifest(), files)
    assert module.done == [("clock", 0, 5, 2), "bitstream"]


def test_what_pynq_refuses_is_told_with_its_version(monkeypatch, files):
    use(monkeypatch).fails = RuntimeError("No Devices Found")
    with pytest.raises(OverlayError, match=r"pynq 4\.0\.0 could not load edge-npu\.bit.*No Devices Found"):
        open_pynq(manifest(), files)


def test_nothing_is_loaded_that_is_not_pinned_or_not_for_this_board(monkeypatch, files, tmp_path):
    module = use(monkeypatch)
    with pytest.raises(OverlayError, match="bitstream hashes to"):
        open_pynq(manifest(bitstream_sha256="0" * 64), files)
    with pytest.raises(OverlayError, match=r"\.hwh hashes to"):
        open_pynq(manifest(hwh_sha256="0" * 64), files)
    with pytest.raises(OverlayError, match="without its bitstream"):
        open_pynq(manifest(), files[:1])
    with pytest.raises(OverlayError, match="is for zcu104"):
        open_pynq(manifest(boards=["zcu104"]), files, tmp_path)
    assert module.done == []
