from pathlib import Path

import pytest

from drivers.virtual.network.options import NetworkOptions, WayOptions
from drivers.virtual.network.stream import StreamWay, refuse_loss
from testbed.errors import ConfigError
from testbed.model.losses import LossOptions


def test_a_stream_is_late_and_slow_and_counts_from_its_first_byte(tmp_path: Path) -> None:
    way = StreamWay(WayOptions(delay_ms=10, rate_mbit=8, queue_bytes=10), "1", tmp_path)
    assert way.exit_s(500.0, 1000) == pytest.approx(500.011)
    assert way.exit_s(500.0, 1000) == pytest.approx(500.012)  # never dropped, however small the queue


def test_losses_are_refused_and_not_forgotten(tmp_path: Path) -> None:
    options = NetworkOptions(down=WayOptions(loss=LossOptions(frac=0.01)))
    with pytest.raises(ConfigError, match=r"net\.down\.loss"):
        refuse_loss(options, file=tmp_path / "lab.toml", key="net")
    refuse_loss(NetworkOptions(), file=tmp_path / "lab.toml", key="net")
