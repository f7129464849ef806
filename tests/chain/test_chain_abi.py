"""The fast encoders give what eth_abi gives, and reverts and logs become typed values."""

from __future__ import annotations

import pytest
from chain_world import QUALITIES, WINDOWS

from settlement.chain import abi, events
from settlement.chain.abi import CODEC, exchange_interface
from settlement.chain.rpc import Log
from settlement.errors import InputError
from settlement.reference import clearing, closing, potential, settlement
from settlement.reference.cell import Cell
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import ClosedZone, Commitment
from settlement.reference.correction import Correction
from settlement.reference.eip712 import keccak
from settlement.reference.marginal import Marginal
from settlement.reference.merkle import DEPTH, Frontier
from settlement.reference.posting import Posting
from settlement.reference.potential import Potential
from settlement.reference.prices import RoundPrices
from settlement.reference.settlement import RunCarry, Tally
from settlement.reference.statement import Statement

CELLS = len(QUALITIES) * WINDOWS
HEADER = Header(tuple(Potential(-n, n, n, 2 * n) for n in range(CELLS - WINDOWS)))
ZONE = ZonePosting(
    tuple(Potential(n, n + 1, 0, 0) for n in range(WINDOWS)),
    tuple(Marginal((n, 2 * n), (n, n)) for n in range(CELLS)),
)
CARRY = Carry(
    tuple(Cell((n, n), n, -n, -n) for n in range(CELLS)),
    b"\x11" * 32,
    Frontier(3, (b"\x01" * 32, b"\x02" * 32, *[bytes(32)] * (DEPTH - 2))),
    support=0b1101,
    submitted=2,
)
CLOSED = ClosedZone(ZONE.energy, tuple(range(-5, CELLS - 5)), 2**255 + 1, (7,) * (len(QUALITIES) - 1), -9, 4)
POSTING = Posting(0, 7, 2, 1, 3, b"\x09" * 32, (-5, 5), (6, 7), (b"\x21" * 32, b"\x22" * 32, b"\x23" * 32))
RUN_CARRY = RunCarry(
    tuple(Tally(n, 1, 2, 3) for n in range(4)),
    (0, 2**96, 7, 2**255),
    -77,
    -123456789,
    b"\x31" * 20,
    2,
)
PRICES = RoundPrices(ZONE.energy, HEADER.qualities)
STATEMENT = Statement((b"\x01" * 20, b"\x02" * 20), (b"\x41" * 32, b"\x42" * 32), bytes(range(64)))
CORRECTION = Correction(
    *(0, 7, 1, b"\x51" * 32, b"\x52" * 32, (-5, 5), (6, 7), (0, 2), (b"\x61" * 32, b"\x62" * 32))
)


def posted_values() -> tuple[object, ...]:
    return clearing.header_words(HEADER), *clearing.zone_words(ZONE)


def carry_values(carry: Carry | None) -> tuple[object, ...]:
    if carry is None:
        return [], bytes(32), 0, [bytes(32)] * DEPTH, 0, 0
    frontier = carry.frontier
    rest = (list(frontier.words), carry.support, carry.submitted)
    return clearing.cell_words(carry), carry.last_hash, frontier.count, *rest


def closed_values(zone: ClosedZone) -> tuple[object, ...]:
    arrays = (closing.energy_words(zone), closing.net_words(zone))
    return *arrays, zone.energy_support, zone.quality_support, zone.rent_nano, zone.joined


def posting_values() -> tuple[object, ...]:
    return tuple(vars(POSTING).values())


def price_values(prices: RoundPrices) -> tuple[object, ...]:
    return [*map(potential.pack, prices.energy)], [*map(potential.pack, prices.qualities)]


def statement_values() -> tuple[object, ...]:
    return tuple(vars(STATEMENT).values())


def run_carry_values(carry: RunCarry | None) -> tuple[object, ...]:
    if carry is None:
        return [], [], 0, 0, bytes(20), 0
    tallies = [settlement.pack_tally(tally) for tally in carry.tallies]
    return tallies, list(carry.pots), carry.imbalance, carry.cash, carry.last_account, carry.parts


def test_large_calls_are_encoded_as_eth_abi_does() -> None:
    encode = exchange_interface().encode
    posted = abi.posted_tuple(HEADER, ZONE)
    words = clearing.header_words(HEADER)
    assert abi.post_header(3, HEADER) == encode("postHeader", 3, words)
    books = [Commitment(3, b"\x01" * 32), Commitment(0, b"\x02" * 32)]
    roots = [one.root for one in books]
    assert abi.commit_books(3, books) == encode("commitBooks", 3, [3, 0], roots)
    for carry in (None, CARRY):
        values = (posted_values(), carry_values(carry))
        brought = abi.carry_tuple(carry)
        assert abi.clear(3, 0, posted, brought, b"\x07" * 99) == encode("clear", 3, 0, *values, b"\x07" * 99)
        for children in ([], [CLOSED, CLOSED]):
            told = list(map(closed_values, children))
            fast = abi.close_zone(3, 0, posted, brought, children, (4, 5))
            assert fast == encode("closeZone", 3, 0, *values, told, (4, 5))
            fast = abi.join_children(3, 1, CLOSED, children, HEADER, (4, 5))
            assert fast == encode("joinChildren", 3, 1, closed_values(CLOSED), told, words, (4, 5))


def test_calls_of_a_run_are_encoded_as_eth_abi_does() -> None:
    encode = exchange_interface().encode
    signatures = [b"\x41" * 65, b"\x42" * 65]
    message = abi.posting_tuple(POSTING)
    assert abi.post_metering(POSTING, signatures) == encode("postMetering", posting_values(), signatures)
    for carry in (None, RUN_CARRY):
        brought, values = abi.run_carry_tuple(carry), run_carry_values(carry)
        for rounds in ([], [PRICES, PRICES]):
            prices, told = abi.prices_array(rounds), [price_values(one) for one in rounds]
            settled = abi.settle(message, b"\x05" * 33, brought, prices)
            assert settled == encode("settle", posting_values(), b"\x05" * 33, values, told)
            certified = abi.certify(message, abi.statement_tuple(STATEMENT), brought, prices)
            assert certified == encode("certify", posting_values(), statement_values(), values, told)


def test_calls_of_later_runs_are_encoded_as_eth_abi_does() -> None:
    encode = exchange_interface().encode
    correction = tuple(vars(CORRECTION).values())
    assert abi.open_corrections(POSTING) == encode("openCorrections", posting_values())
    posted = abi.post_correction(CORRECTION, [b"\x41" * 65])
    assert posted == encode("postCorrection", correction, [b"\x41" * 65])
    corrected = abi.correct(CORRECTION, STATEMENT, b"\x06" * 41)
    assert corrected == encode("correct", correction, statement_values(), b"\x06" * 41)


def test_errors_of_modules_and_libraries_are_decoded_by_name() -> None:
    entry = next(one for one in exchange_interface().errors.values() if one.name == "LaneOverflow")
    revert = abi.decode_error(entry.selector + CODEC.encode(entry.types, (5, 6)))
    assert (revert.name, revert.arguments) == ("LaneOverflow", (5, 6))
    account = b"\x12" * 20
    told = abi.decode_error(keccak(b"NotMember(address)")[:4] + bytes(12) + account)
    assert (told.name, told.arguments) == ("NotMember", (account,))
    assert f"0x{account.hex()}" in told.message
    panic = abi.decode_error(keccak(b"Panic(uint256)")[:4] + (17).to_bytes(32, "big"))
    assert (panic.name, panic.arguments) == ("Panic", (17,))


def test_what_is_no_error_of_ours_is_still_told() -> None:
    assert abi.decode_error(b"").name == ""
    unknown = abi.decode_error(b"\x01\x02\x03\x04rest")
    assert (unknown.name, unknown.arguments) == ("0x01020304", (b"rest",))
    cut = abi.decode_error(keccak(b"NotMember(address)")[:4] + b"\x01")
    assert (cut.name, cut.arguments) == ("NotMember", (b"\x01",))
    with pytest.raises(InputError, match="no function withdrawAll"):
        exchange_interface().encode("withdrawAll")


def test_every_event_of_the_exchange_has_a_class_with_its_parameters() -> None:
    kinds = {kind.__name__: kind for kind in events.KINDS}
    ours = [entry for entry in exchange_interface().events.values() if entry.name in kinds]
    named = {entry.name for entry in ours if len(entry.inputs) == len(kinds[entry.name].__match_args__)}
    assert named == set(kinds)


def test_logs_of_other_contracts_are_passed_over() -> None:
    topic = keccak(b"Transfer(address,address,uint256)")  # the settlement token's
    log = Log(bytes(20), (topic, bytes(32), bytes(32)), bytes(32), 1, 0, bytes(32))
    assert events.decode_all([log, Log(bytes(20), (), b"", 1, 1, bytes(32))]) == []
