"""Profiles with round figures, for the tests of their comparison."""

from __future__ import annotations

from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, InferenceEnergy, Metered, Quantity, Service

WALL = Metered(kind="wall", what="mains")
CHIP = Metered(kind="chip", what="core supply")


def profile(
    model: str,
    *,
    ms: float = 4.0,
    accuracy: float = 0.8,
    energy_mj: float | None = 30.0,
    metered: Metered | None = WALL,
    task: str = "task/set",
    service_origin: Origin = Origin.CITED,
    batches: tuple[int, ...] = (1,),
) -> HwProfile:
    """A profile of one exit; larger batches take as long as their square root, and half the energy an item."""
    powers = (
        {}
        if metered is None
        else {
            "active_w": Quantity(value=9.0, origin=Origin.DERIVED, source="s", metered=metered),
            "idle_w": Quantity(value=3.0, origin=Origin.DERIVED, source="s", metered=metered),
        }
    )
    energies = (
        ()
        if energy_mj is None or metered is None
        else tuple(
            InferenceEnergy(
                batch=batch,
                value=energy_mj if batch == 1 else energy_mj / 2,
                origin=Origin.DERIVED,
                source="s",
                metered=metered,
            )
            for batch in batches
        )
    )
    return HwProfile(
        schema=1,
        board="b",
        model=model,
        task=task,
        service=tuple(
            Service(batch=batch, p=(0.5,), ms=(ms * batch**0.5,), origin=service_origin, source="s")
            for batch in batches
        ),
        accuracy=(Quantity(value=accuracy, origin=Origin.CITED, source="s"),),
        energy_mj=energies,
        **powers,
    )
