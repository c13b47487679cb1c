"""Files that look like a kernel's sensors; a chip that goes away leaves them empty for who has them open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class SysfsTree:
    """Numbers in files below a root.

    They are plain files: what a real chip does between being asked and answering (waiting for a conversion, ENODATA)
    is not shown.
    """

    def __init__(self, root: Path, files: Mapping[str, object]) -> None:
        """Write them all."""
        self.root = root
        self._shown: dict[str, str] = {}
        self._gone = False
        for name, value in files.items():
            self.put(name, value)

    def put(self, name: str, value: object) -> None:
        """Show a value, in one piece for whoever reads at the same time."""
        self._shown[name] = f"{value}\n"
        if not self._gone:
            self._write(name)

    def disturb(self, name: str, text: str) -> None:
        """Show a text until the next ``put`` or ``restore``."""
        self._file(name).write_text(text, "ascii")

    def hide(self) -> None:
        """Take the whole tree away."""
        self._gone = True
        for name in self._shown:
            file = self._file(name)
            if file.exists():
                file.write_text("")
                file.unlink()

    def restore(self) -> None:
        """Bring everything back as it was last shown."""
        self._gone = False
        for name in self._shown:
            self._write(name)

    def _write(self, name: str) -> None:
        file = self._file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        text = self._shown[name]
        if not file.exists():
            file.write_text(text, "ascii")
            return
        with file.open("r+", encoding="ascii") as open_file:
            before = len(open_file.read())
            open_file.seek(0)
            open_file.write(text)
            if len(text) < before:
                open_file.truncate()

    def _file(self, name: str) -> Path:
        return self.root / name
