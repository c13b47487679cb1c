"""What orders mean on a board: lanes, links, windows, canvases, kept outputs, exits."""

from testbed.contracts.toy_board import Flight, ToyMachine, ToyTime
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.model.action import ExitRule, Infer, Item, Load, Output, Place
from testbed.model.execution import WINDOW_MISSED, Execution
from testbed.model.request import Request
from testbed.units import MS

NET = ToyModel(name="net", parts_ms=(4.0, 6.0), accuracy=(0.5, 0.9), kept_bytes=(300, 0), next_item=0.5)
OTHER = ToyModel(name="other", load_ms=20.0)


class Bench:
    def __init__(self, **more):
        self.time, self.told = ToyTime(), {}
        spec = ToyBoard(**{"id": "b", "resident": (("net", 2),), "rtt": 2 * MS, **more})
        self.board = ToyMachine(spec, {"net": NET, "other": OTHER}, self.time, self.request, self.hear)
        self.flights = {}

    def request(self, number):
        return Request(id=number, task="t", sample=number, arrival=0)

    def hear(self, flight, how):
        self.told[flight.order.id] = (self.time.now, how)

    def infer(self, action, *items, size=0, **more):
        batch = items or (Item(request=action),)
        flight = Flight(Infer(id=action, board="b", model=more.pop("model", "net"), batch=batch, **more), 0)
        self.flights[action] = flight
        self.board.take(flight, size, 0)

    def run(self):
        while self.time.step():
            pass
        return self.told


def spans(bench):
    return {run.order.id: (run.started, run.finished) for run in bench.board.runs}


def test_way_there_service_and_way_back():
    bench = Bench()
    bench.infer(1)
    assert bench.run()[1][0] == (1 + 10 + 1) * MS


def test_link_carries_one_payload_after_another():
    bench = Bench(up_bytes_per_s=1e5)
    bench.infer(1, size=1000, instance=0)
    bench.infer(2, size=1000, instance=1)
    bench.run()
    assert [s[0] for s in spans(bench).values()] == [11 * MS, 21 * MS]


def test_lane_runs_one_batch_after_another_and_lanes_run_side_by_side():
    bench = Bench()
    bench.infer(1)
    bench.infer(2)
    bench.infer(3, instance=1)
    bench.run()
    assert spans(bench) == {1: (MS, 11 * MS), 2: (11 * MS, 21 * MS), 3: (MS, 11 * MS)}


def test_lane_without_the_model_fails():
    bench = Bench()
    bench.infer(1, instance=2)
    bench.infer(2, model="other")
    assert all("not resident" in how for _, how in bench.run().values())


def test_window_is_kept_or_missed():
    bench = Bench()
    bench.infer(1, earliest=5 * MS, latest=6 * MS)
    bench.infer(2, latest=10 * MS)
    bench.infer(3, latest=15 * MS)
    told = bench.run()
    assert spans(bench)[1][0] == 5 * MS
    assert told[2][1] == WINDOW_MISSED
    assert spans(bench)[3][0] == 15 * MS


def test_exit_rules_let_items_leave():
    bench = Bench()
    bench.infer(1, Item(request=1, exit=ExitRule.at(0)), Item(request=2))
    bench.infer(2, Item(request=1, exit=ExitRule(stop_after=4 * MS)), instance=1)
    told = bench.run()
    assert [item.exit for item in told[1][1].items] == [0, 1]
    assert spans(bench)[1] == (MS, MS + 6 * MS + 6 * MS)  # two in the first part, one in the second
    assert told[2][1].items[0].exit == 0


def test_canvases_count_and_not_items():
    bench = Bench()
    items = [Item(request=i, place=Place(canvas=i // 3, x=0, y=0)) for i in range(6)]
    bench.infer(1, *items)
    bench.run()
    start, end = spans(bench)[1]
    assert end - start == 15 * MS  # as a batch of two


def test_kept_output_feeds_the_next_range_of_layers_only():
    bench = Bench()
    bench.infer(1, layers=(0, 1), keep=True)
    bench.run()
    assert bench.told[1][1].items[0].kept_bytes == 300
    bench.infer(2, Item(request=1, input=Output(1)), layers=(1, 2))
    bench.infer(3, Item(request=1, input=Output(9)), layers=(1, 2))
    bench.infer(4, Item(request=1, input=Output(1)), layers=(0, 2))
    bench.run()
    assert isinstance(bench.told[2][1], Execution)
    assert "not here" in bench.told[3][1]
    assert "cannot go on" in bench.told[4][1]


def test_load_makes_what_waits_for_it_run():
    bench, errors = Bench(memory_bytes=3), []
    bench.board.load(Load(id=9, board="b", model="other"), errors.append)
    assert bench.board.loading == {"other"}
    bench.infer(1, model="other")
    bench.run()
    assert errors == [""]
    assert spans(bench)[1][0] == 22 * MS


def test_load_that_does_not_fit_is_refused_unless_something_goes():
    bench, errors = Bench(memory_bytes=2), []
    bench.board.load(Load(id=9, board="b", model="other"), errors.append)
    bench.run()
    bench.board.load(Load(id=10, board="b", model="other", evict=("net",)), errors.append)
    bench.run()
    assert "does not fit" in errors[0]
    assert errors[1] == ""
    assert bench.board.resident == {"other": 1}


def test_stages_at_which_an_action_can_be_stopped():
    bench = Bench(up_bytes_per_s=1e5)
    for action in (1, 2, 3):
        bench.infer(action, size=1000)
    stages = []
    for at, action in ((5, 3), (15, 1), (21.5, 2), (40, 2)):
        bench.time.at(round(at * MS), lambda a=action: stages.append(bench.board.stop(bench.flights[a])))
    bench.run()
    assert stages == ["before_sent", "during", "during", "too_late"]
    assert bench.told == {}


def test_down_board_forgets_everything():
    bench = Bench()
    bench.infer(1, keep=True)
    bench.run()
    bench.infer(2)
    bench.board.go_down()
    bench.run()
    assert bench.board.outputs == {}
    assert 2 not in bench.told
    bench.board.come_up()
    bench.infer(3)
    bench.run()
    assert isinstance(bench.told[3][1], Execution)
