from __future__ import annotations

import time

import pytest

from drivers.virtual.meters.scpi import VirtualSupply
from drivers.virtual.meters.serving import TcpServing
from testbed.blocking import BlockingLab
from testbed.errors import ConfigError, MeterError

LAB = """
schema = 1
name = "one"
[boards.here]
kind = "local"
site = "edge"
models = ["cnn-tiny", "resnet8-ee"]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocking")
    (folder / "lab.toml").write_text(LAB)
    with BlockingLab(folder / "lab.toml", state=folder / "state") as opened:
        yield opened


def test_a_batch_is_answered_right_most_of_the_time(lab):
    answers = lab.board("here").infer(lab.images[:50])
    right = sum(a == b for a, b in zip(answers.labels, lab.labels[:50], strict=True))
    assert right >= 35
    assert all(0 < confidence <= 1 for confidence in answers.confidences)
    assert 0 < answers.service_ms < answers.response_ms


@pytest.mark.parametrize("wrong", [lambda images: images[:1] / 255, lambda images: images[:0]])
def test_what_is_no_image_is_refused_and_not_cast(lab, wrong):
    with pytest.raises(ConfigError, match="images: must be at least one image in uint8"):
        lab.board("here").infer(wrong(lab.images))


def test_an_exit_is_taken_on_demand(lab):
    board = lab.board("here")
    assert board.infer(lab.images[:3], model="resnet8-ee", exit=1).exits == (1, 1, 1)
    assert board.infer(lab.images[:3], model="resnet8-ee").exits == (2, 2, 2)


def test_a_real_board_has_no_faults_on_order(lab):
    assert lab.board("here").faults is None


def test_names_are_checked(lab):
    assert lab.names == ("here",)
    with pytest.raises(ConfigError, match="Did you mean 'here'"):
        lab.board("her")
    with pytest.raises(ConfigError, match=r"boards\.here\.models"):
        lab.board("here").infer(lab.images[:1], model="resnet9")


def test_closing_without_opening_is_fine(tmp_path):
    (tmp_path / "lab.toml").write_text(LAB)
    lab = BlockingLab(tmp_path / "lab.toml", state=tmp_path)
    lab.close()


@pytest.fixture
def supply():
    supply = VirtualSupply()
    supply.draw(7.5)
    with TcpServing(supply.answer) as serving:
        supply.where = serving.where
        yield supply


def test_a_meter_beside_a_board_opens_with_it_and_tells_the_energy_of_a_block(tmp_path, supply):
    table = f'[meters.psu]\nkind = "scpi"\nfeeds = "here"\nwhere = "{supply.where}"\nperiod_ms = 10\n'
    (tmp_path / "lab.toml").write_text(LAB + table)
    with BlockingLab(tmp_path / "lab.toml", state=tmp_path / "state") as opened:
        board = opened.board("here")
        for _ in range(3):  # a crowded host may keep the sampler waiting for a fifth of the time
            with board.metered(rest_s=0.3) as told:
                supply.draw(10.0)
                until = time.monotonic() + 0.6
                while time.monotonic() < until:
                    board.infer(opened.images[:20])
                supply.draw(7.5)
            energy = told.energies["psu"]
            if energy.net_j is not None:
                break
        assert energy.samples >= 3, energy.reason
        assert 7.5 < energy.gross_j / energy.idle_j * 7.5 < 10.5, "between rest and what was drawn"
        assert energy.net_j is not None
        with board.metered() as told:
            pass
        refused = told.energies["psu"]
        assert refused.gross_j is None
        assert "at least 3 needed" in refused.reason


def test_a_block_is_not_metered_on_a_board_without_a_meter(lab):
    board = lab.board("here")
    with pytest.raises(MeterError, match="none of the lab feeds this board") as caught, board.metered():
        pytest.fail("nothing to meter it with")
    assert "[meters]" in caught.value.cure


def test_an_instrument_that_is_not_there_says_so(tmp_path):
    table = '[meters.psu]\nkind = "scpi"\nfeeds = "here"\nwhere = "tcp://127.0.0.1:1"\n'
    (tmp_path / "lab.toml").write_text(LAB + table)
    opened = BlockingLab(tmp_path / "lab.toml", state=tmp_path / "state")
    with opened, pytest.raises(MeterError, match="meter psu"):
        opened.board("here")
