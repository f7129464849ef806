"""A small day that ended well, and its audit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chain_world import PROSUMERS, World, settle_entries
from test_day import small_book

from settlement.audit.audit import audit
from settlement.audit.findings import Findings
from settlement.audit.node import Node
from settlement.cli import main


def run_day(world: World) -> None:
    """A session cleared and proved, its day settled and certified."""
    session = world.open_session()
    world.clear(session, small_book(world, session), chunk=5)
    finish_day(world)


def finish_day(world: World) -> None:
    metered = ((2900, 2500, -10, 800), (500, 0, 900, -5), (-2600, -2400, -2000, -2100), (-700, 9000, 1, 0))
    entries = settle_entries(dict(zip((one.address for one in PROSUMERS), metered, strict=True)))
    world.settle(world.sign_posting(entries, per_part=3))


def audited(world: World, *urls: str) -> Findings:
    """What an audit finds, through the chain's own node unless others are named."""
    return audit([Node(url) for url in urls or [world.anvil.rpc_url]], world.exchange.address)


def counts(findings: Findings) -> dict[str, int]:
    return {name: check.count for name, check in findings.checks.items()}


def trellis_audit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, JSON and standard error of `trellis audit --json`."""
    code = main(["audit", "--json", *arguments])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out else None, told.err
