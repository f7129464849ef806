"""Every encoding reads back as what was written, and nothing else is read at all."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.reference import (
    accounts,
    cell,
    eip712,
    marginal,
    packed_windows,
    posting,
    potential,
    product_id,
    quality,
    schedule,
)
from settlement.reference.accounts import Cash
from settlement.reference.cell import Cell
from settlement.reference.errors import (
    InvalidSignature,
    LaneOverflow,
    LaneUnderflow,
    MalformedPosting,
    MalformedProduct,
    MalformedRecord,
    NotCanonical,
    Refused,
    ValueOutOfRange,
)
from settlement.reference.marginal import Marginal
from settlement.reference.orders import decode_all, encode_all
from settlement.reference.packed_windows import HOME, WIDE, Lanes
from settlement.reference.posting import Entry
from settlement.reference.potential import Potential
from settlement.reference.product_id import ProductId
from settlement.reference.schedule import Schedule, SignedSchedule

SESSION = bytes([5] * 32)
UINT32, INT32 = st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1)
UINT64, INT64 = st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)
ADDRESSES = st.binary(min_size=20, max_size=20)

# Products and qualities ---------------------------------------------------------------------------------

PRODUCTS = st.builds(
    ProductId,
    window_index=UINT32,
    window_length=st.sampled_from(product_id.WINDOW_LENGTHS),
    zone=UINT32,
    quality=st.integers(0, 15),
    kind=st.integers(0, 2),
    round=st.integers(0, 255),
    side=st.integers(0, 1),
)


@given(PRODUCTS)
def test_an_id_decodes_to_its_product(product: ProductId) -> None:
    assert product_id.decode(product_id.encode(product)) == product


@given(st.integers(0, 2**256 - 1) | PRODUCTS.map(product_id.encode), st.integers(0, 255))
def test_an_id_with_any_bit_flipped_is_another_product_or_none(word: int, bit: int) -> None:
    flipped = word ^ 1 << bit
    try:
        assert product_id.encode(product_id.decode(flipped)) == flipped
    except MalformedProduct:
        return


@pytest.mark.parametrize(
    "changes", [{"quality": 16}, {"kind": 4}, {"kind": 3, "side": 1}, {"window_length": 600}]
)
def test_a_product_that_does_not_exist_has_no_id(changes: dict[str, int]) -> None:
    with pytest.raises(MalformedProduct):
        product_id.encode(replace(ProductId(1, 900, 0, 0), **changes))


@given(PRODUCTS, st.sampled_from([HOME, WIDE]))
def test_products_share_a_slot_if_only_their_windows_differ_within_it(
    product: ProductId, lanes: Lanes
) -> None:
    first = product.window_index - product.window_index % lanes.count
    neighbours = {
        product_id.group_key(replace(product, window_index=first + k), lanes.count)
        for k in range(lanes.count)
    }
    assert len(neighbours) == 1
    if product.kind == product_id.ENERGY and product.side == product_id.CLAIM:
        certificate = replace(product, kind=product_id.CERTIFICATE)
        assert product_id.group_key(certificate, lanes.count) in neighbours


@given(st.integers(0, 15), st.integers(0, 15), st.integers(0, 15))
def test_serving_is_a_partial_order_with_the_least_below_all(a: int, b: int, c: int) -> None:
    assert quality.serves(a, a)
    assert quality.serves(a, 0)
    assert not (quality.serves(a, b) and quality.serves(b, a) and a != b)
    assert not (quality.serves(a, b) and quality.serves(b, c)) or quality.serves(a, c)


def test_the_best_quality_is_greenest_then_firm() -> None:
    assert quality.best_first([0, 3, 8, 10, 11, 7]) == [7, 11, 3, 10, 8, 0]


# Packed windows -----------------------------------------------------------------------------------------


@given(st.sampled_from([HOME, WIDE]), st.data())
def test_lanes_never_bleed(lanes: Lanes, data: st.DataObject) -> None:
    held = [data.draw(st.integers(0, (1 << lanes.bits) - 1)) for _ in range(lanes.count)]
    word = sum(wh << lane * lanes.bits for lane, wh in enumerate(held))
    at, wh = data.draw(st.integers(0, lanes.count - 1)), data.draw(st.integers(0, 1 << lanes.bits))
    for change, sign, error in (
        (packed_windows.add, 1, LaneOverflow),
        (packed_windows.sub, -1, LaneUnderflow),
    ):
        after = [*held[:at], held[at] + sign * wh, *held[at + 1 :]]
        if 0 <= after[at] < 1 << lanes.bits:
            changed = change(word, at, lanes, wh)
            assert [packed_windows.get(changed, lane, lanes) for lane in range(lanes.count)] == after
        else:
            with pytest.raises(error):
                change(word, at, lanes, wh)


# Schedules ----------------------------------------------------------------------------------------------


@st.composite
def orders(draw: st.DrawFn) -> SignedSchedule:
    entries = draw(st.lists(st.tuples(UINT32, INT32), min_size=1, max_size=8))
    order = Schedule(
        trader=draw(ADDRESSES),
        session=SESSION,
        zone=2,
        side=draw(st.integers(0, 1)),
        kind=0,
        quality=draw(st.integers(0, 255)),
        first_window=draw(UINT32),
        nonce=draw(UINT64),
        quantity_wh=tuple(wh for wh, _ in entries),
        limit_micro_per_kwh=tuple(limit for _, limit in entries),
        replaces=draw(st.just(bytes(32)) | st.binary(min_size=32, max_size=32)),
        beneficiary=draw(st.just(bytes(20)) | ADDRESSES),
    )
    signature = draw(st.binary(min_size=64, max_size=64)) + bytes([draw(st.sampled_from([27, 28]))])
    return SignedSchedule(order, signature)


@given(st.lists(orders(), max_size=3))
def test_records_decode_to_their_orders(book: list[SignedSchedule]) -> None:
    assert decode_all(encode_all(book), SESSION, 0, 2) == book


@given(orders(), st.data())
def test_a_changed_record_is_another_order_or_none(order: SignedSchedule, data: st.DataObject) -> None:
    record = bytearray(schedule.encode(order))
    record[data.draw(st.integers(0, len(record) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode_all(bytes(record), SESSION, 0, 2)
    except MalformedRecord:
        return
    assert encode_all(changed) == bytes(record)
    assert changed != [order]


@given(orders(), st.data())
def test_a_truncated_or_padded_record_is_refused(order: SignedSchedule, data: st.DataObject) -> None:
    record = schedule.encode(order)
    cut = data.draw(st.integers(1, len(record) - 1))
    with pytest.raises(MalformedRecord):
        decode_all(record[:cut], SESSION, 0, 2)
    with pytest.raises(MalformedRecord):
        decode_all(record + bytes(cut % 98 + 1), SESSION, 0, 2)


def test_a_flagged_field_of_zeros_is_not_canonical() -> None:
    order = Schedule(bytes([1] * 20), SESSION, 2, 0, 0, 0, 0, 0, (1,), (1,))
    record = schedule.encode(SignedSchedule(order, bytes(64) + b"\x1b"))
    head, entries = record[:99], record[99:]
    for flag, length in ((4, 32), (8, 20)):
        flagged = head[:20] + bytes([flag]) + head[21:]
        with pytest.raises(MalformedRecord):
            decode_all(flagged + bytes(length) + entries, SESSION, 0, 2)
        assert decode_all(flagged + b"\x01" * length + entries, SESSION, 0, 2)


@pytest.mark.parametrize("entries", [0, 129])
def test_a_schedule_has_1_to_128_entries(entries: int) -> None:
    order = Schedule(bytes([1] * 20), SESSION, 2, 0, 0, 0, 0, 0, (1,) * entries, (1,) * entries)
    with pytest.raises(ValueOutOfRange):
        schedule.struct_hash(order)


def test_a_cover_is_the_most_that_filling_could_cost() -> None:
    base = Schedule(bytes(20), SESSION, 0, 0, 0, 0, 0, 0, (10, 20), (7, -5))
    assert schedule.cover(base, buy_reserve=100, sell_reserve=1000) == 10 * 107 + 20 * 100
    assert schedule.cover(replace(base, side=1), buy_reserve=100, sell_reserve=1000) == 10 * 1000 + 20 * 1005


# Postings -----------------------------------------------------------------------------------------------


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    windows = draw(st.integers(1, 50))
    return Entry(
        draw(ADDRESSES),
        tuple(draw(st.integers(0, 2)) for _ in range(windows)),
        tuple(draw(st.integers(-(2**30) + 1, 2**30 - 1)) for _ in range(windows)),
    )


@given(entries())
def test_an_entry_unpacks_to_what_was_metered(entry: Entry) -> None:
    windows = len(entry.metered)
    assert posting.unpack_entry(posting.pack_entry(entry), windows) == entry


@given(entries(), st.data())
def test_a_changed_entry_is_another_one_or_none(entry: Entry, data: st.DataObject) -> None:
    packed = bytearray(posting.pack_entry(entry))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = posting.unpack_entry(bytes(packed), len(entry.metered))
    except MalformedPosting:
        return
    assert posting.pack_entry(changed) == bytes(packed)


def test_flags_fill_bytes_from_the_top() -> None:
    packed = posting.pack_entry(Entry(bytes(20), (1, 0, 2, 0, 1), (0,) * 5))
    assert packed[20:22] == bytes([0b01001000, 0b01000000])


def test_entries_of_a_part_ascend() -> None:
    one, two = (Entry(bytes([n] * 20), (0,), (5,)) for n in (1, 2))
    assert posting.unpack_part(posting.pack_part([one, two]), 1) == (one, two)
    with pytest.raises(MalformedPosting):
        posting.pack_part([two, one])
    with pytest.raises(MalformedPosting):
        posting.unpack_part(posting.pack_entry(one) * 2, 1)


# Words --------------------------------------------------------------------------------------------------


@given(st.builds(Potential, lo=INT32, hi=INT32, rank_lo=UINT32, rank_hi=UINT32))
def test_a_potential_unpacks(entry: Potential) -> None:
    assert potential.unpack(potential.pack(entry)) == entry
    with pytest.raises(NotCanonical):
        potential.unpack(potential.pack(entry) | 1 << 128)


PAIRS = st.tuples(UINT64, UINT64)


@given(st.builds(Marginal, at_price=PAIRS, filled=PAIRS), st.builds(Cell, PAIRS, INT32, INT32, INT64))
def test_marginals_and_cells_unpack(one: Marginal, other: Cell) -> None:
    assert marginal.unpack(marginal.pack(one)) == one
    assert cell.unpack(cell.pack(other)) == other


CASH = st.builds(
    Cash,
    free=st.integers(-(2**87), 2**87 - 1),
    reserved=st.integers(0, 2**72 - 1),
    net=st.integers(-(2**71), 2**71 - 1),
    epoch=st.integers(0, 2**24 - 1),
)


@given(CASH)
def test_cash_unpacks(cash: Cash) -> None:
    assert accounts.unpack(accounts.pack(cash)) == cash


@given(st.builds(Cell, PAIRS, INT32, INT32, INT64), st.sampled_from(["upper", "lower", "net"]))
def test_a_value_too_large_for_its_field_is_refused(one: Cell, name: str) -> None:
    with pytest.raises(ValueOutOfRange):
        cell.pack(replace(one, **{name: 2**63}))


# Signatures ---------------------------------------------------------------------------------------------


def test_a_signature_has_one_form() -> None:
    from reference_world import PROSUMERS, address_of, sign_digest

    digest = eip712.keccak(b"anything")
    signature = sign_digest(PROSUMERS[0], digest)
    assert eip712.recover(digest, signature) == address_of(PROSUMERS[0])
    s = int.from_bytes(signature[32:64], "big")
    mirrored = signature[:32] + (eip712.CURVE_ORDER - s).to_bytes(32, "big") + bytes([55 - signature[64]])
    refused = [
        mirrored,
        signature[:64],
        signature + b"\0",
        signature[:64] + bytes([signature[64] - 27]),
        signature[:32] + bytes(32) + signature[64:],
        bytes(32) + signature[32:],
    ]
    for bad in refused:
        with pytest.raises(InvalidSignature):
            eip712.recover(digest, bad)


def test_every_refusal_is_one_tree() -> None:
    from settlement.reference import errors

    classes = [item for item in vars(errors).values() if isinstance(item, type)]
    assert all(issubclass(item, Refused) and item.__doc__ for item in classes)
