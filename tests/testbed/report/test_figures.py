"""Plots are valid SVG, repeatable, and drawn only where there is data."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec
import pytest

from testbed.report.figures import COLOURS, draw_figures
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return analyse(read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=100)))


@pytest.fixture(scope="module")
def drawn(analysis):
    return draw_figures(analysis)


def test_all_plots_are_there_and_are_xml(drawn):
    assert len(drawn) == 6
    for svg in drawn.values():
        assert ET.fromstring(svg).tag.endswith("svg")


def test_policies_are_named_in_the_curves(drawn):
    svg = drawn["Response time (from the intended arrival)"]
    assert all(name in svg for name in ("edgesight", "edge-only", "dc-only"))


def test_the_same_data_give_the_same_bytes(analysis, drawn):
    assert draw_figures(analysis) == drawn


def test_nothing_is_drawn_of_nothing(analysis):
    empty = msgspec.structs.replace(analysis, curves=(), policies=(), strips=())
    assert draw_figures(empty) == {}


def test_colours_differ():
    assert len(set(COLOURS)) == len(COLOURS)
