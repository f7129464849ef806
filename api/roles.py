"""Who may do what: roles read from the chain, and the one table of all routes.

A role is what the Exchange's registry or its AccessManager says now, within the few seconds of the cache:

    prosumer    a member with an account: prosumers, the balancing party, the network operator
    operator    AccessManager role OPERATOR
    oracle      AccessManager role ORACLE
    auditor     AccessManager role AUDITOR
    regulator   AccessManager role REGULATOR
    registrar   AccessManager role REGISTRAR

The database says nothing about roles. Whoever has none may still log in, and sees what is everybody's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from api.chain import ChainReader
from settlement.chain import deploy
from settlement.chain.exchange import member_of
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, PROSUMER, Member

MOST_CACHED = 10_000


class Role(StrEnum):
    """What an account is to the API."""

    PROSUMER = "prosumer"
    OPERATOR = "operator"
    ORACLE = "oracle"
    AUDITOR = "auditor"
    REGULATOR = "regulator"
    REGISTRAR = "registrar"


MANAGED: Mapping[Role, int] = {
    Role.OPERATOR: deploy.OPERATOR,
    Role.ORACLE: deploy.ORACLE,
    Role.AUDITOR: deploy.AUDITOR,
    Role.REGULATOR: deploy.REGULATOR,
    Role.REGISTRAR: deploy.REGISTRAR,
}
"""Roles of the AccessManager, by their number there."""
MEMBERS = (PROSUMER, BALANCING_PARTY, NETWORK_OPERATOR)
"""Roles of the registry whose members have an account with cash and energy."""


# The matrix ---------------------------------------------------------------------------------------------

ANY_WALLET = frozenset(Role) | {None}
"""Whoever has logged in, with or without a role."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may use a route. A path with `{account}` is somebody's. On others, whoever is in either set is let
    in, and those in `foreign` see more than their own.
    """

    own: frozenset[Role | None] = frozenset()
    """Roles that may use it for their own account; None stands for no role."""
    foreign: frozenset[Role] = frozenset()
    """Roles that may use it for any account."""
    public: bool = False
    """Needs no login."""
    by_role: bool = True
    """Whether roles have a say: where they have none, the chain is not asked for them."""


PUBLIC = Rule(public=True)
LOGGED_IN = Rule(own=ANY_WALLET)
BRINGING = Rule(own=ANY_WALLET, by_role=False)
"""An order says itself whose it is: whoever has logged in may bring it."""
OWN = frozenset({Role.PROSUMER})
ORDERS = Rule(OWN, frozenset({Role.OPERATOR, Role.AUDITOR}))
"""The operator has them anyway: it cleared them."""
READINGS = Rule(OWN, frozenset({Role.ORACLE, Role.AUDITOR}))
BILLS = Rule(OWN, frozenset({Role.AUDITOR}))
ORDER = Rule(ANY_WALLET, ORDERS.foreign)
"""Own is what one signed or brought."""
REGISTRY = Rule(foreign=frozenset({Role.REGISTRAR}))
CASH = Rule(OWN)
"""Only the member itself takes cash out, hands tokens over or lets keys in."""
STREAM = Rule(ANY_WALLET, frozenset({Role.AUDITOR}))
LEDGER = Rule(foreign=frozenset({Role.AUDITOR, Role.REGULATOR}))

MATRIX: Mapping[tuple[str, str], Rule] = {
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("POST", "/v1/auth/challenge"): PUBLIC,
    ("POST", "/v1/auth/login"): PUBLIC,
    ("POST", "/v1/auth/refresh"): PUBLIC,
    ("POST", "/v1/auth/logout"): LOGGED_IN,
    ("GET", "/v1/auth/me"): LOGGED_IN,
    ("GET", "/v1/accounts/{account}"): Rule(
        ANY_WALLET, frozenset({Role.OPERATOR, Role.ORACLE, Role.AUDITOR})
    ),
    ("GET", "/v1/accounts/{account}/orders"): ORDERS,
    ("GET", "/v1/accounts/{account}/keys"): ORDERS,
    ("GET", "/v1/accounts/{account}/receipts"): ORDERS,
    ("POST", "/v1/orders/typed-data"): BRINGING,
    ("POST", "/v1/orders"): BRINGING,
    ("POST", "/v1/orders/batch"): BRINGING,
    ("POST", "/v1/cancels/typed-data"): BRINGING,
    ("POST", "/v1/cancels"): BRINGING,
    ("GET", "/v1/orders/{order}"): ORDER,
    ("GET", "/v1/accounts/{account}/orders/{order}/evidence"): BILLS,
    ("GET", "/v1/accounts/{account}/positions"): BILLS,
    ("GET", "/v1/accounts/{account}/readings"): READINGS,
    ("GET", "/v1/accounts/{account}/settlements"): BILLS,
    ("GET", "/v1/accounts/{account}/certificates"): BILLS,
    ("GET", "/v1/accounts/{account}/certificates/products"): BILLS,
    ("GET", "/v1/accounts/{account}/cash"): BILLS,
    ("GET", "/v1/accounts/{account}/bills/{day}"): BILLS,
    ("POST", "/v1/accounts/{account}/deposits/transactions"): CASH,
    ("POST", "/v1/accounts/{account}/withdrawals/typed-data"): CASH,
    ("GET", "/v1/accounts/{account}/withdrawals/pending"): BILLS,
    ("POST", "/v1/accounts/{account}/withdrawals/pending/execution"): CASH,
    ("POST", "/v1/accounts/{account}/transfers/typed-data"): CASH,
    ("POST", "/v1/accounts/{account}/acceptances/typed-data"): CASH,
    ("POST", "/v1/accounts/{account}/key-grants/typed-data"): CASH,
    ("POST", "/v1/accounts/{account}/key-revocations/typed-data"): CASH,
    ("POST", "/v1/relays"): CASH,
    ("GET", "/v1/relays/{tx}"): BILLS,
    ("GET", "/v1/sessions"): LOGGED_IN,
    ("GET", "/v1/sessions/{epoch}"): LOGGED_IN,
    ("GET", "/v1/sessions/{epoch}/clearing"): LOGGED_IN,
    ("GET", "/v1/sessions/{epoch}/depth"): LOGGED_IN,
    ("GET", "/v1/sessions/{epoch}/books/{zone}/proofs/{order}"): LOGGED_IN,
    ("GET", "/v1/products/{product}"): LOGGED_IN,
    ("GET", "/v1/days/{day}/runs"): LOGGED_IN,
    ("PUT", "/v1/accounts/{account}/identity"): REGISTRY,
    ("GET", "/v1/accounts/{account}/identity"): Rule(OWN),
    ("DELETE", "/v1/accounts/{account}/identity"): REGISTRY,
    ("POST", "/v1/disclosures"): Rule(foreign=frozenset({Role.REGULATOR})),
    ("GET", "/v1/disclosures"): Rule(OWN, frozenset({Role.AUDITOR, Role.REGULATOR})),
    ("GET", "/v1/ledger/events"): LEDGER,
    ("GET", "/v1/ledger/aggregates"): LEDGER,
    ("GET", "/v1/ledger/export"): LEDGER,
    ("GET", "/v1/stream"): STREAM,
    ("GET", "/v1/ws"): STREAM,
}
"""By method and path. A route that is not here is refused to everyone."""


# Roles from the chain -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account is, as of a block."""

    account: bytes
    roles: frozenset[Role]
    member: Member | None
    """As the registry has it; None if it never was registered."""
    block: int

    def may_own(self, rule: Rule) -> bool:
        return None in rule.own or bool(self.roles & rule.own)

    def may_foreign(self, rule: Rule) -> bool:
        return bool(self.roles & rule.foreign)


class Roles:
    """Standings, each kept for a few seconds."""

    def __init__(self, chain: ChainReader, ttl_s: float, now: Callable[[], float]) -> None:
        """`now` gives seconds that only go forward."""
        self._chain, self._ttl_s, self._now = chain, ttl_s, now
        self._kept: OrderedDict[bytes, tuple[float, Standing]] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[Standing]] = {}

    async def of(self, account: bytes) -> Standing:
        """What the account is. ChainError if the chain cannot be read and nothing fresh is kept: nobody gets
        in on what was true before.
        """
        kept = self._kept.get(account)
        if kept is not None and self._now() < kept[0]:
            return kept[1]
        found = await self._read_once(account)
        self._kept[account] = (self._now() + self._ttl_s, found)
        self._kept.move_to_end(account)
        while len(self._kept) > MOST_CACHED:
            self._kept.popitem(last=False)
        return found

    async def _read_once(self, account: bytes) -> Standing:
        """Whoever asks while somebody is asking gets the same answer."""
        task = self._asked.get(account)
        if task is None:
            task = self._asked[account] = asyncio.create_task(self.read(account))
            task.add_done_callback(lambda _: self._asked.pop(account, None))
        return await asyncio.shield(task)

    async def read(self, account: bytes) -> Standing:
        """What the account is, from the chain."""
        numbers = list(MANAGED.values())
        block, word, held = await self._chain.member_and_roles(account, numbers)
        member = member_of(word)
        roles = {role for role, has in zip(MANAGED, held, strict=True) if has}
        if member is not None and member.role in MEMBERS:
            roles.add(Role.PROSUMER)
        return Standing(account, frozenset(roles), member, block)
