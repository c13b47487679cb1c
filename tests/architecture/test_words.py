"""One word for one thing: what the glossary bans does not come back as a name, and no path of one machine stays."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.architecture.test_tree import FILES, MODULES, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Word in a name: what to say instead. Only words that cannot be right in a name of ours are here; `target`, `node`
# or `command` have uses of their own (an accuracy target, an ONNX node, a command line).
BANNED = {
    "master": "coordinator",
    "daemon": "agent",
    "worker": "say what it does",
    "manager": "say what it does",
    "helper": "say what it does",
    "util": "say what it does",
    "utils": "say what it does",
    "misc": "say what it holds",
    "latency": "queueing, transfer, service or response time",
    "fallback": "escalation, or say what happens",
    "sweep": "campaign",
    "job": "request",
    "query": "request",
    "hyperparameter": "factor",
}

# (module, name): why it has to be called so.
ALLOWED = {
    (
        "drivers/agent/executor.py",
        "_Job",
    ): "an execution that waits on the board, where there are no requests",
}

TEXT = {".py", ".md", ".toml", ".txt", ".lock", ".cfg", ".yaml", ".yml", ".json", ""}
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(?:root|home/(?!testbed\b)\w+|Users/\w+|work/(?:main|shared)|tmp/venv)\b"
)


def names(tree: ast.AST) -> Iterator[str]:
    """What a module defines: classes, functions, arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg


def words(name: str) -> list[str]:
    """``pingLatency_ms`` -> ping, latency, ms."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def test_words_are_split():
    assert words("HTTPServer_fallbackNode2") == ["http", "server", "fallback", "node", "2"]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_banned_word_in_a_name(module: Path):
    where = str(module.relative_to(ROOT))
    found = []
    for name in [module.stem, *names(ast.parse(module.read_text("utf-8")))]:
        for word in words(name):
            if word in BANNED and (where, name) not in ALLOWED:
                found.append(f"{name}: not {word!r} but {BANNED[word]}")
    assert not found, "; ".join(found)


def test_no_path_of_one_machine():
    found = []
    for file in FILES:
        if (
            file.suffix not in TEXT
            or file.stat().st_size > 1_000_000
            or file == ROOT / "tests/architecture/test_words.py"
        ):
            continue
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(ROOT)}: {m[0]}" for m in MACHINE_PATH.finditer(text)]
    assert not found


def test_the_path_pattern_finds_paths():
    assert MACHINE_PATH.search("see /home/ann/lab")
    assert not MACHINE_PATH.search("https://example.org/home/ann")
