"""What lost packets cost, as tables: models without loss, the edge by fill, thresholds, response times by transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.measure.stats import Estimate
from testbed.report import words
from testbed.report.table import Table

if TYPE_CHECKING:
    from testbed.store.study import Study

_WORDS = {"none": "nothing", "iid": "each on its own", "bursts": "in bursts"}


def loss_tables(study: Study) -> tuple[Table, ...]:
    """Models without loss, answers under loss, thresholds, response times."""
    tables = (
        _whole(study),
        _edge(study),
        _thresholds(study),
        _operating(study),
        _responses(study),
        _ratios(study),
        _escalated(study),
    )
    return tuple(table for table in tables if table.body)


def _answers(study: Study) -> list[dict[str, Any]]:
    return [row for row in study.rows if row["what"] == "answers"]


def _accuracy(row: dict[str, Any]) -> str:
    return words.share(Estimate(value=row["accuracy"], low=row["low"], high=row["high"], n=row["n"]))


def _whole(study: Study) -> Table:
    rows = [row for row in _answers(study) if row["pattern"] == "none"]
    shown = study.figures
    return Table(
        title="Without loss",
        head=("model", "images", "accuracy, 95 % interval"),
        body=tuple((row["model"], str(row["n"]), _accuracy(row)) for row in rows),
        remarks=(
            "accuracy: measured (stored labelled images through the encoder, answered by the models)",
            f"a picture: {words.number(shown['packets_per_picture'])} packets (at least "
            f"{words.number(shown['packets_min'])}), {words.number(shown['bytes_per_picture'])} bytes",
        ),
    )


def _edge(study: Study) -> Table:
    fills = study.spec["fills"]
    cells: dict[tuple[str, str, float], dict[str, dict[str, Any]]] = {}
    for row in _answers(study):
        if row["pattern"] != "none":
            cells.setdefault((row["model"], row["pattern"], row["loss"]), {})[row["fill"]] = row
    return Table(
        title="Answers at the edge to what arrived: accuracy, and how many stay as without loss",
        head=("model", "lost", "packets lost", "came as", "pictures hit", *fills),
        body=tuple(
            (
                model,
                _WORDS[pattern],
                words.percent(loss),
                words.percent(found[fills[0]]["delivered_loss"]),
                f"{found[fills[0]]['hit']} of {found[fills[0]]['n']}",
                *(f"{_accuracy(found[fill])}, {words.percent(found[fill]['agreement'])}" for fill in fills),
            )
            for (model, pattern, loss), found in cells.items()
        ),
        names=2,
        remarks=("loss: emulated, seeded; accuracy: measured on stored images",),
    )


def _thresholds(study: Study) -> Table:
    pairs: dict[tuple[str, float, str, float], dict[bool, dict[str, Any]]] = {}
    for row in study.rows:
        if row["what"] == "thresholds":
            key = (row["frontend"], row["target"], row["pattern"], row["loss"])
            pairs.setdefault(key, {})[row["aware"]] = row
    return Table(
        title="Edge and backend together: thresholds that know the picture's loss, and those that do not",
        head=(
            "frontend",
            "target",
            "lost",
            "packets lost",
            "promised in",
            "without loss",
            "loss known",
            "drop, points",
            "offloaded",
            "loss-blind",
            "drop, points",
            "offloaded",
        ),
        body=tuple(
            (
                frontend,
                words.percent(target),
                _WORDS[pattern],
                words.percent(loss),
                str(found[True]["promised"]),
                words.percent(found[True]["whole_accuracy"]),
                *_outcome(found[True]),
                *_outcome(found[False]),
            )
            for (frontend, target, pattern, loss), found in pairs.items()
        ),
        names=3,
        remarks=(
            f"{study.spec['splits']} splits into halves, fill {study.spec['fill']}; drop: against what the same "
            "thresholds reach without loss on the same images, with where 95 % of the splits lie (splits share images: "
            "no confidence interval)",
            *_left_out(study),
        ),
    )


def _operating(study: Study) -> Table:
    return Table(
        title="What a smaller drop costs: limits on loss, and thresholds that keep near the accuracy without loss",
        head=(
            "rule",
            "value",
            "frontend",
            "target",
            "lost",
            "drop, points",
            "calibrated",
            "offloaded",
            "no loss",
        ),
        body=tuple(
            (
                row["rule"],
                words.number(row["value"]),
                row["frontend"],
                words.percent(row["target"]),
                _WORDS[row["pattern"]],
                words.estimated(
                    Estimate(value=row["drop_pt"], low=row["drop_low_pt"], high=row["drop_high_pt"]),
                    signed=True,
                ),
                words.number(row["known_drop_pt"]),
                words.percent(row["offload_frac"]),
                words.percent(row["whole_offload_frac"]),
            )
            for row in study.rows
            if row["what"] == "operating" and row["promised"]
        ),
        names=3,
        remarks=(
            "limit: above this share the backend answers; keep: points given away at most, by calibration; "
            f"chosen: in each split the loosest keep within {study.spec.get('goal_pt', 2.0):g} points on the "
            "calibration half (calibrated); offloaded over the reliable path",
        ),
    )


def _escalated(study: Study) -> Table:
    return Table(
        title="P99 of the lossy path with its escalations over that of TCP with its own",
        head=(
            "rule",
            "value",
            "frontend",
            "target",
            "lost",
            "drop, points",
            "p99",
            "TCP's",
            "ratio, 95 % interval",
        ),
        body=tuple(
            (
                row["rule"],
                words.number(row["value"]),
                row["frontend"],
                words.percent(row["target"]),
                _WORDS[row["pattern"]],
                words.number(row["drop_pt"]),
                words.number(row["p99_ms"]),
                words.number(row["other_p99_ms"]),
                words.estimated(Estimate(value=row["frac"], low=row["low"], high=row["high"])),
            )
            for row in study.rows
            if row["what"] == "escalated"
        ),
        names=3,
        remarks=(
            "modelled: played response times; the offloaded share takes one more over TCP, drawn from the seed",
        ),
    )


def _left_out(study: Study) -> tuple[str, ...]:
    """Why there are no response times, or none of some transport."""
    reasons = [row["reason"] for row in study.rows if row["what"] == "left out"]
    if not reasons and any(row["what"] == "response" for row in study.rows):
        return ()
    return (
        f"response times are left out: {reasons[0] if reasons else 'the campaign file has no live table'}",
    )


def _responses(study: Study) -> Table:
    live = study.spec.get("live") or {}
    rows = [row for row in study.rows if row["what"] == "response"]
    return Table(
        title="Response times of pictures by transport",
        head=(
            "packets lost",
            "lost",
            "transport",
            "pictures",
            "p50",
            "p99, 95 % interval [ms]",
            "sent again",
            "with gaps",
            "mean lost",
            "unanswered",
            "packets up",
        ),
        body=tuple(
            (
                words.percent(row["loss"]),
                _WORDS[row["pattern"]],
                row["transport"],
                str(row["n"]),
                words.number(row["p50_ms"]),
                words.estimated(
                    Estimate(value=row["p99_ms"], low=row["p99_low_ms"], high=row["p99_high_ms"])
                ),
                words.percent(row["again_frac"]),
                words.percent(row["hurt_frac"]),
                words.percent(row["lost_frac"]),
                str(row["unanswered"]),
                words.number(row["packets_up"]),
            )
            for row in rows
        ),
        names=3,
        remarks=(
            "response times: measured (real TCP and UDP stacks); network: emulated packet by packet, "
            f"{live['rtt_ms']:g} ms round trip, loss each way; execution: assumed, {live['service_ms']:g} ms; "
            "intervals: clients drawn anew",
            f"fec: {words.percent(live['redundancy'])} coded datagrams; what datagrams could not carry goes over "
            f"the stream (sent again); unanswered: not within {live['limit_s']:g} s, counted with that",
        )
        if rows
        else (),
    )


def _ratios(study: Study) -> Table:
    return Table(
        title="P99 of the lossy transport over that of another",
        head=("packets lost", "lost", "over", "ratio, 95 % interval"),
        body=tuple(
            (
                words.percent(row["loss"]),
                _WORDS[row["pattern"]],
                row["other"],
                words.estimated(Estimate(value=row["frac"], low=row["low"], high=row["high"])),
            )
            for row in study.rows
            if row["what"] == "ratio"
        ),
        names=3,
        remarks=("over TCP: the congestion control with the smaller P99 of those compared",),
    )


def _outcome(row: dict[str, Any]) -> tuple[str, str, str]:
    drop = Estimate(value=row["drop_pt"], low=row["drop_low_pt"], high=row["drop_high_pt"])
    return (
        words.percent(row["accuracy"]),
        words.estimated(drop, signed=True),
        words.percent(row["offload_frac"]),
    )
