"""The whole Exchange as a small state machine, for a grid of one zone.

A method is one transaction: it takes the time as `now`, changes `state` and appends to `events`, or raises a
`Refused` and leaves both as they were. Bases, one concern each, as in the contract:

    Core <- Accounts <- Tokens <- Auction <- Clearing <- Metering <- Exchange

Who may send what (operator, oracle, administrator) is the shell's business and not modelled; who signed is.

A session is OPEN until its gate, CLEARING from its gate, and ends PROVED or VOID (its book not committed by
`commitBy`, or not proved by `proveBy`, both inclusive). While one clears, nothing but clearing changes
accounts.
"""

from settlement.reference.exchange.events import Event
from settlement.reference.exchange.settling import Settling
from settlement.reference.exchange.state import Status


class Exchange(Settling):
    """Everything: see the bases for the methods, in the order in which a day goes."""


__all__ = ["Event", "Exchange", "Status"]
