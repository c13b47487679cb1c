"""Power traces as files of their own: ``.npz`` with three arrays and a line of JSON, no pickle.

::

    t         int64 (n,)      [ns] from the trace's own zero, strictly increasing
    power_w   float64 (n,)    [W]
    windows   int64 (k, 2)    [ns] measured intervals, start and end, in order
    about     str             JSON: schema, board, rail, meter and its traits, origin, zero (what instant 0 is)

History of ``schema``: 1, the first.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.energy import UNKNOWN_METER, PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.store.durable import write_atomically
from testbed.units import Ns

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1


class KeptTrace(Struct, frozen=True, kw_only=True):
    """A trace and what was measured in it.

    Attributes:
        windows: start and end [ns] on the trace's time. zero: what its instant 0 is.
    """

    trace: PowerTrace
    windows: tuple[tuple[Ns, Ns], ...] = ()
    zero: str = ""


class _About(Struct, frozen=True, kw_only=True):
    board: str
    rail: str
    meter: str
    origin: Origin
    zero: str = ""
    bound: int = 0
    traits: MeterTraits = UNKNOWN_METER
    schema: int = SCHEMA


def save_trace(kept: KeptTrace, file: Path) -> None:
    """Write a trace, replacing the file in one step.

    Raises:
        StoreError: the folder cannot be written.
    """
    trace = kept.trace
    about = _About(
        board=trace.board,
        rail=trace.rail,
        meter=trace.meter,
        origin=trace.origin,
        zero=kept.zero,
        bound=trace.bound,
        traits=trace.traits,
    )
    out = io.BytesIO()
    np.savez_compressed(
        out,
        t=trace.t,
        power_w=trace.power_w,
        windows=np.array(kept.windows, dtype=np.int64).reshape(-1, 2),
        about=np.array(msgspec.json.encode(about).decode()),
    )
    write_atomically(file, out.getvalue())


def load_trace(file: Path) -> KeptTrace:
    """Read a trace.

    Raises:
        ConfigError: no such file, not this format, or of a schema that this release does not know.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            about = msgspec.json.decode(str(arrays["about"]), type=_About)
            trace = PowerTrace(
                t=arrays["t"].astype(np.int64),
                power_w=arrays["power_w"].astype(np.float64),
                rail=about.rail,
                meter=about.meter,
                board=about.board,
                origin=about.origin,
                bound=about.bound,
                traits=about.traits,
            )
            windows = tuple((int(start), int(end)) for start, end in arrays["windows"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.DecodeError) as error:
        raise ConfigError(
            f"not a power trace: {error}", file=file, cure="Give a file of testbed import"
        ) from error
    if about.schema != SCHEMA:
        raise ConfigError(
            f"schema {about.schema} is not known",
            file=file,
            key="schema",
            cure=f"This release reads {SCHEMA}",
        )
    return KeptTrace(trace=trace, windows=windows, zero=about.zero)
