import sys
from pathlib import Path

import pytest

from drivers.virtual.child import Child

TALKER = """
import json, sys
print(json.dumps({"hello": 1}), flush=True)
for line in sys.stdin:
    print(json.dumps({"heard": json.loads(line)}), flush=True)
print(json.dumps({"bye": 1}), flush=True)
"""


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


async def test_it_announces_itself_answers_and_says_its_last_words(tmp_path: Path) -> None:
    child = Child(tmp_path / "log")
    assert not child.running
    assert await child.start(python(TALKER), 20) == {"hello": 1}
    assert child.running
    child.say({"do": "this"})
    assert await child.hear() == {"heard": {"do": "this"}}
    assert await child.stop(20, last_words=True) == {"bye": 1}
    assert not child.running
    assert await child.stop(20) == {}
    with pytest.raises(EOFError):
        child.say({})
    with pytest.raises(EOFError):
        await child.hear()


async def test_one_that_ends_at_once_leaves_its_reason_in_the_log(tmp_path: Path) -> None:
    child = Child(tmp_path / "log")
    with pytest.raises(EOFError):
        await child.start(python("raise SystemExit('no luck')"), 20)
    assert not child.running
    assert "no luck" in child.last_lines()


async def test_one_that_never_speaks_is_ended(tmp_path: Path) -> None:
    child = Child(tmp_path / "log")
    with pytest.raises(TimeoutError):
        await child.start(python("import time; time.sleep(600)"), 0.3)
    assert not child.running
    assert Child(tmp_path / "other").last_lines() == ""
