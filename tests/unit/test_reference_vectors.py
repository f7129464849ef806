"""Shared vectors: what both implementations must say of the same input.

`python tests/unit/test_reference_vectors.py` writes them anew; the tests hold the reference to what is in
git.
"""

import json
from pathlib import Path
from typing import Any

import communities
import correction_world as made
import pytest
import reference_world as world

from settlement.reference import (
    challenge,
    clearing,
    correction,
    eip712,
    merkle,
    packed_windows,
    posting,
    product_id,
    reading,
    schedule,
    session,
    settlement,
    statement,
)
from settlement.reference.correction import Correction, Difference
from settlement.reference.exchange.events import ScheduleCleared
from settlement.reference.messages import Acceptance, KeyGrant, KeyRevocation, Transfer, Withdrawal
from settlement.reference.orders import encode_all, order_hash
from settlement.reference.posting import Entry, Posting
from settlement.reference.product_id import ProductId
from settlement.reference.reading import Reading
from settlement.reference.receipts import Cancel, Receipt
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.reference.session import Grid, SessionParams
from settlement.reference.settlement import RunCarry

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
CHAIN_ID = 31337
CONTRACT = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
SEPARATOR = eip712.domain_separator(CHAIN_ID, CONTRACT)
TRADER = bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8")
OTHER = bytes.fromhex("3c44cdddb6a900fa2b585dd299e03d12fa4293bc")

PARAMS = SessionParams(
    kind=0,
    round=2,
    windows=48,
    grid_version=1,
    day=960_000,
    first_window=960_000,
    gate=1_727_996_400,
    commit_by=1_727_996_700,
    prove_by=1_727_998_200,
    floor=-2_000_000,
    cap=6_000_000,
    buy_reserve=100_000,
    sell_reserve=300_000,
    imbalance_min=-500_000,
    imbalance_max=900_000,
    max_orders=1_000_000,
    max_submitted=48_575,
    bond_nano=5_000_000_000,
    claim_by=1_728_430_200,
    receipt_signer=bytes.fromhex("90f79bf6eb2c4f870365e785982e1f101e93b906"),
    certificate_run=0,
)
GRID = Grid((0, 3, 11), (1, 0, 2, 1), (2**32 - 1,), (0,), (2**32 - 1,))
TREE = Grid((0, 8), (1, 0), (2**32 - 1, 0, 1), (0, 1000, 1), (2**32 - 1, 50_000, 2**32 - 1))

SCHEDULES = {
    "buy": Schedule(
        TRADER, session.session_id(PARAMS), 0, 0, 0, 3, 960_010, 7, (1500, 0, 2**30 - 1), (210_000, -5, 1)
    ),
    "sell, replacing, for another": Schedule(
        TRADER,
        session.session_id(PARAMS),
        0,
        1,
        0,
        11,
        960_047,
        2**64 - 1,
        (1,),
        (-(2**31),),
        bytes([7] * 32),
        OTHER,
    ),
}
SIGNATURE = bytes([0x11] * 32 + [0x22] * 32 + [28])
POSTING = Posting(
    zone=0,
    first_window=960_000,
    windows=5,
    sequence=1,
    accounts=2,
    commitments=bytes([9] * 32),
    surplus=(80_000, 0, -20_000, 1, -1),
    deficit=(240_000, 0, -10_000, 1, 2**31 - 1),
    parts=(bytes([1] * 32), bytes([2] * 32)),
)
CORRECTION = Correction(
    zone=0,
    first_window=960_000,
    run=1,
    previous=bytes([3] * 32),
    commitments=bytes([4] * 32),
    surplus=POSTING.surplus,
    deficit=POSTING.deficit,
    statements=(0, 7),
    parts=POSTING.parts,
)
DIFFERENCE = Difference(TRADER, (0, 1, 2, 0, 1), (-1, 0, 350, 2**31 - 1, -(2**31)))
IMBALANCES = ((TRADER, (-1200, 0, 350, 2**31 - 1, 1 - 2**31)), (OTHER, (0, 0, 0, 0, 1)))
READING = Reading(bytes([8] * 32), 2, 1800, 960_001, 900, 2)
SALT = bytes([5] * 32)
METER_SECRET = 7
ENTRY = Entry(TRADER, (0, 1, 2, 0, 1), (-1200, 0, 350, 2**30 - 1, -(2**30) + 1))
MESSAGES = {
    "Withdrawal": Withdrawal(TRADER, 12_345_678_901, 3, 1_728_000_000),
    "KeyGrant": KeyGrant(TRADER, b"\x0a" * 20, 7, 5, 4_500, 2_000_000_000, 1_760_000_000, 4, 1_728_000_000),
    "KeyRevocation": KeyRevocation(TRADER, b"\x0a" * 20, 5, 1_728_000_000),
    "Transfer": Transfer(
        TRADER, OTHER, product_id.encode(ProductId(960_010, 1800, 0, 3, round=2)), 250, 4, 1_728_000_000
    ),
    "Receipt": Receipt(session.session_id(PARAMS), bytes([5] * 32), 2**32 - 1),
    "Cancel": Cancel(bytes([6] * 32), session.session_id(PARAMS)),
    "Acceptance": Acceptance(
        OTHER, TRADER, product_id.encode(ProductId(960_010, 1800, 0, 3)), 250, 0, 2**256 - 1
    ),
}
PRODUCTS = [
    ProductId(960_010, 1800, 0, 3, round=2),
    ProductId(2**32 - 1, 3600, 2**32 - 1, 15, kind=2, round=255, side=1),
    ProductId(5_760_000, 300, 7, 8, kind=3),
    ProductId(0, 900, 0, 0, kind=1, side=1),
]


def text(value: Any) -> Any:
    """JSON without numbers that lose precision: bytes as hex, integers beyond 2^53 as decimal strings."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    if isinstance(value, list | tuple):
        return [text(item) for item in value]
    if isinstance(value, dict):
        return {key: text(item) for key, item in value.items()}
    return value


# What is in the files -----------------------------------------------------------------------------------


def product_vectors() -> Any:
    return [
        {
            **vars(product),
            "id": str(product_id.encode(product)),
            "group_key_home": str(product_id.group_key(product, packed_windows.HOME.count)),
            "group_key_wide": str(product_id.group_key(product, packed_windows.WIDE.count)),
        }
        for product in PRODUCTS
    ]


def session_vectors() -> Any:
    return {
        "params": vars(PARAMS),
        "session_id": session.session_id(PARAMS),
        "grids": [{**vars(grid), "hash": session.grid_hash(grid)} for grid in (GRID, TREE)],
    }


def schedule_vectors() -> Any:
    return {
        "chain_id": CHAIN_ID,
        "contract": CONTRACT,
        "separator": SEPARATOR,
        "type_hash": schedule.TYPE_HASH,
        "schedules": [
            {
                "name": name,
                **vars(order),
                "struct_hash": schedule.struct_hash(order),
                "digest": order_hash(SEPARATOR, order),
                "signature": SIGNATURE,
                "record": schedule.encode(SignedSchedule(order, SIGNATURE)),
                "cover_nano": schedule.cover(order, PARAMS.buy_reserve, PARAMS.sell_reserve),
            }
            for name, order in SCHEDULES.items()
        ],
    }


def message_vectors() -> Any:
    return [
        {
            "type": name,
            **vars(message),
            "struct_hash": message.struct_hash(),
            "digest": digest(message.struct_hash()),
        }
        for name, message in MESSAGES.items()
    ]


def digest(struct_hash: bytes) -> bytes:
    return eip712.digest(SEPARATOR, struct_hash)


def posting_vectors() -> Any:
    return {
        "type_hash": posting.TYPE_HASH,
        "posting": vars(POSTING),
        "struct_hash": posting.struct_hash(POSTING),
        "digest": digest(posting.struct_hash(POSTING)),
        "entry": vars(ENTRY),
        "packed_entry": posting.pack_entry(ENTRY),
        "part_hash": posting.part_hash(posting.pack_entry(ENTRY)),
    }


def correction_vectors() -> Any:
    struct_hash = correction.struct_hash(CORRECTION)
    stated = statement.statement_of(IMBALANCES)
    return {
        "type_hash": correction.TYPE_HASH,
        "correction": vars(CORRECTION),
        "struct_hash": struct_hash,
        "digest": digest(struct_hash),
        "link": correction.follow(CORRECTION.previous, struct_hash),
        "price_hash": posting.price_hash(CORRECTION.surplus, CORRECTION.deficit),
        "difference": vars(DIFFERENCE),
        "packed_difference": correction.pack_difference(DIFFERENCE),
        "imbalances": [row for _, row in IMBALANCES],
        "rows": [statement.pack_row(row) for _, row in IMBALANCES],
        "accounts": stated.accounts,
        "leaves": stated.leaves,
        "statement": statement.statement_hash(stated),
    }


def challenge_vectors() -> Any:
    message = reading.encode(READING)
    leaf = reading.commitment(SALT, message, posting.ESTIMATED)
    struct_hash = challenge.struct_hash(CORRECTION.zone, CORRECTION.first_window, 3, leaf, message)
    return {
        "type_hash": challenge.TYPE_HASH,
        "reading": vars(READING),
        "message": message,
        "key": READING.key,
        "salt": SALT,
        "flag": posting.ESTIMATED,
        "commitment": leaf,
        "struct_hash": struct_hash,
        "digest": digest(struct_hash),
        "ids": [challenge.challenge_id(message, run) for run in (0, 1)],
        "signed": vars(made.sign_read(READING, METER_SECRET)),
    }


def merkle_vectors() -> Any:
    leaves = [merkle.leaf_hash(number.to_bytes(32, "big")) for number in range(5)]
    frontier = merkle.Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return {
        "empty_root": merkle.root([]),
        "leaves": leaves,
        "roots": [merkle.root(leaves[:count]) for count in range(6)],
        "frontier": frontier.words,
        "proof_of_2": merkle.proof(leaves, 2),
    }


RUN = communities.traded(
    [
        (0, 1, 0, (3, 3), 0, 700),
        (0, 2, 0, (3, 0), 0, 300),
        (3, 1, 0, (11, 3), 0, 250),
        (3, 4, 2, (11, 11), 1, 90),
        (2, communities.PARTY, 2, (0, 0), 0, 500),
        (communities.PARTY, 4, 0, (8, 0), 1, 111),
        (0, 4, 0, (0, 0), 1, 333),
    ],
    [(400, 100), (-900, 0), (77, -5), (100, 0), (0, -400)],
)
"""Two rounds and windows, substitutions, the balancing party on both sides, a price below zero."""


def run_vectors() -> Any:
    """A day's two passes: what each account is due, and what is carried."""
    day, passed = RUN.day, communities.both_passes(RUN)
    carry, _ = communities.settle(RUN)
    return {
        "windows": day.windows,
        "qualities": day.qualities,
        "rounds": [
            {
                "round": one.round,
                "buy_reserve": one.buy_reserve,
                "sell_reserve": one.sell_reserve,
                "delivery_reserve": one.delivery_reserve,
                "prices": [
                    [day.price((one.round, code, window)) for window in range(day.windows)]
                    for code in day.qualities
                ],
            }
            for one in day.rounds
        ],
        "surplus": day.surplus,
        "deficit": day.deficit,
        "accounts": [
            {
                "account": entry.account,
                "metered": entry.metered,
                "claims": [[*key, wh] for key, wh in claims.items()],
                "obligations": [[*key, wh] for key, wh in obligations.items()],
                "imbalance": first.imbalance,
                "cash": first.cash,
                "earned": [[*key, nano] for key, nano in first.earned.items()],
                "returned": first.returned,
                "short": second.short,
                "refund": second.refund,
                "premiums": second.premiums,
                "released": second.released,
                "certificates": [[*key, wh] for key, wh in second.certificates.items()],
            }
            for (entry, claims, obligations), first, second in zip(
                RUN.accounts, passed.first, passed.second, strict=True
            )
        ],
        "party": [[[*key, wh] for key, wh in held.items()] for held in RUN.party],
        "settled": carried(carry),
        "escrowed": carried(passed.run),
        "certified": carried(passed.after),
    }


def carried(carry: RunCarry) -> Any:
    return {
        "tallies": [str(settlement.pack_tally(tally)) for tally in carry.tallies],
        "pots": [str(pot) for pot in carry.pots],
        "imbalance": carry.imbalance,
        "cash": carry.cash,
        "last_account": carry.last_account,
        "parts": carry.parts,
        "hash": settlement.run_carry_hash(carry),
    }


def clearing_vectors() -> Any:
    """A whole session in two chunks, with what is posted, carried and changed."""
    exchange = world.make_exchange()
    session_id = exchange.open_session(world.OPENING, world.make_params())
    orders = [world.sign(exchange, order) for order in clearing_orders(session_id)]
    posted = world.honest_posting(exchange, session_id, orders)
    energy, marginals = clearing.zone_words(posted.zone)
    world.commit(exchange, world.GATE, session_id, posted.commitment)
    exchange.post_header(world.GATE, session_id, posted.header)
    carry, chunks = None, []
    for part in (posted.orders[:4], posted.orders[4:]):
        records = encode_all(part)
        carry = exchange.clear(world.GATE, session_id, 0, posted.header, posted.zone, carry, records)
        left = clearing.carry_hash(posted.zone, carry)
        cells = [str(word) for word in clearing.cell_words(carry)]
        frontier = {"count": carry.frontier.count, "frontier": carry.frontier.words}
        chunks.append(
            {"records": records, "cells": cells, "last_hash": carry.last_hash, **frontier, "carry": left}
        )
    world.close(exchange, session_id, posted, carry)
    return {
        "chain_id": world.CHAIN_ID,
        "contract": world.CONTRACT,
        "window_length": world.WINDOW_LENGTH,
        "params": vars(world.make_params()),
        "grid": vars(world.GRID),
        "session": session_id,
        "deposit_nano": world.RICH,
        "balancing_party": world.BALANCING_ADDRESS,
        "prosumers": world.PROSUMER_ADDRESSES,
        "count": posted.commitment.count,
        "root": posted.commitment.root,
        "quality_potentials": [str(word) for word in clearing.header_words(posted.header)],
        "header_hash": clearing.header_hash(posted.header),
        "energy_potentials": [str(word) for word in energy],
        "marginals": [str(word) for word in marginals],
        "zone_hash": clearing.zone_hash(posted.zone),
        "substitutions": posted.flows,
        "chunks": chunks,
        "fills": [
            {
                "order": event.order,
                "trader": event.trader,
                "net_nano": event.net_nano,
                "filled_wh": event.filled_wh,
            }
            for event in exchange.events
            if isinstance(event, ScheduleCleared)
        ],
        "free_nano": {"0x" + a.hex(): exchange.cash(world.GATE, a).free for a in exchange.state.members},
    }


def clearing_orders(session_id: bytes) -> list[Schedule]:
    """Ties at the price, a substitution, a window without trade."""
    rows = [
        (0, 0, 0, (1000, 700, 3), (200_000, 150_000, 150_000)),
        (1, 0, 3, (500, 500), (220_000, 210_000)),
        (2, 1, 3, (800, 800), (150_000, 160_000)),
        (3, 1, 11, (900, 1), (150_000, 150_000)),
        (4, 0, 0, (333, 1), (150_000, 6_000_000)),
        (5, 1, 0, (250, 250, 250), (150_000, 150_000, 400_000)),
        (0, 0, 11, (0, 90), (-1, 300_000)),
    ]
    return [
        world.make_schedule(
            session_id,
            world.PROSUMER_ADDRESSES[trader],
            side=side,
            quality=code,
            nonce=nonce,
            quantity_wh=quantities,
            limit_micro_per_kwh=limits,
        )
        for nonce, (trader, side, code, quantities, limits) in enumerate(rows)
    ]


FILES = {
    "clearing.json": clearing_vectors,
    "products.json": product_vectors,
    "sessions.json": session_vectors,
    "schedules.json": schedule_vectors,
    "messages.json": message_vectors,
    "postings.json": posting_vectors,
    "merkle.json": merkle_vectors,
    "corrections.json": correction_vectors,
    "challenges.json": challenge_vectors,
    "runs.json": run_vectors,
}


@pytest.mark.parametrize("name", FILES)
def test_the_reference_says_what_the_vectors_say(name: str) -> None:
    assert json.loads((VECTORS / name).read_text()) == text(FILES[name]())


if __name__ == "__main__":
    for file, make in FILES.items():
        (VECTORS / file).write_text(json.dumps(text(make()), indent=1) + "\n")
