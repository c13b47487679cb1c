from pathlib import Path

import msgspec
import pytest

from testbed.campaign.grid.cells import Cell, Factors
from testbed.campaign.grid.study import Grid, read_grid
from testbed.errors import ConfigError
from testbed.resources import root

FOLDER = root() / "experiments" / "01-p99-per-target"


def small(**more):
    study = read_grid(FOLDER)
    workload = msgspec.structs.replace(study.workload, requests=300)
    return msgspec.structs.replace(
        study, workload=workload, **{"factors": Factors(), "seeds": 1, "other_seeds": 1, **more}
    )


@pytest.fixture(scope="module")
def grid():
    return Grid(small(), FOLDER)


POINT = Cell(rtt_ms=40, load=1.0, levels=5)


def test_the_operating_point_comes_first_with_all_seeds_and_the_rest_once() -> None:
    study = small(seeds=3)
    study = msgspec.structs.replace(study, factors=Factors(rtt_ms=(5, 40), load=(1.0, 2.0)))
    plan = Grid(study, FOLDER).plan()
    n = len(study.policies)
    assert [(c.rtt_ms, c.load, s) for c, s, _ in plan[::n]] == [
        (40, 1, 1),
        (40, 1, 2),
        (40, 1, 3),
        (5, 1, 1),
        (5, 2, 1),
        (40, 2, 1),
    ]
    more = Grid(msgspec.structs.replace(study, other_seeds=2), FOLDER).plan()
    assert [(c.rtt_ms, c.load, s) for c, s, _ in more[3 * n :: n][:2]] == [(5, 1, 1), (5, 1, 2)]


def test_a_trial_is_the_same_every_time_and_another_seed_another(grid) -> None:
    once = grid.play(POINT, 1, "edgesight-serial")
    assert grid.play(POINT, 1, "edgesight-serial") == once
    assert grid.play(POINT, 2, "edgesight-serial") != once
    assert once.requests == 300


def test_the_cell_sets_arrivals_targets_and_round_trip(grid) -> None:
    few = Cell(rtt_ms=150, load=0.5, levels=2)
    workload = grid.workload(few)
    assert [need.min_accuracy for need in workload.needs] == [0.92, 0.91]
    assert workload.arrivals.rate_hz == pytest.approx(0.5 * 1e3 / 31.3, rel=0.02)
    far = grid.play(few, 1, "dc-only")
    near = grid.play(msgspec.structs.replace(few, rtt_ms=5), 1, "dc-only")
    assert far.p50_ms - near.p50_ms == pytest.approx(145, abs=1)


def test_the_cell_sets_the_uplink_the_size_and_the_deadline(grid) -> None:
    wide = msgspec.structs.replace(POINT, load=0.1, uplink=80.0, payload_bytes=10_000, deadline_ms=100)
    fast, slow = (
        grid.play(wide, 1, "dc-only"),
        grid.play(msgspec.structs.replace(wide, uplink=4.0), 1, "dc-only"),
    )
    assert slow.p50_ms - fast.p50_ms == pytest.approx(19, abs=1)  # 10 kB at 4 and at 80 Mbit/s
    assert fast.uplink_bytes == slow.uplink_bytes == 10_000
    assert fast.missed_frac < 0.1
    late = grid.play(msgspec.structs.replace(wide, deadline_ms=60), 1, "dc-only")
    assert late.missed_frac > 0.9


def test_a_recorded_uplink_is_taken_up_where_the_seed_says(tmp_path: Path) -> None:
    (tmp_path / "slow.csv").write_text("t_s,rate_kbit\n0,80000\n9,0\n10,80000\n")
    cell = msgspec.structs.replace(POINT, load=0.1, uplink="slow.csv")
    study = msgspec.structs.replace(small(operating=cell), lab=str(FOLDER / "lab.toml"))
    grid = Grid(study, tmp_path)
    first, second = grid.play(cell, 1, "dc-only"), grid.play(cell, 2, "dc-only")
    assert first.p99_ms > 500 > first.p50_ms  # a second in eleven lets nothing through
    assert second.p99_ms > 500
    assert grid.play(cell, 1, "dc-only") == first
    with pytest.raises(ConfigError, match="cannot be read"):
        Grid(msgspec.structs.replace(study, factors=Factors(uplink=("none.csv",))), tmp_path)


def test_every_seed_draws_its_samples_anew_only_where_asked(grid) -> None:
    """What the edge alone gets right, on the same arrivals, is a matter of the draw alone."""
    shipped = Grid(small(redraw=False), FOLDER)
    drawn = [grid.play(POINT, seed, "edge-only") for seed in (1, 2, 3)]
    as_shipped = [shipped.play(POINT, seed, "edge-only") for seed in (1, 2, 3)]
    assert [row.drawn_from for row in (drawn[0], as_shipped[0])] == [4000, 2000]
    assert [row.accuracy for row in drawn] != [row.accuracy for row in as_shipped]
    assert [row.p50_ms for row in drawn] == [row.p50_ms for row in as_shipped]
    many = Grid(small(), FOLDER)  # a draw that was dropped comes back the same
    for seed in range(2, 9):
        many.play(POINT, seed, "edge-only")
    assert many.play(POINT, 1, "edge-only") == drawn[0]


def test_confidence_sends_less_away_than_variants_do(grid) -> None:
    ours, variants = (grid.play(POINT, 1, name) for name in ("edgesight-serial", "infaas"))
    assert ours.offload_frac < 0.15 < 0.3 < variants.offload_frac
    assert ours.dc_busy_frac < variants.dc_busy_frac


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('subject = "edgesight-auto"', 'subject = "infaas"', "subject"),
        ("levels = 5 ", "levels = 6 ", "operating.levels"),
        ("\nseeds = 20", "\nseeds = 0", "seeds"),
        ("\nseeds = 20", "\nsedes = 20", "sedes"),
        ("other_seeds = 5", "other_seeds = 0", "other_seeds"),
        ("[operating]", '[crossover]\none = "infaas"\nother = "nobody"\n[operating]', "crossover"),
        ("load = 1.0 ", "load = 0 ", "operating"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = (FOLDER / "campaign.toml").read_text()
    assert old in text
    (tmp_path / "campaign.toml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_grid(tmp_path)
    assert key in str(caught.value)
