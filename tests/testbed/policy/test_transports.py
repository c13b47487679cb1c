from types import SimpleNamespace

from testbed.model.action import Transport
from testbed.model.execution import NO_DATAGRAMS
from testbed.model.view import Health
from testbed.policy.transports import LossyOrders, failed_on


def step(board, error=None):
    return SimpleNamespace(board=board, ok=error is None, error=error)


def view(**health):
    return SimpleNamespace(boards={name: SimpleNamespace(health=h) for name, h in health.items()})


WITHOUT = f"{NO_DATAGRAMS}: not installed: Pillow"


def test_the_data_centre_is_reached_reliably_and_the_edge_is_not():
    lossy = LossyOrders({"far"})
    assert lossy.transport("far") is Transport.RELIABLE
    assert lossy.transport("near") is Transport.LOSSY


def test_a_board_without_a_channel_is_reached_reliably_until_it_connects_again():
    lossy = LossyOrders({"far"})
    lossy.heard(step("near", "lost: 0.4 of the picture was lost"))
    assert lossy.transport("near") is Transport.LOSSY
    lossy.heard(step("near", WITHOUT))
    lossy.see(view(near=Health.UP, other=Health.DOWN), ["near", "other"])
    assert lossy.transport("near") is Transport.RELIABLE
    assert lossy.transport("other") is Transport.LOSSY
    lossy.see(view(near=Health.DOWN), ["near"])
    assert lossy.transport("near") is Transport.LOSSY


def test_a_missing_channel_is_no_failure_of_the_board():
    case = SimpleNamespace(steps=(step("a", WITHOUT), step("b", "broken"), step("c")))
    assert failed_on(case) == {"b"}
