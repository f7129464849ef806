"""What became of an order, as it is told: receipts, and for what was refused the field and the fix."""

from __future__ import annotations

from typing import Any

from api.errors import TYPE_PREFIX, ApiError, NotFound, OrderRefused
from api.intake.desk import Declined, Outcome, Promised
from settlement.chain.rpc import to_hex

_FIXES = (
    ("LimitOutOfRange", "message/limitMicroPerKWh", "every limit lies between the session's floor and cap"),
    ("QuantityOverflow", "message/energyWh", "below 2^30 Wh, in all and in each window"),
    ("WindowOutOfSession", "message/firstWindow", "all windows lie within the session's"),
    ("UnknownQuality", "message/quality", "one of the qualities of the session's grid"),
    ("InvalidSignature", "signature", "r, s, v over the typed data: 65 bytes, low s, v 27 or 28"),
    ("another account than its trader", "signature", "its trader or who signed the order cancels it"),
    (
        "neither its trader",
        "signature",
        "its trader or a session key of it signs, for this chain and Exchange",
    ),
    ("its session key is revoked", "signature", "its trader signs it, or another session key"),
    (
        "it is beyond the scope",
        "message",
        "an order within the scope of its session key, or its trader signs",
    ),
    ("its session key did not sign", "message/replaces", "its trader signs the replacement"),
    ("its cancel is not signed", "signature", "r, s, v over the typed data: 65 bytes, low s, v 27 or 28"),
    ("it is of another session", "message/zone", "kind and zone are of the session's grid"),
    ("you hold no session key", "message/trader", "your own account, or one that granted you a session key"),
    ("its session was not opened", "message/session", "the id of an open session: GET /v1/sessions"),
    ("is no member that may trade", "message/trader", "the community's registrar registers members"),
    ("its account's lanes hold", "message/quantityWh", "ask for less in a window"),
    ("with its trader's others", "message/quantityWh", "ask for less, or replace or cancel another order"),
    ("its trader is registered", "message/zone", "the trader's own zone"),
    ("it was replaced or cancelled", "message/nonce", "sign it again with another nonce"),
    ("the gate has closed", "message/session", "an open session: GET /v1/sessions"),
    ("there are no receipts left", "message/trader", "cancel nothing more and wait for the next session"),
    ("was submitted on chain", "message/replaces", "an order that is in and was not submitted on chain"),
    ("is not in the book", "message/replaces", "an order that is in: it was not replaced or cancelled"),
    ("it replaces another", "message/replaces", "an order of the same trader"),
)
"""By words of the reason: which field to change, and how."""


def refusal(declined: Declined, prefix: str = "/", *, cancel: bool = False) -> OrderRefused:
    """The problem of an order that is not taken; `prefix` points to it in the body."""
    fixes = ((pointer, fix) for words, pointer, fix in _FIXES if words in declined.reason)
    pointer, fix = next(fixes, ("message", "another order"))
    if cancel and pointer != "signature":
        pointer, fix = "order", "an order that is in, before the gate"
    errors = [{"pointer": prefix + pointer, "detail": fix}]
    return OrderRefused(f"the order is not taken: {declined.reason}", errors=errors)


def accepted(outcome: Promised) -> dict[str, Any]:
    """An `AcceptedAnswer`."""
    return {
        "order": to_hex(outcome.order),
        "epoch": str(outcome.epoch),
        "receipt": {
            "session": to_hex(outcome.session),
            "hash": to_hex(outcome.hash),
            "sequence": str(outcome.receipt.sequence),
            "signature": to_hex(outcome.receipt.signature),
        },
    }


def one_of(outcome: Outcome, *, cancel: bool = False) -> dict[str, Any]:
    """The answer for a single order or cancel; raises its problem."""
    if isinstance(outcome, Promised):
        return accepted(outcome)
    raise outcome if isinstance(outcome, ApiError) else refusal(outcome, cancel=cancel)


def batch(outcomes: list[Outcome]) -> dict[str, Any]:
    """A `BatchAnswer`."""
    items = [_item(index, outcome) for index, outcome in enumerate(outcomes)]
    taken = sum(one["error"] is None for one in items)
    return {"accepted": taken, "refused": len(items) - taken, "items": items}


def _item(index: int, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Promised):
        return {"index": index, **accepted(outcome), "error": None}
    problem, order = outcome, None
    if isinstance(problem, Declined):
        order = None if problem.order is None else to_hex(problem.order)
        problem = refusal(problem, f"/orders/{index}/")
    told = {
        "type": TYPE_PREFIX + problem.slug,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "errors": problem.members.get("errors"),
    }
    return {"index": index, "order": order, "epoch": None, "receipt": None, "error": told}


def unknown(order: str) -> NotFound:
    """There is no such order, or it is another's."""
    return NotFound(f"no order {order[:66]} was accepted here")
