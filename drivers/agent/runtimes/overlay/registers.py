"""Register map of the edge-npu overlay: offsets in bytes from its AXI4-Lite base, 32-bit little endian.

Source: ``bitstreams/edge-npu/registers.toml``.
"""

WINDOW_BYTES = 0x1000

ID = 0x000
VERSION = 0x004
CAPS0 = 0x008
CAPS1 = 0x00C
CONTROL = 0x010
STATUS = 0x014
ERROR = 0x018
ERROR_INFO = 0x01C
PROGRAM_BASE = 0x020
PROGRAM_COMMANDS = 0x024
INPUT_BASE = 0x028
OUTPUT_BASE = 0x02C
WATCHDOG = 0x030
PROGRAM_HASH = 0x034
COMMANDS_OFFSET = 0x038
CYCLES_LO = 0x040
CYCLES_HI = 0x044
STALL_AXI_LO = 0x048
STALL_AXI_HI = 0x04C
BUSY_MAC_LO = 0x050
BUSY_MAC_HI = 0x054
COMMANDS = 0x058
EXIT = 0x05C
EXIT_LIMIT = 0x060
EXIT_LIMITS = 4
MASK = 0x080
MASKS = 8
WEIGHTS_VALID = 0x0A0

ID_VALUE = 0x4E505531
RECORD_MAGIC = 0x4E505552

CONTROL_START = 1 << 0
CONTROL_SOFT_RESET = 1 << 1
CONTROL_IRQ_ENABLE = 1 << 2
STATUS_BUSY = 1 << 0
STATUS_DONE = 1 << 1
STATUS_ERROR = 1 << 2

ERRORS = {
    0: "none",
    1: "bad opcode",
    2: "bad address or length",
    3: "AXI read error",
    4: "AXI write error",
    5: "watchdog",
}
