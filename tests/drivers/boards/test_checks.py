from __future__ import annotations

import time

from drivers.boards.checks import examine
from drivers.boards.composition import CommonOptions, Composition, Probe
from testbed.errors import HostKeyError
from testbed.wire import messages as m


async def examined(far_side, spec, **changes):
    parts = Composition(kind="t", make_link=lambda: far_side, **changes)
    return [result async for result in examine(spec, parts, time.monotonic_ns)]


async def fine():
    return "fine"


async def test_own_steps_come_first_and_a_failure_skips_the_rest(far_side, make_spec):
    async def wrong():
        raise HostKeyError(link="ssh://b", seen="SHA256:seen")

    probes = (
        Probe(step="network", look=fine),
        Probe(step="host key", look=wrong),
        Probe(step="login", look=fine),
    )
    results = await examined(far_side, make_spec(), probes=probes)
    assert [(r.step, r.state) for r in results[:3]] == [
        ("network", "ok"),
        ("host key", "failed"),
        ("login", "skipped"),
    ]
    assert "SHA256:seen" in results[1].finding
    assert results[1].cure
    assert all(r.state == "skipped" for r in results[2:])
    assert not far_side.opened


async def test_facts_are_told_in_words(far_side, make_spec):
    facts = {
        "machine": "aarch64",
        "python": "3.8.10",
        "runtimes": {"onnxruntime": {"version": "1.16"}},
        "meters": {"ina3221": {"rails": ["VDD_IN", "VDD_SOC"], "total": ["VDD_IN"], "scope": "module input"}},
        "meters_absent": {"nvml": "no NVIDIA driver"},
        "settings": ["power-mode"],
    }
    far_side.replies[m.Hello] = lambda x: [far_side.welcome(x, facts=facts)]
    results = {r.step: r for r in await examined(far_side, make_spec(models={}))}
    assert "aarch64, Python 3.8.10" in results["agent"].finding
    assert "onnxruntime (version 1.16)" in results["runtime"].finding
    assert "total is VDD_IN (module input); no nvml: no NVIDIA driver" in results["meter"].finding
    assert "power-mode" in results["power mode"].finding
    assert results["models"].finding == "none asked for"
    assert {r.state for r in results.values()} == {"ok"}


async def test_why_a_board_has_no_meter_is_told(far_side, make_spec):
    facts = {"meters": {}, "meters_absent": {"ina3221": "no such chip"}}
    far_side.replies[m.Hello] = lambda x: [far_side.welcome(x, facts=facts)]
    results = {r.step: r for r in await examined(far_side, make_spec(models={}))}
    assert (results["meter"].state, "no such chip" in results["meter"].finding) == ("skipped", True)
    wanted = CommonOptions(meters=("ina3221",))
    results = {r.step: r for r in await examined(far_side, make_spec(models={}), common=wanted)}
    assert (results["meter"].state, "no such chip" in results["meter"].finding) == ("failed", True)
    assert results["meter"].cure


async def test_a_runtime_that_cannot_be_used_fails_with_a_cure(far_side, make_spec):
    missing = {"available": False, "reason": "No module named 'onnxruntime'"}
    names = {files.runtime for files in make_spec().models.values()}
    far_side.replies[m.Hello] = lambda x: [
        far_side.welcome(x, facts={"runtimes": dict.fromkeys(names, missing)})
    ]
    far_side.replies[m.AskBlob] = lambda x: [m.BlobState(x.sha256, 1, True, "")]
    far_side.replies[m.LoadModel] = lambda x: [m.Loaded(x.request, x.model, False, 0, 0, "no runtime")]
    results = {r.step: r for r in await examined(far_side, make_spec())}
    assert results["runtime"].state == "failed"
    assert "No module named" in results["runtime"].finding
    assert "install" in results["runtime"].cure.lower()


async def test_a_setting_that_the_board_does_not_have_fails_with_a_cure(far_side, make_spec):
    far_side.replies[m.Hello] = lambda x: [far_side.welcome(x, facts={"settings": ["power-mode"]})]
    wanted = {"clock:17000000.gpu": "1:2"}
    results = {r.step: r for r in await examined(far_side, make_spec(models={}), settings=wanted)}
    assert results["power mode"].state == "failed"
    assert "clock:17000000.gpu" in results["power mode"].finding
    assert results["power mode"].cure


async def test_a_model_that_does_not_load_is_the_step_that_failed(far_side, make_spec):
    far_side.replies[m.AskBlob] = lambda x: [m.BlobState(x.sha256, 1, True, "")]
    far_side.replies[m.LoadModel] = lambda x: [m.Loaded(x.request, x.model, False, 0, 0, "no provider")]
    results = await examined(far_side, make_spec())
    assert (results[-1].step, results[-1].state) == ("models", "failed")
    assert "no provider" in results[-1].finding
