"""What a connected board is: what its agent said at the greeting, and what holds since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.session.metering import traits_of
from testbed.model.lab import BoardFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.boards.composition import Composition
    from testbed.model.lab import BoardSpec
    from testbed.wire import messages as m


def facts_of(
    spec: BoardSpec,
    parts: Composition,
    welcome: m.Welcome,
    settings_held: Mapping[str, str],
    lossy_orders: str,
) -> BoardFacts:
    """The facts of a board.

    Args:
        settings_held: as read back after setting: what the figures belong to.
        lossy_orders: whether they are ``taken``, else why not; empty where nobody asked for any.

    Raises:
        BoardError: the agent describes a meter wrongly.
    """
    facts = dict(welcome.facts)
    if settings_held:
        facts["settings_held"] = dict(settings_held)
    if lossy_orders:
        facts["lossy_orders"] = lossy_orders
    memory = facts.get("memory_bytes")
    return BoardFacts(
        id=spec.id,
        kind=parts.kind,
        site=spec.site,
        boot_id=welcome.boot_id,
        agent_sha256=welcome.agent_sha256,
        facts=facts,
        origin=parts.origin,
        link_origin=parts.link_origin,
        memory_bytes=memory if isinstance(memory, int) else None,
        meters=traits_of(welcome.facts),
    )
