"""What is checked, how often it held, and the first thing that did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

CHECKS: Mapping[str, str] = {
    "blocks": "linked by their parents' hashes",
    "block hashes": "recomputed from their headers",
    "transactions": "hashed, and their senders recovered",
    "transaction roots": "recomputed",
    "receipts": "hashed to their blocks' roots, their logs to the blooms",
    "nodes": "answers compared with other nodes'",
    "code": "contracts of this release",
    "administration": "changes of who may do what",
    "permissions": "restricted calls, by holders of their roles",
    "calls": "to the Exchange, replayed",
    "refusals": "calls that changed nothing, rightly",
    "settlement token": "movements in and out, each by a deposit or a withdrawal",
    "events": "equal to the replay's",
    "books": "commitments equal to the orders cleared",
    "orders": "signatures",
    "ineligible": "orders that fill nothing, for the reason told",
    "fills": "derived from posted prices",
    "proofs": "sessions optimal, at the rule's prices, in balance",
    "prices": "potentials equal to a second matcher's",
    "postings": "of metered days, signed by the quorum",
    "entries": "metered accounts, hashed to their posting",
    "imbalances": "account windows priced",
    "gifts": "deliveries paid to a beneficiary",
    "certificates": "accounts certified",
    "delivered": "accounts with refunds or reserves of what they bought returned",
    "corrected": "accounts corrected by later runs and challenges",
    "later runs": "each of what differs from the run before, signed by the quorum",
    "challenges": "opened, each with a read that its meter signed",
    "accounts": "cash, terms, withdrawals and nonces equal",
    "session keys": "scopes and what was used of them equal",
    "lanes": "slots equal",
    "sessions": "parameters, books, stages and deadlines equal",
    "grids": "qualities, substitutions and lines equal",
    "days": "windows, grids and runs equal",
    "statements": "of imbalances, by part, equal",
    "later days": "links, later runs and open challenges of a zone's day equal",
    "claims": "bonds, claims and orders submitted on chain equal",
    "registers": "oracles, meters, approvals and pauses equal",
    "debts": "of all members equal",
    "storage": "words of the Exchange, all there are, equal to the replay's",
    "cash": "nano held in the settlement token, all of it owed to somebody",
    "energy": "windows in which what was bought was sold",
    "runs": "that net to zero",
    "escrow": "days whose sales as produced are paid, refunded or left over to the last nano",
    "delivery": "windows certified for no more than was delivered",
}
"""Every check by name, and what its count counts, in the order of the table."""


@dataclass
class Check:
    """One check: how often it held, and whether it always did."""

    name: str
    count: int = 0
    ok: bool = True
    note: str = ""
    """What was counted, or why nothing could be."""
    kinds: Counter[str] = field(default_factory=Counter)


class Difference(Exception):
    """Something is not as it should be; the audit ends with the first."""

    def __init__(self, check: str, what: str, expected: Any = None, found: Any = None) -> None:
        super().__init__(what)
        assert check in CHECKS, check
        self.check, self.what = check, what
        self.expected, self.found = told(expected), told(found)
        self.node: str | None = None
        self.block: int | None = None
        self.transaction: bytes | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "what": self.what,
            "node": self.node,
            "block": self.block,
            "transaction": told(self.transaction) if self.transaction else None,
            "expected": self.expected,
            "found": self.found,
        }


class Findings:
    """What an audit found so far."""

    def __init__(self) -> None:
        self.checks = {name: Check(name, note=what) for name, what in CHECKS.items()}
        self.difference: Difference | None = None

    def add(self, name: str, count: int = 1, kind: str = "") -> None:
        """Notes that a check held."""
        self.checks[name].count += count
        if kind:
            self.checks[name].kinds[kind] += count

    def require(self, holds: bool, check: str, what: str, expected: Any = None, found: Any = None) -> None:
        """Notes that a check held, or raises the Difference."""
        if not holds:
            raise Difference(check, what, expected, found)
        self.add(check)

    def fail(self, difference: Difference) -> None:
        self.difference = difference
        self.checks[difference.check].ok = False

    @property
    def ok(self) -> bool:
        return self.difference is None

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checks": [
                {"name": one.name, "count": one.count, "ok": one.ok, "detail": described(one)}
                for one in self.checks.values()
            ],
            "difference": self.difference.as_json() if self.difference else None,
        }


@contextmanager
def located(
    node: str | None = None, block: int | None = None, transaction: bytes | None = None
) -> Iterator[None]:
    """Where a Difference inside is, unless it knows better."""
    try:
        yield
    except Difference as difference:
        difference.node = difference.node or node
        difference.block = block if difference.block is None else difference.block
        difference.transaction = difference.transaction or transaction
        raise


def described(check: Check) -> str:
    """What a check's count counts, by kind where there are several."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(check.kinds.items()))
    return f"{check.note} ({kinds})" if kinds else check.note


def told(value: Any) -> Any:
    """A value for people and JSON: bytes as hex, records by field, integers beyond 2^53 as they are."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {str(told(key)): told(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [told(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: told(getattr(value, one.name)) for one in fields(value)}
    return value if isinstance(value, str | int | bool | None) else str(value)
