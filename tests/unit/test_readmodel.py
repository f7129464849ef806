"""What a log says by itself, and rows before anything is written: no database, no chain."""

from __future__ import annotations

import pytest

from api.db.market_models import CashMovement, Fact, Member
from api.readmodel.blocks import Head, ReadBlock, Sent, Watched
from api.readmodel.notices import notices_of
from api.readmodel.project import project
from api.readmodel.rows import MissingRow, Rows
from api.readmodel.source import bloom_mask
from api.readmodel.telling import telling
from settlement.audit.envelope import bloom_of
from settlement.chain.abi import CODEC, Interface, exchange_interface, interface
from settlement.chain.rpc import Log, to_hex

WATCHED = Watched(31337, b"\x01" * 20, b"\x02" * 20, b"\x03" * 20, 1800, 3600)
OWNER, OTHER = b"\x0a" * 20, b"\x0b" * 20
HEAD = Head(7, b"\x07" * 32, b"\x06" * 32, 1_780_000_000)


def topic(abi: Interface, name: str, inputs: int) -> bytes:
    return next(one for one, each in abi.events.items() if (each.name, len(each.inputs)) == (name, inputs))


def log(contract: bytes, topics: tuple[bytes, ...], data: bytes, index: int = 0) -> Log:
    return Log(contract, topics, data, HEAD.number, index, b"\x09" * 32)


def sent(*logs: Log) -> Sent:
    return Sent(b"\x09" * 32, 0, OWNER, WATCHED.exchange, b"", logs)


def word(account: bytes) -> bytes:
    return account.rjust(32, b"\0")


def deposit(index: int, amount: int) -> Log:
    topics = (topic(exchange_interface(), "Deposited", 2), word(OWNER))
    return log(WATCHED.exchange, topics, CODEC.encode(["uint256"], [amount]), index)


def test_an_event_that_nobody_knows_is_kept_and_changes_nothing() -> None:
    unknown = log(WATCHED.exchange, (b"\xee" * 32, word(OTHER)), b"\x01\x02")
    (one,) = telling(WATCHED, sent(unknown)).told
    assert (one.name, one.args, one.event, one.log) == (None, None, None, unknown)
    rows = Rows()
    (told,) = project(rows, WATCHED, ReadBlock(HEAD, (sent(unknown),)))
    assert list(rows.changed()) == []
    assert list(notices_of(HEAD, told)) == []


def test_transfers_of_cash_and_of_energy_are_told_apart_by_their_contract() -> None:
    cash = interface("SettlementToken")
    topics = (topic(cash, "Transfer", 3), word(OWNER), word(OTHER))
    (one,) = telling(WATCHED, sent(log(WATCHED.token, topics, CODEC.encode(["uint256"], [5])))).told
    assert (one.name, one.event) == ("Transfer", None)
    assert one.args == {"from": to_hex(OWNER), "to": to_hex(OTHER), "value": "5"}
    topics = (topic(exchange_interface(), "Transfer", 5), word(OWNER), word(OTHER), (3).to_bytes(32, "big"))
    data = CODEC.encode(["address", "uint256"], [OWNER, 5])
    (other,) = telling(WATCHED, sent(log(WATCHED.exchange, topics, data))).told
    assert other.event is not None
    assert other.args == {
        **{"caller": to_hex(OWNER), "sender": to_hex(OWNER), "receiver": to_hex(OTHER)},
        **{"id": "3", "amount_wh": "5"},
    }
    assert other.subjects == (to_hex(OWNER), to_hex(OTHER))


def test_a_block_s_rows_remember_what_was_before_it() -> None:
    kept = {("facts", ("a",)): {"name": "a", "value": "1", "block_number": 1, "tx_hash": "0x"}}
    rows = Rows(lambda model, keys: {key: kept[("facts", key)] for key in keys if ("facts", key) in kept})
    rows.begin()
    rows.put(Fact, name="a", value="2")
    rows.put(Fact, name="a", value="3")
    rows.put(Fact, name="b", value="4", block_number=2, tx_hash="0x")
    assert rows.before == {(Fact, ("a",)): kept[("facts", ("a",))], (Fact, ("b",)): None}
    rows.begin()
    rows.put(Fact, name="a", value="1")
    assert rows.before[(Fact, ("a",))] == {**kept[("facts", ("a",))], "value": "3"}
    assert [(model, key) for model, key, _, _ in rows.changed()] == [(Fact, ("b",))]


def test_the_same_events_make_the_same_rows() -> None:
    block = ReadBlock(HEAD, (sent(deposit(0, 5), deposit(1, 2**90)),))
    first, second = Rows(), Rows()
    project(first, WATCHED, block)
    project(second, WATCHED, block)
    assert list(first.changed()) == list(second.changed())
    amounts = [
        values["amount_nano"] for model, _, _, values in first.changed() if model is CashMovement and values
    ]
    assert amounts == [5, 2**90]


def test_a_history_with_a_gap_is_refused() -> None:
    with pytest.raises(MissingRow, match="members has no"):
        Rows().get(Member, "0x0a")


def test_a_block_s_filter_tells_which_contracts_it_may_have_events_of() -> None:
    bloom = int.from_bytes(bloom_of([deposit(0, 5)]), "big")
    assert bloom & bloom_mask(WATCHED.exchange) == bloom_mask(WATCHED.exchange)
    assert bloom & bloom_mask(WATCHED.token) != bloom_mask(WATCHED.token)
