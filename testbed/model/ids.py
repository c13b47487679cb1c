"""Names of things, as plain integers and strings so that they cost nothing in a record."""

from __future__ import annotations

from typing import TypeAlias

RequestId: TypeAlias = int
ActionId: TypeAlias = int
BoardId: TypeAlias = str
ModelId: TypeAlias = str
SiteId: TypeAlias = str
TaskId: TypeAlias = str
"""What is asked, e.g. ``image-classification/fashion-mnist``."""

StepId: TypeAlias = tuple[ActionId, int]
"""The action, and the position of the item in its batch."""

HOST: SiteId = "host"
"""The site where the coordinator, playing the client, holds the payloads."""
