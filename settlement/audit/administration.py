"""Who may call what: the AccessManager's roles, as its events tell them.

A restricted call counts if its sender held the role of its selector at that time; a holder with a delay must
have scheduled it, which the manager tells when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from settlement.audit.findings import Difference, Findings
from settlement.chain.abi import CODEC, Entry, interface
from settlement.chain.calldata import arguments
from settlement.chain.deploy import EXCHANGE_RIGHTS
from settlement.chain.rpc import Log
from settlement.reference.posting import is_default

ADMIN, PUBLIC = 0, 2**64 - 1

RESTRICTED = frozenset(name for names in EXCHANGE_RIGHTS.values() for name in names)
"""The Exchange's functions that the manager guards."""


def is_restricted(entry: Entry, data: bytes) -> bool:
    """Whether the manager guards this call: of `settle` only those of a day by default. ValueError as of
    `arguments`.
    """
    if entry.name == "settle":
        return is_default(arguments(entry, data)[0])
    return entry.name in RESTRICTED


@dataclass
class Manager:
    """The roles at some time."""

    address: bytes
    findings: Findings
    roles: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    """By target and selector; the administrator's where none is set."""
    holders: dict[tuple[int, bytes], tuple[int, int]] = field(default_factory=dict)
    """From when on, and after which delay, by role and account."""
    closed: dict[bytes, bool] = field(default_factory=dict)

    def apply(self, one: Log) -> None:
        """Follows an event of the manager's. Those that change nobody's rights at once are only counted."""
        entry = interface("Administration").events.get(one.topics[0]) if one.topics else None
        if entry is None:
            raise Difference("administration", "an event that an AccessManager does not know", None, one)
        topics = iter(one.topics[1:])
        told = iter(CODEC.decode([p.type for p in entry.inputs if not p.indexed], one.data))
        values = {
            p.name: CODEC.decode([p.type], next(topics))[0] if p.indexed else next(told) for p in entry.inputs
        }
        match entry.name:
            case "RoleGranted":
                self._grant(**values)
            case "RoleRevoked":
                self.holders.pop((values["roleId"], values["account"]), None)
            case "TargetFunctionRoleUpdated":
                self.roles[(values["target"], values["selector"])] = values["roleId"]
            case "TargetClosed":
                self.closed[values["target"]] = values["closed"]
        self.findings.add("administration", kind=entry.name)

    def _grant(self, roleId: int, account: bytes, delay: int, since: int, newMember: bool) -> None:
        """A new delay of a holder counts from `since` on; the membership from when it was granted."""
        before = self.holders.get((roleId, account))
        self.holders[(roleId, account)] = (since if newMember or before is None else before[0], delay)

    def may(self, now: int, sender: bytes, target: bytes, selector: bytes, scheduled: bool) -> bool:
        """Whether the manager lets `sender` call now."""
        if self.closed.get(target):
            return False
        role = self.roles.get((target, selector), ADMIN)
        if role == PUBLIC or sender == self.address:  # what it executes itself, it has checked
            return True
        since, delay = self.holders.get((role, sender), (None, 0))
        return since is not None and since <= now and (delay == 0 or scheduled)

    def tells_use(self, logs: tuple[Log, ...]) -> bool:
        """Whether a scheduled call was used up."""
        events = interface("Administration").events
        told = (events.get(one.topics[0]) for one in logs if one.address == self.address and one.topics)
        return any(entry is not None and entry.name == "OperationExecuted" for entry in told)
