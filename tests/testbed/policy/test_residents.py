from testbed.model.placement import Hosted
from testbed.model.view import Health
from testbed.policy.residents import Residents
from tests.testbed.policy.test_runners import board, view


def test_load_is_ordered_once_and_again_after_the_board_was_away():
    residents, hosted = Residents(), (Hosted(board="b", model="net", instances=2),)
    bare = view(board("b", resident={}))
    [load] = residents.missing(bare, hosted, ["b"])
    assert (load.board, load.model, load.instances) == ("b", "net", 2)
    assert residents.missing(bare, hosted, ["b"]) == []
    assert residents.missing(view(board("b", resident={}, health=Health.DOWN)), hosted, ["b"]) == []
    assert len(residents.missing(bare, hosted, ["b"])) == 1
    assert Residents().missing(view(board("b", resident={}, loading={"net"})), hosted, ["b"]) == []
    assert Residents().missing(view(board()), hosted, ["b"]) == []
