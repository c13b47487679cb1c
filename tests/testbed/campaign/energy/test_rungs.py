import msgspec
import pytest

from testbed.campaign.energy.rungs import Panel, Rung, at_rate, cheapest, drawn_w, panels, rung_of
from testbed.campaign.energy.spec import BoardSpec, TaskSpec
from testbed.errors import ConfigError
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, InferenceEnergy, Metered, Quantity, Service

WALL = Metered(kind="wall", what="mains")
TASK = TaskSpec(task="t", targets=(0.5, 0.6, 0.7))


def rung(accuracy: float = 0.7, **more) -> Rung:
    """10 mJ gross and 6 mJ net in 5 ms at 2 W, of which 0.8 W at rest."""
    return msgspec.structs.replace(
        Rung(
            profiles="p",
            model=f"m{accuracy:g}",
            accuracy=accuracy,
            sigma=0.0,
            p50_ms=5.0,
            busy_s=0.005,
            active_w=2.0,
            idle_w=0.8,
            idle_sigma_w=0.01,
            gross_mj=10.0,
            net_mj=6.0,
            gross_frac=0.01,
            net_frac=0.02,
            origin=Origin.DERIVED,
            net_origin=Origin.DERIVED,
            origins={"rest": Origin.DERIVED, "gross": Origin.CITED},
        ),
        **more,
    )


def panel(kind: str = "wall", task: TaskSpec = TASK, **boards) -> Panel:
    return Panel(task=task, metric="top-1", kind=kind, what=(kind,), boards=boards)


def profile(**more) -> HwProfile:
    def of(value, **other):
        return Quantity(value=value, origin=Origin.DERIVED, source="s", **other)

    base = HwProfile(
        schema=1,
        board="b",
        model="m",
        task="t",
        service=(Service(batch=1, p=(0.5,), ms=(5.0,), origin=Origin.CITED, source="s"),),
        accuracy=(Quantity(value=0.8, origin=Origin.CITED, source="s"),),
        active_w=of(2.0, metered=WALL),
        idle_w=of(0.8, metered=WALL, sigma=0.1),
        energy_mj=(
            InferenceEnergy(batch=1, value=10.0, origin=Origin.CITED, source="s", metered=WALL),
            InferenceEnergy(batch=1, value=6.0, origin=Origin.DERIVED, source="s", metered=WALL, net=True),
        ),
    )
    return msgspec.structs.replace(base, **more)


def test_a_profile_becomes_a_rung_with_its_uncertainties() -> None:
    found = rung_of(profile(), 100, 0.01)
    assert found is not None
    assert (found.gross_mj, found.net_mj, found.busy_s, found.p50_ms) == (10.0, 6.0, 0.005, 5.0)
    assert found.sigma == pytest.approx(0.04)  # sqrt(0.8 * 0.2 / 100)
    # 1 % of 10 mJ; and (0.1 W, 1 % of 0.8 W) over 5 ms
    parts = (0.1**2 + (0.1 * 5) ** 2 + (0.008 * 5) ** 2) ** 0.5
    assert found.net_frac == pytest.approx(parts / 6)
    assert (found.origin, found.origins["gross"]) == (Origin.DERIVED, Origin.CITED)


def test_what_is_lacking_stays_lacking() -> None:
    assert rung_of(profile(energy_mj=()), None, 0.01) is None
    assert rung_of(profile(active_w=None), None, 0.01) is None
    bare = rung_of(profile(energy_mj=profile().energy_mj[:1], idle_w=None), None, 0.01)
    assert bare is not None
    assert (bare.sigma, bare.net_mj, bare.net_frac, bare.net_origin) == (None, None, None, None)
    assert drawn_w(bare, 1.0) is None
    assert at_rate([bare], 0.1, 1.0, 1.0) is None


def test_assumed_rest_weakens_only_what_rests_on_it() -> None:
    idle = Quantity(value=0.8, origin=Origin.ASSUMED, source="s", metered=WALL)
    found = rung_of(profile(idle_w=idle), None, 0.0)
    assert found is not None
    assert (found.origin, found.net_origin) == (Origin.DERIVED, Origin.ASSUMED)


def test_the_cheapest_that_reaches_the_target_is_not_the_first_above_it() -> None:
    dear, cheap = rung(0.6, gross_mj=20.0), rung(0.65, gross_mj=9.0)
    assert cheapest([dear, cheap], 0.55) is cheap
    assert cheapest([dear, cheap], 0.65) is cheap
    assert cheapest([dear, cheap], 0.66) is None


def test_at_a_rate_rest_and_speed_decide() -> None:
    restless, restful = rung(idle_w=1.0, net_mj=1.0), rung(idle_w=0.5, net_mj=11.0, model="r")
    assert at_rate([restless, restful], 0.7, 10.0, 0.7) is restful  # 1.01 W against 0.61 W
    assert at_rate([restless, restful], 0.7, 100.0, 0.7) is restless  # 1.1 W against 1.6 W
    assert at_rate([restless, restful], 0.7, 141.0, 0.7) is None  # 5 ms each: over 70 % busy
    assert drawn_w(restful, 100.0) == pytest.approx(1.6)


def test_what_is_metered_differently_or_of_another_task_is_apart() -> None:
    tasks = [
        TaskSpec(task="image-classification/cifar10", targets=(0.8,), samples=200),
        TaskSpec(task="image-classification/imagenet-2012", targets=(0.7,)),
    ]
    boards = [
        BoardSpec(name="PYNQ", profiles=("pynq-z2",)),
        BoardSpec(name="Nucleo", profiles=("nucleo-l4r5zi",)),
        BoardSpec(name="Pi", profiles=("raspberry-pi-4-tflite", "raspberry-pi-4-armnn")),
    ]
    found = panels(tasks, boards, 0.01)
    assert [(p.task.task, p.kind, list(p.boards)) for p in found] == [
        ("image-classification/cifar10", "board", ["PYNQ"]),
        ("image-classification/cifar10", "chip", ["Nucleo"]),
        ("image-classification/imagenet-2012", "wall", ["Pi"]),
    ]
    assert {r.profiles for r in found[2].boards["Pi"]} == {"raspberry-pi-4-tflite", "raspberry-pi-4-armnn"}
    assert all(r.sigma is not None for p in found for of in p.boards.values() for r in of)


def test_an_unknown_folder_is_named() -> None:
    with pytest.raises(ConfigError, match="pynq-z2"):
        panels([TASK], [BoardSpec(name="PYNQ", profiles=("pynq-z",))], 0.01)
