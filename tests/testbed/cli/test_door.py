from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from testbed.cli.door import Ended, Exit, code_of, describe, door, sentence
from testbed.errors import BoardError, ConfigError, HostKeyError, LinkError, StoreError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), Exit.USAGE),
        (LinkError("x"), Exit.INFRASTRUCTURE),
        (BoardError("x"), Exit.INFRASTRUCTURE),
        (StoreError("x"), Exit.INFRASTRUCTURE),
        (ValueError("x"), Exit.INFRASTRUCTURE),
        (TimeoutError("x"), Exit.TIMEOUT),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
    ],
)
def test_every_error_has_its_code(error, code, capsys):
    assert code_of(error) is code
    with pytest.raises(SystemExit) as left, door(json=False, debug=False):
        raise error
    assert left.value.code == int(code)
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith("error: ")
    assert "Traceback" not in seen.err


def test_a_wrong_file_reads_file_key_message_cure(capsys):
    error = ConfigError("unknown key", file="lab.toml", key="boards.mcu.bauds", cure="Did you mean 'baud'?")
    with pytest.raises(SystemExit), door(json=False, debug=False):
        raise error
    seen = capsys.readouterr().err
    assert seen.strip() == "error: lab.toml: boards.mcu.bauds: unknown key. Did you mean 'baud'?"


def test_with_json_the_error_is_the_document(capsys):
    error = HostKeyError(link="ssh://jetson", seen="SHA256:aa", expected="SHA256:bb")
    with pytest.raises(SystemExit), door(json=True, debug=False):
        raise error
    seen = capsys.readouterr()
    document = json.loads(seen.out)
    assert document["error"]["kind"] == "HostKeyError"
    assert document["error"]["seen"] == "SHA256:aa"
    assert document["error"]["link"] == "ssh://jetson"
    assert "SHA256:aa" in seen.err


def test_what_was_emitted_before_an_error_stays_the_only_document(capsys):
    with pytest.raises(SystemExit), door(json=True, debug=False) as terminal:
        terminal.emit({"schema": 1})
        raise LinkError("cut")
    assert json.loads(capsys.readouterr().out) == {"schema": 1}


def test_debug_shows_where_it_happened(capsys):
    with pytest.raises(SystemExit), door(json=False, debug=True):
        raise LinkError("cut")
    assert "Traceback" in capsys.readouterr().err


def test_a_group_of_errors_ends_as_the_one_that_is_ours():
    group = ExceptionGroup(
        "tasks", [ValueError("side effect"), ExceptionGroup("more", [ConfigError("cause")])]
    )
    with pytest.raises(SystemExit) as left, door(json=False, debug=False):
        raise group
    assert left.value.code == Exit.USAGE


def test_an_unexpected_error_is_called_a_defect():
    assert "defect" in sentence(ZeroDivisionError("division by zero"))
    assert describe(ZeroDivisionError("x"))["kind"] == "ZeroDivisionError"


def test_the_traceback_of_the_board_is_shown():
    text = sentence(BoardError("failed", board="jetson", traceback="Traceback: on the board\n"))
    assert text.splitlines() == ["jetson: failed", "Traceback: on the board"]


def test_ended_is_silent(capsys):
    with pytest.raises(SystemExit) as left, door(json=False, debug=False):
        raise Ended(Exit.MISSED)
    assert left.value.code == 1
    assert capsys.readouterr() == ("", "")


def test_sigterm_is_an_interrupt():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, door(json=False, debug=False):
        os.kill(os.getpid(), signal.SIGTERM)
    assert left.value.code == Exit.INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_cancels_what_an_event_loop_runs_even_where_a_shell_has_sigint_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a script's background job
    said = []

    async def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        except BaseException as error:  # a cancellation at an await, not an exception from nowhere
            said.append(type(error))
            raise

    try:
        with pytest.raises(SystemExit) as left, door(json=False, debug=False):
            asyncio.run(work())
        assert left.value.code == Exit.INTERRUPTED
        assert said == [asyncio.CancelledError]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
