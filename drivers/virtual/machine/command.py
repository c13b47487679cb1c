"""The few commands that a virtual board's shell understands, parsed into argument lists; nothing goes to a shell."""

from __future__ import annotations

import hashlib
import platform
import posixpath
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from drivers.virtual.machine.config import HOME

if TYPE_CHECKING:
    from collections.abc import Sequence


_VERSION_ASKED = re.compile(r"import sys; *print\('%d\.%d\.%d' % sys\.version_info\[:3\]\)")


class Agent(Struct, frozen=True):
    """Run a deployed program."""

    program: Path
    arguments: tuple[str, ...]


class Reply(Struct, frozen=True):
    """Answer at once: output, errors and exit code."""

    output: str = ""
    errors: str = ""
    code: int = 0


def locate(root: Path, path: str) -> Path:
    """Where a path of the board lies: relative ones and ``~`` below its home; nothing leads out of its root."""
    if path in ("~", "$HOME") or path.startswith(("~/", "$HOME/")):
        path = path.partition("/")[2] or "."
    inside = posixpath.normpath(posixpath.join("/", HOME, path))
    return root / inside.lstrip("/")


def interpret(root: Path, line: str) -> Agent | Reply:
    """What a command line asks of the board.

    Understands ``python3 PROGRAM.pyz ...``, two questions for the version, ``sha256sum``, ``cat``, ``head -n``,
    ``mkdir -p``, ``rm -f``, ``mv -f``, ``echo``, ``true`` and ``uname``, alone or behind ``exec``; anything else is
    refused with code 127.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        return Reply(errors=f"sh: {error}\n", code=2)
    if words[:1] == ["exec"]:
        words = words[1:]
    if not words:
        return Reply()
    name, rest = posixpath.basename(words[0]), words[1:]
    while rest[:1] == ["-u"] and name.startswith("python3"):
        rest = rest[1:]
    if name.startswith("python3") and rest:
        if rest[0] == "-c" and _VERSION_ASKED.fullmatch(" ".join(rest[1:])):
            return Reply(f"{platform.python_version()}\n")
        if rest[0] in ("--version", "-V"):
            return Reply(f"Python {platform.python_version()}\n")
        if rest[0].endswith(".pyz"):
            return Agent(locate(root, rest[0]), tuple(_inside(root, rest[1:])))
    answer = _SIMPLE.get(name)
    if answer is None:
        return Reply(errors=f"sh: {line!r}: the virtual board knows no such command\n", code=127)
    try:
        if name == "head" and rest[:1] == ["-n"] and rest[1:2]:
            return _head(root, rest[1], rest[2:])
        return answer(root, [word for word in rest if not word.startswith("-")])
    except OSError as error:
        return Reply(errors=f"{name}: {error.strerror}: {error.filename}\n", code=1)


def _inside(root: Path, arguments: Sequence[str]) -> list[str]:
    """Options that name a place on the board, told where it really lies."""
    told: list[str] = []
    for before, word in zip(("", *arguments), arguments, strict=False):
        place = before in ("--state", "--tty") or word.startswith(("~/", "$HOME/"))
        told.append(str(locate(root, word)) if place else word)
    return told


def _hash(root: Path, words: Sequence[str]) -> Reply:
    return Reply("".join(f"{hashlib.sha256(locate(root, w).read_bytes()).hexdigest()}  {w}\n" for w in words))


def _cat(root: Path, words: Sequence[str]) -> Reply:
    return Reply("".join(locate(root, word).read_text(encoding="utf-8") for word in words))


def _head(root: Path, count: str, words: Sequence[str]) -> Reply:
    if not count.isdigit():
        return Reply(errors=f"head: invalid number of lines: {count!r}\n", code=1)
    lines = [
        line for word in words for line in _cat(root, [word]).output.splitlines(keepends=True)[: int(count)]
    ]
    return Reply("".join(lines))


def _first(root: Path, words: Sequence[str]) -> Reply:
    return _head(root, "10", words)


def _mkdir(root: Path, words: Sequence[str]) -> Reply:
    for word in words:
        locate(root, word).mkdir(parents=True, exist_ok=True)
    return Reply()


def _remove(root: Path, words: Sequence[str]) -> Reply:
    for word in words:
        locate(root, word).unlink(missing_ok=True)
    return Reply()


def _move(root: Path, words: Sequence[str]) -> Reply:
    if len(words) != 2:
        return Reply(errors="mv: two paths wanted\n", code=1)
    locate(root, words[0]).replace(locate(root, words[1]))
    return Reply()


def _echo(root: Path, words: Sequence[str]) -> Reply:
    return Reply(" ".join(words) + "\n")


def _true(root: Path, words: Sequence[str]) -> Reply:
    return Reply()


def _uname(root: Path, words: Sequence[str]) -> Reply:
    return Reply(f"Linux {platform.machine()}\n")


_SIMPLE = {
    "sha256sum": _hash,
    "cat": _cat,
    "head": _first,
    "mkdir": _mkdir,
    "rm": _remove,
    "mv": _move,
    "echo": _echo,
    "true": _true,
    "uname": _uname,
}
