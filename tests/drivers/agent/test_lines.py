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


def test_no_terminal_is_said(tmp_path):
    with pytest.raises(OSError, match="ioctl"):
        TtyLine("/dev/null", 115200)
