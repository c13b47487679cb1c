from __future__ import annotations

import json
from pathlib import Path

from testbed.model.profile import HwProfile
from testbed.store.profile_schema import schema_text

SHIPPED = Path(__file__).parents[3] / "hwprofiles" / "schema.json"


def test_the_shipped_schema_is_that_of_the_code():
    cure = "run: testbed profiles schema > hwprofiles/schema.json"
    assert SHIPPED.read_text("utf-8") == schema_text(), cure


def test_it_names_every_field_and_no_other():
    schema = json.loads(schema_text())
    assert {part["$ref"] for part in schema["anyOf"]} == {"#/$defs/HwProfile", "#/$defs/Ladder"}
    profile = schema["$defs"]["HwProfile"]
    assert set(profile["properties"]) == set(HwProfile.__struct_fields__)
    assert profile["additionalProperties"] is False
    assert "measured" in schema["$defs"]["Origin"]["enum"]
    # Docstrings are indented differently by different Pythons.
    assert "\n    Attributes" not in schema["$defs"]["Metered"]["description"]
