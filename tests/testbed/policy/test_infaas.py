import msgspec
import pytest

from testbed.contracts.policy import BOARDS, PolicyContract, mixed_requests, settings_for
from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.errors import ConfigError
from testbed.model.action import Infer, Load
from testbed.model.request import Outcome
from testbed.policy.infaas import Pace, infaas
from testbed.units import MS, S

LADDER = tuple(
    ToyModel(name=name, accuracy=(accuracy,), parts_ms=(ms,), load_ms=80.0)
    for name, accuracy, ms in (("low", 0.7, 2.0), ("mid", 0.85, 4.0), ("high", 0.95, 8.0))
)


def edge(*resident, memory=1):
    """A board with room for so many models (each has the size 1)."""
    return ToyBoard(id="edge", resident=tuple((name, 1) for name in resident), memory_bytes=memory)


def run(boards, requests, **options):
    settings = settings_for(boards, LADDER, backend="high", options=options)
    settings = msgspec.structs.replace(settings, models={b.id: ("low", "mid", "high") for b in boards})
    lab = ToyLab(infaas(settings), boards, LADDER, requests)
    lab.run()
    return lab


def loads(lab):
    return [o for _, o in lab.orders if isinstance(o, Load)]


def models(lab):
    return [o.model for _, o in lab.orders if isinstance(o, Infer)]


class TestContract(PolicyContract):
    def build(self, settings):
        return infaas(settings)


def test_a_loaded_variant_that_suffices_is_used_and_nothing_is_loaded() -> None:
    lab = run([edge("low", "mid", memory=3)], stream(20, 20 * MS, min_accuracy=0.8))
    assert set(models(lab)) == {"mid"}
    assert loads(lab) == []


def test_what_no_loaded_variant_reaches_is_loaded_and_the_request_waits_for_it() -> None:
    lab = run([edge("low")], stream(1, S, min_accuracy=0.9, slack=S))
    (load,) = loads(lab)
    assert (load.model, load.evict) == ("high", ("low",))
    end = lab.ends[1]
    assert end.outcome is Outcome.COMPLETED
    assert end.answered - end.request.arrival >= 80 * MS


def test_least_recently_used_goes_first() -> None:
    first = stream(1, S, min_accuracy=0.8, slack=S)
    again = stream(1, S, first=2, start=300 * MS, min_accuracy=0.6, slack=S)
    last = stream(1, S, first=3, start=900 * MS, min_accuracy=0.9, slack=2 * S)
    lab = run([edge("low", "mid", memory=2)], [*first, *again, *last])
    (load,) = loads(lab)
    assert models(lab)[:2] == ["mid", "low"]
    assert load.evict == ("mid",)


def test_a_board_at_work_finishes_before_its_variant_is_replaced() -> None:
    busy = stream(200, 2 * MS, min_accuracy=0.6, slack=2 * S)
    picky = stream(1, S, first=1000, start=50 * MS, min_accuracy=0.9, slack=2 * S)
    lab = run([edge("low")], sorted([*busy, *picky], key=lambda r: r.arrival))
    assert loads(lab)
    assert not [s for e in lab.ends.values() for s in e.steps if s.error]
    assert all(e.answer is not None for e in lab.ends.values())


def test_the_more_levels_are_asked_for_in_turn_the_more_is_loaded() -> None:
    def stormy(levels):
        return sorted(
            (
                r
                for i, level in enumerate(levels)
                for r in stream(
                    20,
                    len(levels) * 120 * MS,
                    first=1 + 100 * i,
                    start=i * 120 * MS,
                    min_accuracy=level,
                    slack=2 * S,
                )
            ),
            key=lambda r: r.arrival,
        )

    one = run([edge("high")], stormy([0.9]))
    two = run([edge("low")], stormy([0.6, 0.9]))
    assert len(loads(one)) == 0
    assert 1 <= len(loads(two)) <= 2  # the accurate one serves both from then on


def test_targets_out_of_reach_are_answered_degraded() -> None:
    lab = run([edge("high")], stream(1, S, min_accuracy=0.999))
    assert lab.ends[1].outcome is Outcome.DEGRADED


def test_a_variant_that_does_not_fit_is_never_loaded() -> None:
    lab = run([edge(memory=0)], stream(1, S, min_accuracy=0.9))
    assert loads(lab) == []
    assert lab.ends[1].outcome is Outcome.EXPIRED


def test_sites_can_be_limited() -> None:
    policy = infaas(settings_for(options={"sites": ["dc"]}))
    from testbed.contracts.policy import MODELS

    lab = ToyLab(policy, BOARDS, MODELS, mixed_requests(40, 20 * MS))
    lab.run()
    assert {o.board for _, o in lab.orders if isinstance(o, Infer)} == {"far"}


def test_overload_begins_late_and_ends_later() -> None:
    pace = Pace()
    seen = []
    for ratio in [5.0] * 10 + [1.0] * 40:
        pace.saw(ratio)
        seen.append((pace.ratio, pace.over))
    assert all(over for ratio, over in seen if ratio > 2.5)
    falling = seen[10:]
    assert all(over for ratio, over in falling if ratio > 1.5)
    assert not seen[-1][1]


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        infaas(settings_for(options={"penalty": 2}))
