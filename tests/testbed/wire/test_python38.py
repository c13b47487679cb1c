import ast
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_wire_imports_nothing_but_the_standard_library():
    code = "import sys; import testbed.wire; print(*{n.split('.')[0] for n in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    foreign = set(loaded.stdout.split()) - set(sys.stdlib_module_names)
    assert {"numpy", "msgspec", "asyncio"}.isdisjoint(loaded.stdout.split())
    assert "testbed" in foreign
