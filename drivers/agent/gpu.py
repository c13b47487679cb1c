"""Power limit and clocks of NVIDIA GPUs, through the driver's own tool.

Sources: ``nvidia-smi --help`` and ``--help-query-gpu``: ``-pl WATTS`` sets the power limit, ``-lgc MIN,MAX`` [MHz]
locks the graphics clocks, ``-rgc`` unlocks them; ``power.limit`` [W] can be asked, a lock cannot. So what is put back
is the limit that was there, and *unlocked* clocks. All of it needs root. Written from the documentation; not yet run
on the hardware.
"""

from __future__ import annotations

import re
import shutil

from drivers.agent.settings import SettingError, output_of

POWER_LIMIT = "power-limit:"
CLOCKS = "gpu-clocks:"
UNLOCKED = "unlocked"
_SECONDS = 20.0


class GpuKnobs:
    """``power-limit:INDEX`` in watts and ``gpu-clocks:INDEX`` as ``MIN:MAX`` in MHz or ``unlocked``."""

    def __init__(self, tool: str = "nvidia-smi") -> None:
        """``tool`` is found on PATH; without it there are no such settings."""
        self._tool = tool
        self._locked: dict[str, str] = {}

    def names(self) -> list[str]:
        """Two for each GPU that the driver lists."""
        if shutil.which(self._tool) is None:
            return []
        try:
            listed = output_of([self._tool, "--query-gpu=index", "--format=csv,noheader"], _SECONDS)
        except SettingError:
            return []
        indexes = [line.strip() for line in listed.splitlines() if line.strip().isdigit()]
        return [kind + index for index in indexes for kind in (POWER_LIMIT, CLOCKS)]

    def owns(self, name: str) -> bool:
        """Whether such a setting is one of these, there or not."""
        return name.startswith((POWER_LIMIT, CLOCKS))

    def touches(self, name: str) -> list[str]:
        """Nothing else."""
        return []

    def read(self, name: str) -> str:
        """Watts, or the lock that this agent set: the driver does not tell of one.

        Raises:
            SettingError: no such GPU, or the tool fails.
        """
        index = _index(name)
        if name.startswith(CLOCKS):
            return self._locked.get(name, UNLOCKED)
        query = [self._tool, "-i", index, "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
        told = output_of(query, _SECONDS).strip()
        if not re.fullmatch(r"\d+(\.\d+)?", told):
            raise SettingError(f"the driver tells no power limit: {told[:80]!r}")
        return told

    def write(self, name: str, value: str) -> None:
        """Set one.

        Raises:
            SettingError: no such GPU, a malformed value, or the driver refused it.
        """
        index = _index(name)
        if name.startswith(POWER_LIMIT):
            if not re.fullmatch(r"\d{1,5}(\.\d+)?", value):
                raise SettingError(f"a power limit is a number of watts, not {value!r}")
            output_of([self._tool, "-i", index, "-pl", value], _SECONDS)
        elif value == UNLOCKED:
            output_of([self._tool, "-i", index, "-rgc"], _SECONDS)
            self._locked.pop(name, None)
        else:
            span = re.fullmatch(r"(\d{1,5}):(\d{1,5})", value)
            if span is None or int(span.group(1)) > int(span.group(2)):
                raise SettingError(f"clocks are locked by MIN:MAX in MHz, not by {value!r}")
            output_of([self._tool, "-i", index, "-lgc", f"{span.group(1)},{span.group(2)}"], _SECONDS)
            self._locked[name] = value


def _index(name: str) -> str:
    index = name.rpartition(":")[2]
    if not index.isdigit():
        raise SettingError(f"this board has no setting {name!r}")
    return index
