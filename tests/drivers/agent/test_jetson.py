import pytest

from drivers.agent.jetson import JetsonKnobs, identity
from drivers.agent.settings import BoardSettings, SettingError

NVPMODEL = """#!/bin/sh
here=$(dirname "$0")
case "$1" in
-q) echo "NV Power Mode: MODE"; cat "$here/mode" ;;
-m) if [ "$2" -gt 3 ]; then echo "no such mode $2" >&2; exit 255; fi; echo "$2" > "$here/mode" ;;
esac
"""


@pytest.fixture
def board(tmp_path, monkeypatch):
    tools, gpu = tmp_path / "bin", tmp_path / "sys/class/devfreq/17000000.gpu"
    tools.mkdir()
    gpu.mkdir(parents=True)
    (tools / "nvpmodel").write_text(NVPMODEL)
    (tools / "nvpmodel").chmod(0o755)
    (tools / "mode").write_text("2\n")
    for name, value in (("cur_freq", 612000000), ("min_freq", 306000000), ("max_freq", 918000000)):
        (gpu / name).write_text(f"{value}\n")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return tmp_path


def test_identity_is_read_where_there_is_one(tmp_path):
    assert identity(tmp_path) == {}
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "etc/nv_tegra_release").write_text(
        "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n"
    )
    (tmp_path / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson Orin NX\0")
    assert identity(tmp_path) == {"model": "NVIDIA Jetson Orin NX", "l4t": "36.4.3"}


def test_settings_are_listed_read_set_and_restored(board):
    settings = BoardSettings([JetsonKnobs(board)])
    assert settings.names() == ["power-mode", "clock:17000000.gpu"]
    assert settings.read("power-mode") == "2 (MODE)"
    assert settings.write("power-mode", "0") == "0 (MODE)"
    clock = "clock:17000000.gpu"
    assert settings.write(clock, "918000000:918000000") == "918000000:918000000:612000000"
    assert settings.write(clock, "306000000:306000000").startswith("306000000:306000000:")
    assert settings.write(clock, "restore").startswith("306000000:918000000:")
    assert settings.restore() == []
    assert settings.read("power-mode") == "2 (MODE)"
    assert settings.restore() == []


def test_clocks_that_a_mode_sets_are_put_back_with_it(board, tmp_path):
    """As after jetson_clocks, which holds them where no mode does."""
    gpu = tmp_path / "sys/class/devfreq/17000000.gpu"
    (tmp_path / "bin/nvpmodel").write_text(NVPMODEL.replace("-m)", f"-m) echo 306000000 > {gpu}/min_freq;"))
    (gpu / "min_freq").write_text("918000000\n")
    for put_back in (lambda s: s.write("power-mode", "restore"), lambda s: s.restore()):
        settings = BoardSettings([JetsonKnobs(board)])
        settings.write("power-mode", "0")
        assert settings.read("clock:17000000.gpu").startswith("306000000:918000000:")
        put_back(settings)
        assert settings.read("power-mode") == "2 (MODE)"
        assert settings.read("clock:17000000.gpu").startswith("918000000:918000000:")


def test_the_mode_that_holds_is_not_ordered_again(board, tmp_path):
    (tmp_path / "bin/nvpmodel").write_text(NVPMODEL.replace("-m)", "-m) exit 3;"))
    settings = BoardSettings([JetsonKnobs(board)])
    assert settings.write("power-mode", "2") == "2 (MODE)"
    assert settings.restore() == []


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("echo 'NVPM WARN: Reboot required for changing to this power mode: 0'; exit 1", "needs a reboot"),
        ("echo 'NVPM WARN: Reboot required for changing to this power mode: 0'; exit 0", "needs a reboot"),
        ("exit 0", "left mode 2: it said nothing. There are 0 (15W), 3 (7W)"),
    ],
)
def test_a_mode_that_was_not_taken_is_an_error_whatever_the_exit_code(board, tmp_path, does, why):
    (tmp_path / "bin/nvpmodel").write_text(NVPMODEL.replace("-m)", f"-m) {does};"))
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nvpmodel.conf").write_text(
        "< PARAM TYPE=CLOCK NAME=GPU >\n< POWER_MODEL ID=0 NAME=15W >\nGPU MIN_FREQ 0\n< POWER_MODEL ID=3 NAME=7W >\n"
    )
    with pytest.raises(SettingError) as caught:
        BoardSettings([JetsonKnobs(board)]).write("power-mode", "0")
    assert why in str(caught.value)


def test_a_restore_that_is_refused_can_be_tried_again(board, monkeypatch):
    settings = BoardSettings([JetsonKnobs(board)])
    clock = "clock:17000000.gpu"
    settings.write(clock, "918000000:918000000")
    with monkeypatch.context() as patch:
        patch.setattr(JetsonKnobs, "_set_clock", refuse)
        assert len(settings.restore()) == 1
    assert settings.restore() == []
    assert settings.read(clock).startswith("306000000:918000000:")


def refuse(self, folder, value):
    raise SettingError("read-only")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("power-mode", "MAXN; reboot", "number"),
        ("power-mode", "9", "no such mode 9"),
        ("clock:17000000.gpu", "fast", "MIN:MAX"),
        ("clock:17000000.gpu", "5:4", "MIN:MAX"),
        ("clock:../../etc", "1:2", "no setting"),
        ("fan", "1", "no setting"),
    ],
)
def test_what_is_wrong_is_said(board, name, value, why):
    with pytest.raises(SettingError, match=why):
        BoardSettings([JetsonKnobs(board)]).write(name, value)


def test_a_board_without_the_tool_has_no_power_mode(tmp_path):
    settings = BoardSettings([JetsonKnobs(tmp_path, nvpmodel="nvpmodel-is-not-here")])
    assert settings.names() == []
    with pytest.raises(SettingError, match="nvpmodel"):
        settings.read("power-mode")
