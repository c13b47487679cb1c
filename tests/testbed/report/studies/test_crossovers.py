import msgspec
import pytest

from testbed.report.studies.grids import grid_tables
from tests.testbed.report.studies.test_grids import trial
from tests.testbed.store.test_study import STUDY

POINT = {"rtt_ms": 40.0, "load": 1.0, "levels": 1, "uplink": 10.0, "deadline_ms": 250.0}


def cell(rtt=40.0, uplink=10.0):
    return {**POINT, "rtt_ms": rtt, "uplink": uplink}


def one(policy, p99, where, *, seed=1, sent=1000.0):
    return {**trial(policy, p99, ours=True, seed=seed), "cell": where, "uplink_bytes": sent}


def line(better, rtt, *, seed=1, uplink=10.0):
    return {
        "what": "crossover",
        "cell": cell(5.0, uplink),
        "quantile": "p99",
        "seed": seed,
        "better": better,
        "rtt_ms": rtt,
        "ratios": [[5.0, 0.5], [40.0, None if uplink == 2.0 else 0.9]],
    }


@pytest.fixture
def study():
    """Two contenders at two round trips over a rate and a recording, two seeds at the operating point."""
    trace = "traces/slow.csv"
    rows = [
        one("serial", 200.0, cell()),
        one("both", 100.0, cell(), sent=24e3),
        one("serial", 210.0, cell(), seed=2),
        one("both", None, cell(), seed=2, sent=26e3),
        one("serial", 150.0, cell(uplink=trace)),
        one("both", 90.0, cell(uplink=trace)),
        one("serial", 80.0, cell(5.0)),
        one("both", 70.0, cell(5.0)),
        line("below", 30.0),
        line("below", 34.0, seed=2),
        line("nowhere", None, uplink=2.0),
    ]
    spec = {
        "operating": POINT,
        "subject": "serial",
        "workload": {"requests": 100},
        "other_seeds": 1,
        "policies": {"serial": {}, "both": {}},
        "crossover": {"one": "serial", "other": "both", "margin_frac": 0.02},
        "radios": {"lte": {"up_mw_per_mbit_s": 76.7, "sigma": 2.7, "source": "somebody"}},
    }
    return msgspec.structs.replace(STUDY, kind="grid", rows=rows, spec=spec)


def test_the_crossover_shows_sides_seeds_and_ratios(study) -> None:
    table = grid_tables(study)[3]
    assert table.head == (
        "uplink Mbit/s",
        "quantile",
        "better at round trips (seeds)",
        "crossover ms",
        "ratio at 5, 40 ms",
    )
    assert table.body == (
        ("2", "p99", "nowhere (1)", "-", "0.50 -"),
        ("10", "p99", "below (2)", "32.0 [30.0, 34.0]", "0.50 0.90"),
    )


def test_cells_come_by_size_and_recordings_by_name(study) -> None:
    p99 = grid_tables(study)[4]
    assert p99.head == ("uplink Mbit/s", "round trip ms", "serial", "both")
    assert p99.body == (
        ("10", "5", "80.0", "70.0"),
        ("10", "40", "205 [200, 210]", "never"),
        ("slow", "40", "150", "90.0"),
    )


def test_what_is_sent_has_a_price_on_each_radio(study) -> None:
    table = grid_tables(study)[-1]
    assert table.head == ("policy", "kB", "lte mJ")
    assert table.body == (("serial", "1.00", "0.614"), ("both", "25.0", "15.3"))
    assert any("76.7 ± 2.7" in remark for remark in table.remarks)
    assert any("not included" in remark for remark in table.remarks)
