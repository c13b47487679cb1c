"""How fast virtual time is: 00-hello scaled to 20 boards, the whole of core, policy and record, against a bare queue.

The yardstick is SimPy: one resource with 20 servers, one process a request, on the same arrivals and with the service
times that the trial drew, and nothing else in it: no decision, no board, no answer, no record. Both are played in
turn; the ratio of their medians counts. All figures are processor time, so that other work on the machine weighs on
neither; waiting for the disk is not in them. Links and profiles are assumed (the data centre as a
``virtual-jetson``), since no figure here is about them.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec
import simpy

from benchmarks.verdict import arguments, conclude
from testbed.campaign.bench import profile_lookup
from testbed.campaign.data import Data
from testbed.campaign.design import design
from testbed.campaign.pages import first_page
from testbed.campaign.policies import calibrated
from testbed.campaign.spec import read_campaign
from testbed.campaign.virtual import play_virtual
from testbed.campaign.virtual_lab import VirtualLab
from testbed.coordinator.core import Core
from testbed.coordinator.labfile import parse_lab, read_toml
from testbed.coordinator.modelled import LinkModel, ModelledBoard
from testbed.coordinator.simulate import Costs
from testbed.model.profile import ProfileBook
from testbed.policy.edgesight import EdgeSight
from testbed.resources import experiment
from testbed.store.reader import read_attempt
from testbed.store.writer import RunWriter, TrialWriter
from testbed.units import MS, to_s
from testbed.workload.mix import stream_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from testbed.campaign.spec import Campaign

TARGETS = {"sim_vs_simpy": {"min": 0.3}, "sim_growth": {"max": 1.5}}
COUNTS = {"jetson": 7, "mcu": 7, "host": 6}
LINKS = {
    "jetson": LinkModel(rtt=MS),
    "mcu": LinkModel(rtt=2 * MS, up_bytes_per_s=11_520.0, down_bytes_per_s=11_520.0),
    "host": LinkModel(rtt=41 * MS, up_bytes_per_s=12.5e6, down_bytes_per_s=12.5e6),
}
POLICY = "edgesight"


class Scenario:
    """What all runs share."""

    def __init__(self) -> None:
        """Read models, inputs and profiles."""
        hello = read_campaign(experiment("00-hello"))
        text, raw = read_toml(hello.lab)
        # Only these, so that figures stay comparable whatever the shipped lab has besides.
        raw["boards"] = {board: {**raw["boards"][board], "count": count} for board, count in COUNTS.items()}
        lab = parse_lab(text, raw, hello.lab)
        find = profile_lookup(lab)
        rows = {}
        for board, (table, _) in lab.boards.items():
            for model in table.models:
                profile = find(table.profiles or "virtual-jetson", model)
                assert profile is not None
                rows[board, model] = profile
        links = {board: LINKS[table] for board, table in lab.tables.items()}
        self.virtual = VirtualLab(lab, ProfileBook(rows), links)
        self.data = Data(hello.tasks)
        self.thresholds = calibrated(hello, lab, self.data)
        rate = hello.workload.arrivals.rate_hz * len(lab.boards) / len(COUNTS)
        arrivals = msgspec.structs.replace(hello.workload.arrivals, rate_hz=rate)
        self._hello = msgspec.structs.replace(hello, policies=(POLICY,))
        self._workload = msgspec.structs.replace(hello.workload, arrivals=arrivals)

    def campaign(self, requests: int) -> Campaign:
        """The scenario with so many requests."""
        workload = msgspec.structs.replace(self._workload, requests=requests)
        return msgspec.structs.replace(self._hello, workload=workload)

    def play(self, requests: int, *, services: list[float] | None = None) -> float:
        """Play once, journal and all; processor seconds from setting the boards up to the last record written.

        Args:
            services: gets the service time of each step [s].
        """
        campaign = self.campaign(requests)
        [trial] = design(campaign)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "run"
            page = first_page(
                folder, campaign, self.virtual.lab, self.data, [trial], self.thresholds, self.virtual.profiles, []
            )  # fmt: skip
            with RunWriter.create(folder, page) as run:
                before = time.process_time()
                play_virtual(
                    trial, campaign, self.virtual, self.data, self.thresholds, run, Costs(), "none", ""
                )
                took = time.process_time() - before
            if services is not None:
                attempt = read_attempt(next(folder.glob("trials/*/*.jsonl")))
                assert attempt is not None
                for step in (step for record in attempt.records for step in record.steps):
                    services.append(to_s((step.finished or 0) - (step.started or 0)))
        return took

    def arrivals(self, requests: int) -> list[float]:
        """The same arrivals for the yardstick [s]."""
        campaign = self.campaign(requests)
        [trial] = design(campaign)
        stream = stream_requests(campaign.workload, campaign.task, self.data.samples, trial.seed)
        return [to_s(request.arrival) for request in stream]


def bare_queue(arrivals: Sequence[float], services: Sequence[float], servers: int) -> float:
    """Play arrivals through one SimPy resource; processor seconds it took."""
    env = simpy.Environment()
    line = simpy.Resource(env, capacity=servers)

    def request(service: float) -> Generator[Any, Any, None]:
        with line.request() as turn:
            yield turn
            yield env.timeout(service)

    def source() -> Generator[Any, Any, None]:
        last = 0.0
        for arrival, service in zip(arrivals, services, strict=True):
            yield env.timeout(arrival - last)
            last = arrival
            env.process(request(service))

    before = time.process_time()
    env.process(source())
    env.run()
    return time.process_time() - before


def where_time_goes(scenario: Scenario, requests: int) -> dict[str, float]:
    """Microseconds of processor time a request in each part.

    ``draw`` is played on its own; the others have a clock around their entry, whose own time is in ``rest`` together
    with that of the shell: its heap, effects, and setting up.
    """
    spent: dict[str, int] = {}

    def around(owner: type, name: str, part: str) -> Callable[[], None]:
        inner = getattr(owner, name)
        clock = time.process_time_ns

        def timed(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever the method takes and gives
            before = clock()
            try:
                return inner(*args, **more)
            finally:
                spent[part] = spent.get(part, 0) + clock() - before

        setattr(owner, name, timed)
        return lambda: setattr(owner, name, inner)

    undo = [
        around(EdgeSight, "decide", "decide"),
        around(Core, "handle", "handle"),
        around(ModelledBoard, "take", "boards"),
        around(TrialWriter, "write", "record"),
    ]
    try:
        total = scenario.play(requests)
    finally:
        for each in undo:
            each()
    before = time.process_time_ns()
    scenario.arrivals(requests)
    spent["draw"] = time.process_time_ns() - before
    us = {part: ns / 1e3 / requests for part, ns in spent.items()}
    us["core"] = us.pop("handle") - us["decide"]
    parts = {part: us[part] for part in ("decide", "core", "boards", "record", "draw")}
    return {**parts, "rest": total * 1e6 / requests - sum(parts.values())}


def main() -> int:
    """Play both in turn, then one long run."""
    quick = arguments(__doc__).quick
    short, middle, long, rounds = (1_000, 2_000, 5_000, 2) if quick else (10_000, 50_000, 1_000_000, 5)
    scenario = Scenario()
    services: list[float] = []
    scenario.play(middle, services=services)
    arrivals = scenario.arrivals(middle)
    draws = list(islice(services, middle))
    ours, bare = [], []
    for _ in range(rounds):
        ours.append(scenario.play(middle))
        bare.append(bare_queue(arrivals, draws, len(scenario.virtual.lab.boards)))
    parts = where_time_goes(scenario, middle)
    before = [scenario.play(short) for _ in range(3)]
    took_long = scenario.play(long)
    after = [scenario.play(short) for _ in range(3)]
    us = {name: median(taken) / middle * 1e6 for name, taken in (("ours", ours), ("simpy", bare))}
    us_short = median([*before, *after]) / short * 1e6
    print(
        f"ours   {us['ours']:7.1f} us a request ({1e6 / us['ours']:,.0f} requests/s, n = {rounds} x {middle:,})"
    )
    print(f"SimPy  {us['simpy']:7.1f} us a request ({1e6 / us['simpy']:,.0f} requests/s), bare queue")
    print(
        f"at {long:,} requests {took_long / long * 1e6:.1f} us a request, beside it {us_short:.1f} at {short:,}"
    )
    print(
        f"where it goes (us a request, n = {middle:,}, clocks around the parts slow it down): "
        + ", ".join(f"{part} {value:.1f}" for part, value in parts.items())
    )
    figures = {
        "sim_vs_simpy": us["simpy"] / us["ours"],
        "sim_growth": took_long / long * 1e6 / us_short,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "sim_us": us["ours"],
        "simpy_us": us["simpy"],
        **{f"{part}_us": value for part, value in parts.items()},
    }
    return conclude(
        "simulate", figures, TARGETS, {"short": short, "middle": middle, "long": long, "rounds": rounds}
    )


if __name__ == "__main__":
    sys.exit(main())
