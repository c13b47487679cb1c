import hashlib
import os
import time

from drivers.virtual.meters.ina3221 import VirtualModule
from drivers.virtual.meters.tegrastats import VirtualTegrastats
from testbed.wire import messages as m


def test_blobs_travel_in_pieces_resume_and_are_verified(start, tmp_path):
    data = os.urandom(200_000)
    sha256 = hashlib.sha256(data).hexdigest()
    first = start()
    first.greet()
    first.send(m.PutBlob(sha256, len(data), 0, data[:70_000]))
    assert first.expect(m.BlobState) == m.BlobState(sha256, 70_000, False, "")
    first.close()
    host = start()
    host.greet()
    host.send(m.AskBlob(sha256))
    assert host.expect(m.BlobState).have == 70_000
    host.send(m.PutBlob(sha256, len(data), 0, data[:70_000]))
    assert "70000" in host.expect(m.BlobState).text
    host.send(m.PutBlob(sha256, len(data), 70_000, data[70_000:]))
    assert host.expect(m.BlobState) == m.BlobState(sha256, 200_000, True, "")
    assert (tmp_path / "state/blobs" / sha256).read_bytes() == data
    host.send(m.PutBlob("0" * 64, 3, 0, b"abc"))
    state = host.expect(m.BlobState)
    assert (state.have, state.complete) == (0, False)
    assert "hash" in state.text
    (tmp_path / "state/blobs" / sha256).write_bytes(b"rotten")
    host.send(m.LoadModel(1, "x", (sha256,), "echo", {}, 1))
    assert "damaged" in host.expect(m.Loaded).text


def test_power_samples_and_settings_over_the_line(start, tmp_path):
    root = tmp_path / "root"
    folder = root / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    gpu = root / "sys/class/devfreq/gpu"
    for place in (folder, gpu):
        place.mkdir(parents=True)
    for name, value in (("in1_label", "VDD_IN"), ("in1_input", 5000), ("curr1_input", 1000)):
        (folder / name).write_text(f"{value}\n")
    for name, value in (("cur_freq", 5), ("min_freq", 1), ("max_freq", 9)):
        (gpu / name).write_text(f"{value}\n")
    host = start("--sysfs-root", str(root))
    facts = host.greet().facts
    assert facts["meter"] == "ina3221"
    assert facts["meters"]["ina3221"]["rails"] == facts["meters"]["ina3221"]["total"] == ["VDD_IN"]
    assert facts["settings"] == ["clock:gpu"]
    before = time.monotonic_ns()
    host.send(m.Meter("", True, 5_000_000))
    samples = host.expect(m.PowerSamples)
    assert (samples.rails, samples.dropped) == (("VDD_IN",), 0)
    assert set(samples.power_w) == {5.0}
    assert before < samples.t[0] <= samples.t[-1] < time.monotonic_ns()
    host.send(m.Meter("", False, 0))
    host.send(m.Settings(3, "clock:gpu", "2:3"))
    assert host.expect(m.SettingsReply) == m.SettingsReply(3, True, "2:3:5", "")
    host.send(m.Settings(4, "fan", "9"))
    assert not host.expect(m.SettingsReply).ok
    host.send(m.Meter("none", True, 5_000_000))
    assert host.expect(m.Failed).code == "no-meter"
    host.inbox.clear()
    host.nothing(m.PowerSamples)
    host.send(m.Bye())
    host.expect(m.Goodbye)
    assert host.process.wait(5) == 0
    assert (gpu / "min_freq").read_text() == "1"


def test_a_board_with_several_meters_streams_the_one_asked_for(start, tmp_path):
    VirtualModule(tmp_path / "root", "nano").draw(4.0)
    VirtualTegrastats(tmp_path / "root", "nano").draw(3.0)
    host = start("--sysfs-root", str(tmp_path / "root"))
    facts = host.greet().facts
    assert facts["meter"] == "ina3221"
    assert set(facts["meters"]) == {"ina3221", "ina3221-total", "tegrastats"}
    assert {name for name, about in facts["meters"].items() if about["total"] == ["POM_5V_IN"]} == set(
        facts["meters"]
    )
    assert facts["meters"]["tegrastats"]["traits"]["metered"] == "rail"
    assert "current sensor" not in facts["meters_absent"]["hwmon"]
    assert set(facts["meters_absent"]) == {"nvml", "hwmon", "rapl"}
    host.send(m.Meter("tegrastats", True, 20_000_000))
    samples = host.expect(m.PowerSamples)
    assert samples.meter == "tegrastats"
    assert samples.power_w[samples.rails.index("POM_5V_IN")] == 3.0
    host.send(m.Meter("ina3221", True, 5_000_000))
    both = {host.expect(m.PowerSamples).meter for _ in range(12)}
    assert both == {"ina3221", "tegrastats"}
    host.send(m.Meter("", False, 0))
    host.send(m.Bye())
    host.expect(m.Goodbye)
    assert host.process.wait(5) == 0
