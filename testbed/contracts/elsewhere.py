"""Has a policy decide at another time, and in interpreters where strings hash otherwise and clocks are elsewhere.

The order of a set of names, the time of day, and a clock that was imported by name show there and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

from testbed.units import Ns, S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from testbed.contracts.policy import PolicyContract

LIMIT_S = 60.0
_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
_ANOTHER_DAY: Ns = 100_000 * S
_MOST_STEP: Ns = 7_200 * S
_PLACES = (("1", "HERE+18"), ("12", "THERE-19"))
"""Hash seed and time zone of each interpreter. No two or three of the toy lab's names come in the same order with both
seeds (CPython 3.11 to 3.13). Between the zones lie a day and thirteen hours: another date, and the other half of a day.
"""


class Unreachable(Exception):  # noqa: N818 - it says how it is, and nothing failed
    """A contract that no other process can build, with the reason."""


@contextlib.contextmanager
def other_time() -> Iterator[None]:
    """Have the clocks of ``time`` tell another day, and at each look some time within two hours more than at the last.

    By chance, since even steps would show the same to who looks at every second event only. Reaches whoever asks
    ``time.monotonic()`` and its like, and who imports such a name while this holds; not ``datetime``.
    """
    steps = np.random.default_rng(1)
    now = time.time_ns() + _ANOTHER_DAY

    def look() -> Ns:
        nonlocal now
        now += int(steps.integers(1, _MOST_STEP))
        return now

    clocks: dict[str, Any] = {name: lambda: look() / S for name in _CLOCKS}
    clocks |= {f"{name}_ns": look for name in _CLOCKS}
    with mock.patch.multiple(time, **clocks):
        yield


def told_elsewhere(contract: type[PolicyContract]) -> list[dict[str, list[str]]]:
    """What its policy orders for each kind of stream, per interpreter; the second one is at another time.

    Raises:
        Unreachable: the class is not one that a file defines by name, or needs more than that file.
        AssertionError: the policy fails there, or is not through within a minute.
    """
    try:
        file = inspect.getfile(contract)
    except (TypeError, OSError):
        raise Unreachable(f"no file defines {contract.__qualname__}") from None
    if "<locals>" in contract.__qualname__:
        raise Unreachable(f"{contract.__qualname__} is defined inside a function")
    started = [_start(seed, zone, file, contract, number) for number, (seed, zone) in enumerate(_PLACES)]
    try:
        return [_heard(process) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _start(
    seed: str, zone: str, file: str, contract: type[PolicyContract], number: int
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from testbed.contracts.elsewhere import main; main()",
            file,
            contract.__module__,
            contract.__qualname__,
            str(number),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed, "TZ": zone},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _heard(process: subprocess.Popen[str]) -> dict[str, list[str]]:
    try:
        out, said = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"not through within {LIMIT_S:g} s in another process") from None
    if process.returncode:
        raise AssertionError(f"it fails in another process:\n{said[-4000:]}")
    answer: dict[str, Any] = json.loads(out.rpartition("\n")[2])  # whoever prints does so before
    if why := answer.get("why_not"):
        raise Unreachable(why)
    told: dict[str, list[str]] = answer["told"]
    return told


def main() -> None:
    """What is asked of the other interpreter: its answer is the last line."""
    file, module, name, number = sys.argv[1:]
    with other_time() if int(number) else contextlib.nullcontext():
        try:
            contract = _loaded(file, module, name)
            contract.make_policy()
        except Exception as error:  # noqa: BLE001 - whatever an author's file and fixtures may need
            answer: dict[str, Any] = {"why_not": f"no other process can build it: {error!r}"}
        else:
            answer = {"told": contract.told()}
    sys.stdout.write(f"\n{json.dumps(answer)}")


def _loaded(file: str, module: str, name: str) -> PolicyContract:
    """By its file, since a test's module need not be one that can be imported by name."""
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    spec.loader.exec_module(loaded)
    found: Any = loaded
    for part in name.split("."):
        found = getattr(found, part)
    contract: PolicyContract = found()
    return contract
