"""Looks at a board step by step, as a person would who wonders why it does not work.

The steps of the way (name, host key, login, Python, deployment) come from the composition; then the link is opened
and the agent is asked. The first failure ends it; the steps behind come as skipped, so that every report is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from drivers.boards.composition import failed, ok
from drivers.session.conversation import Conversation
from drivers.session.greeting import claim_of
from drivers.session.loading import Loader
from drivers.session.lossy import Encoder
from drivers.session.metering import CURE, meters_of
from testbed.errors import BoardError, TestbedError
from testbed.model.lab import CheckResult
from testbed.model.record import ClockProbe
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from drivers.boards.composition import Composition
    from drivers.session.datagrams import Datagrams
    from testbed.model.lab import BoardSpec
    from testbed.ports import BoardEvent
    from testbed.units import Ns

_BYE_S = 2.0
_STEPS = ("link", "agent", "runtime", "meter", "power mode", "clock", "models")


async def examine(spec: BoardSpec, parts: Composition, now: Callable[[], Ns]) -> AsyncIterator[CheckResult]:
    """One result per step; opens and closes whatever it needs."""
    todo = [*(probe.step for probe in parts.probes), *_STEPS]
    if parts.lossy_orders is not None:
        todo.append("datagrams")
    failed = False
    try:
        async for result in _steps(spec, parts, now):
            todo.remove(result.step)
            failed = failed or result.state == "failed"
            yield result
    except TestbedError as error:
        failed = True
        step = todo.pop(0)
        yield CheckResult(step=step, state="failed", finding=error.message, cure=error.cure)
    if failed:
        for step in todo:
            yield CheckResult(step=step, state="skipped", finding="an earlier step failed")


async def _steps(spec: BoardSpec, parts: Composition, now: Callable[[], Ns]) -> AsyncIterator[CheckResult]:
    for probe in parts.probes:
        yield ok(probe.step, await probe.look())
    link = parts.link()
    try:
        if parts.prepare is not None:
            await parts.prepare()
        await link.open()
        yield ok("link", f"{link.name} opens")
        probes: list[ClockProbe] = []

        def take(event: BoardEvent) -> None:
            if isinstance(event, ClockProbe):
                probes.append(event)

        encoder = None if parts.lossy_orders is None else Encoder(parts.lossy_orders)
        talk = Conversation(link, spec.id, 1, parts, take, now, encoder=encoder)
        welcome = await talk.greet(claim_of(spec, parts.common.silence_ms))
        facts = dict(welcome.facts)
        machine = f"{facts.get('machine', '?')}, Python {facts.get('python', '?')}"
        yield ok("agent", f"{welcome.agent_sha256[:12] or 'unpacked'} on {machine}")
        yield _runtime(spec, parts, facts)
        yield _meter(parts, facts)
        yield _power_mode(parts, facts)
        async for result in _conversing(talk, spec, parts, probes):
            yield result
    finally:
        await link.close()
        if parts.close is not None:
            await parts.close()


async def _conversing(
    talk: Conversation, spec: BoardSpec, parts: Composition, probes: list[ClockProbe]
) -> AsyncIterator[CheckResult]:
    """Steps that need an exchange; they are made first and told afterwards, so that no task is left behind."""
    results: list[CheckResult] = []
    problem: TestbedError | None = None

    async def exchange() -> None:
        nonlocal problem
        try:
            results.append(await _clock(talk, spec, probes))
            results.append(await _models(talk, spec, parts))
            if talk.datagrams is not None:
                results.append(await _datagrams(talk, talk.datagrams))
        except TestbedError as error:
            problem = error
        finally:
            with contextlib.suppress(TestbedError, TimeoutError):
                talk.say(m.Bye())  # so that the board is free at once, not only after a while of silence
                async with asyncio.timeout(_BYE_S):
                    await talk.wait_ended()
            talk.end()

    async with asyncio.TaskGroup() as group:
        group.create_task(talk.run())
        group.create_task(exchange())
    for result in results:
        yield result
    if problem is not None:
        raise problem


async def _clock(talk: Conversation, spec: BoardSpec, probes: list[ClockProbe]) -> CheckResult:
    seen = await talk.probe(16)
    if seen is None or not probes:
        raise BoardError("no clock probe came back", board=spec.id, cure="See whether the line loses bytes")
    best = min(p.t3 - p.t0 - (p.t2 - p.t1) - p.wire_up - p.wire_down for p in probes)
    return ok("clock", f"round trip {seen.rtt / 1e6:.2f} ms, clock known to {max(best, 0) / 2e6:.3f} ms")


async def _datagrams(talk: Conversation, channel: Datagrams) -> CheckResult:
    await channel.open(talk.questions.ask)
    if not channel.why_not:
        return ok("datagrams", "a sealed datagram goes there and back")
    cure = (
        "Install what is missing for the board's Python (python3 -m pip install cryptography Pillow numpy), let UDP "
        "through between host and board, or drop the board's lossy table"
    )
    return failed("datagrams", f"no lossy orders: {channel.why_not}", cure)


async def _models(talk: Conversation, spec: BoardSpec, parts: Composition) -> CheckResult:
    loader = Loader(spec, parts)
    loaded = []
    for name in spec.models:
        try:
            told = await loader.load(talk, name, 1)
        except BoardError as error:
            cure = (
                error.cure
                or "Correct the model or its options, or install what its runtime needs on the board"
            )
            return failed("models", f"{name}: {error.message}", cure)
        loaded.append(f"{name} in {told.load_ns / 1e6:.0f} ms ({told.text})")
    return ok("models", ", ".join(loaded) if loaded else "none asked for")


def _runtime(spec: BoardSpec, parts: Composition, facts: dict[str, Any]) -> CheckResult:
    found = facts.get("runtimes") or {}
    for name in sorted({parts.runtime or files.runtime for files in spec.models.values()}):
        about = found.get(name)
        if about is None:
            return failed("runtime", f"the agent has no runtime {name!r}", "Use an agent of this version")
        if isinstance(about, dict) and about.get("available") is False:
            cure = f"Install it for the board's Python: python3 -m pip install numpy {name}"
            return failed("runtime", f"{name}: {about.get('reason', 'not available')}", cure)
    told = []
    for name, about in sorted(found.items()):
        detail = (
            ", ".join(f"{k} {v}" for k, v in sorted(about.items())) if isinstance(about, dict) else str(about)
        )
        told.append(f"{name} ({detail})" if detail else name)
    return ok("runtime", "; ".join(told) or "the agent tells none")


def _meter(parts: Composition, facts: dict[str, Any]) -> CheckResult:
    found, absent = meters_of(facts), facts.get("meters_absent") or {}
    why = "; ".join(f"no {name}: {reason}" for name, reason in sorted(absent.items()))
    missing = [name for name in parts.common.meters if name not in found]
    if missing:
        return failed("meter", f"{', '.join(missing)} not there. {why}", CURE)
    if not found:
        why = why or "the agent knows none"
        return CheckResult(step="meter", state="skipped", finding=f"energy unavailable: {why}")
    told = []
    for name, about in sorted(found.items()):
        total = " + ".join(about.get("total", ())) or "none of them"
        scope = f" ({about['scope']})" if about.get("scope") else ""
        told.append(f"{name}: {', '.join(about.get('rails', ()))}; total is {total}{scope}")
    return ok("meter", "; ".join(told) + (f"; {why}" if why else ""))


def _power_mode(parts: Composition, facts: dict[str, Any]) -> CheckResult:
    names = facts.get("settings") or []
    missing = [name for name in parts.settings if name not in names]
    if missing:
        told = ", ".join(names) or "none"
        cure = "Correct the lab file, or let the agent's user run nvpmodel and write the clock files"
        return failed("power mode", f"{', '.join(missing)} cannot be set there; there are: {told}", cure)
    if not names:
        return CheckResult(
            step="power mode", state="skipped", finding="the board has no power mode or clocks to set"
        )
    return ok("power mode", f"can be set: {', '.join(names)}")
