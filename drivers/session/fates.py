"""What a datagram channel finds out about lossy orders, handed on to the session that keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.session.actions import Actions
    from drivers.session.ledger import Flight
    from drivers.session.probing import Prober
    from testbed.units import Ns
    from testbed.wire import Message


class Fates:
    """One conversation's orders, as its datagram channel sees them."""

    def __init__(
        self,
        actions: Actions,
        prober: Prober,
        hear: Callable[[Message], None],
        say: Callable[[Message], None],
        now: Callable[[], Ns],
    ) -> None:
        """Join the parts.

        Args:
            hear: takes what the board says, whichever way it came. say: tells the board over the reliable session.
        """
        self.stands = actions.stands
        self.left = actions.left
        self.fail = actions.fail
        self.hear = hear
        self._actions = actions
        self._prober = prober
        self._say = say
        self._now = now

    def unheard(self, flight: Flight) -> None:
        """Everything was sent, and the board should have said something by now."""
        cancel = self._actions.unheard(flight)
        if cancel is not None:
            self.lost(1.0)
            self._say(cancel)

    def lost(self, frac: float) -> None:
        """So much of an order was lost."""
        self._prober.lost(frac, self._now())
