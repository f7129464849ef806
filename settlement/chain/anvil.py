"""An embedded chain: anvil, started on a port of its own and stopped with its context.

The contracts are compiled for london and the chain runs london, so gas is counted by that fork's rules. It
knows no cap on a transaction's gas (EIP-7825 came with osaka, and anvil enforces it only there): whoever
sends must stay below `TX_GAS_CAP`, and tests can run `Anvil(hardfork="osaka")` to have it enforced.

anvil mines on a thread of its own: a read right after a send may be stale, so wait for the receipt
(`poll_latency=0.002`). Under a pipelined load mine explicitly (`no_mining=True`, then `evm_mine`).
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from settlement.errors import InputError, MissingPrerequisite, TrellisError

ROOT = Path(__file__).resolve().parents[2]

HOST = "127.0.0.1"
CHAIN_ID = 31337
BLOCK_GAS_LIMIT = 120_000_000
TX_GAS_CAP = 16_777_216  # EIP-7825: what real networks accept in one transaction
MNEMONIC = "test test test test test test test test test test test junk"  # public: never for value
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0

_LISTENING = re.compile(r"Listening on [\d.]+:(\d+)")


def find_anvil(root: Path = ROOT) -> Path:
    """The binary of npm's platform package, else the one on PATH."""
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    packaged = root / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / "anvil"
    if packaged.is_file():
        return packaged
    if on_path := shutil.which("anvil"):
        return Path(on_path)
    raise MissingPrerequisite(
        f"anvil is not installed: run `make setup`, or put an anvil for {system}-{machine} on PATH"
    )


@cache
def development_keys(count: int) -> tuple[str, ...]:
    """Private keys (hex) of the funded accounts, the same on every start."""
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    paths = (f"m/44'/60'/0'/0/{index}" for index in range(count))
    return tuple("0x" + bytes(Account.from_mnemonic(MNEMONIC, account_path=path).key).hex() for path in paths)


class Anvil:
    """A running anvil, as a context manager; it answers RPC once entered and is gone once left."""

    def __init__(
        self,
        *,
        port: int = 0,
        chain_id: int = CHAIN_ID,
        timestamp: int | None = None,
        accounts: int = 10,
        balance_ether: int = 1_000_000,
        hardfork: str = "london",
        gas_limit: int = BLOCK_GAS_LIMIT,
        no_mining: bool = False,
        state: Path | None = None,
        log: Path | None = None,
        folder: Path | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        """Port 0 is any free one; `state` is a file read at the start and written at the stop; `folder` is
        for its socket and log, a temporary one if none is named.
        """
        self.port = port
        self.chain_id = chain_id
        self.accounts = accounts
        self._folder = folder or Path(tempfile.mkdtemp(prefix="trellis-anvil-"))
        self.ipc_path = self._folder / "anvil.ipc"
        self._states = self._folder / "states"
        self.log = log or self._folder / "anvil.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._options = [
            *("--host", HOST, "--ipc", str(self.ipc_path)),
            *("--cache-path", str(self._states)),
            *("--chain-id", str(chain_id), "--hardfork", hardfork, "--enable-tx-gas-limit"),
            *("--base-fee", "0", "--gas-price", "0", "--disable-min-priority-fee"),
            *("--gas-limit", str(gas_limit), "--order", "fifo"),
            *("--mnemonic", MNEMONIC, "--accounts", str(accounts), "--balance", str(balance_ether)),
            *(() if timestamp is None else ("--timestamp", str(timestamp))),
            *(("--no-mining",) if no_mining else ()),
            *(() if state is None else ("--state", str(state))),
            *extra,
        ]

    @property
    def command(self) -> list[str]:
        """What starts it; somebody else may."""
        return [str(find_anvil()), "--port", str(self.port), *self._options]

    @property
    def rpc_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def private_keys(self) -> tuple[str, ...]:
        return development_keys(self.accounts)

    def start(self) -> Self:
        if self.port and port_taken(self.port):
            raise InputError(f"port {self.port} is taken: stop what listens there, or choose another port")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            # A session of its own: Ctrl-C reaches us, and we stop it in order.
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """SIGTERM, so that state is written; SIGKILL only if that does not help."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.ipc_path.unlink(missing_ok=True)
        # Old states that did not fit memory, gigabytes of a long chain: anvil itself leaves them behind.
        shutil.rmtree(self._states, ignore_errors=True)

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call, for the node's own verbs (`evm_mine`, `evm_setNextBlockTimestamp`, ...)."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.rpc_url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        if "error" in answer:
            raise TrellisError(f"{method} failed: {answer['error']['message']}")
        return answer["result"]

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise TrellisError(f"anvil did not start: {_last_line(self.log)} (its log is {self.log})")
            if listening := _LISTENING.search(self.log.read_text(errors="replace")):
                self.port = int(listening[1])
                if int(self.rpc("eth_chainId"), 16) != self.chain_id:
                    raise TrellisError(f"port {self.port} answers for another chain: choose another port")
                return
            time.sleep(0.005)
        raise TrellisError(f"anvil does not answer after {START_TIMEOUT_S:.0f} s (its log is {self.log})")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self.log.parent == self._folder and kind is None:
            shutil.rmtree(self._folder, ignore_errors=True)


def port_taken(port: int) -> bool:
    """Whether something listens on this machine's port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
