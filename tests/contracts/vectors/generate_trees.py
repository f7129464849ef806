"""Writes trees.json: days of trees of zones, cleared, proved and settled by the reference; Trees.t.sol
replays them.

Run by hand from the checkout, after a change of formats or rules:

    .venv/bin/python tests/contracts/vectors/generate_trees.py [SEED ...]

The result depends on nothing but this file, the reference and the matcher. Orders are plain and flexible,
some donate what they earn; lines are congested; children are joined in several transactions. Each step is one
transaction's calldata as the operator or the settler sends it; at the end stands what everyone then has.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit"), str(Path(__file__).parent)]

import reference_world as world  # noqa: E402
import tree_world  # noqa: E402
from calls import recorded  # noqa: E402
from settling_world import Settler, round_prices  # noqa: E402
from tree_world import TreeSession  # noqa: E402

from settlement.chain import abi  # noqa: E402
from settlement.reference import eip712, posting, product_id  # noqa: E402
from settlement.reference.accounts import OPERATOR  # noqa: E402
from settlement.reference.clearing import Header  # noqa: E402
from settlement.reference.closing import ClosedZone  # noqa: E402
from settlement.reference.exchange import Exchange  # noqa: E402
from settlement.reference.orders import encode_all  # noqa: E402
from settlement.reference.posting import Entry, Posting  # noqa: E402
from settlement.reference.product_id import CERTIFICATE, CLAIM, ENERGY, OBLIGATION, ProductId  # noqa: E402

CHAIN_ID = 31337
CONTRACT = bytes.fromhex("f7e917857c88ddcfd6d2486c81d56cfc6003133d")
"""Where World.sol puts the Exchange."""

SEEDS = (7, 11, 23)
CHUNK, BATCH, PART = 4, 2, 3

Step = dict[str, Any]


def text(data: bytes) -> str:
    return "0x" + data.hex()


def step(at: int, sender: str, data: bytes) -> Step:
    return {"at": at, "sender": sender, "data": text(data)}


class Recorder:
    """Brings a tree session to its reference and notes the calldata."""

    def __init__(self, tree: TreeSession) -> None:
        self.tree = tree
        self.epoch = tree.session.epoch
        self.calls: list[bytes] = []

    def bring(self) -> None:
        tree, books = self.tree, self.tree.prepared.sealed.commitments
        for at in range(0, len(books), BATCH):
            self.calls.append(abi.commit_books(self.epoch, books[at : at + BATCH]))
        tree.commit(BATCH)
        self.calls.append(abi.post_header(self.epoch, tree.prepared.header))
        tree.post_header()
        closed: dict[int, ClosedZone] = {}
        for zone in reversed(range(tree.session.grid.zones)):
            self._bring_zone(zone, closed)

    def _bring_zone(self, zone: int, closed: dict[int, ClosedZone]) -> None:
        tree = self.tree
        own, header = tree.prepared.zones[zone], tree.prepared.header
        words, carry = abi.posted_tuple(header, own.posting), None
        for at in range(0, len(own.orders), CHUNK):
            records = encode_all(own.orders[at : at + CHUNK])
            self.calls.append(abi.clear(self.epoch, zone, words, abi.carry_tuple(carry), records))
            carry = tree.exchange.clear(world.GATE, tree.id, zone, header, own.posting, carry, records)
        below = [closed[child] for child in tree.session.grid.children(zone)]
        first, rest = below[:BATCH], [below[at : at + BATCH] for at in range(BATCH, len(below), BATCH)]
        flows = tree.flows_at(zone, not rest)
        self.calls.append(abi.close_zone(self.epoch, zone, words, abi.carry_tuple(carry), first, flows))
        mine = tree.close_zone(zone, carry, first, last=not rest)
        for number, batch in enumerate(rest, start=1):
            last = number == len(rest)
            brought = header if zone == 0 and last else Header(())
            args = (mine, batch, brought, tree.flows_at(zone, last))
            self.calls.append(abi.join_children(self.epoch, zone, *args))
            mine = tree.join(zone, mine, batch, last)
        closed[zone] = mine


def settle(tree: TreeSession, dice: random.Random) -> list[bytes]:
    """Posts every zone, settles and certifies them in order."""
    exchange, zones = tree.exchange, tree.session.grid.zones
    now, (told, calls), parts = world.DAY_END, recorded(exchange), {}
    for zone in range(zones):
        packed, message = _metered(exchange, zone, dice)
        digest = eip712.digest(exchange.separator, posting.struct_hash(message))
        nodes = sorted(world.ORACLES, key=world.address_of)[:2]
        signatures = [world.sign_digest(key, digest) for key in nodes]
        told.post_metering(now, message, signatures)
        parts[zone] = packed
    header, own = tree.prepared.header, tree.prepared.zones
    prices = {zone: (round_prices(header, own[zone].posting),) for zone in range(zones)}
    settler = Settler(told, now, world.DAY, prices)
    for zone, packed in parts.items():
        for part in packed:
            settler.settle(zone, part)
    settler.certify_all()
    return calls


def _metered(exchange: Exchange, zone: int, dice: random.Random) -> tuple[list[bytes], Posting]:
    windows = world.WINDOWS
    homes = sorted(tree_world.home(zone, number) for number in range(tree_world.HOMES))
    entries = [
        Entry(
            home,
            tuple(dice.randrange(3) for _ in range(windows)),
            tuple(dice.randrange(-9000, 9000) for _ in range(windows)),
        )
        for home in homes
    ]
    packed = [posting.pack_part(entries[at : at + PART]) for at in range(0, len(entries), PART)]
    hashes = tuple(posting.part_hash(part) for part in packed)
    prices = ((80_000, -20_000, 0, 50_000), (240_000, -10_000, 0, 900_000))
    return packed, Posting(zone, world.DAY, windows, 1, len(entries), bytes(32), *prices, hashes)


def expectation(exchange: Exchange, now: int, members: list[bytes], *families: tuple[int, int]) -> Step:
    """Free cash of all, and what of the (kind, side) they have: owner, id and Wh."""
    codes = tree_world.QUALITY_SETS[3][0]
    held = []
    for number, account in enumerate(members):
        zone = exchange.state.members[account].zone
        for kind, side in families:
            for code in codes:
                for window in range(world.WINDOWS):
                    one = ProductId(world.DAY + window, world.WINDOW_LENGTH, zone, code, kind, 0, side)
                    wh = exchange.balance(now, account, product_id.encode(one))
                    if wh:
                        held.append((number, product_id.encode(one), wh))
    return {
        "free": [str(exchange.cash(now, account).free) for account in members],
        "owners": [owner for owner, _, _ in held],
        "ids": [str(one) for _, one, _ in held],
        "balances": [wh for _, _, wh in held],
        "totalNegative": str(exchange.state.total_negative),
    }


def day(seed: int, zones: int | None = None, count: int | None = None) -> Step:
    world.CHAIN_ID, world.CONTRACT = CHAIN_ID, CONTRACT
    tree = tree_world.draw(seed, zones, count)
    exchange, grid, params = tree.exchange, tree.session.grid, tree.session.params
    members = tree_world.members(grid.zones)
    names = list(members)
    recorder = Recorder(tree)
    recorder.bring()
    proved = expectation(exchange, world.GATE, names, (ENERGY, CLAIM), (ENERGY, OBLIGATION))
    calls = settle(tree, random.Random(seed))
    settled = expectation(exchange, world.DAY_END, names, (CERTIFICATE, CLAIM))
    steps = [step(world.GATE, "operator", call) for call in recorder.calls]
    steps[-1]["expect"] = proved
    steps += [step(world.DAY_END, "settler", call) for call in calls]
    steps[-1]["expect"] = settled
    return {
        "seed": seed,
        "qualities": list(grid.qualities),
        "substitutions": list(grid.substitutions),
        "parents": list(grid.parents),
        "charges": list(grid.charges),
        "capacities": list(grid.capacities),
        "sessionWindows": params.windows,
        "members": [text(name) for name in names],
        "terms": [
            value
            for one in members.values()
            for value in (one.zone, one.role, one.max_quality, one.capacity_wh, int(one.wide))
        ],
        "deposits": [str(0 if one.role == OPERATOR else world.RICH) for one in members.values()],
        "steps": steps,
    }


def main() -> None:
    seeds = [int(one) for one in sys.argv[1:]] or SEEDS
    result = {
        "opening": world.OPENING,
        "day": world.DAY,
        "windows": world.WINDOWS,
        "gate": world.GATE,
        "commitBy": world.COMMIT_BY,
        "proveBy": world.PROVE_BY,
        "claimBy": world.CLAIM_BY,
        "oracles": [text(world.address_of(key)) for key in world.ORACLES],
        "days": [day(seed) for seed in seeds],
    }
    path = Path(__file__).with_name("trees.json")
    path.write_text(json.dumps(result, indent=0) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
