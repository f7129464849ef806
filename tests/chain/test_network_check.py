"""`trellis network check` against anvils: what passes, and what is found and named."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from lying_node import Json, lying

from settlement.chain.anvil import Anvil
from settlement.cli import main
from settlement.network.check import Check, check


def failed(rpcs: Sequence[str]) -> dict[str, str]:
    """The reasons of the checks that fail, by name."""
    return {one.name: one.reason for one in check(rpcs) if not one.passed}


def test_all_passes_on_anvil_and_nothing_is_mined_by_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Anvil() as anvil:
        assert main(["network", "check", "--rpc", anvil.rpc_url, "--json"]) == 0
        assert int(anvil.rpc("eth_blockNumber"), 16) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"]
    reasons = {one["name"]: one["reason"] for one in told["checks"]}
    assert reasons["permissioning"].startswith("none")


def test_nodes_with_different_blocks_are_found() -> None:
    with Anvil(timestamp=1_700_000_000) as one, Anvil(timestamp=1_700_000_001) as other:
        found = failed([one.rpc_url, other.rpc_url])
    assert list(found) == ["nodes agree"]
    assert one.rpc_url in found["nodes agree"]


def test_nodes_of_different_chains_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    with Anvil() as one, Anvil(chain_id=5) as other:
        assert main(["network", "check", "--rpc", one.rpc_url, other.rpc_url]) == 1
    assert "FAILED  answers" in capsys.readouterr().out


def test_a_node_that_does_not_answer_is_named() -> None:
    (answers,) = check(["http://127.0.0.1:9"])
    assert answers == Check("answers", False, answers.reason)
    assert "http://127.0.0.1:9" in answers.reason


def test_blocks_that_are_too_small_are_found() -> None:
    with Anvil(gas_limit=10_000_000) as anvil:
        assert "raise it" in failed([anvil.rpc_url])["block gas limit"]


def test_an_evm_before_london_is_found() -> None:
    with Anvil(hardfork="berlin") as anvil:
        assert "EVM version" in failed([anvil.rpc_url])


def test_a_node_far_behind_is_named() -> None:
    def behind(method: str, parameters: Json, honest: Json) -> Json:
        return "0x0" if method == "eth_blockNumber" else honest

    with Anvil() as anvil, lying(anvil.rpc_url, behind) as late:
        anvil.rpc("anvil_mine", "0x64")
        assert failed([anvil.rpc_url, late])["nodes agree"].startswith(late)


def test_a_chain_on_which_anybody_sends_is_found() -> None:
    def unnamed(method: str, parameters: Json, honest: Json) -> Json:
        return "geth/v1" if method == "web3_clientVersion" else honest

    with Anvil() as anvil, lying(anvil.rpc_url, unnamed) as node:
        assert "put senders on a list" in failed([node])["permissioning"]


def test_answers_of_another_form_fail_with_what_they_are() -> None:
    def odd(method: str, parameters: Json, honest: Json) -> Json:
        return {"no": "list"} if method == "eth_getLogs" else honest

    with Anvil() as anvil, lying(anvil.rpc_url, odd) as node:
        assert list(failed([node])) == ["logs"]
