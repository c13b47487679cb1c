from pathlib import Path

import msgspec
import pytest

from testbed.campaign.energy.cascade import CascadeRow
from testbed.campaign.energy.pairs import bound_rows, pair_rows
from testbed.campaign.energy.spec import BoardSpec, EnergyStudy, TaskSpec
from testbed.campaign.energy.study import alone_rows, figures
from testbed.model.origin import Origin
from testbed.report.studies.energies import energy_tables
from testbed.report.studies.tables import study_tables, write_study_page
from testbed.store.study import Study
from tests.testbed.campaign.energy.test_rungs import panel, rung
from tests.testbed.store.test_study import STUDY

TASK = TaskSpec(task="t", targets=(0.5, 0.55, 0.6, 0.7), shown=(0.5, 0.7))
SPEC = EnergyStudy(
    schema=1,
    kind="energy",
    name="n",
    tasks=(TASK,),
    boards=(BoardSpec(name="a", profiles=("p",)),),
    rates_hz=(1.0,),
)


@pytest.fixture(scope="module")
def study() -> Study:
    a = (rung(0.4, gross_mj=4.0), rung(0.7))
    b = (
        rung(0.4, gross_mj=8.0),
        rung(0.6, gross_mj=10.1),
        rung(0.7, gross_mj=12.0, p50_ms=5.1, active_w=6.0),
    )
    wall = panel("wall", TASK, a=a, b=b)
    chip = panel("chip", TASK, mcu=(rung(0.72, gross_mj=99.0, p50_ms=200.0, busy_s=0.9),))
    rows = [row for one in (wall, chip) for row in alone_rows(one, SPEC)]
    rows += pair_rows(wall, SPEC)
    rows += bound_rows([wall, chip], 0.01)
    rows.append(
        CascadeRow(
            task="t",
            metered="wall",
            board="a",
            target=0.7,
            frontend="p/m0.4",
            way=0.5,
            frontend_mj=4.0,
            backend_mj=50.0,
            edge_mj=10.0,
            break_even=0.12,
            break_even_origin=Origin.DERIVED,
            offload_low=0.1,
            offload_high=0.3,
            pair_mj=19.0,
            pays=False,
        )
    )
    return msgspec.structs.replace(
        STUDY,
        kind="energy",
        spec=msgspec.to_builtins(SPEC),
        rows=[msgspec.to_builtins(row) for row in rows],
        figures=figures(rows),
    )


def titled(study: Study, start: str):
    return [table for table in energy_tables(study) if table.title.startswith(start)]


def test_what_is_metered_differently_has_tables_of_its_own(study) -> None:
    wall, chip = titled(study, "Board alone, one")
    assert "wall" in wall.title
    assert {row[1] for row in wall.body} == {"a", "b"}
    assert {row[1] for row in chip.body} == {"mcu"}
    assert titled(study, "Power of")[0].body[0][4] == "0.800"


def test_only_the_targets_asked_for_get_a_line(study) -> None:
    (wall, _) = titled(study, "Board alone, one")
    assert [row[0] for row in wall.body] == ["50.0 %"] * 2 + ["70.0 %"] * 2
    assert wall.body[0][6:9] == ("10.0 ± 0.10", "6.00 ± 0.12", "40 %")


def test_who_cannot_keep_up_has_a_dash(study) -> None:
    wall, chip = titled(study, "Board alone at")
    assert wall.body[0][2] == "0.806 W, 99 %"
    assert chip.body[0][2:] == ("-", "none")


def test_parity_joins_neighbouring_levels_also_those_without_a_line(study) -> None:
    (table,) = titled(study, "Parity")
    assert table.body == (("a / b", "50 to 60 %", "50 to 70 %", "0.333 to 1.00"),)


def test_unmatched_levels_stand_in_brackets(study) -> None:
    rows = [
        {**row, "matched": False} if row["row"] == "pair" and row["target"] == 0.5 else row
        for row in study.rows
    ]
    (table,) = titled(msgspec.structs.replace(study, rows=rows), "Parity")
    assert table.body[0][1] == "[50], 55 to 60 %"


def test_ratios_are_to_the_least(study) -> None:
    (table,) = titled(study, "Ratios")
    assert [row[1] for row in table.body] == ["b / a", "b / a"]
    assert table.body[1][2].startswith("1.20 [1.17, 1.23]")


def test_bounds_and_pairs_with_a_server_say_what_they_are(study) -> None:
    (bounds,) = titled(study, "Across")
    assert bounds.body[-2][4] == "9.90 times"
    assert "lower bound" in bounds.remarks[0]
    (cascade,) = titled(study, "Small rung")
    assert cascade.body[0][6:] == ("12.0 %", "10 to 30 %", "19.0", "no")
    assert "assumed" in cascade.remarks[0]


def test_a_withheld_ratio_is_called_so(study) -> None:
    rows = [{**row, "energy_ratio": None} if row["row"] == "pair" else row for row in study.rows]
    (table,) = titled(msgspec.structs.replace(study, rows=rows), "Ratios")
    assert {row[2] for row in table.body} == {"withheld"}


def test_page_carries_tables_and_captions(study, tmp_path: Path) -> None:
    assert study_tables(study) == energy_tables(study)
    write_study_page(study, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "no axis and no ratio" in text
    assert "A ratio of two assumed profiles is no result" in text
