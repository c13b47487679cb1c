"""A profile for a model of one's own, paced and powered as published models were on real silicon.

Nobody ran one's own network on that board, so every figure that depends on the network is ``assumed``, with the
published figure as its reasoning. It says how a board of this kind behaves, not how fast this network is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from testbed.errors import ConfigError, did_you_mean
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.zoo.catalog import Catalog


def stand_in(catalog: Catalog, model: str, rungs: Sequence[HwProfile], *, board: str) -> HwProfile:
    """A profile of ``model`` that takes as long at its k-th exit, and draws as much, as the k-th rung.

    Args:
        catalog: what the model is, its exits and accuracies.
        rungs: profiles of one board with a single exit each, one per exit of the model, slower ones later.
        board: name of the folder it is to lie in.

    Raises:
        ConfigError: no such model; not a rung per exit; rungs of several boards, of several exits, metered
            differently or not in the order of the exits.
    """
    known = {entry.name: entry for entry in catalog.models}
    if model not in known:
        raise ConfigError(f"no model {model!r}", key="model", cure=did_you_mean(model, known))
    entry = known[model]
    if len(rungs) != len(entry.exits):
        raise ConfigError(
            f"{model} has {len(entry.exits)} exits, but {len(rungs)} published models are named",
            key="rungs",
            cure="Name one per exit, the fastest first",
        )
    if len({rung.board for rung in rungs}) > 1 or any(rung.exits > 1 for rung in rungs):
        raise ConfigError(
            "they must be of one board, with one exit each", key="rungs", cure="Name other ones"
        )
    for batch in (1, *sorted({row.batch for rung in rungs for row in rung.service})):
        times = [[rung.service_at(batch, q=q) for rung in rungs] for q in (0.0, 0.5, 0.99)]
        if any(row != sorted(row) for row in times):
            raise ConfigError(
                "a later exit would be faster than an earlier one", key="rungs", cure="Sort them"
            )
    last = rungs[-1]
    return HwProfile(
        schema=1,
        board=board,
        model=model,
        task=catalog.task,
        service=tuple(
            msgspec.structs.replace(
                row, exit=exit_, n=0, origin=Origin.ASSUMED, source=_as(rung, row.source, row.origin)
            )
            for exit_, rung in enumerate(rungs)
            for row in rung.service
        ),
        accuracy=tuple(
            Quantity(
                value=known.accuracy,
                origin=Origin.MEASURED,
                source=f"catalogue: {known.correct} of {known.samples} calibration images right",
            )
            for known in (exit_.calibration for exit_ in entry.exits)
        ),
        sha256=tuple(part.sha256 for part in entry.parts),
        active_w=_assumed(last, last.active_w),
        idle_w=last.idle_w,
        load_ms=_assumed(last, last.load_ms),
        provenance=last.provenance,
    )


def _assumed(rung: HwProfile, quantity: Quantity | None) -> Quantity | None:
    if quantity is None:
        return None
    return msgspec.structs.replace(
        quantity, origin=Origin.ASSUMED, source=_as(rung, quantity.source, quantity.origin)
    )


def _as(rung: HwProfile, source: str, origin: Origin) -> str:
    return f"as {rung.model} on {rung.board}, which stands in ({origin.value}): {source}"
