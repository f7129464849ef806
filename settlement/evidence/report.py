"""What was checked of a bundle: each check holds, fails or cannot be made here, and each field is of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from eth_abi.exceptions import DecodingError
from rlp.exceptions import RLPException
from trie.exceptions import BadTrieProof

from settlement.errors import TrellisError
from settlement.reference.errors import Refused

Status = Literal["holds", "fails", "unchecked"]


class Wrong(Exception):
    """What is told is not what follows."""


class Missing(Exception):
    """What the check needs is not in the bundle."""


@dataclass(frozen=True)
class Check:
    """One check."""

    name: str
    status: Status
    why: str
    """What held, what did not, or why it cannot be said here."""
    fields: tuple[str, ...] = ()
    """JSON pointers of what it is about, each with all below it."""


NOT_GOOD = (*(TrellisError, Refused, ValueError, TypeError, LookupError, ArithmeticError, AssertionError),)
"""What the rules and codecs raise for bytes that nobody honest made."""


@dataclass
class Report:
    """Every check of a bundle, in the order they were made."""

    checks: list[Check] = field(default_factory=list)

    def add(self, name: str, status: Status, why: str, *fields: str) -> None:
        self.checks.append(Check(name, status, why, fields))

    @contextmanager
    def check(self, name: str, why: str, *fields: str) -> Iterator[None]:
        """Notes that a check holds unless what is inside raises."""
        try:
            yield
        except Missing as cause:
            self.add(name, "unchecked", str(cause), *fields)
        except Wrong as cause:
            self.add(name, "fails", str(cause), *fields)
        except (*NOT_GOOD, RLPException, BadTrieProof, DecodingError) as cause:
            self.add(name, "fails", f"malformed ({type(cause).__name__}: {cause})", *fields)
        else:
            self.add(name, "holds", why, *fields)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(one.status != "fails" for one in self.checks)

    @property
    def complete(self) -> bool:
        """Whether everything held."""
        return all(one.status == "holds" for one in self.checks)

    def status_of(self, pointer: str) -> Status | None:
        """What the checks say of a field: failed if one did, else held if one did; None if none is of it."""
        found = {one.status for one in self.checks if any(_covers(each, pointer) for each in one.fields)}
        order: Sequence[Status] = ("fails", "holds", "unchecked")
        return next((status for status in order if status in found), None)

    def fields(self, pointers: Iterable[str]) -> dict[str, Status]:
        """Of each field; one that no check is of counts as unchecked."""
        return {pointer: self.status_of(pointer) or "unchecked" for pointer in pointers}

    def as_json(self, pointers: Sequence[str]) -> dict[str, Any]:
        fields = self.fields(pointers)
        return {
            "ok": self.ok,
            "complete": self.complete,
            "checks": [
                {"name": one.name, "status": one.status, "why": one.why, "fields": list(one.fields)}
                for one in self.checks
            ],
            "unchecked_fields": [pointer for pointer, status in fields.items() if status == "unchecked"],
        }


def _covers(prefix: str, pointer: str) -> bool:
    return pointer == prefix or pointer.startswith(prefix + "/")


def require(told: Any, found: Any, what: str) -> None:
    """Wrong unless what is told is what was found."""
    if told != found:
        raise Wrong(f"{what} is told as {_short(told)}, and is {_short(found)}")


def _short(value: Any) -> str:
    text = "0x" + value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= 90 else text[:87] + "..."
