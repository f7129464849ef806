"""An operator's process that ends itself by SIGKILL at a moment of one of its steps.

before   nothing of the transaction is on disk
kept     it is in the outbox, and was not sent
sent     a node has it in its pool, and it is not mined: mining is halted by the process itself
mined    its receipt was seen, and it is still in the outbox
sealing  the intake is not sealed; sealed: it is, and nobody knows
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

MOMENTS = ("before", "kept", "sent", "mined")
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["api.services.operator_shell", "settlement.cli"])


@dataclass(frozen=True)
class Kill:
    """Where: the transaction, from 0, or the sealing, and the moment."""

    moment: str
    transaction: int = 0


def start(argv: Sequence[str], rpc: str, kill: Kill | None = None) -> BaseProcess:
    """`trellis` with these arguments, in a process of its own. Its clock is the chain's."""
    process = FORKS.Process(target=operate, args=(list(argv), rpc, kill))
    process.start()
    return process


def operate(argv: list[str], rpc: str, kill: Kill | None) -> None:
    from settlement.chain.client import Chain
    from settlement.cli import build_parser

    chain = Chain(rpc)
    if kill is not None:
        _arm(kill, chain)
    arguments = build_parser().parse_args(argv)
    from api.services import operator_shell

    def now() -> float:
        return int(chain.rpc("eth_getBlockByNumber", "pending", False)["timestamp"], 16)

    raise SystemExit(operator_shell.run(arguments, now))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class _Killer:
    """Stands in for what an operator's process does at its edges, and ends it there."""

    kill: Kill
    control: Any
    """A client of its own: it is not counted."""
    sent: int = -1

    def at(self, moment: str) -> bool:
        return self.kill.moment == moment and self.sent == self.kill.transaction

    def die_at(self, moment: str) -> None:
        if self.at(moment):
            _die()

    def in_the_outbox(self, keep: Any) -> Any:
        def kept(outbox: Any, nonce: int, raw: bytes) -> None:
            self.sent += 1
            self.die_at("before")
            keep(outbox, nonce, raw)
            self.die_at("kept")

        return kept

    def out_of_the_outbox(self, done: Any) -> Any:
        def finished(outbox: Any, tx_hash: bytes) -> None:
            self.die_at("mined")
            done(outbox, tx_hash)

        return finished

    def at_the_node(self, ask: Any) -> Any:
        def asked(nodes: Any, method: str, parameters: Any) -> Any:
            if method == "eth_sendRawTransaction" and self.at("sent"):
                self.control.rpc("evm_setAutomine", False)
                ask(nodes, method, parameters)
                _die()
            return ask(nodes, method, parameters)

        return asked

    def in_the_database(self, seal: Any) -> Any:
        def sealed(stored: Any, *given: Any) -> Any:
            if self.kill.moment == "sealing":
                _die()
            found = seal(stored, *given)
            if self.kill.moment == "sealed":
                _die()
            return found

        return sealed


def _arm(kill: Kill, control: Any) -> None:
    from api.services.sealing import StoredOrders
    from settlement.chain.nodes import Nodes
    from settlement.chain.outbox import Outbox

    killer = _Killer(kill, control)
    setattr(Outbox, "keep", killer.in_the_outbox(Outbox.keep))  # noqa: B010
    setattr(Outbox, "done", killer.out_of_the_outbox(Outbox.done))  # noqa: B010
    setattr(Nodes, "ask", killer.at_the_node(Nodes.ask))  # noqa: B010
    setattr(StoredOrders, "seal", killer.in_the_database(StoredOrders.seal))  # noqa: B010
