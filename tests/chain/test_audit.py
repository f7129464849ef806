"""`trellis audit` of a day in which everything was right, and of nothing to audit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from audit_world import audited, counts, run_day, trellis_audit
from chain_world import World, running_world

from settlement.audit.audit import find
from settlement.audit.node import Node
from settlement.chain.deploy import MODULES
from settlement.cli import main


@pytest.fixture(scope="module")
def day() -> Iterator[World]:
    with running_world() as world:
        run_day(world)
        yield world


def address(world: World) -> str:
    return "0x" + world.exchange.address.hex()


def test_a_day_that_went_well_is_found_well(day: World) -> None:
    found = audited(day)
    assert found.difference is None
    expected = {
        "orders": 12,
        "ineligible": 2,
        "fills": 34,
        "books": 1,
        "proofs": 1,
        "prices": 16,
        "postings": 1,
        "entries": 4,
        "imbalances": 16,
        "energy": 4,
        "runs": 1,
        "delivery": 4,
        "debts": 1,
        "code": 1 + len(MODULES),
        "sessions": 1,
        "days": 1,
    }
    assert {name: counts(found)[name] for name in expected} == expected


def test_every_block_transaction_and_receipt_is_hashed_again(day: World) -> None:
    told, head = counts(audited(day)), day.chain.block_number()
    first = find([Node(day.anvil.rpc_url)], day.exchange.address, None).first
    blocks = head - first + 1
    assert told["blocks"] == told["block hashes"] == told["transaction roots"] == blocks
    assert told["transactions"] == told["receipts"] > 50


def test_the_command_says_so(day: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, told, _ = trellis_audit(capsys, "--rpc", day.anvil.rpc_url, "--address", address(day))
    assert (code, told["ok"], told["difference"]) == (0, True, None)
    assert {"name", "count", "ok"} <= told["checks"][0].keys()
    assert main(["audit", "--rpc", day.anvil.rpc_url, "--address", address(day)]) == 0
    shown = capsys.readouterr().out
    assert "everything holds" in shown
    assert "signatures" in shown


def test_the_deployments_own_block_may_be_named(day: World, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--rpc", day.anvil.rpc_url, "--address", address(day))
    assert trellis_audit(capsys, *arguments, "--from-block", "1")[0] == 0
    code, _, error = trellis_audit(capsys, *arguments, "--from-block", str(day.deployment.block + 1))
    assert code == 2
    assert "older than block" in error


@pytest.mark.parametrize(
    ("rpc", "at", "error"),
    [
        ("http://127.0.0.1:1", None, "no node answers"),
        (None, "0x" + "11" * 20, "no contract at"),
        (None, "token", "no Exchange"),
        (None, "0x1234", "no address"),
    ],
)
def test_nothing_to_audit_is_bad_usage(
    day: World, capsys: pytest.CaptureFixture[str], rpc: str | None, at: str | None, error: str
) -> None:
    named = {None: address(day), "token": "0x" + day.token.address.hex()}
    code, told, shown = trellis_audit(
        capsys, "--rpc", rpc or day.anvil.rpc_url, "--address", named.get(at) or str(at)
    )
    assert (code, told) == (2, None)
    assert error in shown
    assert len(shown.splitlines()) == 1
