from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import ConfigError
from testbed.imports.submission import describe, place, six, slug

PUBLIC = Path("/d/tiny_results_v1.2/closed/Somebody/results/BOARD/ic/energy/results.txt")


def test_the_public_layout_tells_everything():
    found, rest = place(PUBLIC, suite="MLPerf Tiny")
    assert (found.version, found.submitter, found.division) == ("v1.2", "Somebody", "closed")
    assert rest == ("BOARD", "ic", "energy", "results.txt")
    assert found.citation == "MLPerf Tiny v1.2, Somebody, "


def test_a_copy_without_results_needs_the_submitter_only_where_the_path_has_none():
    tiny = Path("/d/v0.7/Somebody/BOARD/ic/energy/results.txt")
    assert place(tiny, suite="MLPerf Tiny")[0].submitter == "Somebody"
    assert place(tiny, suite="MLPerf Tiny")[1] == ("BOARD", "ic", "energy", "results.txt")
    edge = Path("/d/v2.0/BOARD/resnet50/SingleStream/performance/run_1")
    with pytest.raises(ConfigError, match="submitter") as caught:
        place(edge, suite="MLPerf Inference")
    assert "--submitter" in caught.value.cure
    found, rest = place(edge, suite="MLPerf Inference", submitter="Krai")
    assert (found.submitter, rest[0]) == ("Krai", "BOARD")
    # Named although the path has it: it is not taken for the system.
    assert place(tiny, suite="MLPerf Tiny", submitter="Somebody")[1][0] == "BOARD"


def test_a_version_in_the_systems_name_is_not_the_rounds():
    path = Path("/d/inference_results_v2.0/open/Somebody/results/BOARD_v3.1/net/x/performance/run_1")
    assert place(path, suite="MLPerf Inference")[0].version == "v2.0"


def test_a_path_without_a_version_asks_for_it():
    path = Path("/d/Somebody/results/BOARD/ic/energy/results.txt")
    with pytest.raises(ConfigError, match="version"):
        place(path, suite="MLPerf Tiny")
    assert place(path, suite="MLPerf Tiny", version="v1.0")[0].version == "v1.0"


@pytest.mark.parametrize(
    ("names", "system", "fits"),
    [
        (["BOARD.json", "BOARD_40MHz.json"], "BOARD", "BOARD.json"),
        (
            ["system_description_NUCLEO_micro.json", "x.json"],
            "micro/NUCLEO",
            "system_description_NUCLEO_micro.json",
        ),
        (["pynqz2.json", "zybo.json"], "pynq-z2", "pynqz2.json"),
        (["A-B_1.json", "A-B_2.json"], "A-B", ""),
        (["other.json"], "A-B", ""),
    ],
)
def test_descriptions_are_found_by_names_that_submitters_chose_freely(tmp_path, names, system, fits):
    files = []
    for name in names:
        files.append(tmp_path / name)
        files[-1].write_text(f'{{"file": "{name}"}}')
    told, why = describe(files, system)
    assert told == ({"file": fits} if fits else {})
    assert bool(why) is not bool(fits)


def test_a_key_that_comes_twice_keeps_both_and_broken_json_is_a_reason(tmp_path):
    file = tmp_path / "b.json"
    file.write_text('\ufeff{"F": "one", "F": "two", " G ": "two\tthree", "H": ""}', "utf-8")
    assert describe([file], "b") == ({"F": "one; two", "G": "two\tthree"}, "")
    file.write_text('{"F": "one" "G": 1}')
    told, why = describe([file], "b")
    assert not told
    assert "not readable" in why


def test_names_and_numbers_are_made_plain():
    assert slug("v1.0 NUCLEO_L4R5ZI (X)") == "v1.0-nucleo-l4r5zi-x"
    assert six(1 / 3) == 0.333333
