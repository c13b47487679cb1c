from __future__ import annotations

import pytest

from drivers.session.settings import Settings, read
from testbed.errors import BoardError
from testbed.wire import messages as m


class Agent:
    """Stands for `Questions`: a board with two settings."""

    def __init__(self):
        self.values = {"power-mode": "0", "clocks": "auto"}
        self.heard = []

    async def ask(self, make, limit):
        asked = make(len(self.heard) + 1)
        self.heard.append((asked.name, asked.value))
        if asked.name not in self.values:
            return m.SettingsReply(asked.request, False, "", "unknown")
        if asked.value not in ("", "restore"):
            self.values[asked.name] = f"{asked.value}!"
        return m.SettingsReply(asked.request, True, self.values[asked.name], "")


async def test_settings_are_made_read_back_and_put_back():
    agent, settings = Agent(), Settings({"power-mode": "2", "clocks": "max"}, "b")
    await settings.make(agent)
    assert settings.held == {"power-mode": "2!", "clocks": "max!"}, (
        "as the board says, not as they were wanted"
    )
    assert await read(agent, "clocks", "b") == "max!"
    await settings.put_back(agent)
    assert agent.heard[-2:] == [("power-mode", "restore"), ("clocks", "restore")]


async def test_what_the_board_refuses_is_named():
    with pytest.raises(BoardError, match="b: setting fan to 9: unknown"):
        await Settings({"fan": "9"}, "b").make(Agent())
    with pytest.raises(BoardError, match="b: fan: unknown"):
        await read(Agent(), "fan", "b")


def test_a_board_may_want_none():
    assert not Settings({}, "b")
    assert Settings({"clocks": "max"}, "b")
