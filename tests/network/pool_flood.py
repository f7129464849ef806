"""A client that pours transactions into a node as fast as it takes them."""

from __future__ import annotations

import secrets
import time

from eth_account import Account
from network_world import Validators

from settlement.chain.sign import Signer
from settlement.network.http import ask, ask_many

SENDERS, AT_ONCE = 10, 250


class Flood:
    """Transfers of nothing by a few keys, signed beforehand."""

    def __init__(self, validators: Validators, count: int, *, admitted: bool = True) -> None:
        self.validators, self.count = validators, count
        self.sent = self.refused = self.mined = 0
        self.seconds = 0.0
        self.signers = [
            validators.admit() if admitted else Signer(secrets.token_bytes(32)) for _ in range(SENDERS)
        ]
        each = range(count // SENDERS)
        self.raws = [self._signed(signer, nonce) for nonce in each for signer in self.signers]

    def _signed(self, signer: Signer, nonce: int) -> str:
        fields = {"to": signer.address, "nonce": nonce, "gas": 21_000, "gasPrice": 1, "value": 0, "data": b""}
        chain_id = self.validators.network.chain_id
        signed = Account.sign_transaction({**fields, "chainId": chain_id}, signer.secret)
        return "0x" + bytes(signed.raw_transaction).hex()

    def pour(self) -> None:
        """All of them, into the node that clearings are sent to."""
        start, rpc = time.monotonic(), self.validators.network.rpcs[0]
        for first in range(0, len(self.raws), AT_ONCE):
            batch = self.raws[first : first + AT_ONCE]
            taken = len(ask_many(rpc, [("eth_sendRawTransaction", [raw]) for raw in batch], 60))
            self.sent += taken
            self.refused += len(batch) - taken
        self.seconds = time.monotonic() - start

    def wait(self, timeout_s: float = 90, still_s: float = 3) -> None:
        """Until no more of them are mined: what a pool has no room for it drops."""
        deadline = time.monotonic() + timeout_s
        moved = time.monotonic()
        while time.monotonic() < moved + still_s:
            assert time.monotonic() < deadline, "the flood does not drain"
            before, self.mined = self.mined, sum(map(self._mined, self.signers))
            moved = time.monotonic() if self.mined != before else moved
            time.sleep(0.5)

    def _mined(self, signer: Signer) -> int:
        asked = ["0x" + signer.address.hex(), "latest"]
        return int(ask(self.validators.network.rpcs[0], "eth_getTransactionCount", asked), 16)
