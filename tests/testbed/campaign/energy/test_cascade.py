import msgspec
import numpy as np
import pytest

from testbed.campaign.energy.cascade import cascade_rows, like_curves, offload_for
from testbed.campaign.energy.spec import CascadeSpec, TaskSpec
from testbed.errors import ConfigError
from testbed.model.origin import Origin
from testbed.policy.confidence import curve
from tests.testbed.campaign.energy.test_rungs import panel, rung

IMAGENET = "image-classification/imagenet-2012"
SPEC = CascadeSpec(
    task=IMAGENET,
    profiles="gpu-server-a2",
    model="resnet50",
    like_task="image-classification/fashion-mnist",
    like_pairs=(("cnn-tiny", "cnn-small"), ("cnn-tiny", "resnet8")),
)


def rows(spec=SPEC, targets=(0.5, 0.7, 0.8), **boards):
    return cascade_rows(spec, [panel(task=TaskSpec(task=IMAGENET, targets=targets), **boards)], 0.01)


def test_the_share_that_travels_grows_with_the_way() -> None:
    sure = np.linspace(1, 0, 10, endpoint=False)
    edge = np.arange(10) < 6  # the four least sure answers are wrong
    found = curve(sure, edge, np.ones(10, dtype=bool), z=0.0)
    assert [offload_for(found, way) for way in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0.0, 0.1, 0.2, 0.4])


def test_the_zoo_needs_more_for_more_and_never_all() -> None:
    for found in like_curves(SPEC):
        shares = [offload_for(found, way) for way in (0.0, 0.3, 0.6, 0.9)]
        assert shares == sorted(shares)
        assert 0.0 <= shares[0] < shares[-1] < 0.9


def test_break_even_follows_from_energies_alone() -> None:
    small, large = rung(0.6, gross_mj=10.0), rung(0.72, gross_mj=73.0)
    found = rows(targets=(0.7,), a=(small, large))
    (row,) = found
    assert row.backend_mj == pytest.approx(125.992)
    assert row.break_even == pytest.approx((73.0 - 10.0) / 125.992)
    assert row.break_even_origin is Origin.DERIVED
    assert row.origin is Origin.ASSUMED
    assert 0 < row.offload_low <= row.offload_high < 1
    assert row.pair_mj == pytest.approx(10.0 + row.offload_high * 125.992)
    assert row.pays == (row.pair_mj < 73.0)


def test_without_a_smaller_rung_or_a_better_backend_there_is_no_pair() -> None:
    assert rows(a=(rung(0.85),)) == []
    assert [row.target for row in rows(a=(rung(0.45),))] == [0.5, 0.7]  # the backend has 76 %
    assert all(row.edge_mj is row.break_even is row.pays is None for row in rows(a=(rung(0.45),)))


def test_boards_metered_differently_get_none() -> None:
    other = panel("chip", TaskSpec(task=IMAGENET, targets=(0.5,)), a=(rung(0.45),))
    assert cascade_rows(SPEC, [other], 0.01) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "resnet5"}, "resnet50"),
        ({"model": "bert-99"}, "no energy for this task"),
        ({"like_pairs": (("cnn-tny", "resnet8"),)}, "cnn-tiny"),
    ],
)
def test_wrong_names_are_told(change, said) -> None:
    with pytest.raises(ConfigError, match=said):
        rows(msgspec.structs.replace(SPEC, **change), a=(rung(0.45),))
