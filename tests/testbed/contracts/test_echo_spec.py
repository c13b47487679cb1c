"""A specification that a factory takes as if a lab file had made it."""

from __future__ import annotations

import hashlib

from drivers.boards.local import local
from testbed.contracts.board import BoardContract
from testbed.contracts.echo_spec import echo_spec


def test_it_has_the_contract_s_models_and_their_files(tmp_path):
    spec = echo_spec(tmp_path, "my-board", {"speed": 1})
    assert (spec.kind, spec.options) == ("my-board", {"speed": 1})
    assert set(spec.models) == {BoardContract.model, BoardContract.slow_model}
    for model in spec.models.values():
        assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in model.paths] == list(model.sha256)


def test_a_later_one_of_the_same_folder_takes_the_board_over(tmp_path):
    assert echo_spec(tmp_path, "k").fence < echo_spec(tmp_path, "k").fence


def test_a_board_of_it_keeps_the_contract(tmp_path):
    BoardContract().test_executes_and_says_when_it_was_sent(local(echo_spec(tmp_path, "local")))
