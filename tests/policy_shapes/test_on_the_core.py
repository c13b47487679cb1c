"""The twelve on the coordinator's own core, with the toy lab's boards behind it: both mean the same by the types."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from testbed.contracts.toy_board import Flight, ToyMachine
from testbed.coordinator.core import Core
from testbed.coordinator.effects import Close, Dispatch, Effect, Plan, WakeAt
from testbed.coordinator.state import BoardSetup
from testbed.model import event as ev
from testbed.model.action import Cancel, Infer, Load, Output, Region
from testbed.model.execution import Execution
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome
from testbed.units import MS
from tests.policy_shapes.shapes import SHAPES

if TYPE_CHECKING:
    from testbed.contracts.toy_lab import ToyLab


class ToyShell:
    """Carries out the core's effects on the boards of a toy lab that was laid out but not run."""

    def __init__(self, lab: ToyLab) -> None:
        self.lab, self.time = lab, lab.time
        self.records: list[RequestRecord] = []
        self.flights: dict[int, Flight] = {}
        self.seen = 0
        setups = [
            BoardSetup(
                id=m.id,
                kind=m.kind,
                site=m.site,
                memory_bytes=m.memory_bytes,
                cores=m.cores,
                price_per_s=m.price_per_s,
            )
            for m in lab.machines.values()
        ]
        self.core = Core(lab._policy, setups, lab.profiles, lambda request, codec: lab._payload_bytes)
        for machine in lab.machines.values():
            machine._told = self.told

    def run(self) -> None:
        self.time._heap.clear()  # the lab's own arrivals and faults
        for machine in self.lab.machines.values():
            resident = tuple(machine.resident.items())
            self.feed(ev.BoardUp(t=0, board=machine.id, boot=1, resident=resident))
            up, down = machine.up_bytes_per_s, machine.down_bytes_per_s
            self.feed(
                ev.NetworkSeen(
                    t=0, board=machine.id, rtt=machine.rtt, up_bytes_per_s=up, down_bytes_per_s=down
                )
            )
        self.carry_out(self.core.start(0))
        for request in self.lab._requests.values():
            self.time.at(request.arrival, partial(self.feed, ev.Arrived(t=request.arrival, request=request)))
        while self.time.step():
            self.seen += 1
            assert self.seen < 100_000

    def feed(self, event: ev.CoreEvent) -> None:
        self.carry_out(self.core.handle(event))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Dispatch(order=Infer() as infer):
                    self.infer(infer)
                case Dispatch(order=Load() as load):
                    self.lab.machines[load.board].load(load, partial(self.loaded, load))
                case Dispatch(order=Cancel() as cancel):
                    self.cancel(cancel)
                case WakeAt(t=t) if t is not None:
                    self.time.at(t, lambda: self.feed(ev.Tick(t=self.time.now)))
                case Plan():
                    placement = self.lab._policy.plan(effect.demand, effect.lab)
                    ready = self.time.now + 5 * MS
                    self.time.at(
                        ready, partial(self.feed, ev.PlanReady(t=ready, placement=placement, cost=5 * MS))
                    )
                case Close():
                    self.records.append(effect.record)

    def infer(self, order: Infer) -> None:
        machine: ToyMachine = self.lab.machines[order.board]
        flight = self.flights[order.id] = Flight(order, self.time.now)
        size, ready = 0.0, self.time.now
        for item in order.batch:
            if isinstance(item.input, Output):
                fetched, there = self.lab._fetch(item.input, machine)
                size, ready = size + fetched, max(ready, there)
            elif not isinstance(item.input, Region):
                size += self.lab._payload_bytes
        machine.take(flight, size, ready)

    def loaded(self, order: Load, error: str) -> None:
        now = self.time.now
        if error:
            self.feed(ev.Failed(t=now, action=order.id, error=error))
        else:
            self.feed(ev.Loaded(t=now, action=order.id, board=order.board, model=order.model, load=MS))

    def cancel(self, order: Cancel) -> None:
        flight = self.flights[order.action]
        stage = self.lab.machines[flight.order.board].stop(flight)
        told = ev.Cancelled(t=self.time.now, action=order.action, stage=stage, requests=order.requests)
        self.time.at(self.time.now, partial(self.feed, told))

    def told(self, flight: Flight, how: Execution | str) -> None:
        now, action = self.time.now, flight.order.id
        if flight.sent is not None:
            self.feed(ev.Sent(t=flight.sent, action=action))
        if isinstance(how, str):
            self.feed(ev.Failed(t=now, action=action, error=how))
        else:
            self.feed(ev.Executed(t=now, action=action, execution=how))


@pytest.mark.parametrize("name", SHAPES)
def test_same_outcomes_as_in_the_toy_lab(name: str) -> None:
    module = import_module(f"tests.policy_shapes.{name}")
    lab: ToyLab = module.lab()
    faults = name == "workload_distribution"  # its toy lab loses a board, this one does not
    lab.run()
    shell = ToyShell(module.lab())
    shell.run()
    ids = [record.request.id for record in shell.records]
    assert sorted(ids) == sorted(lab.ends)  # each exactly once
    core = {outcome: sum(r.outcome is outcome for r in shell.records) for outcome in Outcome}
    toy = {outcome: sum(e.outcome is outcome for e in lab.ends.values()) for outcome in Outcome}
    for outcome in Outcome:
        assert faults or abs(core[outcome] - toy[outcome]) <= 0.1 * len(ids), (outcome, core, toy)
    assert all(r.steps for r in shell.records if r.outcome is Outcome.COMPLETED)


def test_losers_of_a_speculation_are_in_the_record() -> None:
    shell = ToyShell(import_module("tests.policy_shapes.edgesight_speculative").lab())
    shell.run()
    caught = [s.cancelled for r in shell.records for s in r.steps if s.cancelled]
    assert len(caught) > 20
    assert set(caught) <= {"before_sent", "before_start", "during", "too_late"}
    assert shell.core.counters["cancelled_during"] + shell.core.counters["cancelled_before_start"] > 20
