"""PYNQ boards: what travels, what the agent is told, and what stops a lab file before anything is touched."""

from __future__ import annotations

import hashlib
import sys

import msgspec
import pytest

from drivers.boards.overlay_file import choose, read_overlay
from drivers.boards.pynq import OverlayTable, load_options, overlay_of, pynq, pynq_serial, with_programs
from testbed.errors import ConfigError
from tests.drivers.agent.runtimes.overlay.conftest import toy
from tests.drivers.boards.test_overlay_file import STREAM, TEXT

TABLE = {"manifest": "npu/overlay.toml", "board": "pynq-z2", "programs": ["programs"]}


@pytest.fixture
def spec(make_spec, tmp_path):
    """A lab beside an overlay with both files, and a program of every model of the spec."""

    def make(kind="pynq", text=TEXT, **options):
        made = make_spec(kind, **options)
        made = msgspec.structs.replace(made, file=tmp_path / "lab.toml")
        for folder in ("npu", "programs"):
            (tmp_path / folder).mkdir(exist_ok=True)
        pins = {}
        for name, data in (("bit", b"bits"), ("hwh", b"<x/>")):
            (tmp_path / f"npu/z.{name}").write_bytes(data)
            pins[name] = hashlib.sha256(data).hexdigest()
        (tmp_path / "npu/overlay.toml").write_text(text.format(**pins))
        for name, model in made.models.items():
            (tmp_path / f"programs/{name}.npu").write_bytes(toy(onnx_sha256=model.sha256[0]))
        return made

    return make


def test_program_bitstream_and_hwh_travel_and_the_agent_is_told_how_to_use_them(spec):
    made = spec()
    table = msgspec.convert(TABLE, OverlayTable)
    chosen = overlay_of(made, table)
    models = with_programs(made, table, chosen, files=True).models
    for model in models.values():
        assert [path.suffix for path in model.paths] == [".npu", ".bit", ".hwh"]
        assert model.sha256 == tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in model.paths)
        assert model.runtime == "overlay"
    told = load_options(table, chosen)(next(iter(models.values())))
    assert told == {"overlay": chosen.manifest, "timeout_ms": 2000}


def test_files_that_are_on_the_board_stay_there(spec):
    made = spec()
    table = msgspec.convert({**TABLE, "on_board": "/srv/npu"}, OverlayTable)
    chosen = overlay_of(made, table)
    models = with_programs(made, table, chosen, files=False).models
    assert all(len(model.paths) == 1 for model in models.values())
    told = load_options(table, chosen)(next(iter(models.values())))
    assert (told["folder"], told["bitstream"], told["hwh"]) == ("/srv/npu", "z.bit", "z.hwh")


def test_a_network_of_its_own_needs_no_program(spec, tmp_path):
    made = spec(text=TEXT.replace('kind = "edge-npu"', 'kind = "stream"') + STREAM)
    file = tmp_path / "npu/overlay.toml"
    table = msgspec.convert({**TABLE, "programs": []}, OverlayTable)
    chosen = choose(read_overlay(file), "pynq-z2", file)
    for model in with_programs(made, table, chosen, files=True).models.values():
        assert [path.name for path in model.paths] == ["z.bit", "z.hwh"]


@pytest.mark.parametrize("kind", ["pynq", "pynq-serial"])
def test_a_board_is_composed_or_refused_before_anything_is_touched(spec, kind):
    make, way = (pynq, {"host": "127.0.0.1"}) if kind == "pynq" else (pynq_serial, {"port": "/dev/ttyUSB1"})
    board = make(spec(kind, overlay=TABLE, **way))
    assert board.id == "board"
    with pytest.raises(ConfigError, match=r"no u\.bit has been built"):
        make(spec(kind, overlay={**TABLE, "board": "zcu104"}, **way))
    with pytest.raises(ConfigError, match="no program") as caught:
        make(spec(kind, overlay={**TABLE, "programs": []}, **way))
    assert caught.value.key == "boards.board.models"
    with pytest.raises(ConfigError, match="unknown key") as caught:
        make(spec(kind, overlay={**TABLE, "bord": "x"}, **way))
    assert caught.value.key == "boards.board.overlay.bord"


async def test_a_machine_without_a_device_tree_is_told_apart(ssh_server, spec, tmp_path):
    board = pynq(
        spec(
            overlay=TABLE,
            host="127.0.0.1",
            port=ssh_server.port,
            user="tester",
            identity=str(ssh_server.identity),
            fingerprint=ssh_server.host_key.get_fingerprint(),
            transport="paramiko",
            python=sys.executable,
            folder=str(tmp_path / "board"),
        )
    )
    results = {r.step: r async for r in board.checks()}
    assert results["deployment"].state == "ok"
    assert results["pynq"].state == "failed"
    assert "docs/pynq-boards.md" in results["pynq"].cure
