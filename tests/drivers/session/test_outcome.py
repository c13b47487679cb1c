from __future__ import annotations

import numpy as np
import pytest

from drivers.session.ledger import Flight
from drivers.session.outcome import execution_of, infer_message, refusal_of
from testbed.errors import BoardError
from testbed.model.action import ExitRule, Infer, Item, Output, Place, Region
from testbed.model.origin import Origin
from testbed.wire import Tensor
from testbed.wire import messages as m


def order(items=1, **changes):
    batch = tuple(Item(request=i, exit=ExitRule(min_confidence=(0.5 + i / 10,))) for i in range(items))
    return Infer(**{"id": 1, "board": "b", "model": "m", "batch": batch} | changes)


def done(rows, exits=None, **report):
    rows = np.asarray(rows, np.float32)
    output = Tensor("float32", rows.shape, rows.tobytes())
    return m.Done(1, 10, 20, 30, exits or (0,) * len(rows), (output,), report)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"layers": (0, 2)}, "layers"),
        ({"keep": True}, "keep"),
        ({"codec": "jpeg"}, "codec"),
        ({"batch": (Item(request=1, input=Output(action=1, port="")),)}, "input"),
        ({"batch": (Item(request=1, input=Region(request=1, box=(0, 0, 1, 1))),)}, "input"),
        ({"batch": (Item(request=1, place=Place(canvas=0, x=0, y=0)),)}, "place"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused_by_its_name(changes, what):
    assert refusal_of(order(**changes), 1) == f"this driver does not carry `{what}` yet"


def test_nothing_is_wrong_with_an_ordinary_order():
    assert refusal_of(order(), 1) is None
    assert "2 items were ordered with 1 inputs" in refusal_of(order(2), 1)


@pytest.mark.parametrize(
    ("limits", "carried"),
    [((None, None, None), []), ((None, 7, 5), [0, 5]), ((0, None, None), [1, 0])],
)
def test_limits_on_time_are_carried_for_what_is_kept(limits, carried):
    batch = tuple(Item(request=i, exit=ExitRule(stop_after=limit)) for i, limit in enumerate(limits))
    flight = Flight(order(batch=batch), np.zeros((3, 2), np.uint8), ())
    flight.kept = (0, 2)
    assert infer_message(flight).stop_after_ns == carried


def test_message_keeps_thresholds_and_inputs_together():
    flight = Flight(order(3), np.arange(6, dtype=np.uint8).reshape(3, 2), (5, 6, 7))
    flight.number, flight.kept = 9, (0, 2)
    message = infer_message(flight)
    assert message.action == 9
    assert list(message.thresholds) == [(0.5,), (0.7,)]
    assert message.samples == (5, 7)
    assert (message.input.shape, bytes(message.input.data)) == ((2, 2), bytes([0, 1, 4, 5]))


def test_results_are_label_confidence_scores_and_exit():
    flight = Flight(order(2), np.zeros((2, 2), np.uint8), ())
    execution = execution_of(done([[0.1, 0.9], [0.75, 0.25]], exits=(0, 2)), flight, Origin.MEASURED)
    assert [(i.label, i.exit) for i in execution.items] == [(1, 0), (0, 2)]
    assert execution.items[1].confidence == 0.75
    assert execution.items[1].scores == (0.75, 0.25)
    assert (execution.received, execution.started, execution.finished) == (10, 20, 30)
    assert execution.asked_service is None


def test_a_virtual_board_tells_what_it_was_asked_and_its_origin():
    flight = Flight(order(), np.zeros((1, 2), np.uint8), ())
    told = done([[0.1, 0.9]], asked_ns=777, origin="emulated", pace_error_ns=5, text="ignored")
    execution = execution_of(told, flight, Origin.MEASURED)
    assert execution.asked_service == 777
    assert execution.origin is Origin.EMULATED
    assert execution.notes == {"pace_error_ns": 5.0}


def test_what_was_lost_is_told_with_its_mask():
    flight = Flight(order(), np.zeros((1, 2), np.uint8), ())
    told = done([[0.1, 0.9]], lost_frac=0.25, lost_rows=[3, 4])
    execution = execution_of(told, flight, Origin.MEASURED)
    assert (execution.items[0].lost_frac, execution.items[0].lost_rows) == (0.25, (3, 4))
    assert execution.notes == {"lost_frac": 0.25}
    for rows in (None, 7, ["x", 1.5]):  # an agent that says nothing of it, or nonsense
        told = done([[0.1, 0.9]], lost_frac=0.25, lost_rows=rows)
        assert execution_of(told, flight, Origin.MEASURED).items[0].lost_rows == ()


@pytest.mark.parametrize("rows", [[[0.1, 0.9]], [[0.1, 0.9]] * 3])
def test_an_answer_of_another_size_is_refused(rows):
    flight = Flight(order(2), np.zeros((2, 2), np.uint8), ())
    with pytest.raises(BoardError, match="agent answered"):
        execution_of(done(rows), flight, Origin.MEASURED)


def test_a_model_without_scores_gives_no_label():
    flight = Flight(order(), np.zeros((1, 2), np.uint8), ())
    execution = execution_of(m.Done(1, 1, 2, 3, (0,), (), {}), flight, Origin.MEASURED)
    assert execution.items[0].label == -1
    assert execution.items[0].scores is None


@pytest.mark.parametrize("classes", [1, 10, 64, 65, 1000])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
@pytest.mark.parametrize("odd", [None, np.nan, np.inf, -np.inf])
def test_few_scores_and_many_are_judged_alike(classes, kind, odd):
    row = np.random.default_rng(classes).random(classes).astype(kind)
    if odd is not None:
        row[classes // 2] = odd
    row[-1] = row[0]  # of equals the first counts
    output = Tensor(kind, (1, classes), row.tobytes())
    flight = Flight(order(), np.zeros((1, 2), np.uint8), ())
    item = execution_of(m.Done(1, 10, 20, 30, (2,), (output,), {}), flight, Origin.MEASURED).items[0]
    assert (item.label, item.exit) == (row.argmax(), 2)
    np.testing.assert_equal((item.confidence, item.scores), (float(row.max()), tuple(row.tolist())))
