"""The tree keeps its shape: tests mirror modules, modules stay small, the README's map is the tree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MODULE = 400
LARGEST_FILE_BYTES = 1_000_000

DECLARES = "only declares"
# Modules without a test file of their own: what tests them instead, or that there is nothing to test.
UNTESTED = {
    "drivers/agent/runtimes/overlay/logic.py": DECLARES,
    "drivers/agent/runtimes/overlay/registers.py": DECLARES,
    "drivers/virtual/pynq/device.py": "tests/drivers/virtual/pynq/test_simulated.py",
    "drivers/virtual/pynq/remote.py": "tests/drivers/virtual/pynq/test_simulated.py",
    "testbed/cli/options.py": DECLARES,
    "testbed/cli/published.py": "tests/testbed/cli/test_profiles.py",
    "drivers/npu/layers.py": "tests/drivers/npu/test_quantised.py",
    "drivers/npu/registers.py": "tests/drivers/npu/test_generate.py",
    "drivers/links/ssh_openssh.py": "tests/drivers/links/test_ssh.py",
    "drivers/links/ssh_paramiko.py": "tests/drivers/links/test_ssh.py",
    "testbed/campaign/bench.py": "tests/flow/test_hello.py",
    "testbed/report/gap/rows.py": DECLARES,
    "testbed/campaign/loop.py": "tests/flow/test_hello.py",
    "testbed/campaign/pages.py": "tests/flow/test_interrupted.py",
    "testbed/campaign/policies.py": "tests/flow/test_hello.py",
    "testbed/campaign/profiling/bench.py": "tests/flow/test_profiling.py",
    "testbed/campaign/profiling/identity.py": "tests/flow/test_profiling.py",
    "testbed/campaign/profiling/profile.py": "tests/flow/test_profiling.py",
    "testbed/campaign/profiling/session.py": "tests/flow/test_profiling.py",
    "testbed/campaign/profiling/timed.py": "tests/flow/test_profiling.py",
    "testbed/campaign/progress.py": DECLARES,
    "testbed/campaign/replay.py": "tests/flow/test_hello.py",
    "testbed/campaign/services.py": "tests/flow/test_hello.py",
    "testbed/campaign/trial.py": "tests/flow/test_hello.py",
    "testbed/campaign/virtual.py": "tests/flow/test_hello.py",
    "testbed/coordinator/book.py": "tests/testbed/coordinator/test_core.py",
    "testbed/coordinator/effects.py": DECLARES,
    "testbed/coordinator/state.py": "tests/testbed/coordinator/test_core.py",
    "testbed/model/carriage.py": DECLARES,
    "testbed/model/event.py": DECLARES,
    "testbed/model/ids.py": DECLARES,
    "testbed/model/placement.py": DECLARES,
    "testbed/model/request.py": DECLARES,
    "testbed/model/view.py": DECLARES,
    "testbed/ports.py": DECLARES,
}

# Test files that mirror no module, and why.
UNMIRRORED: dict[str, str] = {}


def tracked() -> list[Path]:
    """Files that are, or are about to be, in the repository."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


FILES = tracked()
MODULES = [
    file
    for file in FILES
    if file.suffix == ".py" and file.relative_to(ROOT).parts[0] in {"testbed", "drivers"}
]


def test_every_module_has_its_test():
    missing = []
    for module in MODULES:
        name = module.relative_to(ROOT)
        if module.name in {"__init__.py", "__main__.py"} or str(name) in UNTESTED:
            continue
        if not (ROOT / "tests" / name.parent / f"test_{name.name}").is_file():
            missing.append(str(name))
    assert not missing, "no test file, and no reason in UNTESTED: " + ", ".join(missing)


def test_every_test_mirrors_a_module():
    strays = []
    for package in ("testbed", "drivers"):
        for test in (ROOT / "tests" / package).rglob("test_*.py"):
            name = test.relative_to(ROOT / "tests")
            module = ROOT / name.parent / name.name.removeprefix("test_")
            # A package may be tested as a whole in the folder above it.
            if not module.is_file() and not module.with_suffix("").is_dir() and str(name) not in UNMIRRORED:
                strays.append(str(name))
    assert not strays, "these mirror no module: " + ", ".join(strays)


def test_exemptions_are_true():
    for name, instead in UNTESTED.items():
        assert instead == DECLARES or (ROOT / instead).is_file(), (
            f"{instead} does not test {name}: it is gone"
        )
        assert (ROOT / name).is_file(), f"{name} is gone"
    for name in UNMIRRORED:
        assert (ROOT / "tests" / name).is_file(), f"{name} is gone"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_small(module):
    lines = len(module.read_text("utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"{lines} lines: split it"


def test_no_large_file():
    large = [str(f.relative_to(ROOT)) for f in FILES if f.stat().st_size > LARGEST_FILE_BYTES]
    assert not large


def test_packages_say_what_they_take_give_and_do_not_know():
    silent = []
    for module in MODULES:
        if module.name != "__init__.py" or module.parent.parent == ROOT:
            continue
        text = module.read_text("utf-8")
        if not text.startswith('"""'):
            silent.append(str(module.relative_to(ROOT)))
    assert not silent


def readme_map() -> set[str]:
    """Folders that the README's map lists, as paths with a slash at the end."""
    text = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"## Map of the tree.*?```text\n(.*?)```", text, re.DOTALL)
    assert block, "README.md has no map"
    found: set[str] = set()
    parents: list[str] = []
    for line in block[1].splitlines():
        match = re.match(r"( *)([\w./-]+/)(?: |$)", line)
        if not match:
            continue
        depth = len(match[1]) // 2
        parents[depth:] = [match[2]]
        found.add("".join(parents))
    return found


def test_readme_map_is_the_tree():
    listed = readme_map()
    gone = [name for name in listed if not (ROOT / name).is_dir()]
    assert not gone, f"the map lists {gone}"
    packages = {
        f"{m.parent.relative_to(ROOT)}/"
        for m in MODULES
        if m.name == "__init__.py" and len(m.parent.relative_to(ROOT).parts) <= 2
    }
    top = {f"{f.relative_to(ROOT).parts[0]}/" for f in FILES if len(f.relative_to(ROOT).parts) > 1}
    unlisted = sorted((packages | {t for t in top if not t.startswith(".")}) - listed)
    assert not unlisted, f"the map leaves out {unlisted}"


def test_decisions_are_numbered_one_after_the_other_and_say_their_number():
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    assert all(file.read_text().startswith(f"# {file.name[:4]}") for file in files)
