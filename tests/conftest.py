"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Profiles for property tests: the same examples every time in CI, where a red build must be repeatable.
from hypothesis import settings

# Numerical libraries start a thread per core; on two shared cores they would time each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("searching", deadline=None)
settings.load_profile("repeatable" if os.environ.get("CI") else "searching")


@pytest.fixture(scope="session")
def tree() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent
