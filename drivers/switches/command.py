"""Any command that switches power, as a list of arguments: ``uhubctl``, a relay's tool, a smart plug's client.

No shell: the arguments go to the program as they stand. The program's exit code is believed: 0 is done.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.errors import ConfigError, MeterError
from testbed.model.lab import parse_options

if TYPE_CHECKING:
    from testbed.model.lab import SwitchSpec
    from testbed.ports import PowerSwitch

_SAID_CHARS = 300
_END_SECONDS = 5.0


class CommandOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``kind = "command"`` switch.

    Attributes:
        on, off: program and arguments. cycle: one that does both; without it, off, ``off_s`` and on.
        timeout_s: bound on each; a program that takes longer is killed with all it started.
        off_s: how long a cycle stays off, for the board's supply to run dry.
    """

    on: tuple[str, ...]
    off: tuple[str, ...]
    cycle: tuple[str, ...] = ()
    timeout_s: float = 20.0
    off_s: float = 5.0


def command(spec: SwitchSpec) -> PowerSwitch:
    """The switch of a ``kind = "command"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    key = f"switches.{spec.name}"
    options = parse_options(spec.options, CommandOptions, file=spec.file, key=key)
    for name in ("on", "off"):
        if not getattr(options, name):
            cure = 'Write program and arguments, e.g. ["uhubctl", "-l", "1-1", "-p", "2", "-a", "on"]'
            raise ConfigError("no program", file=spec.file, key=f"{key}.{name}", cure=cure)
    for name in ("on", "off", "cycle"):
        program = next(iter(getattr(options, name)), "")
        # Found out now, and not in the night when a board has to be started again.
        if program and shutil.which(program) is None:
            cure = "Install it, or give its path"
            text = f"there is no program {program!r} on this host"
            raise ConfigError(text, file=spec.file, key=f"{key}.{name}", cure=cure)
    if options.timeout_s <= 0:
        raise ConfigError("must be positive", file=spec.file, key=f"{key}.timeout_s")
    return CommandSwitch(spec.name, options)


class CommandSwitch:
    """Runs one program at a time."""

    def __init__(self, name: str, options: CommandOptions) -> None:
        """Nothing runs before the first order."""
        self._name = name
        self._options = options
        self._turn = asyncio.Lock()

    async def on(self) -> None:
        """Power on.

        Raises:
            MeterError: the program fails, or takes too long.
        """
        await self._run(self._options.on)

    async def off(self) -> None:
        """Power off.

        Raises:
            MeterError: the program fails, or takes too long.
        """
        await self._run(self._options.off)

    async def cycle(self) -> None:
        """Off and on again.

        Raises:
            MeterError: the program fails, or takes too long.
        """
        if self._options.cycle:
            await self._run(self._options.cycle)
            return
        await self.off()
        try:
            await asyncio.sleep(self._options.off_s)
        finally:
            await self.on()  # also where somebody lost patience meanwhile: a board is not left without power

    async def _run(self, argv: tuple[str, ...]) -> None:
        async with self._turn:
            try:
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                cure = "Install the program, or correct the lab file"
                raise MeterError(
                    f"switch {self._name}: {argv[0]} does not run: {error}", cure=cure
                ) from error
            said = None
            try:
                async with asyncio.timeout(self._options.timeout_s):
                    said, _ = await process.communicate()
            except TimeoutError as error:
                text = f"switch {self._name}: {argv[0]} took longer than {self._options.timeout_s:g} s"
                raise MeterError(text) from error
            finally:
                if said is None:
                    await _end(process)
        if process.returncode:
            told = said.decode("utf-8", "replace").strip()[-_SAID_CHARS:]
            raise MeterError(f"switch {self._name}: {argv[0]} ended with {process.returncode}: {told}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of a program and of what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        process.kill()
    await asyncio.wait_for(process.wait(), _END_SECONDS)
