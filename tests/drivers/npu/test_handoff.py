"""The .hwh says what pynq asks: where the registers are, what drives the clock, which memory the overlay reaches."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from drivers.npu.description import OVERLAY, read_description
from drivers.npu.handoff import INSTANCE, IO_PLL_MHZ, hardware_handoff

DESCRIBED = read_description()


def test_addresses_and_clock():
    root = ET.fromstring(hardware_handoff(DESCRIBED))
    ranges = {element.get("INSTANCE"): element for element in root.iter("MEMRANGE")}
    assert int(ranges[INSTANCE].get("BASEVALUE", ""), 16) == DESCRIBED.bus.base
    assert int(ranges["ps7_0"].get("HIGHVALUE", ""), 16) == DESCRIBED.bus.memory_high
    told = {element.get("NAME"): element.get("VALUE", "") for element in root.iter("PARAMETER")}
    divided = (
        IO_PLL_MHZ / int(told["PCW_FCLK0_PERIPHERAL_DIVISOR0"]) / int(told["PCW_FCLK0_PERIPHERAL_DIVISOR1"])
    )
    assert divided == DESCRIBED.bus.clock_mhz
    assert told["PCW_FPGA_FCLK0_ENABLE"] == "1"
    offsets = [
        int(prop.get("VALUE", ""), 16)
        for prop in root.iter("PROPERTY")
        if prop.get("NAME") == "ADDRESS_OFFSET"
    ]
    assert len(offsets) == sum(register.words for register in DESCRIBED.registers)
    assert offsets == sorted(set(offsets))


def test_pynqmetadata_reads_it():
    frontends = pytest.importorskip("pynqmetadata.frontends", reason="pynqmetadata is not installed")
    views = pytest.importorskip("pynqmetadata.views.runtime.runtime_metadata_parser")
    parsed = views.RuntimeMetadataParser(frontends.Metadata(input=str(OVERLAY / "edge-npu.hwh")))
    ip = parsed.ip_dict[INSTANCE]
    assert (ip["phys_addr"], ip["addr_range"], ip["type"]) == (DESCRIBED.bus.base, 4096, DESCRIBED.vlnv)
    assert ip["registers"]["STATUS"]["address_offset"] == 0x14
    assert ip["registers"]["STATUS"]["fields"]["DONE"]["bit_offset"] == 1
    assert parsed.clock_dict[0] | {"frequency": None} == {
        "enable": 1, "divisor0": 5, "divisor1": 2, "src_sel": "IO PLL", "frequency": None,
    }  # fmt: skip
