from __future__ import annotations

from pathlib import Path

import pytest

from drivers.switches.scpi import ScpiSwitch, ScpiSwitchOptions, scpi
from drivers.virtual.meters.scpi import VirtualSupply
from drivers.virtual.meters.serving import TcpServing
from testbed.contracts.switch import SwitchContract
from testbed.errors import ConfigError, MeterError
from testbed.model.lab import SwitchSpec


class Watched(VirtualSupply):
    """A supply that remembers the states of its output, and can be stuck."""

    def __init__(self):
        self.states = []
        self.stuck = False
        super().__init__()
        self.on = False

    def __setattr__(self, name, value):
        if name == "on":
            if self.states and self.stuck:
                return
            self.states.append(value)
        super().__setattr__(name, value)


@pytest.fixture
def supply():
    return Watched()


@pytest.fixture
def serving(supply):
    with TcpServing(supply.answer) as serving:
        yield serving


class TestSupply(SwitchContract):
    @pytest.fixture
    def switch(self, serving):
        return ScpiSwitch("psu", ScpiSwitchOptions(where=serving.where, off_s=0.01))

    @pytest.fixture
    def history(self, supply):
        return lambda: list(supply.states)

    @pytest.fixture
    def broken(self):
        return ScpiSwitch("psu", ScpiSwitchOptions(where="tcp://127.0.0.1:1", off_s=0.01))


async def test_what_the_output_says_is_believed_not_the_order(serving, supply, monkeypatch):
    monkeypatch.setattr("drivers.switches.scpi._AGAIN_SECONDS", 0.001)
    supply.stuck = True
    switch = ScpiSwitch("psu", ScpiSwitchOptions(where=serving.where))
    with pytest.raises(MeterError, match="psu: the output stays off"):
        await switch.on()
    await ScpiSwitch("psu", ScpiSwitchOptions(where=serving.where, state="")).on()  # not asked


@pytest.mark.parametrize(("key", "value"), [("on", ""), ("off", "OUTP OFF\nOUTP ON"), ("wher", "x")])
def test_a_wrong_table_names_its_key(key, value):
    options = {"where": "tcp://h:1", key: value}
    with pytest.raises(ConfigError) as caught:
        scpi(SwitchSpec(name="psu", kind="scpi", feeds="b", options=options, file=Path("lab.toml")))
    assert caught.value.key == f"switches.psu.{key}"
