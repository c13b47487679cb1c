"""Tangram: regions of frames travel instead of frames, and are placed on shared canvases without resizing."""

from __future__ import annotations

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item, Place, Region
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.view import CaseView, View
from testbed.units import MS, Ns

SIDE = 28
MOST_CANVASES = 4
Box = tuple[int, int, int, int]


def pack(patches: list[tuple[int, Box]]) -> list[Item]:
    """Shelves: tallest first, left to right, then a new shelf, then a new canvas."""
    items, canvas, x, y, shelf = [], 0, 0, 0, 0
    for request, box in sorted(patches, key=lambda p: p[1][1] - p[1][3]):
        width, height = box[2] - box[0], box[3] - box[1]
        if x + width > SIDE:
            x, y, shelf = 0, y + shelf, 0
        if y + height > SIDE:
            canvas, x, y, shelf = canvas + 1, 0, 0, 0
        items.append(Item(request=request, input=Region(request, box), place=Place(canvas=canvas, x=x, y=y)))
        x, shelf = x + width, max(shelf, height)
    return items


class Tangram:
    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        queue: list[CaseView] = []
        for request, case in view.waiting.items():
            if not case.steps:
                item = (Item(request=request),)
                actions.append(Infer(id=view.new_id(), board="camera", model="regions", batch=item))
            elif case.steps[-1].ok and case.steps[-1].board == "camera":
                queue.append(case)
            elif case.steps[-1].ok:  # every region of the frame has been told
                found = [s for s in case.steps if s.board == "cloud"]
                best = max(found, key=lambda s: s.confidence)
                actions.append(Answer(request=request, steps=tuple(s.id for s in found), label=best.label))
        profile = view.profiles.find("cloud", "detector")
        assert profile is not None
        canvases = pack([(c.request.id, box) for c in queue for box in c.steps[0].boxes])
        count = 1 + max((i.place.canvas for i in canvases if i.place), default=-1)
        if not count:
            return Decision(actions=tuple(actions))
        invoke = (
            min(c.request.deadline or now for c in queue) - profile.service_at(count + 1, q=0.99) - 20 * MS
        )
        if count < MOST_CANVASES and now < invoke:
            return Decision(actions=tuple(actions), revisit=invoke)
        actions.append(Infer(id=view.new_id(), board="cloud", model="detector", batch=tuple(canvases)))
        return Decision(actions=tuple(actions))


def lab() -> ToyLab:
    boxes = ((2, 2, 12, 10), (14, 4, 22, 16))
    models = [
        ToyModel(name="regions", parts_ms=(2.0,), labels=False, boxes=boxes),
        ToyModel(name="detector", parts_ms=(12.0,), next_item=0.6),
    ]
    boards = [
        ToyBoard(id="camera", resident=(("regions", 1),)),
        ToyBoard(id="cloud", site="dc", resident=(("detector", 1),), rtt=10 * MS),
    ]
    return ToyLab(Tangram(), boards, models, stream(40, 15 * MS, slack=150 * MS, source="camera"))


def check(lab: ToyLab) -> None:
    calls = [o for _, o in lab.orders if isinstance(o, Infer) and o.board == "cloud"]
    assert len(calls) < 20  # many frames share a call
    for call in calls:
        area = [[[0] * SIDE for _ in range(SIDE)] for _ in range(MOST_CANVASES + 1)]
        for item in call.batch:
            assert isinstance(item.input, Region)
            assert item.place is not None
            left, top, right, bottom = item.input.box
            for x in range(item.place.x, item.place.x + right - left):
                for y in range(item.place.y, item.place.y + bottom - top):
                    area[item.place.canvas][y][x] += 1
        assert max(max(row) for canvas in area for row in canvas) == 1  # nothing overlaps, nothing falls off
        frames = {i.request for i in call.batch}
        assert 1 + max(i.place.canvas for i in call.batch if i.place) < len(frames) or len(frames) == 1
    assert all(len(e.answer.steps) == 2 for e in lab.ends.values() if e.answer)
    assert all(e.answered <= (e.request.deadline or 0) for e in lab.ends.values())
