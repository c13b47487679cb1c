import ast
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from drivers.agent.bundle import agent_source_sha256, build_agent

ROOT = Path(__file__).parents[3]
FILES = [
    ROOT / "testbed/__init__.py",
    ROOT / "testbed/errors.py",
    ROOT / "drivers/__init__.py",
    *sorted((ROOT / "testbed/wire").rglob("*.py")),
    *sorted((ROOT / "drivers/agent").rglob("*.py")),
]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_travels_to_boards_is_python_3_8(path):
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    imports_annotations = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in ast.walk(tree)
    )
    assert imports_annotations or not any(
        isinstance(n, (ast.FunctionDef, ast.AnnAssign)) for n in ast.walk(tree)
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            assert not {"strict", "slots", "kw_only"} & {word.arg for word in node.keywords}, ast.unparse(
                node
            )


def test_the_same_sources_give_the_same_bytes(tmp_path):
    one, two = tmp_path / "one.pyz", tmp_path / "two.pyz"
    assert build_agent(one) == build_agent(two) == agent_source_sha256()
    assert one.read_bytes() == two.read_bytes()
    assert hashlib.sha256(one.read_bytes()).hexdigest() == agent_source_sha256()


def test_the_bundle_holds_what_the_agent_needs_and_no_more(tmp_path):
    path = tmp_path / "agent.pyz"
    build_agent(path)
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    assert {"__main__.py", "testbed/errors.py", "drivers/agent/program.py"} <= names
    assert not [n for n in names if n.startswith("testbed/") and n.count("/") > 1 and "/wire/" not in n]
    done = subprocess.run(
        [sys.executable, str(path), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "--stdio" in done.stdout


def test_the_wire_imports_nothing_but_the_standard_library():
    code = "import sys; import testbed.wire; print(*{n.split('.')[0] for n in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    foreign = set(loaded.stdout.split()) - set(sys.stdlib_module_names)
    assert {"numpy", "msgspec", "asyncio"}.isdisjoint(loaded.stdout.split())
    assert "testbed" in foreign
