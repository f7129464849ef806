"""`trellis claim`: from an order and its receipt to a claim that is paid, where the operator left it out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_world import STRANGER, World, make_schedule
from claims_world import BOND, BUYER, POOR, SELLER, Bonded, fund_operator, open_bonded

from settlement import cli
from settlement.chain.receipts import keep
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
        (tmp_path / "key").write_text("0x" + STRANGER.secret.hex() + "\n")
        key = ["--key-file", str(tmp_path / "key")] if send else []
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
    code, _, error = run(file, file)
    assert code == 2
    assert "AlreadyClaimed" in error


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
    broken.write_text('{"record": }')
    wrong.write_text('{"sequence": -1, "signature": "0x00"}')
    for order, receipt, told in (
        (str(tmp_path / "none"), "00", "--order .*none cannot be read"),
        (str(broken), "00", "broken.json, line 1, column 12"),
        (record, str(wrong), "--receipt, sequence: must be a whole number"),
        (record, "00" * 60, "a signature has 65 bytes, not 56"),
        (record[:-2], "00" * 69, "--order: "),
        (record + "00", "00" * 69, "--order: 1 bytes follow the record"),
        (str(wrong), "00" * 69, "--order, record: must be there, in hex"),
    ):
        code, _, error = run(order, receipt, send=False)
        assert code == 2
        assert re.search(told, error), error
