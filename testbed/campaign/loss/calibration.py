"""Thresholds for inputs that lost something on the way: what a model makes of them, by how much was lost.

Calibration images go the way that a board's pictures go: encoded as JPEG with restart markers, packed in the same
packets, some packets taken away, decoded, and filled in the same manner. The real model then answers. A row for a loss
of 0.1 comes from images that each lost as many packets as keep its loss at or below 0.1, and no fewer: the worst that
the row will be used for. Which packets those are is drawn anew for each image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.campaign.loss.answering import Answering
from testbed.campaign.loss.pictures import arrived, send, worst_of
from testbed.campaign.loss.spec import Packets
from testbed.errors import ConfigError
from testbed.model.datagrams import LossyOptions
from testbed.model.lab import parse_options
from testbed.policy import EDGE
from testbed.wire.datagrams import Order, encode_order
from testbed.wire.picture import fit
from testbed.wire.strips import DECODES, ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testbed.campaign.data import TaskData
    from testbed.campaign.loss.pictures import Sent
    from testbed.coordinator.labfile import LabFile
    from testbed.model.ids import ModelId

_LOOKED_AT = 100


class Way(Struct, frozen=True, kw_only=True):
    """What pictures go through: the fields of a board's ``lossy`` table that matter here, which see."""

    quality: int
    units: int
    packet_bytes: int
    fill: str
    mean: tuple[int, ...]
    decode: str

    @classmethod
    def of(cls, lossy: LossyOptions) -> Way:
        """That of a board's table."""
        return cls(**{name: getattr(lossy, name) for name in cls.__struct_fields__})

    def packets(self, order_bytes: int) -> Packets:
        """The same as a study of loss has it."""
        return Packets(
            quality=self.quality, units=self.units, limit_bytes=self.packet_bytes, order_bytes=order_bytes
        )


def way_of(lab: LabFile) -> Way:
    """What pictures to the lab's edge go through.

    Raises:
        ConfigError: a ``lossy`` table is wrong, no edge board takes lossy orders, or two take them in different
            packets: thresholds are a model's, wherever it runs.
    """
    found = set()
    for board, (table, options) in lab.boards.items():
        given = options.get("lossy")
        if table.site == EDGE and given is not None:
            found.add(Way.of(parse_options(given, LossyOptions, file=lab.file, key=f"boards.{board}.lossy")))
    if len(found) != 1:
        raise ConfigError(
            f"{len(found)} kinds of lossy tables at the edge, where calibration.lost_fracs needs one",
            file=lab.file,
            key="boards",
            cure=f"Give all edge boards the same {', '.join(Way.__struct_fields__)}, or drop lost_fracs",
        )
    return found.pop()


def degrade(
    images: NDArray[np.uint8], lost_frac: float, way: Way, seed: int = 0, order_bytes: int = 96
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Images as a board sees them after a loss, and the share that each really lost.

    Args:
        images: uint8 (n, ...), each as a model takes it. lost_frac: most that each loses, within [0, 1]; with 0 only
            the encoding tells. order_bytes: taken in each packet by the order that it repeats.

    Raises:
        LocalWireError: an image is no picture, or a segment does not fit a packet.
    """
    out = np.empty_like(images)
    shares = np.zeros(len(images))
    for index, image in enumerate(images):
        sent = send(image, way.packets(order_bytes))
        gone = worst_of(sent, lost_frac, (seed, 2, index))
        shares[index] = sent.share(gone)
        out[index] = seen(sent, gone, way, image.shape)
    return out, shares


def seen(sent: Sent, gone: Sequence[int], way: Way, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """What a board with such a table makes of a picture without some packets: a model's input of that shape."""
    by_rows = way.decode == DECODES[ROWS]
    found = arrived(sent, gone, (way.fill,), way.mean, by_rows=by_rows)[way.fill]
    return np.asarray(fit(found, shape))


def lossy_scores(
    data: TaskData, models: Sequence[ModelId], lost_frac: float, way: Way, seed: int = 0
) -> dict[ModelId, list[NDArray[np.float32]]]:
    """What each model answers on the calibration set after a loss; for `testbed.policy.confidence.calibrate`.

    Raises:
        ConfigError: so small a loss cannot be told from none with these packets.
    """
    order = max(order_bytes(data, model, way) for model in models)
    images, shares = degrade(data.calibration_images(), lost_frac, way, seed, order)
    if lost_frac > 0 and not shares.any():
        sent = [send(image, way.packets(order)) for image in images[:_LOOKED_AT]]
        least = min(one.share([number]) for one in sent for number in range(len(one.packets)))
        raise ConfigError(
            f"a loss of {lost_frac:g} takes no packet of these pictures away",
            key="calibration.lost_fracs",
            cure=f"Take a larger loss (a packet here is {least:.3g} of a picture and more), or smaller packets",
        )
    return {model: Answering(data, model).scores(images) for model in models}


def order_bytes(data: TaskData, model: ModelId, way: Way) -> int:
    """How long a board's order for the model is."""
    exits = len(data.catalog.model(model).exits)
    shape = data.catalog.input.shape
    return len(encode_order(Order(model, 0, (0.0,) * (exits - 1), 0, shape, 0, 0, 0, 0.0, 0, way.mean)))
