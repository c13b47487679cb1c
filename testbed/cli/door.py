"""How a command ends: errors become one sentence and an exit code, never a traceback unless asked for."""

from __future__ import annotations

import enum
import signal
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed.cli.terminal import Terminal
from testbed.errors import ConfigError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Exit(enum.IntEnum):
    """What a caller of the program can tell from its exit code."""

    PASS = 0
    MISSED = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    TIMEOUT = 4
    INTERRUPTED = 130


class Ended(Exception):  # noqa: N818 - not an error: a command that ends with something to tell
    """A command has said what it had to say, and ends with this code."""

    def __init__(self, code: Exit) -> None:
        """Keep the code."""
        self.code = code
        super().__init__(code.name)


@contextmanager
def door(*, json: bool, debug: bool) -> Iterator[Terminal]:
    """Run a command's body; leave through `SystemExit` with the right code if anything goes wrong.

    Args:
        json: one JSON document on standard output, an error included.
        debug: also print the traceback of an error.
    """
    terminal = Terminal(json=json)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    # A shell starts the background jobs of a script with SIGINT ignored. Then an event loop would not take it over,
    # and what SIGTERM becomes would strike anywhere, with boards left as they were set. So it is never ignored here.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield terminal
    except Ended as ended:
        raise SystemExit(int(ended.code)) from None
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost frame: everything ends here
        if debug:
            terminal.note(traceback.format_exc().rstrip())
        cause = _cause(error)
        code = code_of(cause)
        if json and not terminal.emitted:
            terminal.emit({"schema": 1, "error": describe(cause)})
        terminal.error(sentence(cause))
        raise SystemExit(int(code)) from None
    finally:
        terminal.done()
        signal.signal(signal.SIGTERM, previous)
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def code_of(error: BaseException) -> Exit:
    """The exit code an error stands for."""
    match error:
        case ConfigError():
            return Exit.USAGE
        case TimeoutError():
            return Exit.TIMEOUT
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case _:
            return Exit.INFRASTRUCTURE


def sentence(error: BaseException) -> str:
    """One line for a person; what a board said of itself follows below it."""
    match error:
        case KeyboardInterrupt():
            return "interrupted; what was finished is saved"
        case TimeoutError():
            return str(error) or "timed out"
        case TestbedError():
            remote = getattr(error, "traceback", "")
            return f"{error}\n{remote.rstrip()}" if remote else str(error)
        case _:
            return f"{type(error).__name__}: {error}. This is a defect of testbed: --debug shows where it happened"


def describe(error: BaseException) -> dict[str, object]:
    """The same for a program: kind, message and whatever fields the error carries."""
    fields = {name: value for name, value in vars(error).items() if isinstance(value, str | int | float)}
    return {
        "kind": type(error).__name__,
        "message": sentence(error),
        **{k: v for k, v in fields.items() if v != ""},
    }


def _cause(error: BaseException) -> BaseException:
    """What really happened inside a group of errors: ours first, otherwise the first one."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_cause(inner) for inner in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, TestbedError)), leaves[0])


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """A polite kill is an interrupt: state is saved either way."""
    signal.raise_signal(signal.SIGINT)  # whoever runs an event loop has a handler that ends it in order
