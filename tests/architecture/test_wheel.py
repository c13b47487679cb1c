"""The wheel carries all that ``testbed run 00-hello`` needs, and works away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import pytest

from tests.architecture.test_tree import ROOT

NEEDED = (
    "testbed/_shipped/experiments/00-hello/campaign.toml",
    "testbed/_shipped/experiments/labs/virtual.toml",
    "testbed/_shipped/hwprofiles/virtual-jetson/resnet8.toml",
    "testbed/zoo/fashion-mnist/catalog.toml",
    "testbed/zoo/fashion-mnist/resnet8.onnx",
    "testbed/zoo/fashion-mnist/test.npz",
    "testbed/py.typed",
    "drivers/agent/program.py",
    "drivers/py.typed",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What pip would put into site-packages."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_everything_is_there_and_nothing_large(installed):
    missing = [name for name in NEEDED if not (installed / name).is_file()]
    assert not missing
    size = sum(file.stat().st_size for file in installed.rglob("*") if file.is_file())
    assert size < 8_000_000
    assert not (installed / "tests").exists()


def test_the_notice_of_the_images_travels(installed):
    notices = [file.relative_to(installed) for file in installed.rglob("NOTICE*")]
    assert any("fashion-mnist" in str(file) for file in notices), notices


def test_it_finds_its_own_lab_and_experiment(installed, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(installed)}
    ask = [sys.executable, "-c", "from testbed.cli import main; main()", "boards", "--json"]
    done = subprocess.run(ask, cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=60)
    document = json.loads(done.stdout)
    assert str(installed) in document["file"]
    assert all(board["driver"] for board in document["boards"].values())
    code = "from testbed import resources; print(resources.experiment('00-hello'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith(str(installed))
