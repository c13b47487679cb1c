"""The cited profiles are what the published results make of them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.imports.mlperf_power import import_power
from testbed.store.profiles import load_profiles

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
SCRIPT = ROOT / "experiments" / "published" / "make_profiles.py"

pytestmark = pytest.mark.skipif(
    not (DATA / "mlperf-edge").is_dir() or not (DATA / "mlperf-tiny").is_dir(),
    reason="the published results are not here (shared/data/mlperf-edge and mlperf-tiny)",
)


def test_the_shipped_files_are_the_ones_the_script_makes():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(DATA), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, (
        f"run: python experiments/published/make_profiles.py DATA\n{done.stderr}{done.stdout}"
    )
    assert " 0 stale" in done.stdout


def test_every_rung_is_the_row_it_cites():
    with (DATA / "mlperf-edge" / "model-sweep.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["source_path"]: row for row in csv.DictReader(file)}
    seen = 0
    for folder in sorted((ROOT / "hwprofiles").iterdir()):
        if not (folder / "ladder.toml").is_file():
            continue
        for profile in load_profiles(folder).values():
            path = profile.active_w.source.split(", ", 3)[3].split(":")[0]
            row = rows.get(path)
            if row is None:
                assert "/resnet50/" in path
                continue
            assert profile.energy_at().value == pytest.approx(
                float(row["energy_j_per_query"]) * 1e3, rel=1e-5
            )
            assert profile.service_at() / 1e6 == pytest.approx(float(row["p50_ms"]), rel=1e-5)
            assert profile.service_at(q=0.99) / 1e6 == pytest.approx(float(row["p99_ms"]), rel=1e-5)
            assert profile.accuracy[0].value == pytest.approx(float(row["accuracy"]) / 100)
            seen += 1
    assert seen == 12 * 94


def test_raw_logs_and_the_table_tell_the_same():
    """Three rungs of the Raspberry Pi, read from their logs instead of from the sweep's table."""
    folder = DATA / "mlperf-edge" / "v2.0" / "rpi4-tflite-v2.7.1-ruy"
    read = {p.model: p for p in import_power(folder, submitter="Krai").profiles}
    shipped = load_profiles(ROOT / "hwprofiles" / "raspberry-pi-4-tflite")
    assert len(read) == 4
    for model, profile in read.items():
        rung = shipped[model]
        assert rung.energy_at().value == pytest.approx(profile.energy_at().value, rel=1e-4)
        assert rung.active_w.value == pytest.approx(profile.active_w.value, rel=1e-4)
        assert rung.accuracy[0].value == pytest.approx(profile.accuracy[0].value)
        assert rung.accuracy[0].sigma == pytest.approx(profile.accuracy[0].sigma, rel=1e-4)
        for q in (0.5, 0.9, 0.99):
            assert rung.service_at(q=q) == pytest.approx(profile.service_at(q=q), rel=1e-4)
