import msgspec
import pytest

from testbed.report.studies.energy_figures import caption
from testbed.report.studies.figures import draw_study
from tests.testbed.report.studies.test_energies import study

__all__ = ["study"]


@pytest.fixture(scope="module")
def drawn(study):
    return draw_study(study)


def test_things_metered_differently_get_an_axis_each(study, drawn) -> None:
    against, rate, rest = drawn.values()
    assert against.count("metered: wall") == against.count("metered: chip") == 1
    assert rest.count("metered: wall") == rest.count("metered: chip") == 1
    assert "requests a second" in rate
    assert "mcu" not in rate  # alone in its panel: a table tells as much
    assert draw_study(study) == drawn  # the same bytes


def test_captions_say_what_the_figures_are_worth(drawn) -> None:
    against, rate, _ = drawn
    assert "gross energy cited" in against
    assert "derived" in rate
    for text in (against, rate, caption("x", "assumed")):
        assert "no result" in text
        assert "share no table, no axis and no ratio" in text


def test_parity_is_marked_only_where_both_reach_down(study, drawn) -> None:
    rows = [{**row, "matched": False} if row["row"] == "pair" else row for row in study.rows]
    without = draw_study(msgspec.structs.replace(study, rows=rows))
    assert "#888888" in next(iter(drawn.values()))
    assert "#888888" not in next(iter(without.values()))
