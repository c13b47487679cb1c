from __future__ import annotations

import errno

import pytest

from drivers.agent.meters.sysfs import Rail, Reading, SysfsMeter, number_of, text_of
from testbed.errors import MeterError, SampleError


@pytest.fixture
def meter(tmp_path):
    for name, value in (("v", "5000"), ("a", "1000"), ("p", "2500000")):
        (tmp_path / name).write_text(value + "\n")
    rails = (
        Rail("product", (Reading(tmp_path / "v"), Reading(tmp_path / "a", 2000.0)), 1e-6),
        Rail("power", (Reading(tmp_path / "p"),), 1e-6),
    )
    meter = SysfsMeter(rails, ["product"], {"chip": "made up"})
    meter.start(1)
    yield meter
    meter.stop()


def kind_of(meter):
    with pytest.raises(SampleError) as caught:
        meter.read(lambda: 0)
    return caught.value.kind


def test_a_rail_is_a_product_or_a_power_as_reported(meter):
    assert meter.read(lambda: 7) == (7, [5.0, 2.5])


def test_a_guard_is_held_to_its_limit_and_is_no_factor(tmp_path):
    for name, value in (("p", "2500000"), ("a", "10")):
        (tmp_path / name).write_text(value + "\n")
    rail = Rail("guarded", (Reading(tmp_path / "p"),), 1e-6, (Reading(tmp_path / "a", 100.0),))
    meter = SysfsMeter((rail,), [], {})
    meter.start(1)
    assert meter.read(lambda: 0)[1] == [2.5]
    (tmp_path / "a").write_text("100\n")
    assert kind_of(meter) == SampleError.SATURATED
    meter.stop()


def test_stamps_increase_even_where_the_clock_stands(meter):
    assert [meter.read(lambda: 7)[0] for _ in range(3)] == [7, 8, 9]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2000\n", SampleError.SATURATED),
        ("-2000\n", SampleError.SATURATED),
        ("what\n", SampleError.GARBAGE),
        ("nan\n", SampleError.GARBAGE),
        ("inf\n", SampleError.GARBAGE),
    ],
)
def test_faults_have_kinds(meter, tmp_path, text, kind):
    (tmp_path / "a").write_text(text)
    assert kind_of(meter) == kind


@pytest.mark.parametrize(
    ("number", "gone"), [(errno.ENODATA, False), (errno.EIO, False), (errno.ENODEV, True)]
)
def test_errors_of_the_kernel_are_one_sample_or_the_end(meter, monkeypatch, number, gone):
    def refuse(*_):
        raise OSError(number, "refused")

    monkeypatch.setattr(meter, "read_file", refuse)
    with pytest.raises(MeterError) as caught:
        meter.read(lambda: 0)
    assert isinstance(caught.value, SampleError) is not gone


def test_a_meter_that_cannot_be_opened_leaves_nothing_open(tmp_path):
    (tmp_path / "v").write_text("1\n")
    meter = SysfsMeter((Rail("x", (Reading(tmp_path / "v"), Reading(tmp_path / "none")), 1.0),), [], {})
    with pytest.raises(MeterError, match="none"):
        meter.start(1)
    with pytest.raises(MeterError, match="not started"):
        meter.read(lambda: 0)


def test_text_and_numbers_of_files_that_may_be_missing(tmp_path):
    (tmp_path / "model").write_text("Board\0")
    assert text_of(tmp_path / "model") == "Board"
    assert text_of(tmp_path / "none") == ""
    assert number_of(tmp_path / "model") is None
