"""What a person sees: tables on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


STDOUT, STDERR = 1, 2


class Terminal:
    """Standard output and standard error, and the progress bar between them.

    Rich is imported at first use; it honours ``NO_COLOR`` and leaves colours out where there is no terminal.

    Attributes:
        json: exactly one JSON document is to appear on standard output.
        emitted: it has.
    """

    def __init__(self, *, json: bool) -> None:
        """Nothing is written yet."""
        self.json = json
        self.emitted = False
        self._err: Console | None = None
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def emit(self, document: Any) -> None:  # noqa: ANN401 - whatever msgspec encodes
        """Write the JSON document.

        Raises:
            RuntimeError: there already was one.
        """
        import msgspec

        if self.emitted:
            raise RuntimeError("a command emits one JSON document")
        self.emitted = True
        text = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2)
        self.write(text.decode() + "\n")

    def write(self, text: str) -> None:
        """Write text to standard output as it stands."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            _nobody_reads(STDOUT)

    def show(self, *parts: RenderableType) -> None:
        """Write the answer of a command; where a JSON document is wanted, this text is left out."""
        if self.json:
            return
        # Without a terminal tables must not be squeezed into 80 columns: somebody reads them in a log.
        width = None if sys.stdout.isatty() else 160
        out = _console(STDOUT, width=width, highlight=False)
        for part in parts:
            out.print(part, soft_wrap=isinstance(part, str))

    def head(self, text: str) -> None:
        """Write the title of what follows."""
        if self.json:
            return
        from rich.text import Text

        self.show(Text(f"\n{text}\n", style="bold underline"))

    def note(self, text: str) -> None:
        """Write a line on standard error."""
        self._console().print(text, markup=False, highlight=False, soft_wrap=True)

    def error(self, text: str) -> None:
        """Write why a command failed on standard error."""
        from rich.text import Text

        self.done()
        self._console().print(Text("error: ", style="bold red") + Text(text), highlight=False, soft_wrap=True)

    def start(self, label: str, total: int) -> None:
        """Begin a bar of ``total`` parts; without a terminal, say so in one line."""
        self.done()
        console = self._console()
        if not console.is_terminal:
            self.note(label)
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=console)
        self._bars.start()
        self._task = self._bars.add_task(label, total=total)

    def advance(self, n: int = 1) -> None:
        """So many parts more are done."""
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, n)

    def done(self) -> None:
        """End the bar, if there is one."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._task = None

    def _console(self) -> Console:
        if self._err is None:
            self._err = _console(STDERR)
        return self._err


def _nobody_reads(stream: int) -> None:
    """Whoever read this stream has left (``testbed report DIR | head``): go on in silence, the exit code stays true."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream)
    os.close(devnull)


def _console(stream: int, **named: Any) -> Console:  # noqa: ANN401 - what rich's takes
    """Rich's console on standard output (1) or standard error (2)."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(
            self,
        ) -> None:  # rich would leave the program, with the code that says a limit was missed
            self.quiet = True
            _nobody_reads(stream)

    return Pipe(stderr=stream == STDERR, **named)
