"""With carriers of our own; over real networks: tests/experiments/test_02_lossy_edge.py."""

import asyncio
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from testbed.campaign.loss import live as loss_live
from testbed.campaign.loss.live import cells, pictures_of, play_live, transports
from testbed.campaign.loss.live_spec import Live
from testbed.campaign.loss.spec import LossStudy
from testbed.campaign.progress import Silent
from testbed.errors import ConfigError
from testbed.model.carriage import Carried
from testbed.wire.jpeg import split

LIVE = Live(
    requests=24, networks=2, clients=3, rate_hz=100.0, losses=(0.0, 0.05), pictures=3, mosaic=2, limit_s=0.3
)
STUDY = LossStudy(
    schema=1,
    kind="loss",
    name="few",
    frontends=("a",),
    backend="b",
    targets=(0.8,),
    buckets=(0.1,),
    live=LIVE,
)
IMAGES = list(np.random.default_rng(1).integers(0, 256, (5, 28, 28), dtype=np.uint8))


class Fake:
    """Answers after 5 ms; the lossy one never answers the last picture of a client."""

    made: list["Fake"] = []

    def __init__(self, spec):
        self.spec, self.why_not = spec, ""
        self.facts = {"congestion": spec.options["congestion"]}
        self.counts = {}
        self.carried = []
        self.is_open = False
        Fake.made.append(self)

    async def open(self):
        self.is_open = True

    async def carry(self, client, number, picture):
        assert self.is_open
        self.carried.append((client, number, picture))
        if self.spec.transport == "lossy" and number == LIVE.warm_up + LIVE.each - 1:
            await asyncio.Event().wait()
        await asyncio.sleep(0.005)
        return Carried(answered=time.monotonic_ns(), lost_frac=0.1, again=False)

    async def close(self):
        self.is_open = False
        self.counts = {way: {"entered": 100, "lost": 5, "dropped": 0} for way in ("up", "down")}


@pytest.fixture
def fakes(monkeypatch):
    Fake.made = []
    monkeypatch.setattr(loss_live, "_SETTLE_S", 0.05)
    monkeypatch.setattr(loss_live, "_builder", lambda *_: Fake)
    return Fake.made


def play(study=STUDY):
    return play_live(study, study.live, IMAGES, Path("campaign.toml"), Silent())


def test_all_transports_get_the_same_pictures_and_networks(fakes) -> None:
    played, why_not = play()
    assert why_not == ""
    assert [(one.pattern, one.loss) for one in played[::4]] == [
        ("none", 0.0),
        ("iid", 0.05),
        ("bursts", 0.05),
    ]
    assert [one.transport for one in played[:4]] == ["lossy", "fec", "tcp cubic", "tcp bbr"]
    seeds = {}
    for fake in fakes:
        if fake.carried:
            key = (fake.spec.seed, fake.spec.name[-1])
            seeds.setdefault(key, []).append(sorted(fake.carried))
    assert len(seeds) == 3 * 2  # kinds of loss, networks
    assert all(len(same) == 4 and same.count(same[0]) == 4 for same in seeds.values())
    assert not any(fake.is_open for fake in fakes)


def test_response_times_count_from_when_a_picture_was_due(fakes) -> None:
    lossy, fec, *_ = play()[0]
    assert fec.response_ms.shape == (6, 4)
    assert fec.response_ms.min() >= 5.0
    assert not fec.unanswered.any()
    assert lossy.unanswered.sum() == 6
    assert (lossy.response_ms[lossy.unanswered] == LIVE.limit_s * 1e3).all()
    assert lossy.counts["up"] == {"entered": 200, "lost": 10, "dropped": 0}


def test_a_transport_that_cannot_be_had_is_left_out(fakes, monkeypatch) -> None:
    class Without(Fake):
        def __init__(self, spec):
            super().__init__(spec)
            self.why_not = "no code" if spec.transport == "fec" else ""

    monkeypatch.setattr(loss_live, "_builder", lambda *_: Without)
    played, told = play()
    assert told == "no code"
    assert {one.transport for one in played} == {"lossy", "tcp cubic", "tcp bbr"}


def test_without_the_lossy_transport_nothing_is_played(fakes, monkeypatch) -> None:
    class Without(Fake):
        def __init__(self, spec):
            super().__init__(spec)
            self.why_not = "network namespaces need root"

    monkeypatch.setattr(loss_live, "_builder", lambda *_: Without)
    assert play() == ([], "network namespaces need root")
    assert not any(fake.carried for fake in fakes)


def test_an_unknown_carrier_is_named() -> None:
    study = msgspec.structs.replace(STUDY, live=msgspec.structs.replace(LIVE, carrier="pigeon"))
    with pytest.raises(ConfigError, match=r"live\.carrier"):
        play(study)


def test_pictures_are_mosaics_of_the_images() -> None:
    pictures = pictures_of(LIVE, IMAGES, 1)
    assert len(pictures) == 3
    shape, segments = split(pictures[0], LIVE.quality)
    assert (shape.width, shape.height) == (56, 56)
    assert len(segments) == shape.segments
    assert pictures_of(LIVE, IMAGES, 1) == pictures != pictures_of(LIVE, IMAGES, 2)


def test_without_loss_there_is_one_pattern() -> None:
    assert cells(STUDY, LIVE) == [("none", 0.0), ("iid", 0.05), ("bursts", 0.05)]
    assert transports(LIVE)[1] == ("fec", "fec", "cubic")
