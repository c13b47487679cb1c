"""The .hwh says what pynq asks: where the registers are, what drives the clock, which memory the overlay reaches."""

from __future__ import annotations

import json
import subprocess
from xml.etree import ElementTree as ET

import pytest

from drivers.npu.description import OVERLAY, read_description
from drivers.npu.handoff import INSTANCE, IO_PLL_MHZ, hardware_handoff

DESCRIBED = read_description()
PYNQ = OVERLAY.parents[1] / ".venv-pynq/bin/python"


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


READ = """
import json, sys
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime.runtime_metadata_parser import RuntimeMetadataParser
parsed = RuntimeMetadataParser(Metadata(input=sys.argv[1]))
ip = {name: parsed.ip_dict[sys.argv[2]][name] for name in ("phys_addr", "addr_range", "type", "registers")}
clock = {name: parsed.clock_dict[0][name] for name in ("enable", "divisor0", "divisor1", "src_sel")}
print(json.dumps({"ip": ip, "clock": clock}))
"""


@pytest.mark.timeout(60)
def test_pynqmetadata_reads_it():
    """In the environment that has it, since pynq wants another numpy than ours."""
    if not PYNQ.is_file():
        pytest.skip("no .venv-pynq with pynq in it: `make pynq`")
    done = subprocess.run(
        [str(PYNQ), "-c", READ, str(OVERLAY / "edge-npu.hwh"), INSTANCE],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    ip = told["ip"]
    assert (ip["phys_addr"], ip["addr_range"], ip["type"]) == (DESCRIBED.bus.base, 4096, DESCRIBED.vlnv)
    assert {name: register["address_offset"] for name, register in ip["registers"].items()} == {
        register.name if register.words == 1 else f"{register.name}_{word}": register.offset + 4 * word
        for register in DESCRIBED.registers
        for word in range(register.words)
    }
    assert ip["registers"]["STATUS"]["fields"]["DONE"]["bit_offset"] == 1
    assert told["clock"] == {"enable": 1, "divisor0": 5, "divisor1": 2, "src_sel": "IO PLL"}
