"""Ranges of numbers in files that people write; `parse_options` refuses what lies outside, NaN included."""

from __future__ import annotations

import sys
from typing import Annotated

from msgspec import Meta

FINITE = sys.float_info.max

Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Seed = Count
"""Of random numbers."""
Positive = Annotated[float, Meta(gt=0, le=FINITE)]
NotNegative = Annotated[float, Meta(ge=0, le=FINITE)]
