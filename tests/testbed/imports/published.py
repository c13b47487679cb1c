"""Where other people's published results lie on a machine that has them."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
TINY = DATA / "mlperf-tiny"
EDGE = DATA / "mlperf-edge"

needs_tiny = pytest.mark.skipif(
    not TINY.is_dir(), reason=f"the published MLPerf Tiny results are not here (shared/data/{TINY.name})"
)
needs_edge = pytest.mark.skipif(
    not EDGE.is_dir(), reason=f"the published MLPerf Inference results are not here (shared/data/{EDGE.name})"
)
