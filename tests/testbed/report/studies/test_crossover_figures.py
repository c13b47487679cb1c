import msgspec

from testbed.report.studies.crossover_figures import draw_crossovers
from tests.testbed.report.studies.test_crossovers import study

__all__ = ["study"]


def test_every_uplink_has_its_plot(study) -> None:
    drawn = draw_crossovers(study)
    assert list(drawn) == ["P99 by round trip, uplink 10", "P99 by round trip, uplink slow"]
    assert all("round trip [ms]" in svg for svg in drawn.values())


def test_nothing_without_a_pair(study) -> None:
    assert draw_crossovers(msgspec.structs.replace(study, spec={**study.spec, "crossover": None})) == {}
