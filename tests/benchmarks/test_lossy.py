from benchmarks.lossy import COUNTS, WAYS, play
from testbed.campaign.data import TaskData


async def test_both_kinds_take_turns_and_every_order_ends() -> None:
    seen = await play(None, TaskData("image-classification/fashion-mnist").images[:100], 6)
    assert (len(seen["lossy"]), len(seen["reliable"]), len(seen["lost"])) == (6, 6, 6)


def test_enough_requests_for_a_99th_percentile() -> None:
    assert COUNTS.keys() == WAYS.keys()
    assert min(COUNTS.values()) >= 1000
