from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigError, StoreError
from testbed.model.energy import PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.store.traces import KeptTrace, load_trace, save_trace


def kept() -> KeptTrace:
    trace = PowerTrace(
        t=np.array([-5, 10, 25], dtype=np.int64),
        power_w=np.array([1.0, 2.5, 0.125]),
        rail="VDD_IN",
        meter="m",
        board="b",
        origin=Origin.CITED,
        bound=7,
        traits=MeterTraits(quantity="counter", period_ns=5, gain_frac=0.01, sources={"gain_frac": "a sheet"}),
    )
    return KeptTrace(trace=trace, windows=((0, 10), (12, 20)), zero="the start")


def test_a_trace_comes_back_whole(tmp_path):
    file = tmp_path / "deep" / "trace.npz"
    save_trace(kept(), file)
    save_trace(kept(), file)
    read = load_trace(file)
    for name in ("rail", "meter", "board", "origin", "bound", "traits"):
        assert getattr(read.trace, name) == getattr(kept().trace, name)
    assert read.trace.t.tolist() == [-5, 10, 25]
    assert read.trace.power_w.tolist() == [1.0, 2.5, 0.125]
    assert (read.windows, read.zero) == (kept().windows, "the start")
    assert [found.name for found in file.parent.iterdir()] == ["trace.npz"]


def test_a_trace_may_have_no_window(tmp_path):
    save_trace(KeptTrace(trace=kept().trace), tmp_path / "t.npz")
    assert load_trace(tmp_path / "t.npz").windows == ()


def test_what_is_no_trace_is_refused(tmp_path):
    file = tmp_path / "t.npz"
    with pytest.raises(ConfigError, match="not a power trace"):
        load_trace(file)
    file.write_bytes(b"PK no zip")
    with pytest.raises(ConfigError, match="not a power trace"):
        load_trace(file)
    np.savez(file, t=np.arange(3))
    with pytest.raises(ConfigError, match="not a power trace"):
        load_trace(file)
    np.savez(
        file,
        t=np.arange(2),
        power_w=np.ones(2),
        windows=np.empty((0, 2)),
        about='{"board":"b","rail":"r","meter":"m","origin":"cited","schema":9}',
    )
    with pytest.raises(ConfigError, match="schema 9"):
        load_trace(file)


def test_a_place_that_cannot_be_written_is_named_with_a_cure(tmp_path):
    (tmp_path / "b").write_text("a file, no folder")
    with pytest.raises(StoreError, match=r"m\.npz: cannot be written: .*Choose a folder"):
        save_trace(kept(), tmp_path / "b" / "m.npz")
