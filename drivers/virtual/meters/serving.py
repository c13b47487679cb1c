"""What virtual instruments answer on: a loopback socket or a pseudo-terminal; each line gets an answer, or none."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

_LOOK_S = 0.05
_PIECE = 1 << 12


class TcpServing:
    """One client at a time on a port of its own choice; away while muted."""

    def __init__(self, answer: Callable[[str], Iterable[str]], *, end: str = "\n") -> None:
        """Listen; ``answer`` gives the lines that answer a line, and is called from a thread of ours."""
        self._answer = answer
        self._end = end
        self._muted = threading.Event()
        self._stop = threading.Event()
        self._socket = self._listen(0)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="instrument", daemon=True)
        self._thread.start()

    def __enter__(self) -> TcpServing:
        """It is listening already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up for good."""
        self._stop.set()
        self._thread.join(5.0)
        self._socket.close()

    @property
    def where(self) -> str:
        """As the lab file names it."""
        return f"tcp://127.0.0.1:{self.port}"

    def mute(self) -> None:
        """Hang up, and let nobody in."""
        self._muted.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # or else whoever waits in accept keeps it open
        self._socket.close()

    def mend(self) -> None:
        """Let clients in again."""
        if self._muted.is_set():
            self._socket = self._listen(self.port)
            self._muted.clear()

    def _listen(self, port: int) -> socket.socket:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(1)
        listening.settimeout(_LOOK_S)
        return listening

    def _serve(self) -> None:
        while not self._stop.is_set():
            if self._muted.is_set():
                self._stop.wait(_LOOK_S)
                continue
            try:
                client, _ = self._socket.accept()
            except OSError:  # nobody yet, or muted meanwhile
                continue
            with client:
                self._converse(client)

    def _converse(self, client: socket.socket) -> None:
        buffer = b""
        while not (self._stop.is_set() or self._muted.is_set()):
            if not select.select([client], [], [], _LOOK_S)[0]:
                continue
            try:
                data = client.recv(_PIECE)
                if not data:
                    return
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    for text in self._answer(line.decode("ascii", "replace").strip()):
                        client.sendall((text + self._end).encode("ascii"))
            except OSError:
                return


class PtyServing:
    """A serial port; what is sent to it is answered, and ``say`` sends unasked. Gone while muted."""

    def __init__(self, port: Path, answer: Callable[[str], Iterable[str]] = lambda _: ()) -> None:
        """Publish the terminal as ``port``."""
        self.port = port
        self._answer = answer
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._master = -1
        self._slave = -1
        self.mend()
        self._thread = threading.Thread(target=self._serve, name="instrument", daemon=True)
        self._thread.start()

    def __enter__(self) -> PtyServing:
        """It is there already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it away for good."""
        self._stop.set()
        self._thread.join(5.0)
        self.mute()

    @property
    def where(self) -> str:
        """As the lab file names it."""
        return f"serial://{self.port}"

    def say(self, text: str) -> None:
        """Send a line, unless nobody reads and the terminal is full."""
        with self._guard:
            if self._master >= 0:
                try:
                    os.write(self._master, text.encode("ascii"))
                except BlockingIOError:
                    return  # as a UART without a reader: lost

    def mute(self) -> None:
        """Pull the plug."""
        with self._guard:
            if self._master >= 0:
                self.port.unlink(missing_ok=True)
                os.close(self._master)
                os.close(self._slave)
                self._master = self._slave = -1

    def mend(self) -> None:
        """Plug it in again."""
        with self._guard:
            if self._master >= 0:
                return
            self._master, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.port.parent.mkdir(parents=True, exist_ok=True)
            self.port.unlink(missing_ok=True)
            self.port.symlink_to(os.ttyname(self._slave))

    def _serve(self) -> None:
        buffer = b""
        while not self._stop.is_set():
            with self._guard:
                data = b""
                if self._master >= 0 and select.select([self._master], [], [], 0)[0]:
                    data = os.read(self._master, _PIECE)
            if not data:
                self._stop.wait(0.001)
                continue
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                for text in self._answer(line.decode("ascii", "replace").strip()):
                    self.say(text + "\n")
