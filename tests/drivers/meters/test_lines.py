from __future__ import annotations

import sys
import time

import pytest

from drivers.meters.lines import ask, open_lines
from drivers.virtual.meters.serving import PtyServing, TcpServing
from testbed.errors import MeterError, SampleError


@pytest.fixture(params=["tcp", "serial"])
def serving(request, tmp_path):
    answer = {"hi": ["ho"], "two": ["a", "b"], "none": []}
    if request.param == "tcp":
        with TcpServing(lambda line: answer.get(line, []), end="\r\n") as serving:
            yield serving
    else:
        with PtyServing(tmp_path / "port", lambda line: answer.get(line, [])) as serving:
            yield serving


def test_questions_lines_and_silence(serving):
    lines = open_lines(serving.where)
    assert ask(lines, "hi", 5) == "ho"
    lines.tell("two")
    assert [lines.line(5), lines.line(5)] == ["a", "b"]
    with pytest.raises(SampleError) as caught:
        lines.line(0.01)
    assert caught.value.kind == SampleError.NO_ANSWER
    with pytest.raises(MeterError, match="no answer to 'none'"):
        ask(lines, "none", 0.01)
    lines.close()


def test_what_has_come_can_be_forgotten(serving):
    lines = open_lines(serving.where)
    lines.tell("two")
    assert lines.line(5) == "a"
    time.sleep(0.1)
    lines.drain()
    assert ask(lines, "hi", 5) == "ho"
    lines.close()


def test_a_way_that_goes_is_noticed(serving):
    lines = open_lines(serving.where)
    assert ask(lines, "hi", 5) == "ho"
    serving.mute()
    with pytest.raises(MeterError, match="gone|closed"):
        lines.line(5)
    lines.close()


def test_a_line_without_end_is_refused():
    with TcpServing(lambda _: ["x" * 70_000], end="") as serving:
        lines = open_lines(serving.where)
        lines.tell("go")
        with pytest.raises(SampleError, match="without end"):
            lines.line(5)
        lines.close()


@pytest.mark.parametrize("where", ["tcp://127.0.0.1", "http://x", "what", "tcp://:5025"])
def test_what_is_no_way(where):
    with pytest.raises(MeterError, match="no way") as caught:
        open_lines(where)
    assert "tcp://HOST:PORT" in caught.value.cure


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:1", "serial:///dev/none", "serial://no-such-name"])
def test_nobody_there_is_an_error_with_a_cure(where):
    with pytest.raises(MeterError) as caught:
        open_lines(where)
    assert caught.value.cure


def test_without_pyvisa_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvisa", None)
    with pytest.raises(MeterError, match="needs pyvisa") as caught:
        open_lines("USB0::1::2::INSTR")
    assert "instruments" in caught.value.cure


def test_a_visa_resource_that_is_not_there():
    with pytest.raises(MeterError, match="cannot be opened"):
        open_lines("ASRL/dev/no-such-port::INSTR")
