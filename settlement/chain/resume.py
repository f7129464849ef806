"""What a sender's earlier process left: sent again, waited for, forgotten, before anything new is signed."""

from __future__ import annotations

import time
from contextlib import suppress

from settlement.chain.client import Chain
from settlement.chain.errors import ChainError, ContractRevert, NoAnswer, OutOfGas
from settlement.chain.outbox import Kept, Outbox
from settlement.chain.rpc import to_hex
from settlement.chain.sign import Signer

QUIET_S = 60.0
POLL_S = 0.05


def finish(chain: Chain, outbox: Outbox, sender: Signer) -> list[Kept]:
    """Takes what the outbox has to its receipt, lowest nonce first, then waits until no node has a
    transaction of the sender in its pool. What was sent again. ChainError if the chain does not advance.

    What failed is done too: its sender asks the chain what there is to do.
    """
    chain.forget_nonces()
    again = [one for one in outbox.kept() if _finish_one(chain, sender, one)]
    _wait_until_quiet(chain, sender)
    return again


def _finish_one(chain: Chain, sender: Signer, one: Kept) -> bool:
    """Whether it had to be sent again."""
    if _receipt(chain, one) or chain.count(sender.address) > one.nonce:
        chain.outbox_done(one.tx_hash)  # mined, or another of its nonce was
        return False
    if not _taken(chain, one):
        chain.outbox_done(one.tx_hash)  # the next has its nonce: not both are mined
        return False
    with suppress(ContractRevert, OutOfGas):  # mined all the same
        chain.wait(one.tx_hash)
    return True


def _taken(chain: Chain, one: Kept) -> bool:
    """Sends it to every node. False if all refuse it and none has it; NoAnswer if nobody can tell."""
    answers = chain.nodes.ask_each("eth_sendRawTransaction", [to_hex(one.raw)])
    if any("error" not in answer for answer in answers):
        return True
    known = chain.nodes.ask_each("eth_getTransactionByHash", [to_hex(one.tx_hash)])
    if any(answer.get("result") for answer in known):
        return True
    if len(answers) < len(chain.nodes.rpcs):
        raise NoAnswer("eth_sendRawTransaction", "not every node says whether it has a transaction")
    return False


def _receipt(chain: Chain, one: Kept) -> bool:
    return bool(chain.rpc("eth_getTransactionReceipt", to_hex(one.tx_hash)))


def _wait_until_quiet(chain: Chain, sender: Signer) -> None:
    """Of an outbox that was lost, what was sent may still be in a pool."""
    deadline = time.monotonic() + QUIET_S
    while chain.count(sender.address, "pending") > chain.count(sender.address):
        if time.monotonic() > deadline:
            raise ChainError(
                f"transactions of {to_hex(sender.address)} wait in a node's pool for {QUIET_S:.0f} s: "
                "see whether the chain advances"
            )
        time.sleep(POLL_S)
