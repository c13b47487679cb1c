"""RTL equals golden, bit for bit, on every command; and a run that cannot end well says why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from drivers.npu import golden, isa, program, registers
from drivers.npu.compile import compile_network
from drivers.npu.description import OVERLAY
from drivers.npu.rtl import NpuError, Rtl
from drivers.virtual.pynq.prepare import inputs_of
from testbed.zoo.catalog import load_catalog, shipped
from testbed.zoo.files import load_graphs, load_samples

pytestmark = pytest.mark.timeout(500)  # the first of them builds the simulator

INT8 = st.integers(-128, 127)
# What numbers a case is filled with: all of int8, its ends only, or small ones that leave room in the sum.
NUMBERS = st.sampled_from([tuple(range(-128, 128)), (-128, 127), (-2, -1, 0, 1, 2)])
SEED = st.integers(0, 1 << 30)
COMMON = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
RECORD = registers.RECORD_BYTES
TASK = "image-classification/fashion-mnist"
PROGRAMS = OVERLAY.parents[1] / "drivers/npu/programs"


def parameters(rng: np.random.Generator, channels: int, extreme: bool) -> bytes:
    made = np.zeros(channels, [("bias", "<i4"), ("m", "<u4"), ("s", "u1"), ("spare", "V7")])
    reach = (1 << 31) - 3_000_000 if extreme else 5000
    made["bias"] = rng.integers(-reach, reach, channels)
    made["m"] = (
        rng.choice([0, 1, (1 << 31) - 1], channels) if extreme else rng.integers(1 << 30, 1 << 31, channels)
    )
    made["s"] = rng.choice([1, 31, 62], channels) if extreme else rng.integers(36, 46, channels)
    return made.tobytes()


def same(rtl: Rtl, image: bytes, commands: list[isa.Command], inputs: bytes, output: int, **run) -> bytes:
    """Run on both; the output memory behind the record has to be equal."""
    device = golden.Device(image, images=1, output_bytes=RECORD + output)
    device.begin(np.frombuffer(inputs, np.int8)[None], run.get("limits", ()), run.get("mask", 0))
    device.execute(commands)
    result, written = rtl.execute(image, commands, inputs, output_bytes=RECORD + output, **run)
    expected = device.output[0].tobytes()[RECORD:]
    assert written[RECORD:] == expected
    wanted = device.results[0]
    if wanted is not None:
        classes = len(wanted.logits)
        assert (result.exit, result.label, result.total) == (wanted.exit, wanted.label, wanted.total)
        assert (result.logits[:classes] == wanted.logits).all()
    return expected


def through(
    image: bytes, inputs: bytes, compute: list[isa.Command], source: int, words: int, number: int = 3
) -> list[isa.Command]:
    """Input to ACT 0, a command or more, what they wrote back to memory."""
    return [
        isa.Load(memory=isa.Memory.ACT, base=isa.Base.INPUT, offset=0, address=0, length=len(inputs), tag=1),
        *compute,
        isa.Store(offset=RECORD, address=source, length=8 * words, wait_compute=True, tag=98),
        isa.End(exit=number, tag=99),
    ]


@st.composite
def convolutions(draw: st.DrawFn) -> isa.Conv:
    kernel, stride = draw(st.sampled_from([(1, 1), (1, 2), (3, 1), (3, 2)]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    pads = st.integers(0, kernel - 1)
    top, bottom, left, right = draw(pads), draw(pads), draw(pads), draw(pads)
    out_height, out_width = (
        (height + top + bottom - kernel) // stride + 1,
        (width + left + right - kernel) // stride + 1,
    )
    assume(out_height > 0 and out_width > 0)
    low, high = sorted((draw(INT8), draw(INT8)))
    return isa.Conv(
        source=0,
        target=4096,
        weights=draw(st.sampled_from([0, 5, 900])),
        channel=draw(st.sampled_from([0, 4, 448])),
        in_height=height,
        in_width=width,
        out_height=out_height,
        out_width=out_width,
        in_groups=draw(st.integers(1, 3)),
        out_groups=draw(st.integers(1, 3)),
        kernel=kernel,
        stride=stride,
        pad_top=top,
        pad_left=left,
        pad_value=draw(INT8),
        zero_point=draw(INT8),
        low=low,
        high=high,
        wait_dma=True,
        tag=10,
    )


@COMMON
@given(command=convolutions(), numbers=NUMBERS, extreme=st.booleans(), seed=SEED)
def test_convolutions(rtl, command, numbers, extreme, seed):
    rng = np.random.default_rng(seed)
    taps = command.out_groups * command.in_groups * command.kernel**2
    assume(command.weights + taps <= 1024)
    weights = rng.choice(numbers, (taps, 128)).astype(np.int8).tobytes()
    channels = 16 * command.out_groups
    image = weights + parameters(rng, channels, extreme)
    inputs = (
        rng.choice(numbers, 8 * command.in_groups * command.in_height * command.in_width)
        .astype(np.int8)
        .tobytes()
    )
    compute: list[isa.Command] = [
        isa.Load(memory=isa.Memory.WGT, offset=0, address=command.weights, length=len(weights), tag=2),
        isa.Load(
            memory=isa.Memory.PAR, offset=len(weights), address=command.channel, length=16 * channels, tag=3
        ),
        command,
    ]
    words = 2 * command.out_groups * command.out_height * command.out_width
    same(rtl, image, through(image, inputs, compute, command.target, words), inputs, 8 * words)


MULTIPLIER = st.one_of(
    st.sampled_from([-(1 << 24) + 1, (1 << 24) - 1, 0, 1]), st.integers(-(1 << 24) + 1, (1 << 24) - 1)
)


@COMMON
@given(
    words=st.integers(1, 40), ma=MULTIPLIER, mb=MULTIPLIER, shift=st.integers(1, 62), zeros=st.tuples(INT8, INT8, INT8),
    bounds=st.tuples(INT8, INT8), numbers=NUMBERS, seed=SEED,
)  # fmt: skip
def test_additions(rtl, words, ma, mb, shift, zeros, bounds, numbers, seed):
    inputs = np.random.default_rng(seed).choice(numbers, 16 * words).astype(np.int8).tobytes()
    low, high = sorted(bounds)
    command = isa.Add(
        a=0, b=words, target=500, words=words, multiplier_a=ma, multiplier_b=mb, shift=shift, zero_a=zeros[0],
        zero_b=zeros[1], zero_point=zeros[2], low=low, high=high, wait_dma=True, tag=11,
    )  # fmt: skip
    same(rtl, b"", through(b"", inputs, [command], 500, words), inputs, 8 * words)


@COMMON
@given(
    kernel=st.integers(1, 4), groups=st.integers(1, 3), height=st.integers(1, 9), width=st.integers(1, 9),
    numbers=NUMBERS, seed=SEED,
)  # fmt: skip
def test_max_pools(rtl, kernel, groups, height, width, numbers, seed):
    assume(height >= kernel and width >= kernel)
    inputs = (
        np.random.default_rng(seed).choice(numbers, 8 * groups * height * width).astype(np.int8).tobytes()
    )
    command = isa.MaxPool(
        source=0, target=777, height=height, width=width, groups=groups, kernel=kernel, wait_dma=True, tag=12
    )
    words = groups * (height // kernel) * (width // kernel)
    same(rtl, b"", through(b"", inputs, [command], 777, words), inputs, 8 * words)


@COMMON
@given(
    groups=st.integers(1, 4), height=st.integers(1, 7), width=st.integers(1, 7), shift=st.integers(1, 62),
    multiplier=st.integers(0, (1 << 31) - 1), zeros=st.tuples(INT8, INT8), bounds=st.tuples(INT8, INT8),
    numbers=NUMBERS, seed=SEED,
)  # fmt: skip
def test_average_pools(rtl, groups, height, width, shift, multiplier, zeros, bounds, numbers, seed):
    inputs = (
        np.random.default_rng(seed).choice(numbers, 8 * groups * height * width).astype(np.int8).tobytes()
    )
    low, high = sorted(bounds)
    command = isa.AvgPool(
        source=0, target=600, height=height, width=width, groups=groups, multiplier=multiplier, shift=shift,
        zero_in=zeros[0], zero_point=zeros[1], low=low, high=high, wait_dma=True, tag=13,
    )  # fmt: skip
    same(rtl, b"", through(b"", inputs, [command], 600, groups), inputs, 8 * groups)


@COMMON
@given(
    classes=st.integers(1, 64), number=st.integers(0, 3), table=st.integers(0, 3), limit=st.integers(0, 1 << 21),
    last=st.integers(0, 1), numbers=NUMBERS, seed=SEED,
)  # fmt: skip
def test_exits(rtl, classes, number, table, limit, last, numbers, seed):
    rng = np.random.default_rng(seed)
    tables = rng.integers(1, 1 << 16, (4, 256), dtype=np.uint16)
    inputs = rng.choice(numbers, 8 * -(-classes // 8)).astype(np.int8).tobytes()
    test: list[isa.Command] = [
        isa.Load(memory=isa.Memory.TAB, offset=0, address=0, length=2048, tag=2),
        isa.Exit(source=0, classes=classes, number=number, table=table, last=last, wait_dma=True, tag=14),
    ]
    limits = [0, 0, 0, 0]
    limits[number] = limit
    same(rtl, tables.tobytes(), through(b"", inputs, test, 0, 1, number), inputs, 8, limits=limits)


@COMMON
@given(
    groups=st.integers(1, 3), rows=st.integers(1, 12), width=st.integers(1, 5), neutral=INT8,
    mask=st.integers(0, (1 << 256) - 1), seed=SEED,
)  # fmt: skip
def test_rows_that_are_lost(rtl, groups, rows, width, neutral, mask, seed):
    inputs = (
        np.random.default_rng(seed).integers(-128, 128, 8 * groups * rows * width).astype(np.int8).tobytes()
    )
    commands: list[isa.Command] = [
        isa.Load(
            memory=isa.Memory.ACT, base=isa.Base.INPUT, offset=0, address=0, length=len(inputs), masked=1, rows=rows,
            width=width, neutral=neutral,
        ),
        isa.Store(offset=RECORD, address=0, length=len(inputs)),
        isa.End(),
    ]  # fmt: skip
    same(rtl, b"", commands, inputs, len(inputs), mask=mask)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (bytes([0x7F]) + bytes(63), 1),
        (isa.Load(memory=0, offset=0, address=16384, length=8, tag=5), 2),
        (isa.Load(memory=1, offset=0, address=1023, length=256, tag=5), 2),
        (isa.Load(memory=1, offset=0, address=0, length=8, tag=5), 2),
        (isa.Load(memory=2, offset=0, address=512, length=16, tag=5), 2),
        (isa.Load(memory=2, offset=0, address=0, length=16, tag=5), 2),  # a shift of 0
        (isa.Load(memory=0, offset=0, address=0, length=4, tag=5), 2),
        (isa.Load(memory=4, offset=0, address=0, length=8, tag=5), 2),
        (isa.Load(memory=0, base=2, offset=0, address=0, length=8, tag=5), 2),
        (isa.Store(offset=0, address=16383, length=16, tag=5), 2),
        (isa.MaxPool(source=16380, target=0, height=4, width=4, groups=1, tag=5), 2),
        (isa.MaxPool(source=0, target=0, height=1, width=4, groups=1, kernel=2, tag=5), 2),
        (isa.AvgPool(source=0, target=16384, height=1, width=1, groups=1, multiplier=1, shift=1, tag=5), 2),
        (isa.AvgPool(source=0, target=0, height=1, width=1, groups=1, multiplier=1, shift=0, tag=5), 2),
        (isa.Add(a=0, b=0, target=0, words=0, multiplier_a=1, multiplier_b=1, shift=1, tag=5), 2),
        (isa.Exit(source=0, classes=0, number=0, table=0, tag=5), 2),
        (isa.Exit(source=0, classes=1, number=4, table=0, tag=5), 2),
    ],
)
def test_what_is_refused(rtl, command, code):
    raw = command if isinstance(command, bytes) else command.encode()
    with pytest.raises(NpuError) as caught:
        rtl.execute(bytes(1024), raw + isa.End().encode())
    assert caught.value.code == code
    assert caught.value.tag == (0 if code == 1 else 5)
    # The next run is not the worse for it.
    assert rtl.execute(b"", [isa.End(exit=9)])[0].exit == 9


@pytest.mark.parametrize(
    ("multiplier", "shift"),
    [(1 << 30, 0), (1 << 30, 63), (1 << 30, 255), (1 << 31, 40), (0, 1), (0x7FFFFFFF, 62)],
)
def test_parameters_that_the_requantiser_cannot_take_are_refused_by_both(rtl, multiplier, shift):
    image = np.zeros(3, [("bias", "<i4"), ("m", "<u4"), ("s", "u1"), ("spare", "V7")])
    image["s"] = 40
    image["m"][1], image["s"][1] = multiplier, shift
    load = isa.Load(memory=isa.Memory.PAR, offset=0, address=8, length=48, tag=6)
    device = golden.Device(image.tobytes())
    if multiplier < 1 << 31 and 1 <= shift <= 62:
        device.execute([load])
        assert rtl.execute(image.tobytes(), [load, isa.End(exit=1)])[0].exit == 1
        return
    with pytest.raises(isa.CommandError, match="channel 1"):
        device.execute([load])
    with pytest.raises(NpuError) as caught:
        rtl.execute(image.tobytes(), [load, isa.End()])
    assert (caught.value.code, caught.value.tag) == (2, 6)


def test_a_list_without_an_end(rtl):
    with pytest.raises(NpuError) as caught:
        rtl.execute(bytes(64), [isa.Load(memory=0, offset=0, address=0, length=64)])
    assert caught.value.code == 2


def answers_agree(rtl: Rtl, made: program.Program, inputs: golden.Int8, lost: int) -> list[golden.Result]:
    """Run all on both; answers and logits are equal, and cycles within a tenth of the estimate."""
    limits = [int(32768 / 0.9)] * 4
    wanted = golden.Golden(made).run(inputs, limits, lost)
    rtl.load(made)
    estimated = {one.number: one.cycles for one in made.output.exits}
    for (mine, counters), theirs in zip(rtl.run(inputs, limits, lost), wanted, strict=True):
        assert (mine.exit, mine.label, mine.total) == (theirs.exit, theirs.label, theirs.total)
        assert (mine.logits[: len(theirs.logits)] == theirs.logits).all()
        assert abs(counters.cycles / estimated[mine.exit] - 1) < 0.1
    return wanted


@pytest.mark.parametrize(
    ("name", "images", "lost"),
    [("resnet8-ee-int8", 200, 0), ("resnet8-ee-int8", 40, 0b11 << 9), ("resnet8-int8", 5, 0)],
)
def test_shipped_programs_on_labelled_images(rtl, name, images, lost):
    """Answers and logits are the golden model's, cycles within a tenth of the compiler's estimate."""
    samples = load_samples(load_catalog(shipped(TASK)), "test")
    made = program.read(PROGRAMS / f"{name}.npu")
    answers = answers_agree(rtl, made, inputs_of(made, samples.images[:images, None]), lost)
    assert len({answer.exit for answer in answers}) == (1 if name == "resnet8-int8" else 3)
    right = np.mean([answer.label for answer in answers] == samples.labels[:images])
    assert right > (0.4 if lost else 0.8)


@pytest.mark.parametrize("lost", [0, 0b1111 << 12])
def test_weights_that_are_fetched_during_the_run(rtl, lost):
    pytest.importorskip("onnx", reason="needs the package onnx")
    catalog = load_catalog(shipped(TASK))
    made = compile_network(load_graphs(catalog, "resnet8-ee-int8"), "resnet8-ee-int8", stream=True)
    assert made.sections.setup[1] == 0
    assert any(isinstance(command, isa.Load) and command.memory == isa.Memory.WGT for command in made.run)
    images = load_samples(catalog, "test").images[:20, None]
    answers = answers_agree(rtl, made, inputs_of(made, images), lost)
    assert len({answer.exit for answer in answers}) == 3
