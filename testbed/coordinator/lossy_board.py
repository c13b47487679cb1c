"""A board in virtual time that takes lossy orders."""

from __future__ import annotations

import bisect
from collections import deque
from typing import TYPE_CHECKING

from testbed.coordinator.datagrams import UNHEARD
from testbed.coordinator.modelled import Flying, ModelledBoard
from testbed.model import event as ev
from testbed.model.action import Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.coordinator.datagrams import Channel
    from testbed.coordinator.modelled import Answers
    from testbed.model.action import Infer
    from testbed.units import Ns


class LossyBoard(ModelledBoard):
    """A picture may be overtaken while its packets are awaited, so lanes are in the order in which all is there."""

    def accept(
        self, order: Infer, samples: Sequence[int], payload_bytes: int, now: Ns
    ) -> list[Flying | ev.CoreEvent]:
        """Take an order of either transport that leaves at ``now``."""
        if order.transport is Transport.LOSSY:
            return self._accept_lossy(order, samples, now)
        self._up_free = carried = self._wire.through(max(self._up_free, now), payload_bytes)
        return self._admit(order, self._answers[order.model], samples, now, now, carried + self._half)

    def _accept_lossy(self, order: Infer, samples: Sequence[int], now: Ns) -> list[Flying | ev.CoreEvent]:
        if len(order.batch) != 1:
            error = f"a lossy order carries one picture, not {len(order.batch)}"
            return [ev.Failed(t=now, action=order.id, error=error)]
        channel, model, (sample,) = self.channel, order.model, samples
        assert channel is not None
        pictures = channel.pictures
        sizes = pictures.sizes(model, sample)
        sent = channel.send(sizes, self._wire, self._up_free, now)
        self._up_free = sent.free
        gathered = sent.gathered
        if gathered is None:
            failed = self._failed(order, sent.left, sent.silent, UNHEARD, 1.0)
            return failed + self._seen(channel, 1.0, sent.silent)
        lost = pictures.lost_frac(model, sample, gathered.gone)
        most = channel.options.most_lost
        if lost > most:
            error = f"lost: {lost:.3f} of the picture was lost, more than {most:g}"
            t = gathered.t + self._reply
            return self._failed(order, sent.left, t, error, lost) + self._seen(channel, lost, t)
        answers = pictures.answers(model, sample, gathered.gone)
        found = self._admit(order, answers, (0,), now, sent.left, gathered.t)
        if isinstance(found[0], Flying):
            found += self._seen(channel, len(gathered.gone) / len(sizes), found[0].answered)
        return found

    def _admit(
        self, order: Infer, answers: Answers, samples: Sequence[int], now: Ns, left: Ns, received: Ns
    ) -> list[Flying | ev.CoreEvent]:
        """Put it into its lane by the instant at which all of it is there; those behind it move."""
        model, batch = order.model, order.batch
        if not self.residency.holds(model, received):
            error = f"{model!r} is not resident"
            return self._failed(order, left, received + self.link.rtt - self._half, error)
        draws = self._draws.get((model, len(batch))) or self._first_draws(model, len(batch))
        items, service = answers.of(batch, samples, draws.next())
        lane = self._lanes.setdefault(order.instance, deque())
        while len(lane) > 1 and lane[0].finished <= now and lane[1].started <= now:
            lane.popleft()
        place = bisect.bisect_right([one.received for one in lane], received)
        free = lane[place - 1].finished if place else 0
        flying = Flying(order, items, left, received, service, free, self._reply)
        lane.insert(place, flying)
        self.busy[model] += service
        changed: list[Flying | ev.CoreEvent] = [flying]
        for behind in range(place + 1, len(lane)):
            before = lane[behind]
            lane[behind] = moved = before.behind(lane[behind - 1].finished, self._reply)
            if moved.started == before.started:
                lane[behind] = before
                break
            changed.append(moved)
        return changed

    def _seen(self, channel: Channel, frac: float, t: Ns) -> list[Flying | ev.CoreEvent]:
        """A session tells of the network when it hears what an order has lost."""
        if not channel.seen.add(frac, t):
            return []
        link = self.link
        return [
            ev.NetworkSeen(
                t=t,
                board=self.id,
                rtt=link.rtt,
                up_bytes_per_s=link.up_bytes_per_s,
                down_bytes_per_s=link.down_bytes_per_s,
                loss_frac=channel.seen.frac or 0.0,
            )
        ]

    def _failed(
        self, order: Infer, left: Ns, t: Ns, error: str, lost_frac: float = 0.0
    ) -> list[Flying | ev.CoreEvent]:
        return [
            ev.Sent(t=left, action=order.id),
            ev.Failed(t=t, action=order.id, error=error, lost_frac=lost_frac),
        ]
