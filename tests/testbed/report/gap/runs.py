"""A synthetic live run and its model: the same requests, but live every record is closed a little later."""

from __future__ import annotations

from typing import Any

import msgspec

from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Quantity, Service
from testbed.store.reader import Run
from testbed.store.schema import Drawn, Source
from testbed.units import US

FASTER = 50 * US
LAB = """
[boards.jetson]
profiles = "virtual-jetson"
[boards.mcu]
profiles = "virtual-mcu"
[boards.host]
"""


def profile_of(model: str) -> HwProfile:
    """Some profile: only its origins are printed."""
    row = Service(batch=1, p=(0.5,), ms=(1.0,), origin=Origin.ASSUMED, source="test")
    accuracy = Quantity(value=0.9, origin=Origin.ASSUMED, source="test")
    return HwProfile(schema=1, board="b", model=model, task="t", service=(row,), accuracy=(accuracy,))


def with_header(run: Run, /, **changes: Any) -> Run:
    """The run with another header."""
    return msgspec.structs.replace(run, header=msgspec.structs.replace(run.header, **changes))


def slower(run: Run) -> Run:
    """The run as a live one: a lab file with and without profiles, and every record closed `FASTER` later."""
    trials = tuple(
        msgspec.structs.replace(
            trial, records=tuple(msgspec.structs.replace(r, ended=r.ended + FASTER) for r in trial.records)
        )
        for trial in run.trials
    )
    return msgspec.structs.replace(with_header(run, lab_text=LAB), trials=trials)


def modelled(live: Run, *, drawn: tuple[Drawn, ...] = (), **changes: Any) -> Run:
    """The same trials as if in virtual time; every record closed `FASTER` sooner."""
    known = {
        "jetson": {"cnn-tiny": profile_of("cnn-tiny")},
        "host": {"resnet8": profile_of("resnet8")},
    }
    header: dict[str, Any] = {
        "after": Source(run="scout", created="2026-01-01T00:00:00+00:00"),
        "known": known,
    }
    trials = tuple(
        msgspec.structs.replace(
            trial,
            drawn=drawn,
            power=(),
            records=tuple(msgspec.structs.replace(r, ended=r.ended - FASTER) for r in trial.records),
        )
        for trial in live.trials
    )
    return msgspec.structs.replace(with_header(live, **(header | changes)), trials=trials)
