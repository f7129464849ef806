"""anvil as a service whose state outlives it.

What anvil itself writes on its way is lost, or half a file, if it is killed while it writes. So its state is
asked for every few seconds and put in place as a whole.
"""

from __future__ import annotations

import gzip
import os
import shutil
import time
from pathlib import Path

from api.services.supervise import Service
from settlement.chain.anvil import Anvil
from settlement.chain.client import Chain
from settlement.errors import TrellisError

SAVE_EVERY_S = 5.0


class EmbeddedChain:
    """A chain of one process, for tests and trials, never for value."""

    def __init__(self, state: Path, port: int) -> None:
        self.state = state
        state.parent.mkdir(parents=True, exist_ok=True)
        self._anvil = Anvil(port=port, folder=state.parent, extra=("--quiet",))
        self._saved_block, self._saved_at = -1, 0.0

    @property
    def rpc(self) -> str:
        return self._anvil.rpc_url

    def service(self) -> Service:
        return Service(
            name="chain",
            command=self._command,
            place=f"JSON-RPC at {self.rpc}",
            is_ready=self.answers,
        )

    def _command(self) -> list[str]:
        """With the state as it is at its start, and without the socket of one that was killed."""
        self.clean()
        loaded = ("--load-state", str(self.state)) if self.state.exists() else ()
        return [*self._anvil.command, *loaded]

    def clean(self) -> None:
        """What a process that has ended leaves besides its state."""
        self._anvil.ipc_path.unlink(missing_ok=True)
        shutil.rmtree(self.state.parent / "states", ignore_errors=True)

    def answers(self) -> bool:
        try:
            return int(self._anvil.rpc("eth_chainId"), 16) == self._anvil.chain_id
        except (OSError, ValueError, TrellisError):
            return False

    def save_now_and_then(self) -> None:
        if time.monotonic() >= self._saved_at + SAVE_EVERY_S and self.answers():
            self.save()

    def save(self) -> None:
        """The state, if there are new blocks. What happens meanwhile is saved the next time."""
        block = Chain(self.rpc).block_number()
        self._saved_at = time.monotonic()
        if block == self._saved_block:
            return
        packed = bytes.fromhex(str(self._anvil.rpc("anvil_dumpState", True)).removeprefix("0x"))
        partial = self.state.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(gzip.decompress(packed))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.state)
        self._saved_block = block
