"""The JSON schema of the files under ``hwprofiles/``, for editors and other programs.

It tells names and types; what must hold between fields is `testbed.store.profile_checks`' to say.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from testbed.model.profile import HwProfile
from testbed.store.ladders import Ladder


def schema_text() -> str:
    """The schema as it must stand in ``hwprofiles/schema.json``."""
    roots, parts = msgspec.json.schema_components([HwProfile, Ladder], ref_template="#/$defs/{name}")
    schema = {"anyOf": list(roots), "$defs": _tidy(parts)}
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hardware profile: what is known of one model on one kind of board; or a ladder of many",
    }
    return (
        msgspec.json.format(msgspec.json.encode({**head, **schema}, order="deterministic"), indent=2).decode()
        + "\n"
    )


def _tidy(node: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Descriptions without the indentation of the docstrings they come from, which differs between Pythons."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _tidy(value)
        for key, value in node.items()
    }
