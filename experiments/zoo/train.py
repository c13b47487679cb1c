"""Train the networks of the Fashion-MNIST zoo; every epoch leaves a checkpoint to resume from.

    python experiments/zoo/train.py resnet8 --epochs 25 --threads 2
    python experiments/zoo/publish.py            # ONNX files, predictions and catalogue from the checkpoints

Takes a network's name and the 55,000 training images; keeps the averaged weights of the epoch that did
best on the 5,000 validation images. Never reads the test file.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from data import Split, training_split
from networks import Network
from torch import nn

LOG = logging.getLogger("zoo.train")
CHECKPOINTS = Path(tempfile.gettempdir(), "testbed-zoo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one network is trained; ``exit_weights`` multiplies the loss of each exit.

    ``head_epochs`` of training for the heads of all exits but the last follow, with everything else frozen.
    """

    epochs: int
    peak_lr: float = 0.1
    batch: int = 128
    weight_decay: float = 5e-4
    warmup_frac: float = 0.1
    shift_px: int = 2
    flip: bool = True
    ema_decay: float = 0.998
    exit_weights: tuple[float, ...] = (1.0,)
    head_epochs: int = 0
    seed: int = 7


RECIPES = {
    "cnn-tiny": Recipe(epochs=12, shift_px=1, weight_decay=0.0),
    "cnn-small": Recipe(epochs=10, shift_px=1, weight_decay=1e-4),
    "resnet8": Recipe(epochs=25),
    "resnet8-ee": Recipe(epochs=25, exit_weights=(0.2, 0.4, 1.0), head_epochs=10),
}


def augment(images: torch.Tensor, shift_px: int, *, flip: bool) -> torch.Tensor:
    """Shift each image by up to ``shift_px`` either way (zeros come in) and mirror half of them.

    Args:
        images: uint8 (n, 28, 28).
        shift_px: largest shift along each axis [pixels].
        flip: whether to mirror left to right.
    """
    count, height, width = images.shape
    padded = torch.nn.functional.pad(images, (shift_px,) * 4)
    offset = torch.randint(0, 2 * shift_px + 1, (2, count, 1))
    rows = torch.arange(height)[None] + offset[0]
    columns = torch.arange(width)[None] + offset[1]
    if flip:
        columns = torch.where(torch.rand(count, 1) < 0.5, columns, columns.flip(1))
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def normalise(images: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Map uint8 (n, 28, 28) to float32 (n, 1, 28, 28) with the training set's mean and deviation."""
    scaled = ((images.float() - mean) / std)[:, None]
    return scaled.contiguous(memory_format=torch.channels_last)


def learning_rate(recipe: Recipe, done_frac: float) -> float:
    """Linear warm-up, then a half cosine to zero."""
    if done_frac < recipe.warmup_frac:
        return recipe.peak_lr * (done_frac / recipe.warmup_frac + 1e-3)
    rest = (done_frac - recipe.warmup_frac) / (1 - recipe.warmup_frac)
    return recipe.peak_lr * 0.5 * (1 + math.cos(math.pi * rest))


@torch.no_grad()
def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """Fraction correct of each exit; ``images`` float32 (n, 1, 28, 28), ``labels`` int64 (n,)."""
    network.eval()
    hits: torch.Tensor | None = None
    for chunk, wanted in zip(images.split(500), labels.split(500), strict=True):
        right = torch.stack([(s.argmax(1) == wanted).sum() for s in network(chunk)])
        hits = right if hits is None else hits + right
    assert hits is not None
    return [h / len(labels) for h in hits.tolist()]


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights and batch-norm statistics a step towards the live ones."""
    for kept, live in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(live, 1 - decay)
        else:
            kept.copy_(live)


def train(name: str, recipe: Recipe, folder: Path, lost: torch.Tensor | None = None) -> None:
    """Train ``name`` to ``recipe`` and leave ``<name>.pt`` (resume) and ``<name>.best.pt`` in ``folder``.

    Args:
        lost: uint8 (copies, n, 28, 28), the training images after a loss: half of each batch is taken from one of them,
            and the files are called ``<name>-lossy``, an ONNX file among them. Which epoch to keep is still told by
            whole images.
    """
    kept_as = name if lost is None else f"{name}-lossy"
    torch.manual_seed(recipe.seed)
    kept, held = training_split()
    mean, std = float(kept.images.mean()), float(kept.images.std())
    images, labels = _tensors(kept)
    check_images, check_labels = _tensors(held)
    check = normalise(check_images, mean, std)
    network = Network(name).to(memory_format=torch.channels_last)  # twice as fast here
    average = copy.deepcopy(network)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    start, best, resume = 0, 0.0, folder / f"{kept_as}.pt"
    if resume.exists():
        state = torch.load(resume, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["rng"])
        start, best = state["epoch"], state["best"]
    steps = len(images) // recipe.batch
    for epoch in range(start, recipe.epochs):
        began = time.monotonic()
        network.train()
        order = torch.randperm(len(images))
        for step in range(steps):
            rate = learning_rate(recipe, (epoch * steps + step) / (recipe.epochs * steps))
            optimiser.param_groups[0]["lr"] = rate
            rows = order[step * recipe.batch : (step + 1) * recipe.batch]
            picked = images[rows]
            if lost is not None:
                half = len(rows) // 2
                picked[:half] = lost[torch.randint(len(lost), (half,)), rows[:half]]
            batch = normalise(augment(picked, recipe.shift_px, flip=recipe.flip), mean, std)
            scores = network(batch)
            losses = [nn.functional.cross_entropy(s, labels[rows]) for s in scores]
            loss = torch.stack([w * part for w, part in zip(recipe.exit_weights, losses, strict=True)]).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            done = epoch * steps + step
            follow(average, network, min(recipe.ema_decay, (1 + done) / (10 + done)))
        reached = accuracy(average, check, check_labels)
        LOG.info(
            "%s epoch %d/%d: validation %s, loss %.4f, %.0f s",
            kept_as,
            epoch + 1,
            recipe.epochs,
            " ".join(f"{r:.4f}" for r in reached),
            loss.item(),
            time.monotonic() - began,
        )
        if reached[-1] >= best:
            best = reached[-1]
            note = {
                "epoch": epoch + 1,
                "epochs": recipe.epochs,
                "validation": reached,
                "mean": mean,
                "std": std,
            }
            _save({"average": average.state_dict(), "note": json.dumps(note)}, folder / f"{kept_as}.best.pt")
        _save(
            {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "rng": torch.get_rng_state(),
                "epoch": epoch + 1,
                "best": best,
            },
            resume,
        )


def export(name: str, folder: Path) -> None:
    """Write ``<name>-lossy.onnx`` from its checkpoint, for compare_lost.py."""
    from onnx_graph import write_parts

    state = torch.load(folder / f"{name}-lossy.best.pt", weights_only=True)
    note = json.loads(state["note"])
    network = Network(name)
    network.load_state_dict(state["average"])
    (part,) = write_parts(network, note["mean"], note["std"])
    (folder / f"{name}-lossy.onnx").write_bytes(part.model.SerializeToString())


def train_early_heads(name: str, recipe: Recipe, folder: Path) -> None:
    """Train what only the early exits use, on the frozen trunk; ``<name>.best.pt`` is written again.

    The last exit stays exactly as it was. Does nothing when that file says it was done before.
    """
    kept_file = folder / f"{name}.best.pt"
    state = torch.load(kept_file, weights_only=True)
    note = json.loads(state["note"])
    if "head_epochs" in note:
        return
    torch.manual_seed(recipe.seed + 1)
    kept, held = training_split()
    images, labels = _tensors(kept)
    check_images, check_labels = _tensors(held)
    check = normalise(check_images, note["mean"], note["std"])
    network = Network(name).to(memory_format=torch.channels_last)
    network.load_state_dict(state["average"])
    heads = nn.ModuleList([*network.heads[:-1], *network.classifiers[:-1]])
    optimiser = torch.optim.Adam(heads.parameters(), lr=3e-3)
    steps = len(images) // recipe.batch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.head_epochs * steps)
    for epoch in range(recipe.head_epochs):
        network.eval()
        heads.train()
        for rows in torch.randperm(len(images))[: steps * recipe.batch].split(recipe.batch):
            x = normalise(augment(images[rows], 1, flip=recipe.flip), note["mean"], note["std"])
            losses = []
            early = zip(network.trunks, network.heads[:-1], network.classifiers[:-1], strict=False)
            for trunk, head, classifier in early:
                with torch.no_grad():
                    x = trunk(x)
                scores = classifier(head(x).mean(dim=(2, 3)))
                losses.append(nn.functional.cross_entropy(scores, labels[rows]))
            optimiser.zero_grad(set_to_none=True)
            torch.stack(losses).sum().backward()
            optimiser.step()
            schedule.step()
        reached = accuracy(network, check, check_labels)
        shown = " ".join(f"{r:.4f}" for r in reached)
        LOG.info("%s heads %d/%d: validation %s", name, epoch + 1, recipe.head_epochs, shown)
    note |= {"validation": reached, "head_epochs": recipe.head_epochs}
    _save({"average": network.state_dict(), "note": json.dumps(note)}, kept_file)


def _tensors(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(split.images), torch.from_numpy(split.labels).long()


def _save(state: dict[str, object], path: Path) -> None:
    """Write beside and rename, so that a stopped run never leaves half a checkpoint."""
    beside = path.with_suffix(".new")
    torch.save(state, beside)
    beside.replace(path)


def main() -> None:
    """Train the networks named on the command line, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="+", choices=sorted(RECIPES))
    parser.add_argument("--epochs", type=int, help="instead of the recipe's own number")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS)
    parser.add_argument("--lost", type=Path, help="what lose.py wrote; networks of one exit only")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(chosen.threads)
    chosen.checkpoints.mkdir(parents=True, exist_ok=True)
    for name in chosen.networks:
        recipe = RECIPES[name]
        if chosen.epochs is not None:
            recipe = Recipe(**{**_fields(recipe), "epochs": chosen.epochs})
        lost = None if chosen.lost is None else torch.from_numpy(np.load(chosen.lost)["images"])
        train(name, recipe, chosen.checkpoints, lost)
        if lost is not None:
            export(name, chosen.checkpoints)
            continue
        if recipe.head_epochs:
            train_early_heads(name, recipe, chosen.checkpoints)


def _fields(recipe: Recipe) -> dict[str, object]:
    return {key: getattr(recipe, key) for key in Recipe.__dataclass_fields__}


if __name__ == "__main__":
    main()
