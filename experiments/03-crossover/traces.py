"""Makes the uplinks of this experiment: one that is assumed and shipped, two that are taken from recordings.

``python traces.py assumed`` writes ``traces/assumed-cellular.csv``: the logarithm of the rate is a first-order
autoregression, drawn with a seed. Median, spread and correlation from one second to the next are assumed, near those
of the recordings below.

``python traces.py recorded irish5g.zip`` writes ``replayed/traces/{lte,nr}.csv``. Source: D. Raca et al., Beyond
Throughput, the Next Generation: a 5G Dataset with Channel and Context Metrics, MMSys 2020 (github uccmisl/5Gdataset,
whose licence keeps them from being shipped here). Its ``Download`` files tell what a download got each second; what an
upload could have got, nobody measured: ``UL_bitrate`` is acknowledgements only. So the downlink's rates are replayed,
times the ratio of the largest uplink to the largest downlink rate in the radio-power data of Narayanan et al., SIGCOMM
2021 (LTE 27.7 / 96.1, low-band 5G 46.0 / 120.0 Mbit/s). Seconds below 100 kbit/s are left out: most are pauses between
two files, and outages cannot be told from them. What is left stands end to end.
"""

from __future__ import annotations

import csv
import io
import math
import random
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).resolve().parent
MEDIAN_KBIT, SIGMA_LOG, LAG_1, SECONDS = 5000.0, 1.0, 0.75, 900
RECORDED = {"lte": ("LTE", 27.7 / 96.1), "nr": ("5G", 46.0 / 120.0)}
PAUSE_KBIT = 100.0


def assumed(seed: int = 1) -> Iterator[float]:
    """Rates [kbit/s], one a second."""
    draw = random.Random(seed)
    log = draw.gauss(0.0, SIGMA_LOG)
    for _ in range(SECONDS):
        yield MEDIAN_KBIT * math.exp(log)
        log = LAG_1 * log + draw.gauss(0.0, SIGMA_LOG * math.sqrt(1 - LAG_1**2))


def recorded(archive: zipfile.ZipFile, mode: str) -> Iterator[float]:
    """Downlink rates [kbit/s] of a network mode, one a second, pauses left out."""
    names = [n for n in archive.namelist() if n.startswith("5G-production-dataset/Download/")]
    for name in sorted(n for n in names if n.endswith(".csv")):
        told = ""
        for row in csv.DictReader(io.StringIO(archive.read(name).decode())):
            if row["State"] == "D" and row["NetworkMode"] == mode and row["Timestamp"] != told:
                told = row["Timestamp"]  # seconds are written twice now and then
                if float(row["DL_bitrate"]) >= PAUSE_KBIT:
                    yield float(row["DL_bitrate"])


def write(rates: Iterable[float], file: Path) -> None:
    """As `testbed.model.traces` reads it."""
    file.parent.mkdir(exist_ok=True)
    lines = [f"{second},{rate:.0f}" for second, rate in enumerate(rates)]
    file.write_text("\n".join(["t_s,rate_kbit", *lines, ""]), encoding="ascii")
    print(f"{file}: {len(lines)} s")


def main(what: str = "assumed", *archives: str) -> None:
    """See the head of this file."""
    if what == "assumed":
        write(assumed(), HERE / "traces" / "assumed-cellular.csv")
        return
    with zipfile.ZipFile(archives[0]) as archive:
        for name, (mode, scale) in RECORDED.items():
            rates = [scale * rate for rate in recorded(archive, mode)]
            write(rates, HERE / "replayed" / "traces" / f"{name}.csv")


if __name__ == "__main__":
    main(*sys.argv[1:])
