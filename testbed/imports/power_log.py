"""Reads ``spl.txt``, the samples of PTDaemon, and takes the mean power of a timed window as the public checker does.

A line is ``Time,02-07-2022 11:10:00.303,Watts,9.490000,Volts,250.15,Amps,0.095,PF,0.3992,Mark,<run>_testing``, in UTC,
about one per second; a meter with several channels appends theirs. After a stall of the meter PTDaemon repeats
samples of -2 W: faults, not data, as are samples that are no finite number.
Source: MLPerf Inference submission checker, ``get_power_metric``: mean of the samples with begin < t < end, watts > 0.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.errors import ConfigError
from testbed.imports.loadgen import parse_time
from testbed.model.energy import PowerTrace
from testbed.model.origin import Origin

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from testbed.units import Ns

AFTER_S = 4.0
AFTER_SAMPLES = 3
AFTER_SPREAD = 0.15
MAINS_V = 80.0
"""Above this the meter sat in the mains lead; no direct-current input of a board is as high."""
_IDENTITY = re.compile(r"Analyzer identity response of \d+ bytes: (.+)")
_UNKNOWN = re.compile(r"Uncertainty unknown")
_ABOVE = re.compile(r"Uncertainty ([\d.]+)%, which is above ([\d.]+)% limit")


class PowerLog:
    """Samples of one meter, total of its channels.

    Attributes:
        t: int64 (n,) [ns since 1970, UTC], as logged: neither sorted nor unique. power_w: float64 (n,) [W].
        volts: median of the positive ones [V], or ``None``.
    """

    __slots__ = ("power_w", "t", "volts")

    def __init__(self, t: NDArray[np.int64], power_w: NDArray[np.float64], volts: float | None) -> None:
        """Keep what a reader found."""
        self.t = t
        self.power_w = power_w
        self.volts = volts

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which samples count, bool (n,): finite ones, since no system draws 0 W or less."""
        return np.isfinite(self.power_w) & (self.power_w > 0)


class WindowPower(Struct, frozen=True, kw_only=True):
    """Mean power of a timed window.

    Attributes:
        n: samples that count. faults: samples inside the window that do not.
        gap_s: longest time inside the window without a sample that counts, edges included.
    """

    mean_w: float
    n: int
    faults: int
    gap_s: float


def read_spl(file: Path) -> PowerLog:
    """Read the samples.

    Raises:
        ConfigError: it cannot be read, or a line is no sample.
    """
    times: list[int] = []
    watts: list[float] = []
    volts: list[float] = []
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("cannot read the power log", file=file, cure="Check the path") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = line.split(",")
        try:
            if len(fields) < 6 or (fields[0], fields[2], fields[4]) != ("Time", "Watts", "Volts"):
                raise ValueError("expected Time, Watts, Volts")
            times.append(parse_time(fields[1]))
            watts.append(float(fields[3]))
            volts.append(float(fields[5]))
        except ValueError as error:
            raise ConfigError(
                f"line {number} is no sample: {error}", file=file, cure="Give PTDaemon's spl.txt"
            ) from error
    if not times:
        raise ConfigError("no samples in it", file=file, cure="Give PTDaemon's spl.txt of the testing run")
    positive = [v for v in volts if 0 < v < math.inf]
    return PowerLog(
        np.array(times, dtype=np.int64), np.array(watts), float(np.median(positive)) if positive else None
    )


def window_power(log: PowerLog, begin: Ns, end: Ns) -> WindowPower:
    """Mean power between two instants, by the checker's rule.

    Raises:
        ConfigError: no sample in between counts.
    """
    inside = (log.t > begin) & (log.t < end)
    good = inside & log.good
    if not good.any():
        raise ConfigError(
            "no sample of the power log lies in the timed window", cure="Check that both are of one run"
        )
    stamps = np.sort(log.t[good])
    gaps = np.diff(np.concatenate(([begin], stamps, [end])))
    return WindowPower(
        mean_w=float(log.power_w[good].mean()),
        n=int(good.sum()),
        faults=int(inside.sum() - good.sum()),
        gap_s=float(gaps.max()) / 1e9,
    )


def level_after(log: PowerLog, end: Ns) -> float | None:
    """Level once the run is over [W]: powered, back to idle; median from 4 s after the window on.

    ``None`` under 3 samples, or where they lie further apart than 15 %.
    """
    late = log.power_w[(log.t >= end + round(AFTER_S * 1e9)) & log.good]
    if late.size < AFTER_SAMPLES:
        return None
    level = float(np.median(late))
    return level if float(late.max() - late.min()) <= AFTER_SPREAD * level else None


def power_trace(log: PowerLog, zero: Ns, *, board: str, rail: str, meter: str) -> PowerTrace:
    """The samples without faults and repeated stamps, 0 at ``zero``."""
    good = log.good
    t, first = np.unique(log.t[good], return_index=True)
    return PowerTrace(
        t=t - zero, power_w=log.power_w[good][first], rail=rail, meter=meter, board=board, origin=Origin.CITED
    )


def read_meter(file: Path) -> tuple[str, str]:
    """Maker and model of the meter, and what PTDaemon said of its uncertainty, from PTDaemon's own log.

    Both are empty where there is no log.
    """
    if not file.is_file():
        return "", ""
    text = file.read_text("utf-8", errors="replace")
    identity = _IDENTITY.search(text)
    maker, _, rest = identity[1].strip().partition(",") if identity else ("", "", "")
    model = rest.partition(",")[0]
    unknown, above = len(_UNKNOWN.findall(text)), _ABOVE.findall(text)
    said = []
    if above:
        worst = max(float(value) for value, _ in above)
        said.append(f"above the limit of {above[0][1]} % for {len(above)} samples, {worst:g} % at most")
    if unknown:
        said.append(f"unknown for {unknown} samples")
    accuracy = f"PTDaemon reports the uncertainty {'; '.join(said)} (both passes)" if said else ""
    return f"{maker} {model}".strip(), accuracy
