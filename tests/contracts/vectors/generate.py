"""Writes days.json: days of several qualities, cleared and settled by the reference; Days.t.sol replays them.

Run by hand from the checkout, after a change of formats or rules:

    .venv/bin/python tests/contracts/vectors/generate.py

The result depends on nothing but this file, the reference and the matcher. Each step is one transaction's
calldata as the operator or the settler sends it; behind a step may stand what must hold then.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit"), str(Path(__file__).parent)]

import reference_world as world  # noqa: E402
from calls import recorded  # noqa: E402
from settling_world import Settler, prices_of  # noqa: E402

from settlement.chain import abi  # noqa: E402
from settlement.reference import eip712, posting, product_id  # noqa: E402
from settlement.reference.exchange import Exchange  # noqa: E402
from settlement.reference.orders import encode_all  # noqa: E402
from settlement.reference.posting import Entry, Posting  # noqa: E402
from settlement.reference.prices import RoundPrices  # noqa: E402
from settlement.reference.product_id import CERTIFICATE, CLAIM, ENERGY, OBLIGATION, ProductId  # noqa: E402
from settlement.reference.schedule import SignedSchedule  # noqa: E402

CHAIN_ID = 31337
TEST = bytes.fromhex("7fa9385be102ac3eac297483dd6233d62b3e1496")
"""Where Forge puts a test."""
CONTRACT = eip712.keccak(b"\xd6\x94" + TEST + bytes([100]))[12:]
"""Where its Exchange lies: World.sol deploys it with this nonce."""

QUALITIES = world.QUALITIES
SEEDS = (1, 2)
ROUNDS = 2
CHUNK = 5
ACCOUNTS = [world.BALANCING_ADDRESS, *sorted(world.PROSUMER_ADDRESSES)]

Step = dict[str, Any]


def text(data: bytes) -> str:
    return "0x" + data.hex()


def orders_of(exchange: Exchange, session: bytes, dice: random.Random) -> list[SignedSchedule]:
    """Three schedules of each prosumer, at few prices so that many meet exactly."""
    found = []
    for key in world.PROSUMERS:
        for nonce in range(3):
            order = world.make_schedule(
                session,
                world.address_of(key),
                side=dice.randrange(2),
                quality=dice.choice(QUALITIES),
                nonce=nonce,
                quantity_wh=tuple(dice.randrange(0, 6000) for _ in range(world.WINDOWS)),
                limit_micro_per_kwh=tuple(dice.randrange(-1, 5) * 50_000 for _ in range(world.WINDOWS)),
            )
            found.append(world.sign(exchange, order))
    return found


def clear_round(
    exchange: Exchange, round_number: int, dice: random.Random
) -> tuple[Step, list[Step], RoundPrices]:
    """Opens, clears and proves one round: its times, the operator's transactions from the gate on, and what
    it was traded at.
    """
    shift = round_number * 10_800
    params = replace(
        world.make_params(round=round_number),
        gate=world.GATE + shift,
        commit_by=world.COMMIT_BY + shift,
        prove_by=world.PROVE_BY + shift,
        claim_by=world.CLAIM_BY + shift,
    )
    now = params.gate
    session = exchange.open_session(now - 1, params)
    epoch = exchange.session(session).epoch
    posted = world.honest_posting(exchange, session, orders_of(exchange, session, dice))
    posted_words = abi.posted_tuple(posted.header, posted.zone)

    world.commit(exchange, now, session, posted.commitment)
    calls = [abi.commit_books(epoch, [posted.commitment]), abi.post_header(epoch, posted.header)]
    exchange.post_header(now, session, posted.header)
    carry = None
    for start in range(0, len(posted.orders), CHUNK):
        records = encode_all(posted.orders[start : start + CHUNK])
        calls.append(abi.clear(epoch, 0, posted_words, abi.carry_tuple(carry), records))
        carry = exchange.clear(now, session, 0, posted.header, posted.zone, carry, records)
    calls.append(abi.close_zone(epoch, 0, posted_words, abi.carry_tuple(carry), (), posted.flows))
    exchange.close_zone(now, session, 0, posted.header, posted.zone, carry, (), posted.flows)
    steps: list[Step] = [{"at": now, "sender": "operator", "data": text(call)} for call in calls]
    steps[-1]["expect"] = expectation(exchange, now, (ENERGY, CLAIM), (ENERGY, OBLIGATION))
    times = ("gate", "commit_by", "prove_by", "claim_by")
    return {name: getattr(params, name) for name in times}, steps, prices_of(posted)


def settle_day(exchange: Exchange, dice: random.Random, rounds: tuple[RoundPrices, ...]) -> list[Step]:
    """Posts, settles in parts and certifies."""
    now, windows = world.DAY_END, world.WINDOWS
    entries = [
        Entry(
            address,
            tuple(dice.randrange(3) for _ in range(windows)),
            tuple(dice.randrange(-9000, 9000) for _ in range(windows)),
        )
        for address in ACCOUNTS[1:]
    ]
    packed = [posting.pack_part(entries[at : at + 4]) for at in range(0, len(entries), 4)]
    hashes = tuple(posting.part_hash(part) for part in packed)
    prices = ((80_000, -20_000, 0, 50_000), (240_000, -10_000, 0, 900_000))
    message = Posting(0, world.DAY, windows, 1, len(entries), bytes(32), *prices, hashes)
    digest = eip712.digest(exchange.separator, posting.struct_hash(message))
    nodes = sorted(world.ORACLES, key=world.address_of)[:2]
    signatures = [world.sign_digest(key, digest) for key in nodes]
    told, calls = recorded(exchange)
    told.post_metering(now, message, signatures)
    settler = Settler(told, now, world.DAY, {0: rounds})
    for part in packed:
        settler.settle(0, part)
    settled = expectation(exchange, now, (CERTIFICATE, CLAIM), empty=True)
    settler.certify_all()
    steps: list[Step] = [{"at": now, "sender": "settler", "data": text(call)} for call in calls]
    steps[len(packed)]["expect"] = settled
    steps[-1]["expect"] = expectation(exchange, now, (CERTIFICATE, CLAIM))
    return steps


def expectation(exchange: Exchange, now: int, *families: tuple[int, int], empty: bool = False) -> Step:
    """Free cash of all, and their balances of products of (kind, side): ids, then one row an account."""
    ids = [
        product_id.encode(ProductId(world.DAY + window, world.WINDOW_LENGTH, 0, code, kind, number, side))
        for kind, side in families
        for number in range(ROUNDS)
        for code in QUALITIES
        for window in range(world.WINDOWS)
    ]
    rows = [[0 if empty else exchange.balance(now, account, one) for one in ids] for account in ACCOUNTS]
    return {
        "free": [str(exchange.cash(now, account).free) for account in ACCOUNTS],
        "ids": [str(one) for one in ids],
        "balances": [wh for row in rows for wh in row],
        "totalNegative": str(exchange.state.total_negative),
    }


def day(seed: int) -> Step:
    world.CHAIN_ID, world.CONTRACT = CHAIN_ID, CONTRACT
    dice, exchange = random.Random(seed), world.make_exchange(deposit=10**12)
    sessions, steps, rounds = [], [], []
    for number in range(ROUNDS):
        session, more, prices = clear_round(exchange, number, dice)
        rounds.append(prices)
        sessions.append(session)
        steps += more
    return {"sessions": sessions, "steps": steps + settle_day(exchange, dice, tuple(rounds))}


def main() -> None:
    result = {
        "contract": text(CONTRACT),
        "opening": world.OPENING,
        "day": world.DAY,
        "windows": world.WINDOWS,
        "qualities": list(QUALITIES),
        "substitutions": [code for pair in world.GRID.pairs() for code in pair],
        "deposit": 10**12,
        "accounts": [text(account) for account in ACCOUNTS],
        "oracles": [text(world.address_of(key)) for key in world.ORACLES],
        "days": [day(seed) for seed in SEEDS],
    }
    path = Path(__file__).with_name("days.json")
    path.write_text(json.dumps(result, indent=0) + "\n")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
