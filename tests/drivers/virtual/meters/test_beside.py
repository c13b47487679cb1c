from __future__ import annotations

from pathlib import Path

import pytest

from drivers.virtual.machine.power import FOLDER
from drivers.virtual.meters.beside import virtual_supply
from testbed.contracts.board import Listener
from testbed.errors import ConfigError
from testbed.model.lab import MeterSpec


def spec(folder: Path, **options) -> MeterSpec:
    return MeterSpec(
        name="psu",
        kind="virtual-supply",
        feeds="jetson",
        options=options,
        file=Path("lab.toml"),
        state=folder,
    )


async def test_it_shows_the_board_s_input_over_the_losses_before_it(tmp_path: Path) -> None:
    rail = tmp_path / "jetson/jetson/root" / FOLDER
    rail.mkdir(parents=True)
    (rail / "in1_input").write_text("5000\n")
    (rail / "curr1_input").write_text("1600\n")
    meter, heard = virtual_supply(spec(tmp_path, efficiency=0.8, period_ms=5)), Listener()
    await meter.open(heard)
    await heard.until(lambda: bool(heard.events), 10)
    (rail / "curr1_input").write_text("800\n")
    await heard.until(lambda: any(5.0 in [round(w, 6) for w in block.power_w] for block in heard.events), 10)
    await meter.close()
    assert heard.events[0].power_w[0] == pytest.approx(10.0)  # from the first sample on
    assert {block.origin for block in heard.events} == {"emulated"}
    assert {block.board for block in heard.events} == {"jetson"}
    assert meter.about["identity"] == "Testbed,Virtual Supply,0,1.0"


@pytest.mark.parametrize("value", [0.0, 1.2])
def test_an_efficiency_that_cannot_be(tmp_path: Path, value: float) -> None:
    with pytest.raises(ConfigError) as caught:
        virtual_supply(spec(tmp_path, efficiency=value))
    assert caught.value.key == "meters.psu.efficiency"
