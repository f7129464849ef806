"""Session keys in the reference: when one counts, and what its scope leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reference_world import (
    GATE,
    OPENING,
    PROSUMER_ADDRESSES,
    PROSUMERS,
    make_exchange,
    make_schedule,
    sign_digest,
)

from settlement.reference import errors, orders, session_key
from settlement.reference.exchange import events
from settlement.reference.schedule import SELL, SignedSchedule
from settlement.reference.session_key import BEYOND_SCOPE, KEY_ENDED, NOT_USED, KeyUse, Scope, SessionKey

OWNER, OTHER = PROSUMER_ADDRESSES[:2]
AGENT = b"\x0a" * 20
SCOPE = Scope(kinds=1, max_wh=1500, max_spend=10**9, expiry=GATE + 100)
KEY = SessionKey(SCOPE, granted_at=OPENING)
DAY = GATE // session_key.DAY_S


@pytest.mark.parametrize(
    ("key", "known", "counts"),
    [
        (KEY, True, True),
        (replace(KEY, granted_at=GATE - 1), True, True),
        (replace(KEY, granted_at=GATE), False, False),
        (replace(KEY, scope=replace(SCOPE, expiry=GATE)), True, True),
        (replace(KEY, scope=replace(SCOPE, expiry=GATE - 1)), True, False),
        (replace(KEY, revoked_at=GATE - 1), True, False),
        (replace(KEY, revoked_at=GATE), True, True),
    ],
)
def test_a_key_counts_at_a_gate_by_what_was_before_it(key: SessionKey, known: bool, counts: bool) -> None:
    assert (key.known_at(GATE), key.counts_at(GATE)) == (known, counts)


def order(**changes):
    return make_schedule(bytes(32), OWNER, **changes)


@pytest.mark.parametrize(
    ("changes", "use", "reason"),
    [
        ({}, NOT_USED, 0),
        ({"quantity_wh": (1500,)}, NOT_USED, 0),
        ({"quantity_wh": (1501,)}, NOT_USED, BEYOND_SCOPE),
        ({}, KeyUse(DAY, 4, wh=500), 0),
        ({}, KeyUse(DAY, 4, wh=501), BEYOND_SCOPE),
        ({"limit_micro_per_kwh": (1_000_000,)}, NOT_USED, 0),
        ({"limit_micro_per_kwh": (1_000_001,)}, NOT_USED, BEYOND_SCOPE),
        ({}, KeyUse(DAY, 4, pending=8 * 10**8), 0),
        ({}, KeyUse(DAY, 4, pending=8 * 10**8 + 1), BEYOND_SCOPE),
        ({}, KeyUse(DAY, spent=8 * 10**8 + 1), BEYOND_SCOPE),
        ({}, KeyUse(DAY - 1, spent=10**9), 0),
        ({"side": SELL, "limit_micro_per_kwh": (6_000_000,)}, KeyUse(DAY, spent=10**9), 0),
        ({"side": SELL, "limit_micro_per_kwh": (-1,)}, KeyUse(DAY, spent=10**9), BEYOND_SCOPE),
        ({"beneficiary": OTHER, "side": SELL}, NOT_USED, BEYOND_SCOPE),
        ({"kind": 1}, NOT_USED, BEYOND_SCOPE),
    ],
)
def test_what_is_beyond_a_scope(changes, use: KeyUse, reason: int) -> None:
    given = order(**changes)
    found, after = session_key.apply(KEY, use, given, 4, GATE)
    assert found == reason
    if reason:
        assert after == use
    else:
        spent = use.spent if use.day == DAY else 0
        spend = session_key.spend(given)
        assert after == KeyUse(DAY, 4, use.wh + given.most_wh, use.pending + spend, spent)


def test_an_ended_key_is_told_before_its_scope() -> None:
    ended = replace(KEY, revoked_at=OPENING)
    assert session_key.apply(ended, NOT_USED, order(kind=1), 4, GATE) == (KEY_ENDED, NOT_USED)


def test_only_a_proved_session_spends() -> None:
    use = KeyUse(DAY, 4, wh=7, pending=5, spent=3)
    assert session_key.fold(use, proved=True) == KeyUse(DAY, spent=8)
    assert session_key.fold(use, proved=False) == KeyUse(DAY, spent=3)


def test_words_have_a_place_for_every_field() -> None:
    most = Scope(255, 2**32 - 1, 2**96 - 1, 2**40 - 1)
    assert session_key.pack(SessionKey(most, 2**40 - 1, 2**40 - 1)) == 2**256 - 1
    use = KeyUse(2**24 - 1, 2**24 - 1, 2**32 - 1, 2**72 - 1, 2**96 - 1)
    assert session_key.pack_use(use) == 2**248 - 1


def test_what_has_ended_is_never_granted_again() -> None:
    exchange = make_exchange()
    exchange.grant_key(OPENING, OWNER, AGENT, 0, SCOPE)
    wider = replace(SCOPE, max_wh=9)
    exchange.grant_key(OPENING + 5, OWNER, AGENT, 0, wider)
    assert exchange.state.keys[(OWNER, AGENT)] == SessionKey(wider, OPENING)
    exchange.revoke_key(OPENING + 6, OWNER, AGENT)
    with pytest.raises(errors.KeyEnded):
        exchange.grant_key(OPENING + 6, OWNER, AGENT, 0, SCOPE)
    exchange.grant_key(OPENING, OTHER, AGENT, 0, SCOPE)
    with pytest.raises(errors.KeyEnded):
        exchange.grant_key(GATE + 101, OTHER, AGENT, 0, replace(SCOPE, expiry=GATE + 999))
    assert exchange.events[-3:] == [
        events.KeyGranted(OWNER, AGENT, 0, wider),
        events.KeyRevoked(OWNER, AGENT),
        events.KeyGranted(OTHER, AGENT, 0, SCOPE),
    ]


def test_the_same_words_of_two_signers_are_two_orders() -> None:
    exchange, agent = make_exchange(), PROSUMERS[3]
    given, separator = order(), exchange.separator
    digest = orders.order_hash(separator, given)
    own = SignedSchedule(given, sign_digest(PROSUMERS[0], digest))
    agents = SignedSchedule(given, sign_digest(agent, digest))
    assert orders.signed_hash(separator, own) == (digest, OWNER)
    assert orders.signed_hash(separator, agents) == (
        orders.keyed_hash(digest, PROSUMER_ADDRESSES[3]),
        PROSUMER_ADDRESSES[3],
    )
    nobody = SignedSchedule(given, bytes(64) + b"\x1b")
    assert orders.signed_hash(separator, nobody) == (digest, bytes(20))
