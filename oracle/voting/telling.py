"""What a node tells whoever runs it: each thing once, until it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oracle.voting.ballots import Slot
from oracle.voting.deciding import Tally
from settlement.errors import TrellisError
from settlement.reference.errors import Refused

Report = Callable[[str, Mapping[str, object]], None]
"""Told of each event: a name and its figures."""

MOST_TOLD = 10_000
"""Things that are remembered as told."""


class Teller:
    """One node's."""

    def __init__(self, report: Report, own: bytes) -> None:
        self.report, self.own = report, own
        self._told: dict[object, str] = {}

    def dissent(self, slot: Slot, tally: Tally, agreed: bytes) -> None:
        """Who has something else than a quorum signed, and in what it differs."""
        theirs = tally.offer_of(agreed)
        for node, offer in tally.differing(agreed):
            figures = {
                **figures_of(slot),
                "node": _hex(node),
                "own": node == self.own,
                "digest": _hex(offer.digest),
                "quorum": _hex(agreed),
                "differs": [] if theirs is None else offer.differs(theirs),
                "flags": list(offer.flags),
                "quorum_flags": [] if theirs is None else list(theirs.flags),
            }
            self.once(("dissent", slot, node, offer.digest), "dissent", figures)

    def breaches(self, slot: Slot, tally: Tally) -> None:
        """Who signed two digests for one slot."""
        for node in tally.breaches():
            digests = [_hex(one.digest) for one in tally.said[node].votes]
            figures = {**figures_of(slot), "node": _hex(node), "digests": digests}
            self.once(("breach", slot, node), "signed twice", figures)

    def guarded(self, what: object, place: Mapping[str, object], work: Callable[[], None]) -> None:
        """Whatever a node, the contract or a file refuses is told once, and tried again in the next round."""
        try:
            work()
        except (TrellisError, Refused) as error:
            self.once(what, "waiting", {**place, "why": " ".join(str(error).split())})
        else:
            self._told.pop(what, None)

    def once(self, what: object, event: str, figures: Mapping[str, object]) -> None:
        """An event, unless it was told with these figures already."""
        told = repr(figures)
        if len(self._told) > MOST_TOLD:
            self._told.clear()
        if self._told.get(what) != told:
            self._told[what] = told
            self.report(event, figures)


def figures_of(slot: Slot) -> dict[str, object]:
    """A slot as events tell it."""
    return {"zone": slot.zone, "day": slot.day, "run": slot.run, "place": slot.place}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
