from __future__ import annotations

import shutil

import pytest

from testbed.errors import ConfigError
from testbed.imports.listing import NAME, Listing
from testbed.imports.mlperf_power import import_power
from tests.testbed.imports import synthetic
from tests.testbed.imports.published import EDGE, needs_edge

HEAD = "version,division,submitter,system\n"
RUN = "resnet50/SingleStream/performance/run_1"


def test_a_system_of_one_submitter_is_found_and_one_of_two_is_not(tmp_path):
    (tmp_path / NAME).write_text(
        HEAD + "v1.0,closed,Ann,a\nv1.0,open,Ann,a\nv1.0,closed,Ann,b/c\nv1.0,open,Ann,d\nv1.0,open,Bob,d\n"
    )
    listing = Listing(tmp_path / "v1.0" / "a")
    assert listing.file == tmp_path / NAME
    assert listing.of("v1.0", "a").submitter == "Ann"
    assert listing.of("v1.0", "a").division == ""
    assert listing.find(tmp_path / "v1.0" / "b" / "c" / RUN).division == "closed"
    assert listing.of("v1.0", "d") is None
    assert listing.find(tmp_path / "v1.1" / "a" / RUN) is None


def test_another_table_of_this_name_and_none_at_all_tell_nothing(tmp_path):
    (tmp_path / NAME).write_text("model,watts\nx,1\n")
    assert Listing(tmp_path).file is None
    assert Listing(tmp_path).find(tmp_path / "v1.0" / "a" / RUN) is None


def test_what_is_no_table_is_an_error_with_its_file(tmp_path):
    (tmp_path / NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        Listing(tmp_path)
    assert caught.value.file == str(tmp_path / NAME)


def test_a_copy_without_submitters_is_cited_by_its_listing_and_by_nobody_else(tmp_path):
    whole = synthetic.power_submission(tmp_path / "whole")
    copy = tmp_path / "copy"
    shutil.copytree(whole / "results" / "some-board", copy / "v9.2" / "some-board")
    with pytest.raises(ConfigError, match="does not tell the submitter"):
        import_power(copy)
    (copy / NAME).write_text(HEAD + "v9.2,closed,Somebody,some-board\n")
    (profile,) = import_power(copy).profiles
    assert profile.board == "v9.2-somebody-some-board"
    assert profile.provenance.run == "v9.2/closed/Somebody/results/some-board/resnet50/SingleStream"
    assert import_power(copy, submitter="somebody").profiles
    with pytest.raises(ConfigError, match="submitted by Somebody, not Else") as caught:
        import_power(copy, submitter="Else")
    assert caught.value.file == str(copy / NAME)
    assert "--submitter" in caught.value.cure


@needs_edge
def test_every_run_of_the_published_copy_has_its_submitter():
    listing = Listing(EDGE)
    runs = [file.parent for file in EDGE.rglob("run_1/spl.txt")]
    assert runs
    assert [run for run in runs if listing.find(run) is None] == []
