"""The time of a network whose clock can be moved: forward only, for all of its validators at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

from settlement.chain.client import Chain
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.network.errors import NetworkError
from settlement.network.folder import Network

FILE = "clock"
MARGIN_S = 1
REACHED_TIMEOUT_S = 30.0


class MovableClock:
    """Moves the chain's time on by writing how far it is ahead to the network's folder."""

    def __init__(self, network: Network, chain: Chain, sender: Signer) -> None:
        """InputError unless the network has such a clock. `sender` makes a block with the new time."""
        if not network.movable_clock:
            raise InputError(
                f"the clock of {network.folder} cannot be moved, and a day takes days: make a network for it "
                "with `trellis network up --movable-clock`"
            )
        self._file = network.folder / FILE
        self._chain, self._sender = chain, sender

    def advance_to(self, timestamp: int) -> None:
        """A block at `timestamp`, Unix seconds, or soon after; nothing if the chain is there already."""
        if self._chain.now() >= timestamp:
            return
        ahead = max(read_ahead(self._file), timestamp - int(time.time()) + MARGIN_S)
        partial = self._file.with_suffix(".partial")
        partial.write_text(f"{ahead}\n")
        os.replace(partial, self._file)
        deadline = time.monotonic() + REACHED_TIMEOUT_S
        while self._chain.now() < timestamp:
            if time.monotonic() > deadline:
                raise NetworkError(f"the chain's time does not reach {timestamp}: see the validators' logs")
            self._chain.send(self._sender, self._sender.address, b"", gas=21_000)


def read_ahead(file: Path) -> int:
    """Seconds the chain is ahead of the host."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0
