"""How avalanchego is started and asked: its options, and when it is ready."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from settlement.network import identity
from settlement.network.engine import Engine
from settlement.network.errors import NetworkError, NotStarted
from settlement.network.folder import Network, Validator
from settlement.network.http import ask
from settlement.network.processes import Running, ended, last_words

READY_TIMEOUT_S = 120.0
POLL_S = 0.1
ENVIRONMENT = {"GOGC": "250"}
"""Memory is collected when it has grown 2.5 times instead of doubled: clearings leave much behind them."""
BANDWIDTH = 64 * 1024 * 1024
"""Bytes a second and peer. The node's own 512 KiB are little for transactions of 100 KB."""


def command(network: Network, validator: Validator, engine: Engine, descriptors: int) -> list[str]:
    """The validator's command line."""
    home, settings = network.home(validator), network.folder / "settings"
    others = [one for one in network.members if one.number != validator.number]
    options: dict[str, Any] = {
        "network-id": f"network-{network.network_id}",
        "genesis-file": network.folder / "genesis" / "primary.json",
        "data-dir": home / "data",
        "plugin-dir": engine.plugins,
        "chain-config-dir": settings / "chains",
        "subnet-config-dir": settings / "subnets",
        "staking-tls-cert-file": home / identity.CERTIFICATE,
        "staking-tls-key-file": home / identity.CERTIFICATE_KEY,
        "staking-signer-key-file": home / identity.SIGNER_KEY,
        "http-host": validator.host,
        "http-port": validator.rpc_port,
        "staking-host": validator.host,
        "staking-port": validator.peer_port,
        "public-ip": validator.host,
        "bootstrap-ids": ",".join(one.identity.node_id for one in others),
        "bootstrap-ips": ",".join(f"{one.host}:{one.peer_port}" for one in others),
        "fd-limit": descriptors,
        "log-level": "info",
        "log-display-level": "error",
        "proposervm-use-current-height": "true",
        "network-initial-timeout": "2s",
        "network-max-reconnect-delay": "2s",
        "network-compression-type": "none",  # signatures and quantities do not shrink
        "health-check-frequency": "2s",
        "throttler-inbound-bandwidth-refill-rate": BANDWIDTH,
        "throttler-inbound-bandwidth-max-burst-size": BANDWIDTH,
        "throttler-inbound-validator-alloc-size": 2 * BANDWIDTH,
        "throttler-outbound-validator-alloc-size": 2 * BANDWIDTH,
    }
    if network.subnet is not None:
        options["track-subnets"] = network.subnet
    return [str(engine.node), *(f"--{name}={value}" for name, value in options.items())]


def peers(validator: Validator) -> int:
    return int(ask(f"{validator.url}/ext/info", "info.peers", {}, 5)["numPeers"])


def bootstrapped(validator: Validator, chain: str) -> bool:
    found = ask(f"{validator.url}/ext/info", "info.isBootstrapped", {"chain": chain}, 5)
    return bool(found["isBootstrapped"])


def wait_until_ready(
    network: Network, started: Sequence[tuple[Validator, Running]], timeout_s: float = READY_TIMEOUT_S
) -> None:
    """Until all of these know all others and have the chain. NotStarted, naming one that has not."""
    deadline = time.monotonic() + timeout_s
    waiting, why = list(started), "it does not answer"
    while waiting:
        for validator, process in started:
            if ended(process):
                words = last_words(network.home(validator))
                raise NotStarted(f"validator {validator.number} has ended: {words}")
        first = waiting[0][0]
        if time.monotonic() > deadline:
            place = network.home(first)
            raise NotStarted(
                f"validator {first.number} is not ready in time: {why} (its logs are in {place})"
            )
        try:
            ready, why = _is_ready(network, first), "it does not know all others, or has not caught up"
        except NetworkError as cause:
            ready, why = False, cause.message
        if ready:
            waiting.pop(0)
        else:
            time.sleep(POLL_S)


def _is_ready(network: Network, validator: Validator) -> bool:
    if not bootstrapped(validator, "P") or peers(validator) < len(network.members) - 1:
        return False
    if network.chain is None:
        return True
    return bootstrapped(validator, network.chain) and _answers(network, validator)


def _answers(network: Network, validator: Validator) -> bool:
    return int(ask(network.rpc(validator), "eth_chainId", [], 5), 16) == network.chain_id
