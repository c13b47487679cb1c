"""VAE codec uplink: the sensor's board encodes, the latent travels, the data centre answers from the latent."""

from __future__ import annotations

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item, Output, Reject
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.view import View
from testbed.units import MS, Ns, S

RATES = ("fine", "coarse")


class VaeCodec:
    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def finish(self, now: Ns, view: View, rate: str) -> Ns:
        camera, dc = view.boards["camera"], view.boards["dc"]
        encode, decode = (
            view.profiles.find("camera", f"encode-{rate}"),
            view.profiles.find("dc", f"decode-{rate}"),
        )
        assert encode is not None
        assert decode is not None
        travel = encode.kept_bytes[0] * S / min(camera.down_bytes_per_s, dc.up_bytes_per_s)
        free = min(camera.busy_until)
        return free + encode.service_at() + round(travel) + decode.service_at() + camera.rtt + dc.rtt

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        for request in view.touched:
            case = view.cases[request]
            last = case.steps[-1] if case.steps else None
            if last is None:
                fits = [r for r in RATES if self.finish(now, view, r) <= (case.request.deadline or now)]
                if not fits:
                    actions.append(Reject(request=request, reason="the uplink is too slow"))
                    continue
                batch = (Item(request=request),)
                model = f"encode-{fits[0]}"  # the most accurate rate that still arrives in time
                actions.append(
                    Infer(id=view.new_id(), board="camera", model=model, batch=batch, codec="vae", keep=True)
                )
            elif last.ok and last.board == "camera":
                batch = (Item(request=request, input=Output(last.action, item=last.id[1])),)
                model = last.model.replace("encode", "decode")
                actions.append(Infer(id=view.new_id(), board="dc", model=model, batch=batch))
            elif last.ok:
                actions.append(Answer(request=request, steps=(last.id,), label=last.label))
        return Decision(actions=tuple(actions))


def _lab(down_bytes_per_s: float) -> ToyLab:
    rates = {"fine": (3000, 0.95), "coarse": (600, 0.85)}
    models = [
        ToyModel(name=f"encode-{r}", labels=False, parts_ms=(3.0,), kept_bytes=(b,))
        for r, (b, _) in rates.items()
    ]
    models += [ToyModel(name=f"decode-{r}", accuracy=(a,), parts_ms=(2.0,)) for r, (_, a) in rates.items()]
    camera = ToyBoard(
        id="camera", resident=tuple((f"encode-{r}", 1) for r in rates), down_bytes_per_s=down_bytes_per_s
    )
    dc = ToyBoard(id="dc", site="dc", resident=tuple((f"decode-{r}", 1) for r in rates))
    return ToyLab(VaeCodec(), [camera, dc], models, stream(30, 80 * MS, slack=60 * MS, source="camera"))


def lab() -> ToyLab:
    return _lab(1e6)


def check(lab: ToyLab) -> None:
    slow = _lab(2e4)  # the uplink drops to 20 kB/s: the latent shrinks and the deadline holds
    slow.run()
    for each, rate in ((lab, "fine"), (slow, "coarse")):
        for end in each.ends.values():
            assert [s.model for s in end.steps] == [f"encode-{rate}", f"decode-{rate}"]
            assert end.steps[0].label == -1
            assert end.steps[0].kept_bytes in (3000, 600)
            assert end.answered <= (end.request.deadline or 0)
