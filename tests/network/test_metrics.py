"""Every metric of validators that an alert asks for, a validator tells."""

from __future__ import annotations

import re
import sys
import urllib.request

import pytest
from network_world import ROOT, Validators

sys.path.insert(0, str(ROOT / "tests" / "unit"))

import monitoring


@pytest.mark.smoke
def test_validators_tell_every_metric_that_an_alert_asks_for(five: Validators) -> None:
    sender = five.admit()
    five.chain().send(sender, sender.address, b"", gas=21_000)
    asked = {name for rule in monitoring.rules() for name in rule.metrics()}
    wanted = {name for name in asked if name.startswith("avalanche_")}
    assert wanted
    for one in five.network.members:
        with urllib.request.urlopen(f"{one.url}/ext/metrics", timeout=20) as response:
            told = set(re.findall(r"^(\w+)[{ ]", response.read().decode(), re.MULTILINE))
        assert wanted - told == set(), one.number
