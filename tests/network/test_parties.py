"""Each party asks a validator of its own: who was sent to, and who was asked, validators tell."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest
from network_world import Validators, answer

SENT = "avalanche_subnetevm_vm_eth_rpc_duration_eth_sendRawTransaction_success_count"


def counts(validators: Validators, name: str) -> list[int]:
    """Of every validator, so far."""
    found = []
    for one in validators.network.members:
        with urllib.request.urlopen(f"{one.url}/ext/metrics", timeout=20) as response:
            told = re.search(rf"^{name}\{{[^}}]*\}} (\S+)$", response.read().decode(), re.MULTILINE)
        found.append(int(float(told[1])) if told else 0)
    return found


@pytest.mark.smoke
def test_operator_and_oracle_send_each_to_its_own_validator(five: Validators, tmp_path: Path) -> None:
    before = counts(five, SENT)
    found = answer("demo", "--network", five.folder, "--homes", "3", "--out", tmp_path)
    sent = [after - b for after, b in zip(counts(five, SENT), before, strict=True)]
    assert found["holds"]
    assert found["rpc"] == five.network.rpcs[4]  # the auditor's
    assert sent[0] > sent[1] > 0
    assert sent[2:] == [0, 0, 0]
