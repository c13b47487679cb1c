import msgspec

from testbed.report.losses import loss_tables
from testbed.report.study_figures import draw_study
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
