"""The four networks, written once as data and built as torch modules.

Takes a name; gives a ``Network``: stages of trunk layers, each with a head that ends in class scores.
Does not know how anything is trained or exported.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Conv:
    """3x3 convolution, batch norm, ReLU."""

    channels: int
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Residual:
    """Two 3x3 convolutions with a shortcut; a 1x1 convolution on the shortcut where the shape changes."""

    channels: int
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Pool:
    """2x2 maximum pooling."""


Layer = Conv | Residual | Pool


@dataclass(frozen=True, slots=True)
class Stage:
    """Trunk layers that the next stage continues from, and the layers before this stage's classifier."""

    trunk: tuple[Layer, ...]
    head: tuple[Layer, ...] = ()


NETWORKS: dict[str, tuple[Stage, ...]] = {
    "cnn-tiny": (Stage((Conv(8, 2), Conv(16, 2))),),
    "cnn-small": (Stage((Conv(16, 2), Conv(32, 2), Conv(48))),),
    "resnet8": (Stage((Conv(16), Residual(16), Residual(32, 2), Residual(64, 2))),),
    "resnet8-ee": (
        Stage((Conv(16),), (Pool(), Conv(16, 2))),
        Stage((Residual(16),), (Pool(), Conv(32, 2))),
        Stage((Residual(32, 2), Residual(64, 2))),
    ),
}


class ConvBn(nn.Module):
    """Convolution with batch norm and an optional ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, relu: bool) -> None:
        """Padding keeps the size at stride 1."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, c, h, w) to (n, outputs, h / stride, w / stride)."""
        y = self.bn(self.conv(x))
        return torch.relu(y) if self.relu else y

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of the one convolution that equals both layers at inference."""
        assert self.bn.running_mean is not None
        assert self.bn.running_var is not None
        scale = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        weight = self.conv.weight * scale[:, None, None, None]
        return weight.detach(), (self.bn.bias - self.bn.running_mean * scale).detach()


class ResidualBlock(nn.Module):
    """``relu(second(first(x)) + shortcut(x))``."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """The shortcut is the identity unless the shape changes."""
        super().__init__()
        self.first = ConvBn(inputs, outputs, 3, stride, relu=True)
        self.second = ConvBn(outputs, outputs, 3, 1, relu=False)
        changes = inputs != outputs or stride != 1
        self.shortcut = ConvBn(inputs, outputs, 1, stride, relu=False) if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, c, h, w) to (n, outputs, h / stride, w / stride)."""
        kept = x if self.shortcut is None else self.shortcut(x)
        return torch.relu(self.second(self.first(x)) + kept)


def _build(layers: tuple[Layer, ...], channels: int) -> tuple[nn.Sequential, int]:
    built = nn.Sequential()
    for layer in layers:
        match layer:
            case Conv():
                built.append(ConvBn(channels, layer.channels, 3, layer.stride, relu=True))
                channels = layer.channels
            case Residual():
                built.append(ResidualBlock(channels, layer.channels, layer.stride))
                channels = layer.channels
            case Pool():
                built.append(nn.MaxPool2d(2))
    return built, channels


class Network(nn.Module):
    """Every exit's class scores from normalised images."""

    def __init__(self, name: str, classes: int = 10) -> None:
        """Build the network ``name`` of ``NETWORKS`` with torch's default initialisation."""
        super().__init__()
        self.trunks = nn.ModuleList()
        self.heads = nn.ModuleList()
        self.classifiers = nn.ModuleList()
        channels = 1
        for stage in NETWORKS[name]:
            trunk, channels = _build(stage.trunk, channels)
            head, width = _build(stage.head, channels)
            self.trunks.append(trunk)
            self.heads.append(head)
            self.classifiers.append(nn.Linear(width, classes))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map images float32 (n, 1, 28, 28) to one (n, classes) tensor of scores per exit."""
        scores = []
        for trunk, head, classifier in zip(self.trunks, self.heads, self.classifiers, strict=True):
            x = trunk(x)
            scores.append(classifier(head(x).mean(dim=(2, 3))))
        return scores
