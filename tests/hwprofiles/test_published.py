"""The cited profiles are what the published results make of them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

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
