"""The Exchange settles its days: postings, imbalances, cash, certificates."""

from dataclasses import replace

import pytest
from reference_world import (
    BALANCING_ADDRESS,
    BUYER,
    DAY,
    DAY_END,
    OPENING,
    ORACLES,
    OTHER,
    PROSUMER_ADDRESSES,
    QUALITIES,
    RICH,
    SELLER,
    WINDOWS,
    address_of,
    claim_id,
    commit,
    honest_posting,
    make_exchange,
    make_params,
    make_schedule,
    opened,
    sign,
    sign_digest,
    trade,
)
from settling_world import Settler

from settlement.reference import eip712, errors, posting, product_id
from settlement.reference.exchange import Exchange, RunStage
from settlement.reference.exchange.events import (
    AccountSettled,
    RunSettled,
    ScheduleIneligible,
)
from settlement.reference.orders import encode_all
from settlement.reference.posting import Entry, Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.statement import Statement

# Settlement ---------------------------------------------------------------------------------------------

SURPLUS, DEFICIT = (80_000,) * WINDOWS, (240_000,) * WINDOWS


def metered_day(metered: dict[bytes, int], parts: int = 2, sequence: int = 1) -> tuple[Posting, list[bytes]]:
    """Everyone metered: in the first window as given, else zero."""
    rest = (0,) * (WINDOWS - 1)
    entries = [
        Entry(address, (0,) * WINDOWS, (metered.get(address, 0), *rest))
        for address in sorted(PROSUMER_ADDRESSES)
    ]
    size = -(-len(entries) // parts)
    packed = [posting.pack_part(entries[at : at + size]) for at in range(0, len(entries), size)]
    hashes = tuple(posting.part_hash(part) for part in packed)
    message = Posting(0, DAY, WINDOWS, sequence, len(entries), bytes(32), SURPLUS, DEFICIT, hashes)
    return message, packed


def signed_by(exchange: Exchange, message: Posting, count: int = 2) -> list[bytes]:
    digest = eip712.digest(exchange.separator, posting.struct_hash(message))
    return [sign_digest(key, digest) for key in sorted(ORACLES[:count], key=address_of)]


def settled_day(exchange: Exchange, metered: dict[bytes, int], *prices: RoundPrices) -> Settler:
    message, packed = metered_day(metered)
    exchange.post_metering(DAY_END, message, signed_by(exchange, message))
    settler = Settler(exchange, DAY_END, DAY, {0: prices})
    for part in packed:
        settler.settle(0, part)
    settler.certify_all()
    return settler


def free_cash(exchange: Exchange) -> dict[bytes, int]:
    return {address: exchange.cash(DAY_END, address).free for address in exchange.state.members}


def test_a_day_settles_to_the_last_nano() -> None:
    exchange = make_exchange()
    prices = trade(exchange, opened(exchange), quality=11)
    settled_day(exchange, {BUYER: -1200, SELLER: 700, OTHER: 50}, prices)
    free = free_cash(exchange)
    premium = prices.green_premium(QUALITIES, 11, 0)
    assert sum(free.values()) == exchange.state.vault
    assert free[BUYER] == RICH - 1000 * 150_000 - 200 * 240_000 + 300 * premium
    assert free[SELLER] == RICH + 1000 * 150_000 - 300 * 240_000 - 300 * premium
    assert free[OTHER] == RICH + 50 * 80_000
    assert free[BALANCING_ADDRESS] == RICH + 500 * 240_000 - 50 * 80_000
    (closing,) = [event for event in exchange.events if isinstance(event, RunSettled)]
    imbalances = [sum(event.imbalance_wh) for event in exchange.events if isinstance(event, AccountSettled)]
    assert closing.imbalance_wh == -sum(imbalances) == 450


def test_delivered_claims_become_certificates_and_the_rest_is_burned() -> None:
    exchange = make_exchange()
    settled_day(exchange, {SELLER: 700}, trade(exchange, opened(exchange)))
    assert exchange.run(DAY).stage is RunStage.CERTIFIED
    assert exchange.balance(DAY_END, BUYER, claim_id(kind=product_id.CERTIFICATE)) == 700
    assert exchange.balance(DAY_END, BUYER, claim_id()) == 0
    assert exchange.balance(DAY_END, SELLER, claim_id(side=1)) == 0
    exchange.transfer(DAY_END, BUYER, OTHER, claim_id(kind=product_id.CERTIFICATE), 300)
    assert exchange.balance(DAY_END, OTHER, claim_id(kind=product_id.CERTIFICATE)) == 300


def test_what_members_owe_binds_the_balancing_party() -> None:
    exchange = make_exchange(deposit=0)
    exchange.deposit(OPENING, BALANCING_ADDRESS, 10**9)
    settled_day(exchange, {BUYER: -1000})
    owed = 1000 * 240_000
    assert exchange.state.total_negative == owed
    exchange.request_withdrawal(DAY_END, BALANCING_ADDRESS, 10**9 + 1)
    with pytest.raises(errors.InsufficientCash):
        exchange.execute_withdrawal(DAY_END, BALANCING_ADDRESS)
    exchange.request_withdrawal(DAY_END, BALANCING_ADDRESS, 10**9)
    exchange.execute_withdrawal(DAY_END, BALANCING_ADDRESS)
    exchange.deposit(DAY_END, BUYER, owed + 1)
    assert exchange.state.total_negative == 0


def test_no_session_opens_while_nobody_could_pay_what_is_owed() -> None:
    exchange = make_exchange(deposit=0)
    settled_day(exchange, {BUYER: -1000, SELLER: 1000})
    exchange.open_day(DAY + 2 * WINDOWS, WINDOWS, 1)
    later = {"day": DAY + 2 * WINDOWS, "first_window": DAY + 2 * WINDOWS}
    times = {"gate": DAY_END + 10, "commit_by": DAY_END + 20, "prove_by": DAY_END + 30}
    with_debt = make_params(**later, **times)
    owed, party = exchange.state.total_negative, exchange.cash(DAY_END, BALANCING_ADDRESS).free
    assert (owed, party) == (240_000_000, 160_000_000)
    with pytest.raises(errors.NotCarried):
        exchange.open_session(DAY_END, with_debt)
    exchange.deposit(DAY_END, BALANCING_ADDRESS, owed - party)
    session = exchange.open_session(DAY_END, with_debt)
    order = make_schedule(session, BUYER, first_window=DAY + 2 * WINDOWS)
    posted = honest_posting(exchange, session, [], [sign(exchange, order)])
    commit(exchange, DAY_END + 10, session, posted.commitment)
    exchange.post_header(DAY_END + 10, session, posted.header)
    records = encode_all(posted.orders)
    exchange.clear(DAY_END + 10, session, 0, posted.header, posted.zone, None, records)
    assert [e.reason for e in exchange.events if isinstance(e, ScheduleIneligible)] == [1]


BAD_POSTINGS = [
    ({"windows": WINDOWS + 1}, errors.BadPosting),
    ({"zone": 1}, errors.BadPosting),
    ({"accounts": 5}, errors.BadPosting),
    ({"surplus": (80_000,) * (WINDOWS - 1)}, errors.BadPosting),
    ({"surplus": (240_001,) * WINDOWS}, errors.BadPosting),
    ({"surplus": (-500_001,) * WINDOWS}, errors.BadPosting),
    ({"deficit": (900_001,) * WINDOWS}, errors.BadPosting),
    ({"sequence": 0}, errors.StalePosting),
]


@pytest.mark.parametrize(
    ("changes", "error"), BAD_POSTINGS, ids=[str(changes) for changes, _ in BAD_POSTINGS]
)
def test_a_posting_that_does_not_fit_its_day_is_refused(
    changes: dict[str, int], error: type[errors.Refused]
) -> None:
    exchange = make_exchange()
    trade(exchange, opened(exchange))
    message = replace(metered_day({})[0], **changes)
    with pytest.raises(error):
        exchange.post_metering(DAY_END, message, signed_by(exchange, message))


def test_a_posting_needs_a_quorum_of_oracles_after_the_day() -> None:
    exchange = make_exchange()
    message, _ = metered_day({})
    signatures = signed_by(exchange, message, 3)
    with pytest.raises(errors.WindowNotOver):
        exchange.post_metering(DAY_END - 1, message, signatures)
    with pytest.raises(errors.QuorumNotReached):
        exchange.post_metering(DAY_END, message, signatures[:1])
    for bad in ([signatures[0]] * 2, signatures[::-1]):
        with pytest.raises(errors.BadOracleSignature):
            exchange.post_metering(DAY_END, message, bad)
    exchange.post_metering(DAY_END, message, signatures)


def test_a_correction_leaves_settled_parts_alone() -> None:
    exchange = make_exchange()
    message, packed = metered_day({BUYER: -1})
    exchange.post_metering(DAY_END, message, signed_by(exchange, message))
    carry = exchange.settle(DAY_END, 0, DAY, None, packed[0])
    first, last = sorted(PROSUMER_ADDRESSES)[0], sorted(PROSUMER_ADDRESSES)[-1]
    changes_settled, _ = metered_day({BUYER: -1, first: 77}, sequence=2)
    with pytest.raises(errors.BadPosting):
        exchange.post_metering(DAY_END, changes_settled, signed_by(exchange, changes_settled))
    corrected, repacked = metered_day({BUYER: -1, last: 99}, sequence=2)
    exchange.post_metering(DAY_END, corrected, signed_by(exchange, corrected))
    with pytest.raises(errors.WrongPart):
        exchange.settle(DAY_END, 0, DAY, carry, packed[1])
    carry = exchange.settle(DAY_END, 0, DAY, carry, repacked[1])
    assert exchange.run(DAY).stage is RunStage.SETTLED


def test_parts_go_in_order_with_what_the_last_one_left() -> None:
    exchange = make_exchange()
    prices = trade(exchange, opened(exchange))
    message, packed = metered_day({})
    exchange.post_metering(DAY_END, message, signed_by(exchange, message))
    with pytest.raises(errors.WrongPart):
        exchange.settle(DAY_END, 0, DAY, None, packed[1])
    carry = exchange.settle(DAY_END, 0, DAY, None, packed[0], [prices])
    with pytest.raises(errors.WrongRunCarry):
        exchange.settle(DAY_END, 0, DAY, replace(carry, cash=carry.cash + 1), packed[1])
    with pytest.raises(errors.WrongRunStage):
        exchange.certify(DAY_END, 0, DAY, carry, Statement((), ()))
