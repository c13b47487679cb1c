"""What several contracts' own tests share."""

import signal

import pytest


@pytest.fixture
def no_alarm():
    """Without that of pytest-timeout, by which these tests are bounded otherwise."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, left)
