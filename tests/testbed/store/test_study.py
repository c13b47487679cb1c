from pathlib import Path

import pytest

from testbed.errors import StoreError
from testbed.store.study import STUDY_FILE, Study, read_study, write_study

STUDY = Study(
    kind="splits",
    name="n",
    question="q?",
    created="2026-01-01T00:00:00+00:00",
    seed=3,
    spec={"z": [0.0]},
    models={"m": ["00"]},
    rows=[{"a": 1, "b": None}],
    figures={"miss_frac": 0.5},
)


def test_what_is_written_is_read_with_provenance(tmp_path: Path) -> None:
    write_study(tmp_path / "run", STUDY, source=tmp_path)
    found = read_study(tmp_path / "run")
    assert (found.rows, found.figures, found.seed) == (STUDY.rows, STUDY.figures, 3)
    assert "python" in found.versions
    assert not list((tmp_path / "run").glob("*.partial"))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write_study(tmp_path, STUDY, source=tmp_path)
    with pytest.raises(StoreError, match="--out"):
        write_study(tmp_path, STUDY, source=tmp_path)


@pytest.mark.parametrize("text", ['{"schema": 1', '{"schema": 99}', "[]"])
def test_damage_is_named_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / STUDY_FILE).write_text(text)
    with pytest.raises(StoreError, match=STUDY_FILE):
        read_study(tmp_path)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    write_study(tmp_path, STUDY, source=tmp_path)
    path = tmp_path / STUDY_FILE
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(StoreError, match="schema 2"):
        read_study(tmp_path)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        read_study(tmp_path)
