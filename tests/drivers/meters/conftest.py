from __future__ import annotations

from pathlib import Path

import pytest

from testbed.model.lab import MeterSpec


@pytest.fixture
def make_spec(tmp_path: Path):
    def make(kind: str, **options):
        return MeterSpec(
            name="m", kind=kind, feeds="board", options=options, file=Path("lab.toml"), state=tmp_path
        )

    return make
