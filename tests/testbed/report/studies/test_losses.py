import msgspec

from testbed.report.studies.figures import draw_study
from testbed.report.studies.losses import loss_tables
from tests.testbed.store.test_study import STUDY


def answer(**more):
    return {
        "what": "answers",
        "model": "small",
        "pattern": "iid",
        "loss": 0.05,
        "fill": "grey",
        "n": 500,
        "correct": 400,
        "accuracy": 0.8,
        "low": 0.763,
        "high": 0.833,
        "agreement": 0.9,
        "delivered_loss": 0.052,
        "hit": 361,
        "lost_frac": 0.05,
        **more,
    }


def threshold(aware, **more):
    return {
        "what": "thresholds",
        "frontend": "small",
        "target": 0.75,
        "pattern": "iid",
        "loss": 0.05,
        "aware": aware,
        "n": 250,
        "promised": 50,
        "accuracy": 0.85 if aware else 0.82,
        "offload_frac": 0.4 if aware else 0.3,
        "whole_accuracy": 0.855,
        "drop_pt": 0.5 if aware else 3.5,
        "drop_low_pt": -0.5,
        "drop_high_pt": 4.5,
        **more,
    }


LOSS = msgspec.structs.replace(
    STUDY,
    kind="loss",
    spec={
        "frontends": ["small"],
        "patterns": ["iid"],
        "fills": ["grey", "linear"],
        "fill": "linear",
        "splits": 50,
        "targets": [0.75],
    },
    rows=[
        answer(pattern="none", loss=0.0, fill="none", accuracy=0.84, hit=0),
        answer(),
        answer(fill="linear", accuracy=0.83),
        threshold(True),
        threshold(False),
    ],
    figures={"packets_per_picture": 25.5, "packets_min": 7.0, "bytes_per_picture": 23000.0},
)


def test_fills_stand_side_by_side_and_thresholds_in_one_row() -> None:
    whole, edge, thresholds = loss_tables(LOSS)
    assert whole.body == (("small", "500", "84.0 [76.3, 83.3] %"),)
    (row,) = edge.body
    assert row[:5] == ("small", "each on its own", "5.0 %", "5.2 %", "361 of 500")
    assert row[5:] == ("80.0 [76.3, 83.3] %, 90.0 %", "83.0 [76.3, 83.3] %, 90.0 %")
    (row,) = thresholds.body
    assert row[4:] == (
        "50",
        "85.5 %",
        "85.0 %",
        "+0.500 [-0.500, +4.50]",
        "40.0 %",
        "82.0 %",
        "+3.50 [-0.500, +4.50]",
        "30.0 %",
    )


def test_what_was_not_promised_is_a_dash() -> None:
    none = {"promised": 0} | dict.fromkeys(
        ("accuracy", "offload_frac", "whole_accuracy", "drop_pt", "drop_low_pt", "drop_high_pt")
    )
    rows = [*LOSS.rows[:3], threshold(True, **none), threshold(False, **none)]
    *_, thresholds = loss_tables(msgspec.structs.replace(LOSS, rows=rows))
    assert thresholds.body[0][5:] == ("-",) * 7
    assert draw_study(msgspec.structs.replace(LOSS, rows=rows))


def test_accuracy_is_drawn_over_loss() -> None:
    (svg,) = draw_study(LOSS).values()
    assert svg.startswith("<svg")
    assert "edge alone, linear" in svg
    assert "loss-blind" in svg


def response(transport, **more):
    return {
        "what": "response",
        "transport": transport,
        "pattern": "iid",
        "loss": 0.05,
        "n": 10_020,
        "unanswered": 0,
        "again_frac": 0.01,
        "hurt_frac": 0.6,
        "lost_frac": 0.05,
        "p50_ms": 57.0,
        "p99_ms": 86.0,
        "p99_low_ms": 85.0,
        "p99_high_ms": 88.0,
        "packets_up": 26.5,
        **more,
    }


def test_response_times_and_ratios_are_tables_and_a_plot() -> None:
    ratio = {
        "what": "ratio",
        "pattern": "iid",
        "loss": 0.05,
        "other": "fec",
        "frac": 0.62,
        "low": 0.5,
        "high": 0.7,
    }
    study = msgspec.structs.replace(
        LOSS,
        spec={**LOSS.spec, "live": {"rtt_ms": 40.0, "service_ms": 5.0, "redundancy": 0.2, "limit_s": 30.0}},
        rows=[*LOSS.rows, response("lossy"), response("tcp cubic", p99_ms=700.0, p99_high_ms=720.0), ratio],
    )
    *_, thresholds, responses, ratios = loss_tables(study)
    assert not any("left out" in remark for remark in thresholds.remarks)
    assert responses.body[0][2:6] == ("lossy", "10020", "57.0", "86.0 [85.0, 88.0]")
    assert ratios.body == (("5.0 %", "each on its own", "fec", "0.620 [0.500, 0.700]"),)
    assert "Response times by transport, iid" in draw_study(study)


def test_what_is_left_out_is_said_with_the_reason() -> None:
    rows = [*LOSS.rows, {"what": "left out", "reason": "network namespaces need root"}]
    (*_, thresholds) = loss_tables(msgspec.structs.replace(LOSS, rows=rows))
    assert "left out: network namespaces need root" in thresholds.remarks[-1]
    assert "no live table" in loss_tables(LOSS)[-1].remarks[-1]


OPERATING = {
    "what": "operating",
    "rule": "chosen",
    "value": 0.5,
    "frontend": "small",
    "target": 0.75,
    "pattern": "iid",
    "loss": 0.05,
    "promised": 50,
    "drop_pt": 1.05,
    "drop_low_pt": -3.2,
    "drop_high_pt": 5.9,
    "known_drop_pt": 1.51,
    "offload_frac": 0.257,
    "whole_offload_frac": 0.0,
}


def test_what_a_smaller_drop_costs_has_a_table_and_what_was_never_promised_no_row() -> None:
    empty = OPERATING | dict.fromkeys([name for name in OPERATING if name.endswith(("_pt", "_frac"))])
    rows = [*LOSS.rows, OPERATING, empty | {"promised": 0, "rule": "limit"}]
    (table,) = [
        one for one in loss_tables(msgspec.structs.replace(LOSS, rows=rows)) if "smaller drop" in one.title
    ]
    assert len(table.body) == 1
    assert table.body[0][:5] == ("chosen", "0.500", "small", "75.0 %", "each on its own")
    assert "25.7 %" in table.body[0]


def test_the_tail_with_escalations_has_a_table() -> None:
    row = {**OPERATING, "what": "escalated", "p99_ms": 400.0, "other_p99_ms": 500.0}
    row |= {"frac": 0.8, "low": 0.7, "high": 0.9, "other": "tcp bbr"}
    tables = loss_tables(msgspec.structs.replace(LOSS, rows=[*LOSS.rows, row]))
    (table,) = [one for one in tables if "escalations" in one.title]
    assert table.body[0][6:8] == ("400", "500")
    assert "modelled" in table.remarks[0]
