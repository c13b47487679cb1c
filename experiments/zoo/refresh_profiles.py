"""Copy hashes and accuracies of the zoo's catalogue into the profiles of its models.

    python experiments/zoo/refresh_profiles.py [--check]

Run it after ``publish.py``. Takes ``catalog.toml`` and ``hwprofiles/*/*.toml``; changes ``sha256`` and the
``[[accuracy]]`` blocks of profiles that belong to the catalogue's task; leaves every other line alone. Needs
nothing but the standard library.
"""

from __future__ import annotations

import argparse
import logging
import math
import re
import sys
import tomllib
from pathlib import Path

LOG = logging.getLogger("zoo.refresh_profiles")
ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "testbed" / "zoo" / "fashion-mnist" / "catalog.toml"
PROFILES = ROOT / "hwprofiles"
_HASHES = re.compile(r"^sha256 = \[[^\]]*\]\n", re.MULTILINE)
_ACCURACY = re.compile(r"^\[\[accuracy\]\]\n(?:[a-z]+ = .*\n)+", re.MULTILINE)


def accuracy_block(exit_: dict[str, object]) -> str:
    """One ``[[accuracy]]`` table: the share correct on the calibration set, with its binomial sigma.

    Not on the test set: policies read profiles, and must not know beforehand how a test ends.
    """
    known = exit_["calibration"]
    assert isinstance(known, dict)
    correct, samples = known["correct"], known["samples"]
    share = correct / samples
    return (
        "[[accuracy]]\n"
        f"value = {share:.4f}\n"
        'origin = "measured"\n'
        f'source = "onnxruntime on the {samples} calibration images of the zoo: {correct} right (catalog.toml)"\n'
        f"sigma = {math.sqrt(share * (1 - share) / samples):.4f}\n"
    )


def refreshed(text: str, model: dict[str, object]) -> str:
    """The profile's text with the model's present hashes and accuracies.

    Raises:
        ValueError: the profile has not as many accuracies as the model has exits.
    """
    parts, exits = model["parts"], model["exits"]
    assert isinstance(parts, list)
    assert isinstance(exits, list)
    blocks = iter([accuracy_block(exit_) for exit_ in exits])
    if len(_ACCURACY.findall(text)) != len(exits):
        raise ValueError(f"{len(exits)} exits, {len(_ACCURACY.findall(text))} accuracies")
    hashes = "".join(f'  "{part["sha256"]}",\n' for part in parts)
    text = _HASHES.sub(lambda _: f"sha256 = [\n{hashes}]\n", text, count=1)
    return _ACCURACY.sub(lambda _: next(blocks), text)


def main() -> int:
    """Rewrite what is stale, or with ``--check`` only name it; 1 if anything is stale then."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    catalog = tomllib.loads(CATALOG.read_text(encoding="utf-8"))
    models = {model["name"]: model for model in catalog["models"]}
    stale = 0
    for file in sorted(PROFILES.glob("*/*.toml")):
        text = file.read_text(encoding="utf-8")
        profile = tomllib.loads(text)
        if profile["task"] != catalog["task"] or profile["model"] not in models:
            continue
        fresh = refreshed(text, models[profile["model"]])
        if fresh != text:
            stale += 1
            LOG.info("%s %s", "stale:" if chosen.check else "refreshed:", file.relative_to(ROOT))
            if not chosen.check:
                file.write_text(fresh, encoding="utf-8")
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
