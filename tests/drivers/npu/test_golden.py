"""The golden model against the formulas of docs/edge-npu.md, written out one number at a time."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drivers.npu import golden, isa
from tests.drivers.npu.test_arithmetic import requantised
from tests.drivers.npu.test_program import small_program

INT8 = st.integers(-128, 127)
SMALL = isa.Overlay(act_words=512, wgt_words=64, par_channels=64, tables=2)


def device(image: bytes = b"", images: int = 1, **more: int) -> golden.Device:
    return golden.Device(image, SMALL, images=images, **more)


def parameters(bias: np.ndarray, m: np.ndarray, s: np.ndarray) -> bytes:
    packed = b""
    for b, mult, shift in zip(bias, m, s, strict=True):
        packed += int(b).to_bytes(4, "little", signed=True) + int(mult).to_bytes(4, "little")
        packed += bytes([int(shift)]) + bytes(7)
    return packed


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[isa.Conv, int]:
    """A convolution that fits ``SMALL``, and a seed for its numbers."""
    kernel, stride = draw(st.sampled_from([1, 3])), draw(st.sampled_from([1, 2]))
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    top, left = draw(st.integers(0, kernel // 2)), draw(st.integers(0, kernel // 2))
    bottom, right = draw(st.integers(0, kernel // 2)), draw(st.integers(0, kernel // 2))
    out_height = (height + top + bottom - kernel) // stride + 1
    out_width = (width + left + right - kernel) // stride + 1
    assume(out_height > 0 and out_width > 0)
    low, high = sorted((draw(INT8), draw(INT8)))
    return isa.Conv(
        source=draw(st.integers(0, 9)),
        target=256,
        weights=draw(st.integers(0, 9)),
        channel=draw(st.integers(0, 16)),
        in_height=height,
        in_width=width,
        out_height=out_height,
        out_width=out_width,
        in_groups=draw(st.integers(1, 3)),
        out_groups=draw(st.integers(1, 2)),
        kernel=kernel,
        stride=stride,
        pad_top=top,
        pad_left=left,
        pad_value=draw(INT8),
        zero_point=draw(INT8),
        low=low,
        high=high,
    ), draw(st.integers(0, 1 << 30))


@settings(deadline=None, max_examples=40)
@given(convolutions(), st.booleans())
def test_a_convolution_is_the_formula(case, extreme):
    command, seed = case
    rng = np.random.default_rng(seed)
    numbers = (-128, 127) if extreme else tuple(range(-128, 128))
    groups, filters, k = command.in_groups, command.out_groups * 16, command.kernel
    x = rng.choice(numbers, (groups, command.in_height, command.in_width, 8)).astype(np.int8)
    w = rng.choice(numbers, (filters, groups * 8, k, k)).astype(np.int8)
    bias = rng.integers(-(1 << 30), 1 << 30, filters) if extreme else rng.integers(-999, 999, filters)
    m, s = rng.integers(0, 1 << 31, filters), rng.integers(1, 63, filters)
    # The order of docs/edge-npu.md: output group, input group, ky, kx; byte r * 8 + l.
    words = w.reshape(-1, 16, groups, 8, k, k).transpose(0, 2, 4, 5, 1, 3).tobytes()
    par = parameters(bias, m, s)
    made = device(words + par, images=2)
    made.begin(np.stack([x.reshape(-1), x[::-1].reshape(-1)]))
    made.execute(
        [
            isa.Load(memory=0, base=isa.Base.INPUT, offset=0, address=command.source, length=x.size),
            isa.Load(memory=1, offset=0, address=command.weights, length=len(words)),
            isa.Load(memory=2, offset=len(words), address=command.channel, length=len(par)),
            command,
        ]
    )
    area = command.out_height * command.out_width
    for image, given_x in enumerate((x, x[::-1])):
        found = made.act[image, 256 : 256 + filters // 8 * area].reshape(
            -1, command.out_height, command.out_width, 8
        )
        whole = given_x.transpose(0, 3, 1, 2).reshape(groups * 8, command.in_height, command.in_width)
        for _ in range(12):
            c, y, z = rng.integers(filters), rng.integers(command.out_height), rng.integers(command.out_width)
            acc = int(bias[c])
            for ky in range(k):
                for kx in range(k):
                    row = y * command.stride + ky - command.pad_top
                    column = z * command.stride + kx - command.pad_left
                    inside = 0 <= row < command.in_height and 0 <= column < command.in_width
                    for i in range(groups * 8):
                        value = int(whole[i, row, column]) if inside else command.pad_value
                        acc += int(w[c, i, ky, kx]) * value
            wanted = requantised(acc, int(m[c]), int(s[c]), command.zero_point, command.low, command.high)
            assert found[c // 8, y, z, c % 8] == wanted


def test_sums_that_single_precision_cannot_hold_stay_exact():
    groups, words = 61, bytes([127]) * (61 * 128)  # 488 x 127 x 128 times 9 taps would do too; here 1 x 1
    par = parameters(np.full(16, 1), np.full(16, 1), np.full(16, 1))
    wide = isa.Overlay(act_words=512, wgt_words=3000, par_channels=16, tables=1)
    taps = isa.Conv(
        source=0, target=400, weights=0, channel=0, in_height=1, in_width=1, out_height=1, out_width=1,
        in_groups=groups, out_groups=1, kernel=3, pad_top=1, pad_left=1, pad_value=-128,
    )  # fmt: skip
    made = golden.Device(words * 9 + par, wide)
    made.begin(np.full((1, groups * 8), -127, np.int8))
    made.execute(
        [
            isa.Load(memory=0, base=1, offset=0, address=0, length=groups * 8),
            isa.Load(memory=1, offset=0, address=0, length=len(words) * 9),
            isa.Load(memory=2, offset=len(words) * 9, address=0, length=256),
        ]
    )
    matrix = made._matrix(taps)
    assert matrix.dtype == np.float64
    made.execute([taps])
    acc = 1 + groups * 8 * 127 * (-127 - 8 * 128)
    assert abs(acc) > 1 << 24
    assert (made.act[0, 400] == requantised(acc, 1, 1, 0, -128, 127)).all()


@settings(deadline=None)
@given(
    st.lists(st.tuples(INT8, INT8), min_size=8, max_size=8),
    st.integers(-(1 << 24) + 1, (1 << 24) - 1),
    st.integers(-(1 << 24) + 1, (1 << 24) - 1),
    st.integers(1, 40),
    st.tuples(INT8, INT8, INT8),
    st.tuples(INT8, INT8),
)
def test_an_addition_is_the_formula(pairs, ma, mb, s, zeros, bounds):
    low, high = sorted(bounds)
    za, zb, zy = zeros
    made = device()
    made.act[0, 3], made.act[0, 5] = zip(*pairs, strict=True)
    made.execute(
        [
            isa.Add(
                a=3, b=5, target=7, words=1, multiplier_a=ma, multiplier_b=mb, shift=s,
                zero_a=za, zero_b=zb, zero_point=zy, low=low, high=high,
            )
        ]
    )  # fmt: skip
    wanted = [requantised((a - za) * ma + (b - zb) * mb, 1, s, zy, low, high) for a, b in pairs]
    assert made.act[0, 7].tolist() == wanted


@settings(deadline=None)
@given(st.integers(1, 2), st.integers(2, 7), st.integers(2, 7), st.integers(0, 1 << 30))
def test_pools_are_the_formulas(groups, height, width, seed):
    rng = np.random.default_rng(seed)
    made = device()
    planes = rng.integers(-128, 128, (groups, height, width, 8)).astype(np.int8)
    made.act[0, : groups * height * width] = planes.reshape(-1, 8)
    m, s, zx, zy = int(rng.integers(1 << 31)), int(rng.integers(20, 40)), -7, 11
    made.execute(
        [
            isa.MaxPool(source=0, target=200, height=height, width=width, groups=groups),
            isa.AvgPool(
                source=0, target=300, height=height, width=width, groups=groups, multiplier=m, shift=s,
                zero_in=zx, zero_point=zy, low=-100, high=100,
            ),
        ]
    )  # fmt: skip
    rows, columns = height // 2, width // 2
    largest = made.act[0, 200 : 200 + groups * rows * columns].reshape(groups, rows, columns, 8)
    for y in range(rows):
        for x in range(columns):
            square = planes[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
            assert (largest[:, y, x] == square.max((1, 2))).all()
    for group in range(groups):
        for lane in range(8):
            acc = sum(int(v) - zx for v in planes[group, :, :, lane].flat)
            assert made.act[0, 300 + group, lane] == requantised(acc, m, s, zy, -100, 100)


def table(scale: float = 0.1) -> np.ndarray:
    return np.round(32768 * np.exp(-np.arange(256) * scale)).astype(np.uint16)


def with_exit(logits: np.ndarray, limits: list[int], last: int = 0) -> golden.Device:
    made = device(table().tobytes(), images=len(logits))
    made.execute([isa.Load(memory=3, offset=0, address=1, length=512)])
    made.begin(logits.reshape(len(logits), -1), limits)
    made.execute(
        [
            isa.Load(memory=0, base=1, offset=0, address=0, length=16),
            isa.Exit(source=0, classes=10, number=0, table=1, last=last),
            isa.Load(memory=0, base=1, offset=0, address=0, length=16),
            isa.Exit(source=0, classes=9, number=1, table=1, last=1),
        ]
    )
    return made


def test_an_exit_tests_the_sum_and_images_leave_one_by_one():
    rng = np.random.default_rng(7)
    logits = rng.integers(-128, 128, (40, 16)).astype(np.int8)
    totals = [int(sum(int(table()[int(row[:10].max()) - int(v)]) for v in row[:10])) for row in logits]
    middle = sorted(totals)[20]
    results = with_exit(logits, [middle]).results
    assert {r.exit for r in results} == {0, 1}
    for row, total, result in zip(logits, totals, results, strict=True):
        assert result.exit == (0 if total <= middle else 1)
        classes = 10 if result.exit == 0 else 9
        assert result.logits.tolist() == row[:classes].tolist()
        assert result.label == int(row[:classes].argmax())
        if result.exit == 0:
            assert result.total == total
            assert 32768 / total == pytest.approx(
                1 / np.exp((row[:10].astype(float) - row[:10].max()) * 0.1).sum(), abs=1e-4
            )


@pytest.mark.parametrize(
    ("limit", "last", "leaves"), [(isa.NEVER, 0, 1), (isa.ALWAYS, 0, 0), (isa.NEVER, 1, 0)]
)
def test_never_always_and_last(limit, last, leaves):
    results = with_exit(np.full((2, 16), 5, np.int8), [limit], last).results
    assert [r.exit for r in results] == [leaves] * 2
    assert [r.label for r in results] == [0, 0], "the first of equal logits is the label"


def test_lost_rows_are_written_as_neutral():
    made = device()
    made.begin(np.arange(2 * 3 * 4 * 8, dtype=np.int16).astype(np.int8)[None], mask=0b101)
    made.execute(
        [isa.Load(memory=0, base=1, offset=0, address=9, length=192, masked=1, rows=3, width=4, neutral=-9)]
    )
    planes = made.act[0, 9 : 9 + 24].reshape(2, 3, 4, 8)
    assert (planes[:, [0, 2]] == -9).all()
    assert (
        planes[:, 1].reshape(2, -1) == (np.arange(192) % 256).astype(np.int8).reshape(2, 3, 32)[:, 1]
    ).all()


def test_a_store_leaves_activations_in_the_output():
    made = device(images=2, output_bytes=64)
    made.act[:, 4] = np.arange(8)
    made.execute([isa.Store(offset=16, address=4, length=8)])
    assert made.output[:, 16:24].tolist() == [list(range(8))] * 2


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (isa.Load(memory=0, offset=0, address=511, length=16), "2 units from 511 leave ACT, which has 512"),
        (isa.Load(memory=1, offset=0, address=0, length=64), "is no multiple of WGT's 128"),
        (isa.Load(memory=0, offset=60, address=0, length=8), "leave what lies in DDR"),
        (isa.MaxPool(source=0, target=510, height=4, width=4, groups=1), "4 units from 510 leave ACT"),
        (isa.Exit(source=0, classes=65, number=0, table=0), "exit 0 with 65 classes is not possible"),
        (isa.Store(offset=0, address=0, length=8), "leave the output in DDR"),
    ],
)
def test_what_the_device_would_refuse_is_refused(command, why):
    with pytest.raises(isa.CommandError, match=f"command 1 .tag 0.: .*{why}"):
        device(bytes(64)).execute([isa.MaxPool(source=0, target=9, height=2, width=2, groups=1), command])


def test_a_program_runs_and_says_what_does_not_fit():
    ready = golden.Golden(small_program())
    inputs = np.zeros((3, 32), np.int8)
    assert [(r.exit, r.label) for r in ready.run(inputs)] == [(0, 0)] * 3
    with pytest.raises(isa.CommandError, match=r"inputs have shape \(3, 31\), not \(n, 32\)"):
        ready.run(inputs[:, 1:])
    with pytest.raises(isa.CommandError, match=r"too small: 4 activation words \(2 there\)"):
        golden.Golden(small_program(), isa.Overlay(act_words=2))


def test_a_program_without_an_exit_is_told():
    made = small_program()
    empty = msgspec.structs.replace(made, sections=msgspec.structs.replace(made.sections, run=(0, 2)))
    with pytest.raises(isa.CommandError, match="ends without an exit"):
        golden.Golden(empty).run(np.zeros((1, 32), np.int8))
