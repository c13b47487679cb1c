import fcntl
import os
import pty

import pytest

from drivers.agent.lines import TtyLine


def test_a_tty_is_eight_bit_clean_and_ends_when_the_other_end_goes():
    near, far = pty.openpty()
    line = TtyLine(os.ttyname(far), 115200)
    os.close(far)
    everything = bytes(range(256))
    os.write(near, everything)
    got = b""
    while len(got) < 256:
        got += line.read(1.0)
    assert got == everything
    line.write(everything)
    back = b""
    while len(back) < 256:
        back += os.read(near, 512)
    assert back == everything
    assert line.read(0.01) == b""
    os.close(near)
    assert line.read(1.0) is None


def test_who_waits_is_told_where_that_is_wanted_and_once():
    near, far = pty.openpty()
    line = TtyLine(os.ttyname(far), 115200)
    os.close(far)
    os.write(near, b"x")
    assert not line.wait(0.05)
    line.notice(True)
    assert line.wait(20.0)
    assert not line.wait(0.05)
    line.notice(True)
    line.notice(False)
    assert not line.wait(0.05)
    assert line.read(None) == b"x"
    os.close(near)


def test_its_pipes_hold_a_large_answer(start):
    host = start()
    host.greet()
    for pipe in (host.process.stdin, host.process.stdout):
        assert fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) == 1 << 20


def test_no_terminal_is_said(tmp_path):
    with pytest.raises(OSError, match="ioctl"):
        TtyLine("/dev/null", 115200)
