"""Submissions of our own in the published formats: small, and with a truth that the test knows."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

RATE = 1000
IDLE_W, BUSY_W = 0.050, 0.080
MS_EACH = 10.0
LEAD, LONG, GAP = 700, 400, 600
"""Samples before the first window, in each window, and between windows."""


def energy(windows: int = 5, *, idle_w: float = IDLE_W, busy_w: float = BUSY_W) -> np.ndarray:
    """Microjoules per sample: idle, then windows of work with idle between them; a ripple that is no constant."""
    parts = [np.full(LEAD, idle_w)]
    for _ in range(windows):
        parts += [np.full(LONG, busy_w), np.full(GAP, idle_w)]
    watts = np.concatenate(parts)
    ripple = 1 + 0.01 * np.sin(np.arange(watts.size) / 7)
    return (watts * ripple / RATE * 1e6).astype(np.float32)


def spans(windows: int = 5) -> list[tuple[int, int]]:
    """First sample of each window and one past its last."""
    return [(LEAD + k * (LONG + GAP), LEAD + k * (LONG + GAP) + LONG) for k in range(windows)]


def write_trace1(
    folder: Path, microjoules: np.ndarray, windows: list[tuple[int, int]], shift_s: float = 0.0
) -> None:
    """Trace format 1; stamps are rounded to 1 ms, as published."""
    folder.mkdir(parents=True, exist_ok=True)
    head = b"\xf1" + struct.pack("<f", RATE)
    (folder / "trace1-energy.bin").write_bytes(head + microjoules.astype("<f4").tobytes())
    stamps = [0.0] + [round(at / RATE + shift_s, 3) for window in windows for at in window]
    (folder / "trace1-timestamps.json").write_text(json.dumps(stamps))


def energy_text(sums_uj: list[float], samples: int = LONG, *, each: int = round(LONG / MS_EACH)) -> str:
    """``results.txt`` of an energy run of the older runner."""
    lines = []
    for k, total in enumerate(sums_uj):
        lines += [
            f"00010.{k:03} ulp-ml: Energy data for window {2 * k + 2} at time 1.00 for {samples / RATE:.2f} sec.:",
            f"00010.{k:03} ulp-ml:   Energy       : {total:12.3f} uJ",
            f"00010.{k:03} ulp-ml:   Power        : {total / samples * RATE:12.3f} uW",
            f"00010.{k:03} ulp-ml:   Energy/Inf.  : {total / each:12.3f} uJ/inf.",
        ]
    lines.append(
        f"00010.100 ulp-ml: Median energy cost is {sorted(sums_uj)[len(sums_uj) // 2] / each:.3f} uJ/inf."
    )
    lines += rate_lines(len(sums_uj), each, samples / RATE)
    return "\n".join(lines) + "\n"


def rate_lines(windows: int, inferences: int, seconds: float) -> list[str]:
    """Throughput as the older runner prints it."""
    lines = []
    for k in range(windows):
        lines += [
            f"00011.000 ulp-mlperf: Performance results for window {2 * k + 2}:",
            f"00011.000 ulp-mlperf:   # Inferences : {inferences:12d}",
            f"00011.000 ulp-mlperf:   Runtime      : {seconds:12.3f} sec.",
            f"00011.000 ulp-mlperf:   Throughput   : {inferences / seconds:12.3f} inf./sec.",
            "00011.000 ulp-mlperf: Runtime requirements have been met.",
        ]
    return [*lines, f"00011.000 ulp-mlperf: Median throughput is {inferences / seconds:.3f} inf./sec."]


def tiny_submission(
    root: Path, *, system: str = "NUCLEO_X", idle_w: float = IDLE_W, busy_w: float = BUSY_W
) -> Path:
    """A submission with one benchmark in both modes, trace format 1, laid out as the public repository."""
    of = root / "tiny_results_v9.1" / "closed" / "Somebody"
    folder = of / "results" / system / "ic"
    microjoules = energy(idle_w=idle_w, busy_w=busy_w)
    write_trace1(folder / "energy", microjoules, spans())
    sums = [float(microjoules[a:b].astype(np.float64).sum()) for a, b in spans()]
    (folder / "energy" / "results.txt").write_text(energy_text(sums))
    for mode in ("performance", "accuracy"):
        (folder / mode).mkdir(parents=True)
    performance = "\n".join(rate_lines(5, 1250, 10.0)) + "\n"
    (folder / "performance" / "results.txt").write_text(performance)
    accuracy = "00012.000 ulp-mlperf: Top-1: 87.5%\n00012.000 ulp-mlperf: AUC: 0.99\n"
    (folder / "accuracy" / "results.txt").write_text(accuracy)
    (of / "systems").mkdir(exist_ok=True)
    (of / "systems" / f"{system}.json").write_text(
        '{"Board Name": "Board X", "Inference Framework": "one", "Inference Framework": "two", "Hardware Notes": ""}'
    )
    return of


def trials(root: Path) -> Path:
    """``energy/`` of the newer runner: two trials, format 2, with the results it prints."""
    folder = root / "v9.3" / "Somebody" / "NUCLEO_Y" / "kws" / "energy"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    listed, lines = [], ["Power Edition Output"]
    for k in range(2):
        joules = np.round(rng.uniform(4e-6, 6e-6, 900), 9).tolist()
        listed.append({"power": {"samples": joules, "timestamps": [["00", 100], ["00", 200], ["01", 700]]}})
        total = sum(joules[200:700])
        lines += [
            f"Energy data for trial {k}",
            "  Elapsed time  : 0.5",
            "  Inferences    : 50",
            f"  Power         : {total / 0.5 * 1e3:.4f} mW.",
            f"  Total Energy  : {total * 1e6:.3f} uJ",
            f"  Energy/Inf    : {total / 50 * 1e6:.3f} uJ/inf",
        ]
    lines.append("Median energy cost is 50.0000 uJ/inf.")
    (folder / "results.json").write_text(json.dumps(listed))
    (folder / "results.txt").write_text("\n".join(lines) + "\n")
    return folder


def loadgen_logs(
    folder: Path, *, scenario: str = "SingleStream", counted: bool = True, per_query: int = 1
) -> None:
    """Summary and detail of a run of 10 s from 12:00:10 to 12:00:20."""
    folder.mkdir(parents=True, exist_ok=True)
    offline = scenario == "Offline"
    rate = "Samples per second: 400.0" if offline else "QPS w/ loadgen overhead         : 99.9"
    (folder / "mlperf_log_summary.txt").write_text(
        "================\nMLPerf Results Summary\n================\n"
        f"SUT name : Some_SUT\nScenario : {scenario}\nMode     : PerformanceOnly\n"
        "90th percentile latency (ns) : 11000000\nResult is : VALID\n"
        f"\n{rate}\n\n"
        "Min latency (ns)                : 9000000\n"
        "Max latency (ns)                : 30000000\n"
        "Mean latency (ns)               : 10100000\n"
        "50.00 percentile latency (ns)   : 10000000\n"
        "90.00 percentile latency (ns)   : 11000000\n"
        "99.90 percentile latency (ns)   : 20000000\n"
        f"\nsamples_per_query : {per_query}\nmin_duration (ms): 10000\n"
    )
    entries = [("power_begin", "03-04-2025 12:00:10.000"), ("power_end", "03-04-2025 12:00:20.000")]
    lines = [f":::MLLOG {json.dumps({'key': key, 'value': value, 'time_ms': 1})}" for key, value in entries]
    lines.insert(1, ':::MLLOG {"key": "loaded_qsl_set", "value": [1, 2')
    if counted:
        lines.append(f":::MLLOG {json.dumps({'key': 'result_query_count', 'value': 1000})}")
    (folder / "mlperf_log_detail.txt").write_text("\n".join(lines) + "\n")


def spl(folder: Path, watts: list[tuple[float, float]], volts: float = 230.0) -> None:
    """``spl.txt`` from (second after 12:00:00, watts)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spl.txt").write_text(
        "".join(
            f"Time,03-04-2025 12:00:{int(at):02}.{round(at % 1 * 1000):03},Watts,{w:.6f},"
            f"Volts,{w if w < 0 else volts:.3f},Amps,0.1,PF,0.4,Mark,2025-03-04_11-50-00_testing\n"
            for at, w in watts
        )
    )


def samples(busy_w: float = 8.0, idle_w: float = 3.0) -> list[tuple[float, float]]:
    """One per second on the half second from 0.5 to 39.5, faults at 14, a doubled stamp of a fault."""
    found = [(k + 0.5, busy_w if 10 <= k < 20 else idle_w) for k in range(40)]
    return sorted([*found, (14.0, -2.0), (14.0, -2.0)])


def power_submission(root: Path) -> Path:
    """One system, one classifier, SingleStream, MultiStream and Offline."""
    of = root / "inference_results_v9.2" / "closed" / "Somebody"
    for scenario, per_query in (("SingleStream", 1), ("MultiStream", 8), ("Offline", 1)):
        folder = of / "results" / "some-board" / "resnet50" / scenario
        run = folder / "performance" / "run_1"
        loadgen_logs(run, scenario=scenario, per_query=per_query)
        spl(run, samples())
        (folder / "accuracy").mkdir()
        (folder / "accuracy" / "accuracy.txt").write_text(
            "accuracy=76.500%, good=38250, total=50000\nhash=00\n"
        )
        power = folder / "performance" / "power"
        power.mkdir()
        (power / "ptd_logs.txt").write_text(
            "03-04-2025 11:50:00.581: Analyzer identity response of 33 bytes: YOKOGAWA,WT310E,C3XA04010E,F1.04\n"
            "03-04-2025 11:50:10.000: WARNING: Uncertainty 1.08%, which is above 1.00% limit for the last sample!\n"
            "03-04-2025 11:50:11.000: WARNING: Uncertainty unknown for the last measurement sample!\n"
        )
    (of / "systems").mkdir()
    (of / "systems" / "some-board.json").write_text(
        '{"system_name": "Some Board", "framework": "Some Runtime 1.0"}'
    )
    return of
