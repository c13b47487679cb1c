from __future__ import annotations

import msgspec
import pytest

from testbed.model.lease import BoardLeases, Holder


def test_a_holder_is_told_with_its_process_if_it_has_one() -> None:
    assert str(Holder(user="ann", host="lab1")) == "ann@lab1"
    assert str(Holder(user="ann", host="lab1", pid=7)) == "ann@lab1 process 7"


def test_a_field_of_a_later_version_is_not_dropped_in_silence() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"token": 1, "colour": "red"}', type=BoardLeases)
