"""Make the cited profiles under ``hwprofiles/`` from published results.

    python experiments/published/make_profiles.py DATA [--check] [--out DIR]

``DATA`` holds ``mlperf-tiny/`` and ``mlperf-edge/``: results of MLPerf Tiny and of MLPerf Inference with power, copied
from the public repositories, with tables of all their rows (``summary.csv``, ``model-sweep.csv``). Figures come from
the raw logs where they are there, else from the tables. The same data give the same bytes; ``--check`` writes nothing
and names what would change.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import statistics
import sys
from pathlib import Path

import msgspec

from testbed.errors import ConfigError
from testbed.imports.mlperf_power import SUITE, WALL, read_power_run
from testbed.imports.mlperf_tiny import USUAL, benchmarks, profile_of
from testbed.imports.power_run import IMAGENET, PowerRun, idle_of, profile_from, task_of, with_mean
from testbed.imports.submission import LICENCE, Submission, six
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, InferenceEnergy, Metered, Provenance, Quantity
from testbed.store.ladders import FILE, SCHEMA, Column, Columns, Ladder, Rung, ladder_text, profiles_of
from testbed.store.profile_checks import check_profile
from testbed.store.profile_writer import profile_text

LOG = logging.getLogger("published.make_profiles")
ROOT = Path(__file__).parents[2]
IMAGENET_SAMPLES = 50_000
NOTICE = "# Made by experiments/published/make_profiles.py from published results; change that, not this.\n"

# Folder: round, submitter and system of the sweep.
LADDERS = {
    "raspberry-pi-4-tflite": ("v2.0", "Krai", "rpi4-tflite-v2.7.1-ruy"),
    "raspberry-pi-4-armnn": ("v2.0", "Krai", "rpi4-armnn-v21.11-neon"),
    "odroid-n2plus-tflite": ("v2.0", "Krai", "odroid-tflite-v2.7.1-ruy"),
    "odroid-n2plus-armnn-neon": ("v2.0", "Krai", "odroid-armnn-v21.11-neon"),
    "odroid-n2plus-armnn-opencl": ("v2.0", "Krai", "odroid-armnn-v21.11-opencl"),
    "khadas-vim4-tflite": ("v3.0", "Krai", "vim4-tflite-v2.11.0-ruy"),
    "khadas-vim4-armnn-neon": ("v3.0", "Krai", "vim4-armnn-v22.11-neon"),
    "khadas-vim4-armnn-opencl": ("v3.0", "Krai", "vim4-armnn-v22.11-opencl"),
    "jetson-agx-xavier-tflite": ("v2.0", "Krai", "xavier-power.0-fan.cool-tflite-v2.7.1-ruy"),
    "jetson-agx-xavier-armnn": ("v2.0", "Krai", "xavier-power.0-fan.cool-armnn-v21.11-neon"),
    "jetson-agx-orin-tflite": ("v2.1", "Krai", "orin-tflite-v2.7.1-ruy"),
    "jetson-agx-orin-armnn": ("v2.1", "Krai", "orin-armnn-v22.05-neon"),
}
# Folder: systems of which every model with a time, an accuracy and power becomes a profile.
SYSTEMS = {
    "jetson-xavier-nx": ("v2.0", "NVIDIA", "Xavier_NX_TRT_MaxQ"),
    "jetson-agx-orin": ("v3.0", "NVIDIA", "Orin_TRT_MaxQ"),
    "gpu-server-a2": ("v3.0", "Dell", "XR4520c_MaxQ_A2x1_TRT_MaxQ"),
    "raspberry-pi-4-tflite": LADDERS["raspberry-pi-4-tflite"],
    "odroid-n2plus-tflite": LADDERS["odroid-n2plus-tflite"],
    "khadas-vim4-tflite": LADDERS["khadas-vim4-tflite"],
    "jetson-agx-xavier-tflite": LADDERS["jetson-agx-xavier-tflite"],
}
MAXQ = "MaxQ: tuned by the submitter for performance per watt"
# Folder: round, submitter and system of MLPerf Tiny.
BOARDS = {
    "pynq-z2": (("v0.7", "hls4ml-finn", "pynq-z2"), ("v1.0", "hls4ml", "pynq-z2")),
    "nucleo-l4r5zi": (("v1.1", "Krai", "NUCLEO-L4R5ZI_X-CUBE-AI-8.0"),),
}

Row = dict[str, str]


def rows_of(file: Path) -> list[Row]:
    """The rows of a table."""
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def submission_of(row: Row) -> Submission:
    """Whose row it is."""
    return Submission(
        suite=SUITE,
        version=row["version"],
        submitter=row["submitter"],
        system=row["system"],
        division=row["division"],
    )


def run_of(row: Row) -> PowerRun:
    """One run as its row tells it."""
    task = task_of(row["model"])
    return PowerRun(
        submission=submission_of(row),
        model=row["model"],
        scenario=row.get("run_scenario") or "SingleStream",
        path=row["source_path"],
        p=(0.5, 0.9, 0.99) if row["p50_ms"] else (),
        ms=tuple(float(row[name]) for name in ("p50_ms", "p90_ms", "p99_ms")) if row["p50_ms"] else (),
        mean_ms=float(row["mean_ms"]) if row["mean_ms"] else None,
        queries=int(row["query_count"]) if row["query_count"] else None,
        mean_w=float(row["mean_w"]),
        window_s=float(row["window_s"]),
        n_power=int(row["n_power_samples"]),
        metered=WALL,
        after_w=float(row["after_run_w"]) if row["after_run_w"] else None,
        accuracy=float(row["accuracy"]) / 100 if row["accuracy"] else None,
        samples=IMAGENET_SAMPLES if task == IMAGENET else 0,
    )


def told(row: Row, **more: object) -> Provenance:
    """What a row says of how its figures came to be."""
    named = {"hardware": row["hardware"], "processor": row["processor"], "accelerator": row["accelerator"]}
    of = submission_of(row)
    return Provenance(
        run=f"{of.version}/{row['source_path']}",
        board={key: value for key, value in named.items() if value},
        power_mode=MAXQ if "MaxQ" in row["system"] else "",
        versions={"framework": row["framework"]},
        citation=of.citation,
        licence=LICENCE,
        **more,  # type: ignore[arg-type]
    )


def ladder(board: str, rows: list[Row]) -> Ladder:
    """The ladder of one system of the sweep."""
    runs = [run_of(row) for row in rows]
    first = rows[0]
    path = first["source_path"].replace(f"/{first['model']}/", "/{model}/")
    rungs = []
    for row, run in zip(rows, runs, strict=True):
        assert run.accuracy is not None
        assert run.energy_mj is not None
        assert path.replace("{model}", run.model) == row["source_path"]
        _, ms, added = with_mean(run.p, run.ms, run.mean_ms)
        rungs.append(
            Rung(
                model=run.model,
                ms=run.ms,
                accuracy=six(run.accuracy),
                active_w=six(run.mean_w),
                energy_mj=six(run.energy_mj),
                n=run.queries or 0,
                lowest_ms=six(ms[0]) if added else None,
            )
        )
    times = "p50, p90 and p99 printed by LoadGen, SingleStream"
    return Ladder(
        schema=SCHEMA,
        board=board,
        task=IMAGENET[0],
        citation=runs[0].submission.citation,
        path=path,
        p=runs[0].p,
        accuracy_samples=IMAGENET_SAMPLES,
        metered=WALL,
        idle_w=idle_of(runs),
        columns=Columns(
            service=Column(origin=Origin.CITED, how=times),
            lowest=Column(
                origin=Origin.DERIVED,
                how=f"{times}; the time at p = 0 is chosen so that the mean is the printed one",
            ),
            accuracy=Column(origin=Origin.CITED, how="top-1 as printed"),
            active_w=Column(
                origin=Origin.DERIVED,
                how="mean of the power samples with power_begin < t < power_end and watts > 0",
            ),
            energy_mj=Column(
                origin=Origin.DERIVED, how="mean power times the timed window over the queries in it"
            ),
        ),
        rungs=tuple(sorted(rungs, key=lambda rung: (rung.accuracy, rung.model))),
        provenance=msgspec.structs.replace(
            told(first, meter="Yokogawa WT300 series under PTDaemon, about one sample per second"),
            run=f"{first['version']}/{path}",
        ),
    )


def system_profiles(board: str, rows: list[Row], data: Path, *, raw_only: bool) -> list[HwProfile]:
    """Profiles of a system of MLPerf Inference: from raw logs where there are, else from the table's rows.

    Args:
        raw_only: only models whose logs are there.
    """
    runs: dict[str, list[tuple[PowerRun, Provenance, bool]]] = {}
    for row in rows:
        if row["run_scenario"].lower() != row["scenario"].lower():
            continue  # inferred by the submitter from the same logs
        try:
            run, provenance = run_of(row), told(row)
        except ConfigError as error:
            LOG.info("%s %s: left out, %s", row["system"], row["model"], error.message)
            continue
        folder = (
            data / row["version"] / row["system"] / row["model"] / row["scenario"] / "performance" / "run_1"
        )
        if row["raw"]:
            read = read_power_run(folder, run.submission, row["model"], row["scenario"])
            said = {name: getattr(read.provenance, name) for name in ("hashes", "meter", "meter_accuracy")}
            run, provenance = read.run, told(row, **said)
        runs.setdefault(row["model"], []).append((run, provenance, bool(row["raw"])))
    idle = idle_of([run for of in runs.values() for run, _, _ in of])
    made = []
    for model, of in sorted(runs.items()):
        single = next((one for one in of if one[0].scenario == "SingleStream"), None)
        if single is None or (raw_only and not single[2]):
            continue
        try:
            made.append(profile_from([run for run, _, _ in of], board=board, idle=idle, provenance=single[1]))
        except ConfigError as error:
            LOG.info("%s %s: left out, %s", board, model, error.message)
    return made


def tiny_profiles(board: str, systems: tuple[tuple[str, str, str], ...], data: Path) -> list[HwProfile]:
    """Profiles of a board of MLPerf Tiny; what its folder lacks, the table's row says."""
    table = {
        (row["version"], row["submitter"], row["system"], row["benchmark"], row["model"]): row
        for row in rows_of(data / "summary.csv")
    }
    made = []
    for version, submitter, system in systems:
        for one in benchmarks(data / version / submitter / system):
            row = table[version, submitter, system, one.benchmark, one.model]
            of = msgspec.structs.replace(one.submission, division=row["division"])
            try:
                profile, _, notes = profile_of(msgspec.structs.replace(one, submission=of), board=board)
            except ConfigError as error:
                LOG.info("%s: left out, %s", one.path, error.message)
                continue
            for note in notes:
                LOG.info("%s: %s", one.path, note)
            made.append(completed(profile, row, f"{of.citation}, {row['source_path']}"))
    metered = next(profile.metered for profile in made if profile.metered is not None)
    return [at_rest(profile, made, metered) for profile in made]


def completed(profile: HwProfile, row: Row, said: str) -> HwProfile:
    """A profile with what stands only at the source, energies or the trace, as the table took it over."""
    if not row["energy_uj_per_inference"]:
        return profile
    metered = profile.metered or USUAL["pynq"]
    each_mj, busy_w = float(row["energy_uj_per_inference"]) / 1e3, float(row["mean_active_power_mw"]) / 1e3
    each_ms = each_mj / busy_w
    if not profile.energy_mj:
        profile = msgspec.structs.replace(
            profile,
            active_w=Quantity(
                value=six(busy_w),
                origin=Origin.DERIVED,
                source=f"{said}: median of the mean powers printed",
                metered=metered,
            ),
            energy_mj=(
                InferenceEnergy(
                    batch=1,
                    value=six(each_mj),
                    origin=Origin.CITED,
                    source=f"{said}: median of the windows as printed; energy mode, where an inference takes "
                    f"{each_ms:.4g} ms",
                    metered=metered,
                ),
            ),
        )
    level = float(row["idle_power_mw"] or "inf") / 1e3
    if profile.idle_w is not None or level >= busy_w:
        return profile
    net = InferenceEnergy(
        batch=1,
        value=six(each_mj - level * each_ms),
        origin=Origin.DERIVED,
        source=f"{said}: printed median less the level between the windows over {each_ms:.4g} ms",
        metered=metered,
        net=True,
    )
    source = (
        f"{said}: level between the windows of the trace at the source; the board waits, it does not sleep"
    )
    return msgspec.structs.replace(
        profile,
        idle_w=Quantity(value=six(level), origin=Origin.DERIVED, source=source, metered=metered),
        energy_mj=(*profile.energy_mj, net),
    )


def at_rest(profile: HwProfile, made: list[HwProfile], metered: Metered) -> HwProfile:
    """A profile without power at rest takes the median of the board's others."""
    levels = [other.idle_w.value for other in made if other.idle_w is not None]
    if profile.idle_w is not None or not levels:
        return profile
    others = ", ".join(other.model for other in made if other.idle_w is not None)
    source = f"no trace of this run is at hand; median of the levels of {others} on the same board"
    return msgspec.structs.replace(
        profile,
        idle_w=Quantity(
            value=six(statistics.median(levels)), origin=Origin.ASSUMED, source=source, metered=metered
        ),
    )


def texts(data: Path) -> dict[Path, str]:
    """Every file to ship, by path below ``hwprofiles``."""
    edge = data / "mlperf-edge"
    sweep, summary = rows_of(edge / "model-sweep.csv"), rows_of(edge / "summary.csv")

    def of(rows: list[Row], system: tuple[str, str, str]) -> list[Row]:
        return [row for row in rows if (row["version"], row["submitter"], row["system"]) == system]

    made: dict[Path, str] = {}
    for board, system in LADDERS.items():
        value = ladder(board, of(sweep, system))
        profiles_of(value, Path(board) / FILE)
        made[Path(board) / FILE] = NOTICE + ladder_text(value)
    profiles = [
        *(
            profile
            for board, system in SYSTEMS.items()
            for profile in system_profiles(board, of(summary, system), edge, raw_only=board in LADDERS)
        ),
        *(
            profile
            for board, systems in BOARDS.items()
            for profile in tiny_profiles(board, systems, data / "mlperf-tiny")
        ),
    ]
    for profile in profiles:
        file = Path(profile.board) / f"{profile.model}.toml"
        check_profile(profile, file)
        made[file] = NOTICE + profile_text(profile)
    return made


def main() -> int:
    """Write what has changed, or with ``--check`` only name it; 1 if anything would change then."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "hwprofiles")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    stale = 0
    made = texts(chosen.data)
    for path, text in sorted(made.items()):
        file = chosen.out / path
        if file.is_file() and file.read_text("utf-8") == text:
            continue
        stale += 1
        LOG.info("%s %s", "stale:" if chosen.check else "written:", path)
        if not chosen.check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    digest = hashlib.sha256("".join(made[path] for path in sorted(made)).encode()).hexdigest()
    print(f"{len(made)} files, sha256 of all {digest[:16]}, {stale} {'stale' if chosen.check else 'written'}")
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
