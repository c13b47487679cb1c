"""A pattern is played on boards with a meter beside them, and tells what the meter's stamps are late by."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from testbed.campaign import pattern
from testbed.campaign.pattern import Played, align_meters, beside, play_patterns, slot_of
from testbed.errors import BoardError
from testbed.measure.align import slots
from testbed.measure.clocksync import COORDINATOR
from testbed.model.meter import MeterTraits
from testbed.model.record import ClockProbe, PowerSamples
from testbed.units import MS, S
from tests.testbed.store.synthetic import facts

BENCH = MeterTraits(quantity="average", period_ns=50 * MS, window_ns=50 * MS)
JETSON = msgspec.structs.replace(facts("jetson"), meters={"wall": BENCH})
AHEAD = 3 * S
"""The board's clock is so much ahead."""


def bench(execute, models=("small", "big"), broken=False):
    def service(ms):
        return SimpleNamespace(service=(SimpleNamespace(ms=(ms,)),))

    async def restore():
        if broken:
            raise BoardError("does not load", board="jetson")

    known = {"small": service(1.0), "big": service(9.0)}
    return SimpleNamespace(
        lab=SimpleNamespace(meters={"wall": (SimpleNamespace(feeds="jetson"), {})}),
        inventory=SimpleNamespace(
            facts={"jetson": JETSON},
            specs={"jetson": SimpleNamespace(models=models, resident=None)},
            execute=execute,
            restore=restore,
        ),
        profiles=SimpleNamespace(find=lambda board, model: known.get(model)),
        data=SimpleNamespace(
            of=lambda model: SimpleNamespace(images=[0] * 7, inputs=lambda samples: samples)
        ),
    )


def test_a_slot_is_two_values_of_the_slowest_meter_and_never_in_step_with_it():
    assert slot_of(JETSON, ["wall"]) == 250 * MS + 50 * MS * 382 // 1000
    slow = msgspec.structs.replace(BENCH, window_ns=S)
    known = msgspec.structs.replace(JETSON, meters={"wall": slow, "other": BENCH})
    assert slot_of(known, ["wall", "other"]) == 2 * S + 382 * MS
    slower = msgspec.structs.replace(BENCH, period_ns=5 * S)
    assert "too slow" in slot_of(msgspec.structs.replace(JETSON, meters={"wall": slower}), ["wall"])
    assert slot_of(JETSON, ["unknown"]) == 250 * MS


@pytest.fixture
def hurried(monkeypatch):
    """Time that passes only by sleeping and executing."""
    clock = SimpleNamespace(now=1_000 * S)

    async def sleep(seconds):
        clock.now += round(seconds * S)

    monkeypatch.setattr(pattern, "time", SimpleNamespace(monotonic_ns=lambda: clock.now))
    monkeypatch.setattr(pattern, "asyncio", SimpleNamespace(sleep=sleep, gather=asyncio.gather))
    return clock


async def test_the_heaviest_model_executes_in_the_slots_that_are_on(hurried):
    asked = []

    async def execute(board, model, payload, samples):
        asked.append((board, model))
        start = hurried.now
        hurried.now += 10 * MS
        return SimpleNamespace(boot=1, execution=SimpleNamespace(started=start, finished=hurried.now))

    begun = hurried.now
    made = bench(execute)
    assert beside(made) == {"jetson": ("wall",)}
    (played,) = await play_patterns(made)
    assert set(asked) == {("jetson", "big")}
    assert played.reason == ""
    slot = slot_of(JETSON, ["wall"])
    on = {(start - begun) // slot for _, start, _ in played.spans}
    assert on == {place for place, is_on in enumerate(slots()) if is_on}


async def test_a_board_that_fails_or_has_nothing_to_execute_is_told_not_raised(hurried):
    async def execute(*_):
        raise BoardError("out of memory", board="jetson")

    (broken,) = await play_patterns(bench(execute))
    assert "out of memory" in broken.reason
    (unloaded,) = await play_patterns(bench(execute, broken=True))
    assert "does not load" in unloaded.reason
    (empty,) = await play_patterns(bench(execute, models=()))
    assert "no model" in empty.reason
    (told,) = align_meters([empty], {"jetson": ("wall",)}, {"jetson": JETSON}, [], [])
    assert (told.offset, told.reason) == (None, empty.reason)


def heard(late, seed=1):
    """A pattern as played, what a meter said whose stamps are late, and the board's clock."""
    rng = np.random.default_rng(seed)
    slot, begun = 270 * MS, 1_000 * S
    spans = [
        (at, at + 9 * MS)
        for place, on in enumerate(slots())
        if on
        for at in range(begun + place * slot, begun + (place + 1) * slot, 10 * MS)
    ]
    t = np.arange(begun - 3 * S, begun + 15 * slot + 3 * S, 50 * MS) + 7 * MS
    edges = np.array(spans)
    inside = np.clip(
        np.minimum(t[:, None], edges[:, 1]) - np.maximum(t[:, None] - 50 * MS, edges[:, 0]), 0, None
    )
    watts = 4 + 5 * inside.sum(axis=1) / (50 * MS) + rng.normal(0, 0.02, t.size)
    block = PowerSamples(
        board="jetson", boot=COORDINATOR, meter="wall", rails=("in",), total=("in",),
        t=tuple((t + late).tolist()), power_w=tuple(watts.tolist()), origin="emulated",
    )  # fmt: skip
    probes = [
        ClockProbe(
            board="jetson", boot=2, t0=at, t1=at + AHEAD + MS // 10, t2=at + AHEAD + MS // 10, t3=at + MS // 5
        )
        for at in (begun - S, begun + 8 * S)
    ]
    played = Played(board="jetson", at=begun, spans=tuple((2, a + AHEAD, b + AHEAD) for a, b in spans))
    return played, block, probes


def test_stamps_that_are_late_are_found_out():
    played, block, probes = heard(83 * MS)
    (told,) = align_meters([played], {"jetson": ("wall",)}, {"jetson": JETSON}, [block], probes)
    assert (told.board, told.meter, told.reason) == ("jetson", "wall", "")
    assert abs(told.offset - 83 * MS) <= 3 * told.error
    assert told.error < 10 * MS


def test_without_samples_or_probes_it_says_so():
    played, block, probes = heard(0)
    meters, known = {"jetson": ("wall",)}, {"jetson": JETSON}
    assert align_meters([played], meters, known, [], probes)[0].reason == "no power samples"
    assert "never probed" in align_meters([played], meters, known, [block], [])[0].reason
