import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from drivers.virtual.network.tun import why_not
from drivers.virtual.transports import carrier as module
from drivers.virtual.transports import coding
from drivers.virtual.transports.carrier import virtual
from testbed.errors import ConfigError, LinkError
from testbed.model.carriage import CarrierSpec
from testbed.wire.jpeg import join
from testbed.wire.picture import encode

needs_root = pytest.mark.skipif(bool(why_not()), reason=f"no TUN devices here: {why_not()}")
SHAPE, SEGMENTS = encode(
    np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8), quality=85, interval=4
)
PICTURE = join(SHAPE, dict(enumerate(SEGMENTS)))


def make(tmp_path: Path, transport="lossy", network=None, **options):
    return virtual(
        CarrierSpec(
            name="one",
            transport=transport,
            clients=2,
            pictures=(PICTURE,),
            quality=85,
            options={"service_ms": 1.0, **options},
            network=network or {"up": {"delay_ms": 5.0}, "down": {"delay_ms": 5.0}},
            seed="1",
            file=tmp_path / "campaign.toml",
            state=tmp_path,
        )
    )


def test_what_is_not_known_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="transport"):
        make(tmp_path, "quic")
    with pytest.raises(ConfigError, match="live"):
        make(tmp_path, wait=3)
    with pytest.raises(ConfigError, match=r"live\.network"):
        make(tmp_path, network={"sideways": {}})


def test_without_root_or_code_it_says_why(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "why_not", lambda: "network namespaces need root")
    assert make(tmp_path).why_not == "network namespaces need root"
    monkeypatch.setattr(module, "why_not", lambda: "")
    monkeypatch.setattr(coding, "why_not", lambda: "no pyeclib")
    assert make(tmp_path, "fec").why_not == "no pyeclib"
    assert make(tmp_path, "tcp").why_not == ""


@needs_root
@pytest.mark.parametrize(
    "transport",
    ["lossy", "tcp", pytest.param("fec", marks=pytest.mark.skipif(bool(coding.why_not()), reason="no code"))],
)
async def test_pictures_go_there_and_answers_come_back(tmp_path, transport) -> None:
    carrier = make(tmp_path, transport)
    before = os.sched_getscheduler(0)
    loop = asyncio.get_running_loop()
    await carrier.open()
    try:
        began = loop.time()
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(carrier.carry(client, 1, 0) for client in (0, 1)))
        assert loop.time() - began >= 0.010
        assert [answer.lost_frac for answer in answers] == [0.0, 0.0]
        assert carrier.facts["congestion"]
    finally:
        await carrier.close()
    assert os.sched_getscheduler(0) == before
    assert carrier.counts["up"]["entered"] > 0
    assert carrier.counts["up"]["lost"] == 0


@needs_root
async def test_a_congestion_control_that_is_not_there_is_told(tmp_path) -> None:
    carrier = make(tmp_path, congestion="none-such")
    with pytest.raises(LinkError, match="far end"):
        await carrier.open()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
