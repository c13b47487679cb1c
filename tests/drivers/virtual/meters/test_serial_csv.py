from __future__ import annotations

import os
import time

from drivers.virtual.meters.serial_csv import VirtualCsv


def test_a_header_then_lines_in_whole_steps(tmp_path):
    with VirtualCsv(tmp_path / "port", begin_us=500) as rig:
        rig.draw(1.2345)
        fd = os.open(tmp_path / "port", os.O_RDONLY | os.O_NOCTTY)
        heard = b""
        until = time.monotonic() + 10
        while heard.count(b"\n") < 5:
            assert time.monotonic() < until
            heard += os.read(fd, 1000)
        os.close(fd)
    lines = heard.decode().split("\r\n")
    assert lines[0] == "t_us,bus_mV,current_mA,power_mW"
    rows = [[float(word) for word in line.split(",")] for line in lines[1:4]]
    assert all(row[0] >= 500 for row in rows)
    assert all(abs(row[2] / 0.025 - round(row[2] / 0.025)) < 1e-6 for row in rows)
