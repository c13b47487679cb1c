"""JUnit XML: failures are ours, errors the lab's."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec
import pytest

from testbed.measure.stats import wilson
from testbed.report.junit import suites, write_junit
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.store.schema import Planned
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return analyse(read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=120)))


def missed(row):
    """The same policy, far below its first target."""
    target = msgspec.structs.replace(row.targets[0], accuracy=wilson(10, 100))
    return msgspec.structs.replace(row, targets=(target, *row.targets[1:]))


def test_a_suite_a_policy_and_a_case_a_target_and_trial(analysis, tmp_path):
    write_junit(analysis, tmp_path / "junit.xml")
    root = ET.parse(tmp_path / "junit.xml").getroot()
    assert [suite.get("name") for suite in root] == ["edgesight", "edge-only", "dc-only"]
    assert all(suite.get("tests") == "5" for suite in root)
    assert root.get("tests") == "15"
    assert root.get("failures") == root.get("errors") == "0"


def test_the_subject_fails_where_a_baseline_is_a_finding(analysis):
    rows = tuple(missed(row) for row in analysis.policies)
    root = suites(msgspec.structs.replace(analysis, policies=rows))
    assert [suite.get("failures") for suite in root] == ["1", "0", "0"]
    assert all(int(suite.get("skipped")) >= 1 for suite in list(root)[1:])


def test_trouble_of_the_lab_is_an_error_and_a_missed_limit_a_failure(analysis):
    first, second, third = analysis.trials
    changed = (
        msgspec.structs.replace(first, status="link_error", counts=False, reason="cut \x00 cable"),
        msgspec.structs.replace(second, status="limit_missed"),
        third,
    )
    root = suites(msgspec.structs.replace(analysis, trials=changed))
    assert [(s.get("failures"), s.get("errors")) for s in root] == [("0", "1"), ("1", "0"), ("0", "0")]
    ET.fromstring(ET.tostring(root))


def test_a_trial_never_begun_is_an_error(analysis):
    planned = (*analysis.header.planned, Planned(trial="03-late", policy="late"))
    header = msgspec.structs.replace(analysis.header, planned=planned)
    root = suites(msgspec.structs.replace(analysis, header=header))
    assert root[-1].get("name") == "late"
    assert root.get("errors") == "1"
