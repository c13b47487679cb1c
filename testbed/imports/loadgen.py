"""Reads the logs of MLPerf LoadGen: what was run, how long it took, and when the timed window was.

``mlperf_log_summary.txt`` is ``key : value`` text; ``mlperf_log_detail.txt`` has one ``:::MLLOG {json}`` per line.
The window's edges, ``power_begin`` and ``power_end``, are UTC with milliseconds: ``02-07-2022 11:10:18.325``.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from testbed.errors import ConfigError
from testbed.units import Ns

if TYPE_CHECKING:
    from pathlib import Path

DETAILS = ("mlperf_log_detail.txt", "mlperf_log_detail.results_only.txt")
_QUANTILE = re.compile(r"^([\d.]+) percentile latency \(ns\)\s*:\s*(\d+)")
_EXTREME = re.compile(r"^(Min|Max|Mean) latency \(ns\)\s*:\s*(\d+)")
_PAIR = re.compile(r"^([^:]+?)\s*:\s*(.+?)\s*$")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class LoadgenRun(Struct, frozen=True, kw_only=True):
    """One run of LoadGen.

    Attributes:
        scenario: ``SingleStream``, ``MultiStream``, ``Offline`` or ``Server``, as really run.
        p, ms: printed quantiles of the time of one query [ms], minimum and maximum included.
        mean_ms: mean of the same [ms].
        begin, end: timed window [ns since 1970, UTC].
        queries: in the window; ``None`` where the log does not count them.
        per_s: queries, or in ``Offline`` samples, per second as printed.
        samples_per_query: 1 in SingleStream, 8 in MultiStream.
    """

    scenario: str
    valid: bool
    p: tuple[float, ...]
    ms: tuple[float, ...]
    mean_ms: float | None
    begin: Ns
    end: Ns
    queries: int | None
    per_s: float | None
    samples_per_query: int

    @property
    def window_s(self) -> float:
        """Length of the timed window [s]."""
        return (self.end - self.begin) / 1e9

    @property
    def counted(self) -> int | None:
        """Queries in the window; where the log has no count, printed rate times window, rounded."""
        if self.queries is not None or self.per_s is None:
            return self.queries
        return round(self.per_s * self.window_s)


def read_run(folder: Path) -> LoadgenRun:
    """Read the two logs of a run.

    Raises:
        ConfigError: one of them is missing or lacks what every run of a power submission has.
    """
    summary = folder / "mlperf_log_summary.txt"
    pairs, quantiles, extremes = _summary(summary)
    detail = next((folder / name for name in DETAILS if (folder / name).is_file()), folder / DETAILS[0])
    logged = read_detail(detail)
    for file, found, keys in (
        (summary, pairs, ("Scenario", "samples_per_query")),
        (detail, logged, ("power_begin", "power_end")),
    ):
        if missing := [key for key in keys if key not in found]:
            cure = "Give both logs of the testing run, whole"
            raise ConfigError(f"no {' and no '.join(missing)} in it", file=file, cure=cure)
    try:
        scenario = pairs["Scenario"]
        begin, end = (parse_time(str(logged[key])) for key in ("power_begin", "power_end"))
        per_query = int(pairs["samples_per_query"])
    except ValueError as error:
        raise ConfigError(
            f"not the logs of a run with power: {error}",
            file=detail,
            cure="Give both logs of the testing run",
        ) from error
    if end <= begin:
        raise ConfigError("power_end is not after power_begin", file=detail, cure="Copy the log again")
    rate = pairs.get("Samples per second") or pairs.get("QPS w/ loadgen overhead")
    offline = scenario == "Offline"
    grid = {0.0: extremes.get("Min"), **quantiles, 1.0: extremes.get("Max")}
    known = {} if offline else {p: ns for p, ns in grid.items() if ns is not None}
    count = logged.get("result_query_count")
    return LoadgenRun(
        scenario=scenario,
        valid=pairs.get("Result is") == "VALID",
        p=tuple(known),
        ms=tuple(ns / 1e6 for ns in known.values()),
        mean_ms=None if offline or "Mean" not in extremes else extremes["Mean"] / 1e6,
        begin=begin,
        end=end,
        queries=None if count is None else int(count),
        per_s=float(rate) if rate else None,
        samples_per_query=1 if offline else per_query,
    )


def read_detail(file: Path) -> dict[str, Any]:
    """Keys and values of a detail log; of a key that comes again, the last.

    Raises:
        ConfigError: it cannot be read, or has no line of LoadGen.
    """
    found: dict[str, Any] = {}
    for line in _text(file).splitlines():
        _, mark, rest = line.partition(":::MLLOG ")
        if not mark:
            continue
        try:
            entry = json.loads(rest)
            found[entry["key"]] = entry["value"]
        except (json.JSONDecodeError, KeyError, TypeError):
            continue  # long lists are cut in the middle by loggers that share the file
    if not found:
        raise ConfigError(
            "no line of LoadGen (:::MLLOG) in it", file=file, cure="Give the detail log of the run"
        )
    return found


def parse_time(text: str) -> Ns:
    """``02-07-2022 11:10:18.325`` as nanoseconds since 1970, UTC.

    Raises:
        ValueError: not such a time.
    """
    at = datetime.datetime.strptime(text.strip(), "%m-%d-%Y %H:%M:%S.%f").replace(tzinfo=datetime.UTC)
    return (at - _EPOCH) // datetime.timedelta(microseconds=1) * 1000


def _summary(file: Path) -> tuple[dict[str, str], dict[float, int], dict[str, int]]:
    pairs: dict[str, str] = {}
    quantiles: dict[float, int] = {}
    extremes: dict[str, int] = {}
    for line in _text(file).splitlines():
        text = line.strip()
        if quantile := _QUANTILE.match(text):
            quantiles[round(float(quantile[1]) / 100, 6)] = int(quantile[2])
        elif extreme := _EXTREME.match(text):
            extremes[extreme[1]] = int(extreme[2])
        elif pair := _PAIR.match(text):
            pairs.setdefault(pair[1], pair[2])
    return pairs, dict(sorted(quantiles.items())), extremes


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise ConfigError("cannot read the log", file=file, cure="Check the path") from error
