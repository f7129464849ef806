"""`trellis claim`: from an order and its receipt to a claim that is paid, where the operator left it out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chain_world import STRANGER, World, make_schedule
from claims_world import BOND, BUYER, POOR, SELLER, Bonded, fund_operator, open_bonded
from key_files import keystore_file

from settlement import cli
from settlement.chain.receipts import cancel_hash, keep
from settlement.reference.orders import order_hash
from settlement.reference.schedule import SELL

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bonded(turned_back: World) -> Bonded:
    fund_operator(turned_back)
    return open_bonded(turned_back)


@pytest.fixture
def run(bonded: Bonded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command for an order and a receipt: its exit code, and what it printed."""

    def call(order: str, receipt: str, *more: str, send: bool = True) -> tuple[int, str, str]:
        node = ["--rpc", bonded.world.anvil.rpc_url, "--address", "0x" + bonded.world.exchange.address.hex()]
        key = ["--key-file", keystore_file(tmp_path, STRANGER)] if send else []
        code = cli.main(["claim", *node, "--order", order, "--receipt", receipt, *key, *more])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def kept_file(folder: Path, bonded: Bonded, order: Any, sequence: int = 3) -> str:
    file = folder / "kept.json"
    file.write_text(json.dumps(keep(order, bonded.receipt_of(order, sequence)).to_json()))
    return str(file)


def test_an_order_left_out_is_claimed_and_paid(bonded: Bonded, run: Run, tmp_path: Path) -> None:
    sold, bought = bonded.order(SELLER, side=SELL), bonded.order(BUYER)
    bonded.prove(bought)
    file = kept_file(tmp_path, bonded, sold)
    code, shown, _ = run(file, file, "--json")
    told = json.loads(shown)
    assert (code, told["claim"], told["session"], told["zone"]) == (0, "omission", bonded.session.epoch, 0)
    assert told["order"] == "0x" + bonded.hash(sold).hex()
    assert (told["trader"], told["bond_nano"]) == ("0x" + SELLER.address.hex(), BOND)
    assert told["position"] == int(bonded.hash(bought) < bonded.hash(sold))
    sent = bonded.world.chain.rpc("eth_getTransactionReceipt", told["transaction"])
    assert (int(sent["status"], 16), int(sent["blockNumber"], 16)) == (1, told["block"])
    before = bonded.world.exchange.cash(SELLER.address).free
    bonded.pass_defence()
    bonded.world.exchange.send(STRANGER, "payClaim", bonded.hash(sold))
    assert bonded.world.exchange.cash(SELLER.address).free == before + BOND


def test_hex_is_enough_and_without_a_key_nothing_is_sent(bonded: Bonded, run: Run) -> None:
    sold = bonded.order(SELLER, side=SELL)
    bonded.prove(bonded.order(BUYER))
    receipt = bonded.receipt_of(sold, 3)
    given = (3).to_bytes(4, "big").hex() + receipt.signature.hex()
    height = bonded.world.chain.block_number()
    code, shown, _ = run("0x" + bonded.record(sold).hex(), given, send=False)
    assert code == 0
    assert "has receipt 3, and it is not in the book" in shown
    assert "nothing was sent: give --key-file to claim 7,000,000,000 nano" in shown
    assert bonded.world.chain.block_number() == height
    code, shown, _ = run(bonded.record(sold).hex(), given)
    assert code == 0
    assert "in block" in shown


def test_a_receipt_of_a_void_session_is_claimed(bonded: Bonded, run: Run, tmp_path: Path) -> None:
    sold = bonded.order(SELLER, side=SELL)
    bonded.pass_deadline()
    file = kept_file(tmp_path, bonded, sold)
    code, shown, _ = run(file, file)
    assert code == 0
    assert "the session is void" in shown
    for send in (True, False):
        code, _, error = run(file, file, send=send)
        assert code == 1
        assert re.search("AlreadyClaimed.*: each order is claimed once; payClaim pays it", error)


def test_an_order_cleared_although_its_cancel_has_a_receipt_is_claimed_and_paid(
    bonded: Bonded, run: Run
) -> None:
    sold, bought = bonded.order(SELLER, side=SELL), bonded.order(BUYER)
    bonded.prove(sold)
    cancel = bonded.cancel(sold)
    receipt = bonded.receipt(cancel_hash(bonded.separator, bonded.session.id, bonded.hash(sold)), 4)
    given = (4).to_bytes(4, "big").hex() + receipt.signature.hex()
    code, shown, _ = run(bonded.record(sold).hex(), given, "--cancel", cancel.hex(), "--json")
    told = json.loads(shown)
    assert (code, told["claim"], told["sequence"], told["position"]) == (0, "cancelled", 4, 0)
    assert paid(bonded, sold) == BOND
    code, _, error = run(bonded.record(bought).hex(), given, "--cancel", cancel.hex())
    assert code == 2
    assert "gave it for this order's cancel" in error


def test_an_order_cleared_although_what_replaces_it_has_a_receipt_is_claimed_and_paid(
    bonded: Bonded, run: Run, tmp_path: Path
) -> None:
    bought = bonded.order(BUYER)
    again = bonded.replacing(bought)
    bonded.prove(bought)
    file = kept_file(tmp_path, bonded, again)
    code, shown, _ = run(bonded.record(bought).hex(), file, "--replacement", file)
    assert code == 0
    assert "was cleared, behind 0 orders with lower hashes, although what replaces it has receipt 3" in shown
    assert paid(bonded, bought) == BOND
    file = kept_file(tmp_path, bonded, bonded.replacing(again))
    code, _, error = run(bonded.record(again).hex(), file, "--replacement", file)
    assert code == 1
    assert "was not cleared: there is nothing to claim" in error


def paid(bonded: Bonded, order: Any) -> int:
    """What the trader is paid for a claim that nobody defends."""
    before = bonded.world.exchange.cash(order.schedule.trader).free
    bonded.pass_defence()
    bonded.world.exchange.send(STRANGER, "payClaim", bonded.hash(order))
    return bonded.world.exchange.cash(order.schedule.trader).free - before


def test_what_the_trader_did_not_sign_is_refused_and_named(bonded: Bonded, run: Run) -> None:
    sold, bought = bonded.order(SELLER, side=SELL), bonded.order(BUYER)
    bonded.prove(sold, bought)
    record, hash_ = bonded.record(sold).hex(), bonded.hash(sold)
    receipt = bonded.receipt(cancel_hash(bonded.separator, bonded.session.id, hash_), 4)
    given = (4).to_bytes(4, "big").hex() + receipt.signature.hex()
    for cancel, signer in (
        (bonded.cancel(sold, STRANGER).hex(), STRANGER.address.hex()),
        ("00" * 65, "nobody"),
    ):
        code, _, error = run(record, given, "--cancel", cancel, send=False)
        assert code == 2
        assert re.search(f"--cancel: must be signed by .*0x{SELLER.address.hex()}, and .*{signer}", error)
    forged = bonded.record(replace(sold, signature=bonded.cancel(sold))).hex()
    code, _, error = run(forged, given, "--cancel", bonded.cancel(sold).hex(), send=False)
    assert code == 2
    assert "--order: must be signed by the order's trader" in error


def test_a_replacement_must_replace_the_order_and_be_its_traders(bonded: Bonded, run: Run) -> None:
    sold, bought = bonded.order(SELLER, side=SELL), bonded.order(BUYER)
    bonded.prove(sold, bought)
    foreign = bonded.world.sign(
        make_schedule(bonded.session, SELLER.address, side=SELL, nonce=9, replaces=bonded.hash(bought))
    )
    forged = replace(bonded.replacing(bought), signature=foreign.signature)
    for other, told in (
        (bonded.order(BUYER, nonce=9), f"--replacement: replaces 0x{'00' * 32}, which is not --order"),
        (foreign, "give two orders of one trader"),
        (forged, "--replacement: must be signed by the order's trader"),
    ):
        receipt = bonded.receipt(order_hash(bonded.separator, other.schedule), 5)
        given = (5).to_bytes(4, "big").hex() + receipt.signature.hex()
        record = bonded.record(bought).hex()
        code, _, error = run(record, given, "--replacement", bonded.record(other).hex(), send=False)
        assert code == 2
        assert told in error


def test_without_a_key_too_it_says_that_claims_are_closed(bonded: Bonded, run: Run, tmp_path: Path) -> None:
    sold = bonded.order(SELLER, side=SELL)
    bonded.prove()
    file = kept_file(tmp_path, bonded, sold)
    assert run(file, file, send=False)[0] == 0
    bonded.world.clock.advance_to(bonded.session.params.claim_by + 1)
    code, shown, error = run(file, file, send=False)
    assert (code, shown) == (1, "")
    assert re.search(r"ClaimsClosed.*: claims had to be made by \d{4}-\d\d-\d\d .* UTC", error)


def test_an_order_that_was_submitted_on_chain_is_not_wrongly_cleared(bonded: Bonded, run: Run) -> None:
    sold = bonded.order(SELLER, side=SELL)
    bonded.world.clock.advance_to(bonded.session.params.gate - 10)
    assert bonded.both("submit", 0, bonded.record(sold, submitted=True)) == ""
    bonded.prove(replace(sold, submitted=True))
    receipt = bonded.receipt(cancel_hash(bonded.separator, bonded.session.id, bonded.hash(sold)), 4)
    given = (4).to_bytes(4, "big").hex() + receipt.signature.hex()
    cancel = bonded.cancel(sold).hex()
    code, _, error = run(bonded.record(sold).hex(), given, "--cancel", cancel, send=False)
    assert code == 1
    assert "Forced" in error
    assert "it was submitted on chain" in error


def test_in_a_void_session_no_cancel_is_broken(bonded: Bonded, run: Run) -> None:
    sold = bonded.order(SELLER, side=SELL)
    receipt = bonded.receipt(cancel_hash(bonded.separator, bonded.session.id, bonded.hash(sold)), 4)
    bonded.pass_deadline()
    given = (4).to_bytes(4, "big").hex() + receipt.signature.hex()
    code, _, error = run(bonded.record(sold).hex(), given, "--cancel", bonded.cancel(sold).hex())
    assert code == 1
    assert "is void" in error


def test_an_order_that_was_cleared_is_nothing_to_claim(bonded: Bonded, run: Run, tmp_path: Path) -> None:
    bought = bonded.order(BUYER)
    bonded.prove(bought)
    file = kept_file(tmp_path, bonded, bought)
    code, _, error = run(file, file)
    assert code == 1
    assert "was not left out: there is nothing to claim" in error


def test_nothing_is_claimed_before_the_session_has_ended(bonded: Bonded, run: Run, tmp_path: Path) -> None:
    file = kept_file(tmp_path, bonded, bonded.order(SELLER, side=SELL))
    code, _, error = run(file, file)
    assert code == 2
    assert "has not ended" in error


def test_a_receipt_for_another_order_is_refused(bonded: Bonded, run: Run, tmp_path: Path) -> None:
    sold, bought = bonded.order(SELLER, side=SELL), bonded.order(BUYER)
    bonded.prove()
    file = kept_file(tmp_path, bonded, bought)
    code, _, error = run(bonded.record(sold).hex(), file)
    assert code == 2
    assert "--receipt: no session of 1 has a bond and a signer that gave it for this order" in error
    code, _, error = run(bonded.record(sold).hex(), file, "--session", "1")
    assert code == 2
    assert "not the session's receipt signer" in error


def test_what_cannot_be_read_is_named(bonded: Bonded, run: Run, tmp_path: Path) -> None:
    record = bonded.record(bonded.world.sign(make_schedule(bonded.session, POOR.address))).hex()
    broken, wrong = tmp_path / "broken.json", tmp_path / "wrong.json"
    zoned = tmp_path / "zoned.json"
    zoned.write_text(json.dumps({"record": record, "zone": "north"}))
    broken.write_text('{"record": }')
    wrong.write_text('{"sequence": -1, "signature": "0x00"}')
    for order, receipt, told in (
        (str(tmp_path / "none"), "00", "--order .*none cannot be read"),
        (str(broken), "00", "broken.json, line 1, column 12"),
        (record, str(wrong), "--receipt, sequence: must be a whole number"),
        (record, "00" * 60, "a signature has 65 bytes, not 56"),
        (record[:-2], "00" * 69, "--order: these .* are no signed order's record .MalformedRecord."),
        ("0x" + "00" * 200, "00" * 69, "--order: these 200 bytes .* give the whole record"),
        (record + "00", "00" * 69, "--order: 1 bytes follow the record"),
        (str(wrong), "00" * 69, "--order, record: must be there, in hex"),
        (str(zoned), "00" * 69, "--order, zone: must be a whole number"),
    ):
        code, _, error = run(order, receipt, send=False)
        assert code == 2
        assert re.search(told, error), error
    for more, told in (
        (("--session", "-1"), "--session -1: sessions are numbered from 1, and the latest is 1"),
        (("--session", "2"), "--session 2: sessions are numbered from 1"),
        (("--cancel", "00"), "--cancel: a signature has 65 bytes, not 1"),
        (("--cancel", "{"), "--cancel { cannot be read"),
        (("--replacement", "00" * 200), "--replacement: these 200 bytes are no signed order's record"),
        (("--from-block", "-1"), "--from-block is a block number"),
        (("--address", "0x12"), "address"),
        (("--rpc", "ftp://nowhere"), "--rpc ftp://nowhere: must be an http.s. URL"),
    ):
        code, _, error = run(record, "00" * 69, *more, send=False)
        assert code == 2, more
        assert re.search(told, error), error
