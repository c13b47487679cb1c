from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
PROGRAM = """
import asyncio
from drivers.virtual.machine.orders import announce, obey
heard = []
async def keep(word):
    heard.append(word)
async def fail():
    raise ValueError("no")
announce({"ready": True})
asyncio.run(obey({"keep": keep, "fail": fail}))
announce({"heard": heard})
"""


def test_orders_are_answered_in_turn_until_the_input_ends() -> None:
    orders = [{"do": "keep", "word": "a"}, {"do": "fail"}, {"do": "what"}, {"do": "keep", "word": "b"}]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="".join(json.dumps(order) + "\n" for order in orders),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"ready": True},
        {"done": "keep"},
        {"done": "fail", "error": "ValueError: no"},
        {"done": "what", "error": "unknown order; known: ['fail', 'keep']"},
        {"done": "keep"},
        {"heard": ["a", "b"]},
    ]
