"""The ``.hwh`` of the overlay, the hardware hand-off from which pynq learns addresses, registers and clocks.

Vivado writes a much longer one beside its bitstream; this holds what pynqmetadata 0.2 reads of a Zynq-7000 design, so
that driver and simulated device work before (and without) a build.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from drivers.npu.description import Description, Register

INSTANCE = "npu_0"
CONTROL_PORT, MEMORY_PORT = "s_axi", "m_axi"
IO_PLL_MHZ = 1000.0
"""Of the PYNQ-Z1 and Z2 presets; both divisors of an FCLK count from it. Source: UG585, 25.10; pynq ``Clocks``."""
DIVISOR1 = 2
ACCESS = {"ro": "read-only", "rw": "read-write", "w1c": "read-write"}


def hardware_handoff(described: Description) -> str:
    """The file's text."""
    root = ET.Element("EDKSYSTEM", {"EDWVERSION": "1.2"})
    ET.SubElement(
        root,
        "SYSTEMINFO",
        {"ARCH": "zynq", "DEVICE": "7z020", "NAME": described.name, "PACKAGE": "clg400", "SPEEDGRADE": "-1"},
    )
    ET.SubElement(root, "EXTERNALPORTS")
    ET.SubElement(root, "EXTERNALINTERFACES")
    modules = ET.SubElement(root, "MODULES")
    modules.append(_processing_system(described))
    modules.append(_overlay(described))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _module(instance: str, kind: str, vlnv: str, parameters: dict[str, object]) -> ET.Element:
    module = ET.Element(
        "MODULE",
        {"INSTANCE": instance, "FULLNAME": f"/{instance}", "MODTYPE": kind, "VLNV": vlnv, "IS_PL": "TRUE"},
    )
    listed = ET.SubElement(module, "PARAMETERS")
    for name, value in parameters.items():
        ET.SubElement(listed, "PARAMETER", {"NAME": name, "VALUE": str(value)})
    return module


def _ports(module: ET.Element, *ports: tuple[str, str, str, str]) -> None:
    listed = ET.SubElement(module, "PORTS")
    for name, direction, kind, signal in ports:
        ET.SubElement(listed, "PORT", {"NAME": name, "DIR": direction, "SIGIS": kind, "SIGNAME": signal})


def _buses(module: ET.Element, *buses: tuple[str, str, str]) -> None:
    listed = ET.SubElement(module, "BUSINTERFACES")
    for name, kind, bus in buses:
        bus_interface = ET.SubElement(
            listed,
            "BUSINTERFACE",
            {"NAME": name, "TYPE": kind, "BUSNAME": bus, "VLNV": "xilinx.com:interface:aximm:1.0"},
        )
        ET.SubElement(bus_interface, "PORTMAPS")


def _range(low: int, high: int, instance: str, kind: str, ports: tuple[str, str], block: str) -> ET.Element:
    return ET.Element(
        "MEMRANGE",
        {
            "ADDRESSBLOCK": block,
            "BASENAME": "C_BASEADDR",
            "HIGHNAME": "C_HIGHADDR",
            "BASEVALUE": f"0x{low:08X}",
            "HIGHVALUE": f"0x{high:08X}",
            "INSTANCE": instance,
            "IS_DATA": "TRUE",
            "IS_INSTRUCTION": "TRUE",
            "MASTERBUSINTERFACE": ports[0],
            "SLAVEBUSINTERFACE": ports[1],
            "MEMTYPE": kind,
        },
    )


def _processing_system(described: Description) -> ET.Element:
    clocks: dict[str, object] = {
        "PCW_IRQ_F2P_INTR": 1,
        "PCW_USE_S_AXI_HP0": 1,
        "PCW_S_AXI_HP0_DATA_WIDTH": 64,
    }
    divisor = round(IO_PLL_MHZ / described.bus.clock_mhz / DIVISOR1)
    for clock in range(4):
        clocks |= {
            f"PCW_FPGA_FCLK{clock}_ENABLE": int(clock == 0),
            f"PCW_FCLK{clock}_PERIPHERAL_CLKSRC": "IO PLL",
            f"PCW_FCLK{clock}_PERIPHERAL_DIVISOR0": divisor,
            f"PCW_FCLK{clock}_PERIPHERAL_DIVISOR1": DIVISOR1,
            f"PCW_FPGA{clock}_PERIPHERAL_FREQMHZ": described.bus.clock_mhz,
        }
    module = _module("ps7_0", "processing_system7", "xilinx.com:ip:processing_system7:5.5", clocks)
    _ports(
        module,
        ("FCLK_CLK0", "O", "clk", "ps7_0_FCLK_CLK0"),
        ("FCLK_RESET0_N", "O", "rst", "ps7_0_FCLK_RESET0_N"),
        ("IRQ_F2P", "I", "INTERRUPT", "npu_0_irq"),
    )
    _buses(module, ("M_AXI_GP0", "MASTER", "ps7_0_M_AXI_GP0"), ("S_AXI_HP0", "SLAVE", "npu_0_m_axi"))
    memory = ET.SubElement(module, "MEMORYMAP")
    base = described.bus.base
    memory.append(
        _range(
            base, base + described.window_bytes - 1, INSTANCE, "REGISTER", ("M_AXI_GP0", CONTROL_PORT), "reg0"
        )
    )
    return module


def _overlay(described: Description) -> ET.Element:
    sizes = described.parameters
    module = _module(
        INSTANCE,
        described.name,
        described.vlnv,
        {
            "ROWS": sizes.rows,
            "ACT_WORDS": sizes.act_words,
            "WGT_WORDS": sizes.wgt_words,
            "PAR_CHANNELS": sizes.par_channels,
            "C_BASEADDR": f"0x{described.bus.base:08X}",
            "C_HIGHADDR": f"0x{described.bus.base + described.window_bytes - 1:08X}",
        },
    )
    blocks = ET.SubElement(module, "ADDRESSBLOCKS")
    block = ET.SubElement(
        blocks,
        "ADDRESSBLOCK",
        {
            "NAME": "reg0",
            "INTERFACE": CONTROL_PORT,
            "ACCESS": "read-write",
            "RANGE": str(described.window_bytes),
            "USAGE": "register",
        },
    )
    registers = ET.SubElement(block, "REGISTERS")
    for register in described.registers:
        for word in range(register.words):
            registers.append(_register(register, word))
    _ports(
        module,
        ("aclk", "I", "clk", "ps7_0_FCLK_CLK0"),
        ("aresetn", "I", "rst", "ps7_0_FCLK_RESET0_N"),
        ("irq", "O", "INTERRUPT", "npu_0_irq"),
    )
    _buses(module, (CONTROL_PORT, "SLAVE", "ps7_0_M_AXI_GP0"), (MEMORY_PORT, "MASTER", "npu_0_m_axi"))
    memory = ET.SubElement(module, "MEMORYMAP")
    bus = described.bus
    memory.append(
        _range(
            bus.memory_low, bus.memory_high, "ps7_0", "MEMORY", (MEMORY_PORT, "S_AXI_HP0"), "HP0_DDR_LOWOCM"
        )
    )
    return module


def _register(register: Register, word: int) -> ET.Element:
    name = register.name if register.words == 1 else f"{register.name}_{word}"
    element = ET.Element("REGISTER", {"NAME": name})
    told = {
        "DESCRIPTION": register.text,
        "ADDRESS_OFFSET": f"0x{register.offset + 4 * word:03X}",
        "SIZE": "32",
        "ACCESS": ACCESS[register.access],
        "IS_ENABLED": "true",
        "RESET_VALUE": str(register.reset or 0),
    }
    _properties(element, told)
    fields = ET.SubElement(element, "FIELDS")
    for field in register.fields:
        part = ET.SubElement(fields, "FIELD", {"NAME": field.name})
        _properties(
            part,
            {
                "DESCRIPTION": field.text,
                "BIT_OFFSET": str(field.bits[0]),
                "BIT_WIDTH": str(field.width),
                "ACCESS": ACCESS[register.access],
            },
        )
    return element


def _properties(element: ET.Element, values: dict[str, str]) -> None:
    for name, value in values.items():
        ET.SubElement(element, "PROPERTY", {"NAME": name, "VALUE": value})
