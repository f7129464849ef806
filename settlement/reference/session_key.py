"""Session keys: what an account lets a key sign, and what orders signed by it used of that
(docs/session-keys.md).

    | 255..248 | 247..216       | 215..120           | 119..80 | 79..40    | 39..0     |
    | kinds    | maxWhPerWindow | maxSpendNanoPerDay | expiry  | revokedAt | grantedAt |

    | 247..224 | 223..200 | 199..168 | 167..96 | 95..0 |
    | day      | epoch    | wh       | pending | spent |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from settlement.reference import orders
from settlement.reference.errors import BadScope
from settlement.reference.orders import Order
from settlement.reference.product_id import CERTIFICATE
from settlement.reference.record import NO_ADDRESS
from settlement.units import floor_div

ALL_KINDS = (1 << CERTIFICATE + 1) - 1
MOST_SPEND = (1 << 96) - 1
LAST_TIME = (1 << 40) - 1
DAY_S = 86_400

KEY_ENDED, BEYOND_SCOPE = 8, 9
"""Why an order signed by a session key fills zero, behind the reasons of `accounts`."""


@dataclass(frozen=True)
class Scope:
    """What a key may do."""

    kinds: int
    """Bit k: sessions of kind k."""
    max_wh: int
    """The most that its orders of a session may ask for and offer in a window, Wh."""
    max_spend: int
    """The most that its orders may spend in the sessions whose gates are on one UTC day, nano."""
    expiry: int
    """The last moment at which it counts, Unix seconds."""


@dataclass(frozen=True)
class SessionKey:
    """A key that was granted. What ended, by revocation or expiry, stays ended: so this says of any gate,
    passed or to come, whether the key counts there.
    """

    scope: Scope
    granted_at: int
    """When it was first granted, Unix seconds."""
    revoked_at: int = 0
    """Unix seconds; 0 if it was not."""

    def ended(self, now: int) -> bool:
        """Whether it was revoked or has expired, for good."""
        return self.revoked_at != 0 or self.scope.expiry < now

    def known_at(self, gate: int) -> bool:
        """Whether it was granted before a gate.

        From a gate on nothing is granted or revoked until the session has ended, which may be in the same
        second: what happens then is after it.
        """
        return self.granted_at < gate

    def counts_at(self, gate: int) -> bool:
        """Whether it was granted before a gate, and at the gate neither revoked nor expired."""
        revoked = self.revoked_at != 0 and self.revoked_at < gate
        return self.known_at(gate) and gate <= self.scope.expiry and not revoked


@dataclass(frozen=True)
class KeyUse:
    """What the orders that a key signed, and that counted, used of its scope."""

    day: int = 0
    """UTC day of the gate of the last session it traded in, days since 1970."""
    epoch: int = 0
    """The session that `wh` and `pending` belong to; 0 for none."""
    wh: int = 0
    """The largest quantities of a window of its orders, added up."""
    pending: int = 0
    """What they may spend, nano."""
    spent: int = 0
    """What its orders in the day's sessions that were proved may have spent, nano."""


NOT_USED = KeyUse()

Place = tuple[bytes, bytes]
"""An account and a key."""
Keys = Mapping[Place, SessionKey]


@dataclass(frozen=True)
class KeyRing:
    """Session keys as they stand, and what was used of their scopes."""

    keys: Keys = field(default_factory=dict)
    uses: Mapping[Place, KeyUse] = field(default_factory=dict)
    """Folded as of now; a key that was never used need not be here."""

    def use(self, place: Place) -> KeyUse:
        return self.uses.get(place, NOT_USED)


NO_KEYS = KeyRing()


def check_scope(scope: Scope, now: int) -> None:
    """BadScope, by the field that makes no sense."""
    wrong = {
        "kinds": not 0 < scope.kinds <= ALL_KINDS,
        "maxWhPerWindow": not 0 < scope.max_wh < 1 << 32,
        "maxSpendNanoPerDay": not 0 <= scope.max_spend <= MOST_SPEND,
        "expiry": not now <= scope.expiry <= LAST_TIME,
    }
    for name, holds in wrong.items():
        if holds:
            raise BadScope(name)


def signs_for(keys: Keys, account: bytes, signer: bytes, gate: int) -> bool:
    """Whether orders of an account by this signer are in the session's book: its own, and those of a key that
    it had granted by the gate. If that key has ended they fill zero.
    """
    key = keys.get((account, signer))
    return signer == account or (key is not None and key.known_at(gate))


def may_take_back(who: bytes, trader: bytes, signer: bytes) -> bool:
    """Whose word cancels or replaces an order: its trader's, and its signer's.

    No key has a say in what others signed, and none is asked whether it still counts: what is said stays
    said.
    """
    return who in (trader, signer)


def fold(use: KeyUse, proved: bool) -> KeyUse:
    """The use once its session has ended: what was spent in a void one does not count."""
    return KeyUse(day=use.day, spent=use.spent + (use.pending if proved else 0))


def spend(order: Order) -> int:
    """What an order would pay if it were filled at its limits, nano."""
    return orders.cover(order, 0, 0)


def apply(key: SessionKey, use: KeyUse, order: Order, epoch: int, gate: int) -> tuple[int, KeyUse]:
    """Why an order that counts otherwise does not, or 0, and the use with it.

    `use` is folded, unless it is of this very session.
    """
    if not key.counts_at(gate):
        return KEY_ENDED, use
    if order.beneficiary != NO_ADDRESS or not key.scope.kinds >> order.kind & 1:
        return BEYOND_SCOPE, use
    day = floor_div(gate, DAY_S)
    with_it = KeyUse(
        day=day,
        epoch=epoch,
        wh=use.wh + order.most_wh,
        pending=use.pending + spend(order),
        spent=use.spent if use.day == day else 0,
    )
    within = with_it.wh <= key.scope.max_wh and with_it.spent + with_it.pending <= key.scope.max_spend
    return (0, with_it) if within else (BEYOND_SCOPE, use)


def pack(key: SessionKey) -> int:
    """The grant's word."""
    scope = key.scope
    word = key.granted_at | key.revoked_at << 40 | scope.expiry << 80 | scope.max_spend << 120
    return word | scope.max_wh << 216 | scope.kinds << 248


def pack_use(use: KeyUse) -> int:
    """The use's word."""
    return use.spent | use.pending << 96 | use.wh << 168 | use.epoch << 200 | use.day << 224


def revoked(key: SessionKey, now: int) -> SessionKey:
    """The key, ended."""
    return replace(key, revoked_at=now)
