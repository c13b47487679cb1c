"""Run folders with known contents: three boards with skewed clocks, three policies on the same arrivals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testbed.model.environment import HostUse
from testbed.model.execution import Step
from testbed.model.lab import BoardFacts
from testbed.model.origin import Origin
from testbed.model.record import ClockProbe, PowerSamples, RequestRecord, TrialStatus
from testbed.model.request import Outcome, Request
from testbed.store.schema import (
    IDLE_AFTER,
    IDLE_BEFORE,
    LOAD,
    BoardSeen,
    Footer,
    Header,
    Planned,
    TrialStart,
    Window,
)
from testbed.store.writer import RunWriter
from testbed.units import MS, US, S

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.store.writer import TrialWriter

POLICIES = ("edgesight", "edge-only", "dc-only")
TARGETS = (0.78, 0.85, 0.88, 0.91)
OFFSET = {"jetson": 5_000_000_000_123, "mcu": -77 * S, "host": 0}
DRIFT_PPM = {"jetson": 30.0, "mcu": -45.0, "host": 0.0}
IDLE_W, ACTIVE_W = 1.5, 3.5
START = 1_000 * S
HOST_BOOT = "7e1f0d5e-0000-4000-8000-000000000001"


def board_clock(board: str, t: int) -> int:
    """What the board's clock shows at a coordinator instant."""
    return t + OFFSET[board] + round((t - START) * DRIFT_PPM[board] / 1e6)


def facts(board: str) -> BoardFacts:
    """Two edge boards, emulated; the host as the data centre, measured behind an emulated link."""
    return BoardFacts(
        id=board,
        kind={"jetson": "virtual-jetson", "mcu": "virtual-serial", "host": "local"}[board],
        site="dc" if board == "host" else "edge",
        boot_id=HOST_BOOT if board == "host" else f"boot-{board}",
        agent_sha256="a" * 64,
        facts={"machine": "x86_64"},
        origin="measured" if board == "host" else "emulated",
        link_origin="emulated" if board == "host" else "measured",
    )


def header(policies: tuple[str, ...] = POLICIES, *, requests: int = 400) -> Header:
    """A header with everything filled in."""
    return Header(
        run="synthetic-1",
        created="2026-01-02T03:04:05+00:00",
        experiment="synthetic",
        experiment_path="experiments/synthetic",
        policies=policies,
        planned=tuple(Planned(trial=f"{i:02}-{p}", policy=p, seed=7) for i, p in enumerate(policies)),
        campaign={"requests": requests},
        lab_file="lab.toml",
        lab_text="[boards.jetson]\nkind = 'virtual-jetson' # <b>&</b>\n",
        lab_sha256="b" * 64,
        models={"cnn-tiny": "c" * 64},
        profiles={"virtual-jetson/cnn-tiny": "d" * 64},
        agent_sha256="a" * 64,
        git_commit="e" * 40,
        git_dirty=False,
        versions={"python": "3.11.0", "numpy": "2.0.0"},
        host={"cpu": "Example CPU", "cores": 2},
        seeds={"workload": 7},
    )


def start(policy: str, trial: str, *, requests: int, arrivals: str = "f" * 64) -> TrialStart:
    """First line of a trial."""
    return TrialStart(
        trial=trial,
        policy=policy,
        block=0,
        seed=7,
        arrivals_sha256=arrivals,
        requests=requests,
        t0=START,
        wall="2026-01-02T03:04:05+00:00",
    )


def requests_of(count: int, seed: int = 7) -> list[Request]:
    """Poisson arrivals at 80 a second, targets in turn."""
    rng = np.random.default_rng(seed)
    arrivals = START + np.cumsum(rng.exponential(1 / 80, count) * S).astype(np.int64)
    order = rng.permutation(count)
    return [
        Request(
            id=i,
            task="image-classification/fashion-mnist",
            sample=int(order[i]),
            arrival=int(arrivals[i]),
            deadline=int(arrivals[i]) + 150 * MS,
            min_accuracy=TARGETS[i % len(TARGETS)],
        )
        for i in range(count)
    ]


def record_of(
    request: Request, policy: str, rng: np.random.Generator, *, pace_error: int = 20 * US
) -> RequestRecord:
    """What became of a request: fast and less accurate at the edge, slower and better in the data centre."""
    seen = request.arrival + 80 * US
    steps: list[Step] = []
    at = seen
    path = {"edgesight": ["jetson"], "edge-only": ["jetson"], "dc-only": ["host"]}[policy]
    if policy == "edge-only" and request.id % 8 == 0:
        path = ["mcu"]
    if (
        policy == "edgesight"
        and request.min_accuracy is not None
        and rng.random() < 4 * (request.min_accuracy - 0.7)
    ):
        path = ["jetson", "host"]
    for place, board in enumerate(path):
        service = {"jetson": 4 * MS, "mcu": 15 * MS, "host": 2 * MS}[board] + int(rng.exponential(300 * US))
        way = {"jetson": 400 * US, "mcu": 70 * MS, "host": 20 * MS}[board]
        sent = at + 100 * US
        received = sent + way
        started = received + int(rng.exponential(1 * MS))
        finished = started + service
        answered = finished + way // 2
        steps.append(
            Step(
                id=(request.id * 2 + place, 0),
                board=board,
                model="cnn-tiny" if board != "host" else "resnet8",
                decided=at,
                sent=sent,
                received=board_clock(board, received),
                started=board_clock(board, started),
                finished=board_clock(board, finished),
                answered=answered,
                confidence=0.8,
                label=1,
                asked_service=None if board == "host" else service - int(rng.normal(0, pace_error)),
                origin=Origin.MEASURED if board == "host" else Origin.EMULATED,
            )
        )
        at = answered
    accuracy = 0.93 if "host" in path else 0.86
    return RequestRecord(
        request=request,
        outcome=Outcome.COMPLETED,
        seen=seen,
        ended=at,
        label=1,
        correct=bool(rng.random() < accuracy),
        steps=tuple(steps),
        used=(steps[-1].id,),
        predicted_finish=at,
    )


def write_trial(
    trial: TrialWriter, policy: str, count: int, *, seed: int = 7, upto: int | None = None
) -> None:
    """Everything of a trial but its end; only the first ``upto`` requests where given."""
    rng = np.random.default_rng(seed + 1)
    wishes = requests_of(count, seed)
    for board in OFFSET:
        trial.write(BoardSeen(facts=facts(board)))
    last = wishes[-1].arrival + S
    windows = [
        (IDLE_BEFORE, START - 3 * S, START - S),
        (LOAD, START, last),
        (IDLE_AFTER, last + S, last + 3 * S),
    ]
    for at in range(START - 4 * S, last + 4 * S, 5 * S):
        for board in OFFSET:
            for burst in range(4):
                trial.write(_probe(board, at + burst * 30 * MS, rng))
    stamps = np.arange(START - 4 * S, last + 4 * S, 100 * MS)
    busy = (stamps >= START) & (stamps < last)
    watts = np.where(busy, ACTIVE_W, IDLE_W) if policy != "dc-only" else np.full(stamps.shape, IDLE_W)
    for part in np.array_split(np.arange(stamps.size), 10):
        trial.write(
            PowerSamples(
                board="jetson",
                boot=0,
                meter="ina3221",
                rails=("VDD_IN", "VDD_SOC"),
                total=("VDD_IN",),
                t=tuple(board_clock("jetson", int(t)) for t in stamps[part]),
                power_w=tuple(v for w in watts[part] for v in (float(w), 0.4)),
                origin="emulated",
            )
        )
    for wish in wishes[:upto]:
        trial.write(record_of(wish, policy, rng))
    for name, begin, end in windows:
        trial.write(Window(name=name, start=begin, end=end))
    trial.write(HostUse(boot_id=HOST_BOOT, start=START, end=last, cores=2, wait_frac=0.002, steal_frac=0.0))


def write_run(folder: Path, *, count: int = 400, policies: tuple[str, ...] = POLICIES, seed: int = 7) -> Path:
    """A finished run."""
    with RunWriter.create(folder, header(policies, requests=count)) as run:
        for planned in run.header.planned:
            with run.begin(start(planned.policy, planned.trial, requests=count)) as trial:
                write_trial(trial, planned.policy, count, seed=seed)
                trial.end(TrialStatus.OK, counters={"sent": float(count)})
        run.close(
            Footer(
                status="finished",
                ended="2026-01-02T03:06:00+00:00",
                trials=tuple(p.trial for p in run.header.planned),
                figures={"answer": 42.0},
            )
        )
    return folder


def _probe(board: str, at: int, rng: np.random.Generator) -> ClockProbe:
    up, down = (int(50 * US + rng.exponential(200 * US)) for _ in range(2))
    wire = 900 * US if board == "mcu" else 0
    received = at + wire + up
    return ClockProbe(
        board=board,
        boot=0,
        t0=at,
        t1=board_clock(board, received),
        t2=board_clock(board, received + 10 * US),
        t3=received + 10 * US + down + wire,
        wire_up=wire,
        wire_down=wire,
    )
