"""The Exchange and the modules it delegates to must agree on every slot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settlement.chain import compile as compiler
from settlement.chain import deploy

SOURCE = "contracts/Exchange.sol"
OWN_TO_THE_EXCHANGE = ["_nonces"]
"""State that one module uses at most: it may follow the shared slots, never come between them."""
USES_NONCES = "OmissionModule"
"""Session keys are granted by signed messages."""


@pytest.fixture(scope="module")
def layouts() -> dict[str, Any]:
    """solc's storage layouts, by contract; without code, so in seconds."""
    job = {
        "language": "Solidity",
        "sources": {name: {"content": content} for name, content in compiler.read_sources().items()},
        "settings": {
            **compiler.compiler_settings(),
            "outputSelection": {SOURCE: {"*": ["storageLayout"]}},
        },
    }
    output = compiler._run_solc(job, compiler.ROOT)[SOURCE]
    return {name: contract["storageLayout"] for name, contract in output.items()}


def slots(layout: dict[str, Any]) -> list[tuple[str, int, int, str]]:
    """Label, slot, offset and spelled-out type of each variable, in order."""
    return [
        (one["label"], int(one["slot"]), one["offset"], spelled(layout, one["type"]))
        for one in layout["storage"]
    ]


def spelled(layout: dict[str, Any], name: str) -> str:
    """A type with its members, so that a struct that changes is another type."""
    kind = layout["types"][name]
    members = [
        (one["label"], one["slot"], one["offset"], spelled(layout, one["type"]))
        for one in kind.get("members", [])
    ]
    inner = [spelled(layout, kind[key]) for key in ("key", "value", "base") if key in kind]
    return json.dumps([kind["label"], kind["numberOfBytes"], kind["encoding"], inner, members])


@pytest.mark.parametrize("module", deploy.MODULES)
def test_a_module_shares_every_slot_it_knows(layouts: dict[str, Any], module: str) -> None:
    exchange, shared = slots(layouts["Exchange"]), slots(layouts[module])
    assert len(shared) > 20
    assert exchange[: len(shared)] == shared
    own = [label for label, *_ in exchange[len(shared) :]]
    assert own == ([] if module == USES_NONCES else OWN_TO_THE_EXCHANGE)
