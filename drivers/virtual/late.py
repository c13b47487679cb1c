"""A link whose address is known only once its far side runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import LinkError
from testbed.model.view import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.ports import Link


class LateLink:
    """Makes the link anew at every ``open``, and is that link until the next one."""

    def __init__(self, name: str, make: Callable[[], Link]) -> None:
        """Nothing is made yet; ``name`` is used until then."""
        self._name = name
        self._make = make
        self._link: Link | None = None

    @property
    def name(self) -> str:
        """``kind://where``."""
        return self._name if self._link is None else self._link.name

    @property
    def health(self) -> Health:
        """Of the present link; down before there is one."""
        return Health.DOWN if self._link is None else self._link.health

    async def open(self) -> None:
        """Make a link and open it.

        Raises:
            LinkError: as that link does.
        """
        await self.close()
        self._link = self._make()
        await self._link.open()

    async def read(self) -> bytes:
        """As the present link does."""
        return b"" if self._link is None else await self._link.read()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """As the present link does.

        Raises:
            LinkError: there is none, or it is down.
        """
        if self._link is None:
            raise LinkError("not open", link=self._name)
        await self._link.write(data)

    async def close(self) -> None:
        """Close the present link."""
        if self._link is not None:
            await self._link.close()
