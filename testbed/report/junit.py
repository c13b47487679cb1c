"""The report for CI systems: a test suite per policy, a test case per accuracy target and per trial.

Source: the JUnit XML that Jenkins and GitLab read (testsuites/testsuite/testcase with failure, error, skipped).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from testbed.report import words

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.report.rows import Analysis, PolicyRow, TargetRow, TrialRow

_FORBIDDEN = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 65534, 65535), "�")


def write_junit(analysis: Analysis, path: Path) -> None:
    """Write the file; whatever stood there is replaced."""
    ET.ElementTree(suites(analysis)).write(path, encoding="utf-8", xml_declaration=True)


def suites(analysis: Analysis) -> ET.Element:
    """The document's root."""
    root = ET.Element("testsuites", name=_clean(analysis.header.experiment))
    begun = {row.trial for row in analysis.trials}
    for row in analysis.policies:
        suite = _suite(root, row.policy)
        for trial in analysis.trials:
            if trial.policy == row.policy:
                _trial_case(suite, trial)
        is_subject = row.policy == analysis.header.policies[0]
        for target in row.targets:
            _target_case(suite, row, target, is_subject=is_subject)
        _count(suite)
    for planned in analysis.header.planned:
        if planned.trial not in begun:
            suite = _suite(root, planned.policy)
            case = _case(suite, planned.policy, f"trial {planned.trial}")
            ET.SubElement(case, "error", message="never begun", type="unfinished")
            _count(suite)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    return root


def _suite(root: ET.Element, policy: str) -> ET.Element:
    return ET.SubElement(root, "testsuite", name=_clean(policy))


def _case(suite: ET.Element, policy: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_clean(policy), name=_clean(name))


def _trial_case(suite: ET.Element, trial: TrialRow) -> None:
    """A limit missed is a failure; trouble of the lab is an error, which is not the same."""
    case = _case(suite, trial.policy, f"trial {trial.trial}")
    if trial.status == "limit_missed":
        ET.SubElement(case, "failure", message=_clean(trial.reason or "limit missed"), type=trial.status)
    elif not trial.counts:
        ET.SubElement(case, "error", message=_clean(trial.reason or trial.status), type=trial.status)


def _target_case(suite: ET.Element, row: PolicyRow, target: TargetRow, *, is_subject: bool) -> None:
    """A target missed fails for the subject of the experiment; for a baseline it is a finding, not a failure."""
    name = "accuracy without target" if target.target is None else f"accuracy {target.target:g}"
    case = _case(suite, row.policy, name)
    text = f"achieved {words.share(target.accuracy)} over {target.requests} requests"
    if row.reason:
        ET.SubElement(case, "skipped", message=_clean(row.reason))
    elif target.verdict == "missed":
        if is_subject:
            ET.SubElement(case, "failure", message=text, type="accuracy")
        else:
            ET.SubElement(case, "skipped", message=f"baseline misses it: {text}")
    elif target.verdict == "no answer":
        ET.SubElement(case, "skipped", message="no request was answered")
    ET.SubElement(case, "system-out").text = text


def _count(suite: ET.Element) -> None:
    suite.set("tests", str(len(suite)))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{kind}"))))


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 forbids even escaped."""
    return text.translate(_FORBIDDEN)
