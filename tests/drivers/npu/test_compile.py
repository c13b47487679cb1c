"""Whole networks: every layer within one step of onnxruntime, the shipped ones as accurate as there, clear refusals."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.npu import compile as compiler
from drivers.npu import graph, isa, lower, plan, program, quantised
from drivers.npu.golden import Device, Golden
from testbed.zoo.catalog import load_catalog, shipped
from testbed.zoo.files import load_graphs, load_predictions, load_samples
from tests.drivers.npu.networks import Writer, pixels_as_input, residual, watched

OFFSETS = {np.dtype(np.uint8): 128, np.dtype(np.int8): 0}


def session(raw: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(raw, options, providers=["CPUExecutionProvider"])


def in_layout(tensor: np.ndarray) -> np.ndarray:
    """(n, C, H, W) or (n, C) of onnxruntime as int8 (n, words, lanes), and which lanes hold a channel."""
    values = tensor.astype(np.int64) - OFFSETS[tensor.dtype]
    return pixels_as_input_like(values.reshape(*values.shape[:2], *(values.shape[2:] or (1, 1))))


def pixels_as_input_like(values: np.ndarray) -> np.ndarray:
    count, channels, height, width = values.shape
    groups = -(-channels // 8)
    laid = np.zeros((count, groups * 8, height, width), np.int64)
    laid[:, :channels] = values
    return laid.reshape(count, groups, 8, height, width).transpose(0, 1, 3, 4, 2).reshape(count, -1, 8)


def largest_difference(
    parts: list[bytes], images: np.ndarray, overlay: isa.Overlay, *, stream: bool
) -> dict[str, int]:
    """Run command by command; after each, compare with onnxruntime and go on from *its* numbers.

    So every layer is judged by itself, on the same input as in onnxruntime.
    """
    network = quantised.recognise(graph.read(parts), "toy")
    lowered = lower.lower(network)
    made = compiler.compile_network(parts, "toy", overlay=overlay, stream=stream)
    raw, names = watched(parts[0])
    theirs = dict(zip(names, session(raw).run(names, {"image": images}), strict=True))
    by_tag = {step.tag: step for step in lowered.steps}
    device = Device(made.image, overlay, images=len(images))
    device.execute(made.setup)
    device.begin(pixels_as_input(images, made.input.map, made.input.neutral))
    found: dict[str, int] = {}

    def compare(number: int, command: isa.Command) -> None:
        if isinstance(command, isa.Load | isa.Exit):
            return
        step = by_tag[command.tag]
        name = step.writes.partition("/")[2].removesuffix(" before scaling")
        if name != step.writes.partition("/")[2]:
            return  # a pool before it is scaled anew is no value of the ONNX graph
        wanted = in_layout(theirs[name])
        first = made_run_target(made, command.tag)
        region = device.act[:, first : first + wanted.shape[1]]
        mine = region.astype(np.int64)
        last = max(i for i, c in enumerate(made.run) if c.tag == command.tag and not isinstance(c, isa.Load))
        if number != last:
            return  # more pieces of this layer follow
        channels = theirs[name].shape[1]
        lanes = np.zeros((len(wanted[0]) // (wanted.shape[1] // -(-channels // 8)), 8), bool)
        lanes.reshape(-1)[:channels] = True
        used = np.repeat(lanes, wanted.shape[1] // len(lanes), 0)
        found[name] = int(np.abs(mine - wanted)[:, used].max())
        region[:, used] = wanted[:, used]

    device.execute(made.run, compare)
    return found


def made_run_target(made: program.Program, tag: int) -> int:
    return min(c.target for c in made.run if c.tag == tag and hasattr(c, "target"))


SMALL = isa.Overlay(act_words=2048, wgt_words=128, par_channels=64)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("stream", [False, True])
def test_every_layer_is_within_one_step_of_onnxruntime(dtype, stream):
    raw = residual(3, dtype)
    images = np.random.default_rng(1).integers(0, 256, (8, 1, 12, 10), np.uint8)
    overlay = SMALL if stream else isa.Overlay()
    found = largest_difference([raw], images, overlay, stream=stream)
    assert len(found) >= 12
    assert max(found.values()) <= 1


@st.composite
def networks(draw: st.DrawFn) -> tuple[bytes, np.ndarray]:
    """A chain of layers of every kind, and images for it."""
    shape = draw(st.integers(1, 3)), draw(st.integers(4, 11)), draw(st.integers(4, 11))
    seed = draw(st.integers(0, 1 << 20))
    net = Writer(shape, seed)
    x, size = net.pixels(), shape[1:]
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "conv", "depthwise", "grouped", "pool", "add", "clip"]))
        channels = net.channels[x]
        if kind == "conv":
            stride, kernel = draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 3]))
            more = draw(st.sampled_from([{}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}]))
            x = net.conv(
                x, draw(st.integers(1, 36)), kernel, strides=[stride] * 2, relu=draw(st.booleans()), **more
            )
            size = tuple(-(-length // stride) for length in size)
        elif kind == "depthwise":
            x = net.conv(x, channels, group=channels)
        elif kind == "grouped" and channels % 2 == 0:
            x = net.conv(x, 2 * draw(st.integers(1, 9)), group=2)
        elif kind == "pool" and min(size) >= 2:
            kept = draw(st.booleans())
            y = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
            x = net.quantise(y, 0.031 if kept else 0.05)
            size = tuple(length // 2 for length in size)
        elif kind == "add":
            y = net.conv(x, channels)
            x = net.quantise(net.node("Add", y, x), 0.06)
        elif kind == "clip":
            y = net.node("Clip", x, net.constant(-0.5), net.constant(1.5))
            x = net.quantise(y, 0.02)
        net.channels[x] = net.channels[x] or channels
    classes = draw(st.integers(2, 20))
    if draw(st.booleans()):
        net.classify(x, classes)
    else:
        flat = net.node("Flatten", x, axis=1)
        size_flat = net.channels[x] * size[0] * size[1]
        net.leave(net.gemm(flat, size_flat, classes), classes, "probabilities")
    images = np.random.default_rng(seed).integers(0, 256, (3, *shape), np.uint8)
    return net.bytes(), images


@settings(deadline=None, max_examples=25)
@given(networks(), st.booleans())
def test_any_chain_of_layers_is_within_one_step_of_onnxruntime(case, stream):
    raw, images = case
    overlay = isa.Overlay(wgt_words=3000, par_channels=256)
    found = largest_difference([raw], images, overlay, stream=stream)
    assert found
    assert max(found.values()) <= 1


def test_streamed_and_resident_answer_alike():
    raw = residual(5)
    images = np.random.default_rng(2).integers(0, 256, (20, 1, 12, 10), np.uint8)
    answers = []
    for overlay, stream in ((isa.Overlay(), False), (isa.Overlay(), True), (SMALL, False)):
        made = compiler.compile_network([raw], "toy", overlay=overlay, stream=stream)
        assert (made.sections.setup[1] == 0) == (stream or overlay is SMALL)
        ready = Golden(made, overlay)
        laid = pixels_as_input(images, made.input.map, made.input.neutral)
        assert {r.exit for r in ready.run(laid)} == {1}
        totals = [r.total for r in ready.run(laid, [isa.ALWAYS])]
        answers.append([(r.exit, r.label, r.total) for r in ready.run(laid, [sorted(totals)[10]])])
    assert answers[0] == answers[1] == answers[2]
    assert {exit_ for exit_, _, _ in answers[0]} == {0, 1}


def zoo_case(model: str, count: int) -> tuple[program.Program, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    catalog = load_catalog(shipped("image-classification/fashion-mnist"))
    made = compiler.compile_network(load_graphs(catalog, model), model)
    samples = load_samples(catalog, "test")
    scores = {name: s[:count] for name, s in load_predictions(catalog, model, "test").items()}
    return made, samples.images[:count, None], samples.labels[:count], scores


@pytest.mark.parametrize("model", ["resnet8-int8", "resnet8-ee-int8"])
def test_shipped_networks_are_as_accurate_as_in_onnxruntime(model):
    made, images, labels, scores = zoo_case(model, 400)
    ready = Golden(made)
    laid = pixels_as_input(images, made.input.map, made.input.neutral)
    assert [e.name for e in made.output.exits] == list(scores)
    for leave in made.output.exits:
        limits = [isa.ALWAYS if number == leave.number else isa.NEVER for number in range(4)]
        results = [r for first in range(0, 400, 50) for r in ready.run(laid[first : first + 50], limits)]
        assert {r.exit for r in results} == {leave.number}
        mine = np.array([r.label for r in results])
        theirs = scores[leave.name].argmax(1)
        assert abs((mine == labels).mean() - (theirs == labels).mean()) <= 0.005
        assert (mine == theirs).mean() >= 0.99
        confidence = np.array([32768 / r.total for r in results])
        assert np.abs(confidence - scores[leave.name].max(1)).mean() < 0.005


def test_the_command_compiles_and_says_what_came_out(tmp_path, capsys):
    source = tmp_path / "net.onnx"
    source.write_bytes(residual())
    assert compiler.main([str(source), "--out", str(tmp_path / "net.npu"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    made = program.read(tmp_path / "net.npu")
    assert said["model"] == made.model == "net"
    assert said["sha256"] == made.sha256
    assert said["weights"] == "resident"
    assert [e["name"] for e in said["exits"]] == ["exit0", "exit1"]
    assert sum(layer["macs"] for layer in said["layers"]) == sum(layer.macs for layer in made.layers)
    assert compiler.main([str(source), "--out", str(tmp_path / "net.npu"), "--stream", "--name", "x"]) == 0
    text = capsys.readouterr().out
    assert "x, weights streamed" in text
    assert "leaves by exit0 after about" in text


def test_what_cannot_be_compiled_is_said_in_one_line(tmp_path, capsys):
    source = tmp_path / "text.onnx"
    source.write_bytes(b"no model at all")
    assert compiler.main([str(source), "--out", str(tmp_path / "net.npu")]) == 2
    assert compiler.main([str(tmp_path / "none.onnx"), "--out", str(tmp_path / "net.npu")]) == 2
    told = capsys.readouterr()
    assert "part 0 is not an ONNX file" in told.err
    assert "none.onnx: cannot be read" in told.err
    assert not told.out
    assert not (tmp_path / "net.npu").exists()


def test_a_network_too_large_for_the_overlay_names_the_tensor():
    with pytest.raises(graph.UnsupportedError, match=r"Tensor on \d+ words .*activation memory has 64"):
        compiler.compile_network([residual()], "toy", overlay=isa.Overlay(act_words=64))
    with pytest.raises(graph.UnsupportedError, match="weights of 16 outputs take 9 words, and 4 are free"):
        compiler.compile_network([residual()], "toy", overlay=isa.Overlay(wgt_words=8))


def test_temperatures_change_the_table_and_nothing_else():
    plain = compiler.compile_network([residual()], "toy")
    cooled = compiler.compile_network([residual()], "toy", temperatures=[2.0])
    assert [e.temperature for e in cooled.output.exits] == [2.0, 1.0]
    images = np.random.default_rng(2).integers(0, 256, (5, 1, 12, 10), np.uint8)
    laid = pixels_as_input(images, plain.input.map, plain.input.neutral)
    limits = [isa.ALWAYS]
    before, after = (Golden(made).run(laid, limits) for made in (plain, cooled))
    assert [r.label for r in before] == [r.label for r in after]
    assert all(b.total < a.total for b, a in zip(before, after, strict=True))


def test_plan_and_image_agree():
    raw = residual()
    made = compiler.compile_network([raw], "toy")
    lowered = lower.lower(quantised.recognise(graph.read([raw]), "toy"))
    planned = plan.plan(lowered, isa.Overlay())
    assert len(made.run) == len(planned.run)
    assert made.image.endswith(planned.data + bytes(-len(planned.data) % 64))
    assert program.from_bytes(program.to_bytes(made)) == made
