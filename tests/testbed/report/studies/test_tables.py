from pathlib import Path

import msgspec

from testbed.report.studies.tables import study_tables, study_to_console, study_to_json, write_study_page
from tests.testbed.store.test_study import STUDY


def row(**more):
    return {
        "frontend": "small",
        "target": 0.9,
        "z": 2.33,
        "weight": 1.0,
        "guarded": False,
        "promised": 200,
        "misses": 3,
        "accuracy": 0.912,
        "offload_frac": 0.25,
        "raised": 0.0,
        **more,
    }


SPLITS = msgspec.structs.replace(
    STUDY,
    spec={"splits": 200, "calibration": 2000, "z": [2.33]},
    rows=[row(), row(target=0.95, promised=0, misses=0, accuracy=None, offload_frac=None), row(weight=4.0)],
)


def test_promises_and_shift_stand_in_tables_of_their_own() -> None:
    kept, drift = study_tables(SPLITS)
    assert kept.body[0][:6] == ("small", "90.0 %", "2.33", "200", "3", "1.5 [0.5, 4.3] %")
    assert kept.body[1][5:] == ("-", "-", "-")
    assert len(kept.body) == 2
    assert drift.body[0][2:4] == ("4", "off")


def test_without_shift_there_is_no_second_table() -> None:
    assert len(study_tables(msgspec.structs.replace(SPLITS, rows=[row()]))) == 1


def test_page_is_self_contained(tmp_path: Path) -> None:
    write_study_page(SPLITS, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Promise kept?" in text
    assert "data:image/svg+xml;base64," in text
    assert "http" not in text.replace("http://www.w3.org", "")


def test_document_has_rows_and_figures() -> None:
    document = study_to_json(SPLITS, Path("runs/x"))
    assert document["figures"] == {"miss_frac": 0.5}
    assert document["rows"] == SPLITS.rows
    assert len(study_to_console(SPLITS)) >= 2
