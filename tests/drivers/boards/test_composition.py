from __future__ import annotations

import pytest

from drivers.boards.composition import CommonOptions, Composition, options_of, with_relay
from testbed.errors import ConfigError


def test_options_are_checked_with_file_and_key(make_spec):
    assert options_of(make_spec(timeout_ms=5), CommonOptions).timeout == 5_000_000
    with pytest.raises(ConfigError) as caught:
        options_of(make_spec(timeout_s=5), CommonOptions)
    assert caught.value.key == "boards.board.timeout_s"
    assert "timeout_ms" in caught.value.cure


@pytest.mark.parametrize("name", ["meter_period_ms", "max_inflight", "timeout_ms", "silence_ms"])
def test_negative_numbers_are_refused(make_spec, name):
    with pytest.raises(ConfigError, match=f"boards.board.{name}: must be a whole number"):
        options_of(make_spec(**{name: -1}), CommonOptions)


def test_the_link_is_wrapped(far_side):
    parts = Composition(kind="t", make_link=lambda: far_side, wrap=lambda link: ("wrapped", link))
    assert parts.link() == ("wrapped", far_side)


def test_without_a_relay_nothing_changes(far_side, make_spec):
    parts = Composition(kind="t", make_link=lambda: far_side)
    assert with_relay(parts, make_spec()) is parts


def test_a_relay_is_emulated_and_its_table_is_checked(far_side, make_spec):
    common = CommonOptions(relay={"delay_ms": 20.0, "rate_mbit": 8.0})
    parts = with_relay(Composition(kind="t", make_link=lambda: far_side, common=common), make_spec())
    assert parts.link_origin == "emulated"
    assert parts.line_bytes_per_s == 1e6
    assert "relayed" in parts.link().name
    wrong = Composition(kind="t", make_link=lambda: far_side, common=CommonOptions(relay={"delay": 20}))
    with pytest.raises(ConfigError) as caught:
        with_relay(wrong, make_spec())
    assert caught.value.key == "boards.board.relay.delay"
