import pytest
from my_lab.meter import FileMeter

from testbed.contracts.meter import MeterContract


class Writer:
    def __init__(self, path):
        self.path = path
        self.watts = 0.0

    def draw(self, watts):
        self.watts = watts
        self.mend()

    def saturate(self):
        self.path.write_text("100000")

    def garble(self):
        self.path.write_text("-.-")

    def mute(self):
        self.path.unlink()

    def mend(self):
        self.path.write_text(f"{self.watts * 1e3:.0f}")


class TestFileMeter(MeterContract):
    tolerance_w = 0.001
    bound_s = 2.0

    @pytest.fixture
    def rig(self, tmp_path):
        return Writer(tmp_path / "milliwatts")

    @pytest.fixture
    def meter(self, rig):
        return FileMeter(rig.path)
