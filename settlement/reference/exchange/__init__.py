"""The whole Exchange as a small state machine.

A method is one transaction: it takes the time as `now`, changes `state` and appends to `events`, or raises a
`Refused` and leaves both as they were. Bases, one concern each, as in the contract:

    Core <- Emergency <- Accounts <- Keys <- Tokens <- Auction <- Clearing <- Closing <- Omission
        <- Registry <- Metering <- Holdings <- Settling <- Delivering <- Correcting <- Challenging <- Exchange

Who may send what (operator, oracle, administrator) is the shell's business and not modelled; who signed is.

A session goes OPEN, COMMITTED, POSTED, PROVED; it is VOID if its book is not committed by `commitBy`, or it
is not proved by `proveBy`, both inclusive. From its gate until it is proved or void, nothing else changes
accounts.

Not modelled: the settlement token beyond `vault`, what it holds.
"""

from settlement.reference.exchange.challenging import Challenging
from settlement.reference.exchange.events import Event
from settlement.reference.exchange.state import RunStage, Stage


class Exchange(Challenging):
    """Everything: see the bases for the methods, in the order in which a day goes."""


__all__ = ["Event", "Exchange", "RunStage", "Stage"]
