"""What the Exchange tells: the replay's events as the chain would tell them, and the chain's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from eth_abi.exceptions import DecodingError

from settlement.audit.findings import Difference
from settlement.chain import events as chain
from settlement.chain.abi import CODEC, exchange_interface
from settlement.chain.rpc import Log
from settlement.reference import correction, packed_windows, posting
from settlement.reference.accounts import Member
from settlement.reference.exchange import Event, Exchange
from settlement.reference.exchange import events as model

Told = tuple[str, dict[str, Any]]
"""An event's name and values, by name."""

KINDS = {kind.__name__: kind for kind in chain.KINDS}
OTHERS = {
    "Approval": ("owner", "spender", "id", "amount"),
    "OperatorSet": ("owner", "spender", "approved"),
    "AuthorityUpdated": ("authority",),
}
"""Standard events that are no kinds of ours, with their values' names."""


def tell(name: str, **values: Any) -> Told:
    """An event with those of the values that the chain tells."""
    names = OTHERS[name] if name in OTHERS else [one.name for one in fields(KINDS[name])]
    return name, {one: values[one] for one in names}


def pack_fills(first_window: int, filled_wh: Sequence[int], member: Member) -> tuple[int, ...]:
    """Fills in the account's lanes, from the group of the first window on."""
    lanes = member.lanes
    first = lanes.of(first_window)
    words = [0] * -(-(first + len(filled_wh)) // lanes.count)
    for at, wh in enumerate(filled_wh, start=first):
        word, lane = divmod(at, lanes.count)
        words[word] = packed_windows.add(words[word], lane, lanes, wh)
    return tuple(words)


# From the reference's events ----------------------------------------------------------------------------


class Teller:
    """Says what the chain should tell for each event of the replay."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.caller = bytes(20)
        """Who sent the call being replayed."""
        self.first_windows: dict[bytes, int] = {}
        """Of each order being cleared."""
        self.correction: correction.Correction | None = None
        """The one being posted."""

    def expected(self, event: Event) -> Told:
        """The chain's event for one of the replay's."""
        values = dict(vars(event))
        if "session" in values:
            values["epoch"] = self.exchange.session(values["session"]).epoch
        name = type(event).__name__
        extra = _EXTRA.get(name)
        if extra is not None:
            values |= extra(self, event)
        return tell(_NAMES.get(name, name), **values)

    def _cleared(self, event: model.ScheduleCleared) -> dict[str, Any]:
        member = self.exchange.member(event.trader)
        first = self.first_windows[event.order]
        return {"lanes": pack_fills(first, event.filled_wh, member)}

    def _posted(self, event: model.MeteringPosted) -> dict[str, Any]:
        message = self.exchange.posting(event.zone, event.day)
        return {"posting": message, "posting_hash": posting.struct_hash(message)}

    def _challenged(self, event: model.ReadingChallenged) -> dict[str, Any]:
        read, stood = event.read, self.exchange.state.challenges[event.id].standing
        place = {"meter": read.meter, "register": read.register, "window": read.window_index}
        return place | {"committed_wh": stood.wh, "wh": read.wh, "sequence": read.sequence}


_NAMES = {"GridAdded": "GridSet", "Transferred": "Transfer", "Approved": "Approval"}

_EXTRA: dict[str, Callable[[Teller, Any], dict[str, Any]]] = {
    "MemberRegistered": lambda _, e: {"zone": e.member.zone, "role": e.member.role},
    "WithdrawalRequested": lambda _, e: {"after_epoch": e.epoch},
    "KeyGranted": lambda _, e: {
        "kinds": e.scope.kinds,
        "max_wh_per_window": e.scope.max_wh,
        "max_spend_nano_per_day": e.scope.max_spend,
        "expiry": e.scope.expiry,
    },
    "GridAdded": lambda _, e: {"hash": e.grid_hash},
    "SessionOpened": lambda _, e: {"id": e.session},
    "HeaderPosted": lambda _, e: {"hash": e.header_hash},
    "ScheduleCleared": Teller._cleared,
    "ZoneJoined": lambda _, e: {"hash": e.closed_hash},
    "Transferred": lambda self, e: {"caller": self.caller, "receiver": e.to},
    "Approved": lambda _, e: {"amount": e.amount_wh},
    "MeteringPosted": Teller._posted,
    "AccountSettled": lambda _, e: {"imbalance_wh": sum(e.imbalance_wh), "released_nano": e.returned_nano},
    "CorrectionPosted": lambda self, _: {"correction": self.correction},
    "ReadingChallenged": Teller._challenged,
    "RunSettled": lambda _, e: {"run": 0, "released_nano": e.returned_nano},
}
"""Values that the chain tells under another name, or from elsewhere."""


# From the chain's logs ----------------------------------------------------------------------------------


@cache
def _known() -> dict[bytes, tuple[str, tuple[str, ...]]]:
    """The other standard events by topic."""
    found = {}
    for topic, entry in exchange_interface().events.items():
        names = OTHERS.get(entry.name)
        if names and len(names) == len(entry.inputs):
            found[topic] = (entry.name, names)
    return found


def found(one: Log) -> Told:
    """What a log of the Exchange says. Difference if the Exchange knows no such event."""
    try:
        event = chain.decode(one)
        if event is not None:
            return type(event).__name__, {each.name: getattr(event, each.name) for each in fields(event)}
        if one.topics and one.topics[0] in _known():
            return _other(one)
    except (DecodingError, StopIteration, ValueError, TypeError) as cause:
        raise Difference("events", "an event that does not decode", None, one) from cause
    raise Difference("events", "an event that the Exchange does not know", None, one)


def _other(one: Log) -> Told:
    name, names = _known()[one.topics[0]]
    entry = exchange_interface().events[one.topics[0]]
    topics = iter(one.topics[1:])
    rest = iter(CODEC.decode([each.type for each in entry.inputs if not each.indexed], one.data))
    values = [CODEC.decode([e.type], next(topics))[0] if e.indexed else next(rest) for e in entry.inputs]
    return name, dict(zip(names, values, strict=True))


def compare(expected: Sequence[Told], logs: Sequence[Log]) -> None:
    """Difference at the first event that is another, missing or too many."""
    for index in range(max(len(expected), len(logs))):
        should = expected[index] if index < len(expected) else None
        is_ = found(logs[index]) if index < len(logs) else None
        if should == is_:
            continue
        if should is None or is_ is None or should[0] != is_[0]:
            raise Difference("events", f"event {index} of the transaction", should, is_)
        name = next(name for name in should[1] if should[1][name] != is_[1][name])
        order = {k: v for k, v in should[1].items() if k in ("order", "account", "trader", "epoch", "day")}
        what = f"{should[0]}.{name} (event {index} of the transaction)"
        raise Difference("events", what, order | {name: should[1][name]}, order | {name: is_[1][name]})
