import msgspec

from testbed.report.studies.figures import draw_study
from tests.testbed.report.studies.test_tables import SPLITS


def test_misses_are_drawn_over_the_promise() -> None:
    (svg,) = draw_study(SPLITS).values()
    assert svg.startswith("<svg")
    assert "z = 2.33, small" in svg


def test_a_kind_without_a_plot_has_none() -> None:
    assert draw_study(msgspec.structs.replace(SPLITS, kind="other")) == {}
