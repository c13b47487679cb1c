"""The report as one JSON document, schema 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from testbed.measure.stats import Estimate
    from testbed.report.rows import Analysis, EnergyRow, PolicyRow, TargetRow

SCHEMA = 1


def to_json(analysis: Analysis) -> dict[str, Any]:
    """The document that ``testbed run --json`` and ``testbed report --json`` print.

    ``None`` stands wherever a figure could not be had, with a reason beside it where the schema has one.
    """
    return {
        "schema": SCHEMA,
        "run": analysis.folder,
        "policies": {row.policy: _policy(row) for row in analysis.policies},
        "cancelled": [_plain(row) for row in analysis.cancels],
        "meters": [_plain(row) for row in analysis.meters],
        "executions": [_plain(row) for row in analysis.work],
        "crosschecks": [_plain(row) for row in analysis.crosschecks],
        "figures": dict(analysis.figures),
    }


def _policy(row: PolicyRow) -> dict[str, Any]:
    return {
        "requests": row.requests,
        "outcomes": dict(row.outcomes),
        "p99_ms": {
            "value": row.p99_ms.value,
            "ci": interval(row.p99_ms),
            "reason": row.p99_ms.reason or None,
        },
        "energy_mj_per_request": _energy(row.energy),
        "targets": [_target(target) for target in row.targets],
    }


def _energy(row: EnergyRow) -> dict[str, Any]:
    return {
        "value": row.net_mj,
        "sigma": row.sigma_mj,
        "origin": row.origin or None,
        "scope": row.scope,
        "reason": row.reason or None,
        "how": row.how or None,
    }


def _target(row: TargetRow) -> dict[str, Any]:
    return {
        "target": row.target,
        "requests": row.requests,
        "accuracy": row.accuracy.value,
        "accuracy_ci": interval(row.accuracy),
        "offload_frac": row.offload_frac,
        "response_ms": {"p50": row.p50_ms, "p95": row.p95_ms},
        "deadline_miss_frac": row.deadline_miss_frac,
        "energy_mj_per_request": _energy(row.energy),
    }


def _plain(row: msgspec.Struct) -> dict[str, Any]:
    """A row with the names of its fields, in JSON's own types."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row))
    return plain


def interval(estimate: Estimate) -> list[float] | None:
    """``[low, high]``, or ``None``."""
    return list(estimate.interval) if estimate.interval is not None else None
