"""Arguments that typer cannot read by itself."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


def either(place: str | None, named: str | None, key: str) -> str:
    """One word that may stand in its place or behind its name.

    Raises:
        ConfigError: neither or both, and not the same.
    """
    if place and named and place != named:
        raise ConfigError(f"{place!r} and {named!r}", key=key, cure="Give one of them")
    given = place or named
    if not given:
        raise ConfigError("is missing", key=key, cure="Run: testbed profile BOARD MODEL")
    return given


def numbers(words: Sequence[str], key: str) -> tuple[int, ...]:
    """Whole numbers from 1, separated by commas or given several times; sorted, each once.

    Raises:
        ConfigError: something else.
    """
    found = set()
    for word in (part.strip() for text in words for part in text.split(",")):
        if not word.isdecimal() or int(word) < 1:
            raise ConfigError(f"{word!r} is no number from 1", key=key, cure="Give e.g. 1,2,4")
        found.add(int(word))
    return tuple(sorted(found))


def again(option: str) -> str:
    """The command that this process was started with, as a shell takes it, with an option that may be there already."""
    given = sys.argv[1:]
    return shlex.join(["testbed", *given, *([] if option in given else [option])])
