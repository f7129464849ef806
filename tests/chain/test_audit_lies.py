"""A node that lies about one thing is found out, whatever the thing is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from audit_world import audited, run_day
from chain_world import PROSUMERS, World, running_world
from lying_node import REFUSED, Lie, lying, other_byte, sealed_again

from settlement.audit import envelope
from settlement.chain.abi import exchange_interface
from settlement.chain.rpc import to_hex
from settlement.reference.eip712 import keccak

Json = Any


@pytest.fixture(scope="module")
def day() -> Iterator[World]:
    with running_world() as world:
        run_day(world)
        yield world


@dataclass(frozen=True)
class Place:
    """A transaction to lie about, of the day's certification: the last block."""

    block: str
    index: int = 0

    def lies(self, method: str, params: Json) -> bool:
        return method in ("eth_getBlockByNumber", "eth_getBlockReceipts") and params[0] == self.block


def block_of(world: World, name: str) -> str:
    """Number of the first block with a call of this function."""
    selector = "0x" + exchange_interface().selector(name).hex()
    for number in range(world.deployment.block, world.chain.block_number() + 1):
        block = world.chain.rpc("eth_getBlockByNumber", hex(number), True)
        if any(one["input"].startswith(selector) for one in block["transactions"]):
            return hex(number)
    raise AssertionError(name)


def about_block(block: str, alter: Callable[[Json], None]) -> Lie:
    """Changes what is told of one block's header and transactions."""

    def lie(method: str, params: Json, answer: Json) -> Json:
        if method == "eth_getBlockByNumber" and params[0] == block:
            alter(answer)
        return answer

    return lie


def about_receipts(block: str, alter: Callable[[list[Json]], None]) -> Lie:
    def lie(method: str, params: Json, answer: Json) -> Json:
        if method == "eth_getBlockReceipts" and params[0] == block:
            alter(answer)
        return answer

    return lie


def about_call(view: str, alter: Callable[[str], str], argument: bytes = b"") -> Lie:
    """Changes what the contract answers."""
    selector = "0x" + exchange_interface().selector(view).hex()

    def lie(method: str, params: Json, answer: Json) -> Json:
        if (
            method == "eth_call"
            and params[0]["data"].startswith(selector)
            and argument.hex() in params[0]["data"]
        ):
            return alter(answer)
        return answer

    return lie


# Each lie, and the check that finds it ------------------------------------------------------------------


def a_log_byte(world: World) -> Lie:
    def alter(receipts: list[Json]) -> None:
        log = receipts[0]["logs"][0]
        log["data"] = other_byte(log["data"])

    return about_receipts(block_of(world, "clear"), alter)


def a_log_left_out(world: World) -> Lie:
    return about_receipts(block_of(world, "clear"), lambda receipts: receipts[0]["logs"].pop())


def a_receipts_status(world: World) -> Lie:
    return about_receipts(block_of(world, "closeZone"), lambda receipts: receipts[0].update(status="0x0"))


def a_receipt_left_out(world: World) -> Lie:
    return about_receipts(block_of(world, "deposit"), lambda receipts: receipts.clear())


def a_log_and_its_root(world: World) -> Lie:
    """Of the last block, sealed again so that everything hashes: only the replay can tell."""
    last = hex(world.chain.block_number())
    receipts = world.chain.rpc("eth_getBlockReceipts", last)
    topics = receipts[0]["logs"][-1]["topics"]
    topics[-1] = other_byte(topics[-1])

    def lie(method: str, params: Json, answer: Json) -> Json:
        if method == "eth_getBlockReceipts" and params[0] == last:
            return receipts
        if method == "eth_getBlockByNumber" and params[0] == last:
            return sealed_again(answer, receipts)
        return answer

    return lie


def a_calldata_byte(world: World) -> Lie:
    def alter(block: Json) -> None:
        sent = block["transactions"][0]
        sent["input"] = other_byte(sent["input"], at=200)

    return about_block(block_of(world, "clear"), alter)


def a_calldata_byte_and_its_hashes(world: World) -> Lie:
    """The transaction then recovers to another sender."""

    def alter(block: Json) -> None:
        sent = block["transactions"][0]
        sent["input"] = other_byte(sent["input"])
        sent["hash"] = to_hex(keccak(envelope.encode_transaction(sent)))
        sealed_again(block)

    return about_block(hex(world.chain.block_number()), alter)


def a_calldata_byte_and_its_sender(world: World) -> Lie:
    """Consistent in itself; but who sent it may not."""
    posted = block_of(world, "postMetering")
    receipts = world.chain.rpc("eth_getBlockReceipts", posted)

    def lie(method: str, params: Json, answer: Json) -> Json:
        if method == "eth_getBlockByNumber" and params[0] == posted:
            sent = answer["transactions"][0]
            sent["input"] = other_byte(sent["input"])
            sent["hash"] = receipts[0]["transactionHash"] = to_hex(keccak(envelope.encode_transaction(sent)))
            sent["from"] = to_hex(envelope.sender_of(sent))
            return sealed_again(answer)
        if method == "eth_getBlockReceipts" and params[0] == posted:
            sent = world.chain.rpc("eth_getBlockByNumber", posted, True)["transactions"][0]
            sent["input"] = other_byte(sent["input"])
            answer[0]["transactionHash"] = to_hex(keccak(envelope.encode_transaction(sent)))
        return answer

    return lie


def another_sender(world: World) -> Lie:
    def alter(block: Json) -> None:
        block["transactions"][0]["from"] = to_hex(PROSUMERS[0].address)

    return about_block(block_of(world, "deposit"), alter)


def a_transaction_left_out(world: World) -> Lie:
    block = block_of(world, "deposit")

    def lie(method: str, params: Json, answer: Json) -> Json:
        if method == "eth_getBlockByNumber" and params[0] == block:
            answer["transactions"] = []
        if method == "eth_getBlockReceipts" and params[0] == block:
            return []
        return answer

    return lie


def a_block_left_out(world: World) -> Lie:
    block = block_of(world, "deposit")

    def lie(method: str, params: Json, answer: Json) -> Json:
        return None if method == "eth_getBlockByNumber" and params[0] == block else answer

    return lie


def a_block_twice(world: World) -> Lie:
    block = block_of(world, "deposit")
    before = world.chain.rpc("eth_getBlockByNumber", hex(int(block, 16) - 1), True)
    return lambda method, params, answer: (
        before if method == "eth_getBlockByNumber" and params[0] == block else answer
    )


def a_blocks_time(world: World) -> Lie:
    def alter(block: Json) -> None:
        block["timestamp"] = hex(int(block["timestamp"], 16) + 1)

    return about_block(block_of(world, "commitBooks"), alter)


def a_block_sealed_again(world: World) -> Lie:
    """Consistent in itself; but the next block follows another."""

    def alter(block: Json) -> None:
        block["timestamp"] = hex(int(block["timestamp"], 16) + 1)
        sealed_again(block)

    return about_block(block_of(world, "commitBooks"), alter)


def an_unreadable_block(world: World) -> Lie:
    return about_block(block_of(world, "commitBooks"), lambda block: block.pop("timestamp"))


def a_transaction_of_an_unknown_type(world: World) -> Lie:
    return about_block(block_of(world, "deposit"), lambda block: block["transactions"][0].update(type="0x3"))


def a_transaction_without_a_hash(world: World) -> Lie:
    return about_block(block_of(world, "deposit"), lambda block: block["transactions"][0].pop("hash"))


def cash(world: World) -> Lie:
    return about_call("cashOf", lambda told: other_byte(told, 31), PROSUMERS[0].address)


def lanes(world: World) -> Lie:
    return about_call("lanesOf", other_byte, PROSUMERS[2].address)


def a_run(world: World) -> Lie:
    return about_call("runOf", other_byte)


def tokens_held(world: World) -> Lie:
    def lie(method: str, params: Json, answer: Json) -> Json:
        held = method == "eth_call" and params[0]["data"].startswith("0x70a08231")
        return other_byte(answer) if held else answer

    return lie


def no_answer(world: World) -> Lie:
    return about_call("totalNegative", lambda _: "0x")


def the_code(world: World) -> Lie:
    exchange = to_hex(world.exchange.address)

    def lie(method: str, params: Json, answer: Json) -> Json:
        return other_byte(answer, 500) if method == "eth_getCode" and params[0] == exchange else answer

    return lie


LIES = [
    (a_log_byte, "receipts", "other receipts"),
    (a_log_left_out, "receipts", "other receipts"),
    (a_receipts_status, "receipts", "other receipts"),
    (a_receipt_left_out, "receipts", "not one receipt a transaction"),
    (a_log_and_its_root, "events", "RunCertified.day"),
    (a_calldata_byte, "transactions", "another hash"),
    (a_calldata_byte_and_its_hashes, "transactions", "another sender signed"),
    (a_calldata_byte_and_its_sender, "permissions", "postMetering by somebody who may not"),
    (another_sender, "transactions", "another sender signed"),
    (a_transaction_left_out, "transaction roots", "other transactions"),
    (a_block_left_out, "blocks", "is missing"),
    (a_block_twice, "blocks", "another block than asked for"),
    (a_blocks_time, "block hashes", "another hash"),
    (a_block_sealed_again, "blocks", "does not follow"),
    (an_unreadable_block, "blocks", "not well formed"),
    (a_transaction_of_an_unknown_type, "transactions", "of type 3 are not known"),
    (a_transaction_without_a_hash, "transactions", "not well formed"),
    (cash, "accounts", "cashOf answers otherwise"),
    (lanes, "lanes", "lanesOf answers otherwise"),
    (a_run, "days", "runOf answers otherwise"),
    (tokens_held, "cash", "settlement tokens"),
    (no_answer, "debts", "totalNegative"),
    (the_code, "code", "other code runs as Exchange"),
]


@pytest.mark.parametrize(("make", "check", "what"), LIES, ids=[make.__name__ for make, *_ in LIES])
def test_a_lie_is_found_and_named(day: World, make: Callable[[World], Lie], check: str, what: str) -> None:
    with lying(day.anvil.rpc_url, make(day)) as liar:
        found = audited(day, liar)
    assert found.difference is not None
    assert (found.difference.check, found.difference.node) == (check, liar)
    assert what in found.difference.what
    assert [one.name for one in found.checks.values() if not one.ok] == [check]


# Two nodes ----------------------------------------------------------------------------------------------


def test_honest_nodes_agree(day: World) -> None:
    with lying(day.anvil.rpc_url, lambda method, params, answer: answer) as other:
        found = audited(day, day.anvil.rpc_url, other)
    assert found.difference is None
    assert found.checks["nodes"].kinds["blocks"] == 2 * found.checks["blocks"].count


def another_event(world: World) -> Lie:
    def lie(method: str, params: Json, answer: Json) -> Json:
        return answer[1:] if method == "eth_getLogs" else answer

    return lie


@pytest.mark.parametrize(
    ("make", "check"),
    [(a_blocks_time, "nodes"), (a_block_sealed_again, "nodes"), (another_event, "nodes"), (cash, "accounts")],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_the_node_that_differs_is_named(day: World, make: Callable[[World], Lie], check: str) -> None:
    with lying(day.anvil.rpc_url, make(day)) as liar:
        found = audited(day, day.anvil.rpc_url, liar)
    assert found.difference is not None
    assert (found.difference.check, found.difference.node) == (check, liar)


def test_nodes_of_two_chains_are_bad_usage(day: World) -> None:
    from settlement.errors import InputError

    def lie(method: str, params: Json, answer: Json) -> Json:
        return "0x5" if method == "eth_chainId" else answer

    with lying(day.anvil.rpc_url, lie) as other, pytest.raises(InputError, match="different chains"):
        audited(day, day.anvil.rpc_url, other)


def test_a_node_without_receipts_of_whole_blocks_is_asked_one_by_one(day: World) -> None:
    def lie(method: str, params: Json, answer: Json) -> Json:
        return REFUSED if method == "eth_getBlockReceipts" else answer

    with lying(day.anvil.rpc_url, lie) as node:
        found = audited(day, node)
    assert found.difference is None
    assert found.checks["receipts"].count > 50


def test_a_node_without_old_state_is_asked_for_the_first_event(day: World) -> None:
    def lie(method: str, params: Json, answer: Json) -> Json:
        return (
            REFUSED if method == "eth_getCode" and int(params[1], 16) < day.chain.block_number() else answer
        )

    with lying(day.anvil.rpc_url, lie) as node:
        found = audited(day, node)
    assert found.difference is None
    assert found.checks["orders"].count == 12
