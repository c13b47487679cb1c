"""Header and footer: known versions load, others are refused in words."""

from __future__ import annotations

import pytest

from testbed.errors import StoreError
from testbed.store.schema import SCHEMA
from testbed.store.versions import load_footer, load_header
from tests.testbed.store.synthetic import header, write_run


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path / "run", count=4)


def test_known_version_loads(folder):
    assert load_header(folder) == header(requests=4)
    assert load_footer(folder).status == "finished"


@pytest.mark.parametrize(("name", "load"), [("header.json", load_header), ("footer.json", load_footer)])
def test_unknown_version_names_itself_and_the_cure(folder, name, load):
    path = folder / name
    path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', '"schema": 99'))
    with pytest.raises(StoreError, match=r"schema 99 is not known.*newer"):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1}', "[]", '"\\ud800"', '{"schema": 1, "run": 3}'])
def test_a_damaged_header_is_a_clear_error(folder, text):
    (folder / "header.json").write_text(text)
    with pytest.raises(StoreError, match="damaged"):
        load_header(folder)


def test_bytes_that_are_no_text(folder):
    (folder / "header.json").write_bytes(b'{"schema": 1, "run": "\xff\xfe"}')
    with pytest.raises(StoreError, match="damaged"):
        load_header(folder)


def test_no_footer_is_none(folder):
    (folder / "footer.json").unlink()
    assert load_footer(folder) is None
