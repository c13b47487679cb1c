"""The same way for a byte stream, where nobody is root: bytes are late and slow, but none is lost.

A stream that loses packets shows it by what its transport does about them, which a relay above the transport cannot
know; so losses are refused here instead of being left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from drivers.virtual.network.way import PacketWay
from testbed.errors import ConfigError
from testbed.units import S

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.virtual.network.options import NetworkOptions, WayOptions

_WITHOUT_END = 1 << 62


class StreamWay:
    """One direction; satisfies what `drivers.virtual.relay.Pipe` asks of a way."""

    def __init__(self, options: WayOptions, seed: str, beside: Path) -> None:
        """An empty way; the queue is the relay's own buffer.

        Raises:
            ConfigError: the trace cannot be read.
        """
        self._way = PacketWay(msgspec.structs.replace(options, queue_bytes=_WITHOUT_END), seed, beside)
        self._epoch: float | None = None

    def exit_s(self, now: float, size: int) -> float:
        """When the last of ``size`` bytes comes out that enter at ``now``; both on the loop's clock [s]."""
        if self._epoch is None:
            self._epoch = now
        exit_ = self._way.enter(round((now - self._epoch) * S), size)
        assert exit_ is not None, "a way without loss and with room for everything lets everything through"
        return self._epoch + exit_ / S


def refuse_loss(options: NetworkOptions, *, file: Path, key: str) -> None:
    """A relay cannot lose a stream's packets.

    Raises:
        ConfigError: the options ask for it.
    """
    for name in ("up", "down"):
        way: WayOptions = getattr(options, name)
        if way.loss.mean_frac > 0:
            raise ConfigError(
                "a relay cannot lose packets of a byte stream",
                file=file,
                key=f"{key}.{name}.loss",
                cure='Run as root with backend = "tun", or leave the loss out',
            )
