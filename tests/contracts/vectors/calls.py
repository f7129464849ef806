"""Calldata of what a reference Exchange is told, for vectors that forge tests replay."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("unit", "differential", "chain"))]

from day_mirror import DayMirror  # noqa: E402
from random_days import Recorder  # noqa: E402
from tree_chain import TreeChain  # noqa: E402

from settlement.chain import abi  # noqa: E402
from settlement.reference.exchange import Exchange  # noqa: E402


class Calls(DayMirror):
    """Keeps the calldata of each transaction, in order."""

    def __init__(self, model: Exchange) -> None:
        nobody = dict.fromkeys(("operator", "node", "admin"))
        interface = SimpleNamespace(abi=abi.exchange_interface())
        super().__init__(cast(TreeChain, SimpleNamespace(exchange=interface, **nobody)), model)
        self.data: list[bytes] = []

    def __call__(self, name: str, args: tuple[Any, ...]) -> tuple[int, str]:
        self.data.append(getattr(self, name)(*args)[1])
        return args[0], ""


def recorded(exchange: Exchange) -> tuple[Exchange, list[bytes]]:
    """An Exchange that stands for this one, and the calldata of what it is told from now on."""
    calls = Calls(exchange)
    return cast(Exchange, Recorder(exchange, calls)), calls.data
