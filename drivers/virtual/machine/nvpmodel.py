"""``nvpmodel`` of a virtual Jetson: the lines, the questions and the files of the real tool, on a board's own tree.

    python nvpmodel.py ROOT [-q | -m ID]

Run by the agent as a program of the board (`drivers.virtual.machine.jetson` puts it there), so with the standard
library alone. ``-q`` tells the mode; ``-m`` sets one, and with it the limits of the clocks it names. A mode with
another mask of power-gated cores needs a reboot: that is asked on standard input, whose end is no.

Sources: output of the tool on Orin boards as their users quote it (``NV Power Mode:``, ``Reboot required for changing
to this power mode``, ``request for bad power mode``, ``bad input!``); NVIDIA Jetson Linux Developer Guide for
``/etc/nvpmodel.conf`` (``POWER_MODEL ID= NAME=``, ``PARAM TYPE=CLOCK``, ``TPC_POWER_GATING``) and
``/var/lib/nvpmodel/status`` (``pmode:0000``). The exit code of a refusal, 255, is assumed.
"""

import re
import sys
from pathlib import Path

CONF = "etc/nvpmodel.conf"
STATUS = "var/lib/nvpmodel/status"
REFUSED = 255
_MASK = "TPC_POWER_GATING TPC_PG_MASK"
_UNLIMITED = "-1"


class Modes:
    """What ``nvpmodel.conf`` says: settings by mode, and the files of a clock's limits."""

    def __init__(self, text: str) -> None:
        """Read it."""
        self.names: dict[int, str] = {}
        self.settings: dict[int, dict[str, str]] = {}
        self.files: dict[str, str] = {}
        param, mode = "", -1
        for line in (line.strip() for line in text.splitlines()):
            clock = re.fullmatch(r"< PARAM TYPE=CLOCK NAME=(\S+) >", line)
            model = re.fullmatch(r"< POWER_MODEL ID=(\d+) NAME=(\S+) >", line)
            if clock:
                param, mode = clock[1], -1
            elif model:
                param, mode = "", int(model[1])
                self.names[mode], self.settings[mode] = model[2], {}
            elif line and not line.startswith(("#", "<")):
                key, _, value = line.rpartition(" ")
                if mode >= 0:
                    self.settings[mode][key] = value
                elif param:
                    self.files[f"{param} {key}"] = value


def tell(root: Path) -> str:
    """Name and id of the mode that holds."""
    mode = _mode(root)
    return f"NV Power Mode: {Modes((root / CONF).read_text('ascii')).names[mode]}\n{mode}\n"


def change(root: Path, asked: str) -> int:
    """Set a mode; the exit code."""
    modes, now = Modes((root / CONF).read_text("ascii")), _mode(root)
    if not asked.isdigit() or int(asked) not in modes.names:
        sys.stderr.write(f"NVPM ERROR: request for bad power mode {asked}\n")
        return REFUSED
    mode = int(asked)
    if modes.settings[mode].get(_MASK) != modes.settings[now].get(_MASK):
        sys.stdout.write(
            "NVPM WARN: Golden image context is already created\n"
            f"NVPM WARN: Reboot required for changing to this power mode: {mode}\n"
            "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:\n"
        )
        sys.stdout.flush()
        answer = sys.stdin.readline().strip()
        # A virtual board is started again by its switch, not from within, so that yes is refused too.
        sys.stderr.write("NVPM ERROR: bad input!\n" if not answer else "NVPM ERROR: cannot reboot\n")
        return REFUSED
    for key, value in modes.settings[mode].items():
        if key in modes.files:
            file = root / modes.files[key].lstrip("/")
            rates = (file.parent / "available_frequencies").read_text("ascii").split()
            file.write_text(f"{rates[-1] if value == _UNLIMITED else value}\n", "ascii")
    (root / STATUS).write_text(f"pmode:{mode:04d}\n", "ascii")
    return 0


def _mode(root: Path) -> int:
    return int((root / STATUS).read_text("ascii").partition(":")[2])


def main(arguments: list[str]) -> int:
    """Entry point of the program."""
    root = Path(arguments[0])
    if arguments[1:] == ["-q"]:
        sys.stdout.write(tell(root))
        return 0
    if arguments[1:2] == ["-m"] and len(arguments) == 3:
        return change(root, arguments[2])
    sys.stderr.write("NVPM ERROR: usage: nvpmodel -q | -m ID\n")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
