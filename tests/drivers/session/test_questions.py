from __future__ import annotations

import asyncio

import pytest

from drivers.session.questions import Questions
from testbed.errors import BoardError, LinkError
from testbed.units import MS, S
from testbed.wire import messages as m

FILE = "0" * 64


class Agent:
    """Answers what it is asked as the test says."""

    def __init__(self, reply, *, lossy=False):
        self.heard = []
        self._reply = reply
        self.ended = asyncio.Event()
        self.questions = Questions(self.take, self.ended, "b", "wire", lossy=lossy)

    def take(self, message):
        self.heard.append(message)
        asyncio.get_running_loop().call_soon(self._reply, self.questions, message)


def setting(name):
    return lambda number: m.Settings(number, name, "")


def value_of(questions, message):
    questions.answered(m.SettingsReply(message.request, True, message.name.upper(), ""))


def nothing(questions, message):
    pass


async def test_each_gets_its_own_answer():
    agent = Agent(value_of)
    found = await asyncio.gather(*(agent.questions.ask(setting(name), S) for name in "abc"))
    assert [reply.value for reply in found] == ["A", "B", "C"]
    assert len({message.request for message in agent.heard}) == 3


async def test_a_refusal_says_why_and_silence_ends():
    def refuse(questions, message):
        questions.refused(m.Failed("request", message.request, "model", "not there", "tb"))

    with pytest.raises(BoardError, match="model: not there") as caught:
        await Agent(refuse).questions.ask(setting("x"), S)
    assert caught.value.traceback == "tb"
    with pytest.raises(BoardError, match=r"no answer within 0\.05 s"):
        await Agent(nothing).questions.ask(setting("x"), 50 * MS)


async def test_a_file_is_asked_for_by_its_hash_and_heard_of_unasked():
    def state(questions, message):
        questions.told_of_file(m.BlobState(message.sha256, 7, False, ""))

    agent = Agent(state)
    assert (await agent.questions.ask_file(FILE, S)).have == 7
    later = asyncio.ensure_future(agent.questions.hear_of_file(FILE, S))
    await asyncio.sleep(0)
    agent.questions.told_of_file(m.BlobState(FILE, 9, True, ""))
    agent.questions.told_of_file(m.BlobState(FILE, 10, True, ""))  # both in one read: the newest counts
    assert (await later).have == 10
    assert len(agent.heard) == 1


async def test_a_lossy_line_is_asked_again(monkeypatch):
    monkeypatch.setattr("drivers.session.questions._AGAIN_S", 0.01)

    def third_time(questions, message):
        if len(agent.heard) == 3:
            value_of(questions, message)

    agent = Agent(third_time, lossy=True)
    assert (await agent.questions.ask(setting("a"), 10 * S)).value == "A"
    assert len(set(agent.heard)) == 1, "under the same number"


async def test_the_end_of_the_conversation_is_an_answer():
    agent = Agent(nothing)
    asking = asyncio.ensure_future(agent.questions.ask(setting("a"), S))
    await asyncio.sleep(0)
    agent.ended.set()
    agent.questions.close(LinkError("cut", link="wire"))
    with pytest.raises(LinkError, match="cut"):
        await asking
    with pytest.raises(LinkError, match="the link was lost"):
        await agent.questions.ask(setting("a"), S)
    assert len(agent.heard) == 1
