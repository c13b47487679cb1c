from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.network.options import WayOptions
from drivers.virtual.network.way import PacketWay
from testbed.model.losses import LossOptions
from testbed.units import MS, S


def test_delay_comes_on_top_of_the_time_on_the_wire() -> None:
    way = PacketWay(WayOptions(delay_ms=10, rate_mbit=8), "1")
    assert way.enter(0, 1000) == 11 * MS
    assert way.enter(0, 1000) == 12 * MS  # waits for the wire
    assert way.enter(100 * MS, 1000) == 111 * MS


def test_a_full_queue_drops_and_empties_at_the_wire_s_rate() -> None:
    way = PacketWay(WayOptions(rate_mbit=8, queue_bytes=3000), "1")
    assert [way.enter(0, 1000) is not None for _ in range(5)] == [True, True, True, False, False]
    assert way.dropped == 2
    assert way.enter(MS, 1000) is not None
    assert way.enter(MS, 1000) is None


def test_a_packet_larger_than_the_queue_passes_an_idle_wire() -> None:
    assert PacketWay(WayOptions(rate_mbit=8, queue_bytes=10), "1").enter(0, 1000) == MS


def test_a_lost_packet_has_taken_its_time_on_the_wire() -> None:
    way = PacketWay(WayOptions(rate_mbit=8, loss=LossOptions(frac=1.0)), "1")
    assert way.enter(0, 1000) is None
    assert way.lost == 1
    way._loss._good = 0.0
    assert way.enter(0, 1000) == 2 * MS


@given(
    st.lists(st.tuples(st.integers(0, 5 * MS), st.integers(1, 1500)), max_size=60),
    st.floats(0, 5),
    st.floats(0, 0.5),
)
def test_packets_stay_in_order_whatever_the_jitter(packets, jitter_ms, loss) -> None:
    options = WayOptions(delay_ms=1, jitter_ms=jitter_ms, rate_mbit=20, loss=LossOptions(frac=loss))
    runs = []
    for _ in range(2):
        way, now, exits = PacketWay(options, "7"), 0, []
        for gap, size in packets:
            now += gap
            exits.append(way.enter(now, size))
            assert exits[-1] is None or exits[-1] >= now + MS
        through = [e for e in exits if e is not None]
        assert through == sorted(through)
        assert way.entered == len(packets)
        assert way.lost + way.dropped == exits.count(None)
        runs.append(exits)
    assert runs[0] == runs[1]


def test_a_trace_beside_the_lab_file_sets_the_rate(tmp_path: Path) -> None:
    (tmp_path / "lte.csv").write_text("t_s,rate_kbit\n0,8\n1,8\n")
    assert PacketWay(WayOptions(trace="lte.csv"), "1", tmp_path).enter(0, 1000) == S


def test_the_queue_s_memory_is_bounded() -> None:
    way = PacketWay(WayOptions(rate_mbit=1000), "1")
    for i in range(10_000):
        way.enter(i * MS, 100)
    assert len(way._queue) < 2000
