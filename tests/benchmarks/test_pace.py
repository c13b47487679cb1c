import pytest

from benchmarks.pace import (
    DEFAULT,
    FEWEST,
    MOST,
    SERVICES_MS,
    TARGETS,
    VARIANTS,
    Cell,
    Variant,
    executions,
    figures,
    pooled,
    show,
)
from testbed.model.execution import Step
from testbed.units import MS, US

OTHER = Variant(answers="replay", realtime=False, spin_us=0)


def cell(variant, ms, percent, errors_us, way_ms=1.0):
    """A cell whose executions were off by so much."""
    steps = tuple(
        Step(
            id=(number, 0),
            board=variant.name,
            model="net",
            decided=0,
            answered=1,
            started=number * 100 * MS,
            finished=number * 100 * MS + ms * MS + error * US,
            asked_service=ms * MS,
        )
        for number, error in enumerate(errors_us)
    )
    return Cell(
        variant=variant,
        service_ms=ms,
        load_percent=percent,
        steps=steps,
        way_ms=(way_ms,) * len(steps),
        load_frac=percent / 100,
    )


def design(variants, error_us=10):
    return [
        cell(variant, ms, percent, [error_us * (1 + place)] * 4, way_ms=1.0 + place)
        for place, variant in enumerate(variants)
        for ms in SERVICES_MS
        for percent in (10, 50, 90)
    ]


def test_every_variant_has_figures_and_the_defaults_have_them_by_load():
    found = figures(design([DEFAULT, OTHER]), [DEFAULT, OTHER])
    assert found["p99_us_5ms_50"] == pytest.approx(10)
    assert found[f"p50_us_20ms_{OTHER.name}"] == pytest.approx(20)
    assert found[f"p99_us_1ms_{DEFAULT.name}"] == pytest.approx(10)
    assert found["pace_p99_frac_5ms"] == pytest.approx(0.002)
    assert found[f"way_ms_{OTHER.name}"] == 2.0
    assert set(TARGETS) <= set(found)


def test_early_counts_as_much_as_late():
    assert pooled([cell(DEFAULT, 5, 50, [-30, 30])]).p50_ms == pytest.approx(0.03)


def test_cells_of_one_variant_are_one_distribution():
    pace = pooled([cell(DEFAULT, 5, 10, [10] * 50), cell(DEFAULT, 5, 90, [90] * 50)])
    assert pace.n == 100
    assert pace.p50_ms == pytest.approx(0.05, abs=0.001)
    assert pace.p99_ms == pytest.approx(0.09)


def test_the_defaults_are_among_the_variants_that_are_compared():
    assert DEFAULT in VARIANTS
    assert len(set(VARIANTS)) == len(VARIANTS) == len({variant.name for variant in VARIANTS})


def test_a_cell_is_as_long_as_its_bounds_allow():
    assert executions(20, 10) == FEWEST
    assert executions(1, 90) == MOST
    assert FEWEST < executions(5, 50) < MOST


def test_the_table_has_a_row_per_variant_in_their_order(capsys):
    show(design([OTHER, DEFAULT]), [DEFAULT, OTHER])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == [DEFAULT.name, OTHER.name]
    assert lines[2].count(" / ") == 10
