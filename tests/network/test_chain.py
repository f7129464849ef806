"""Tests of the chain that run on anvil, on five validators.

Of those that need a process each some are chosen (chain_suite.py); TRELLIS_NETWORK=all runs all, in hours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import pytest
from chain_suite import ALONE, SHARED
from network_world import ROOT, Validators

ALL = "all"


@cache
def collected() -> list[str]:
    """Every test of the modules that are run test by test."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        *(f"tests/chain/{one}" for one in ALONE),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line.removeprefix("tests/chain/") for line in done.stdout.splitlines() if "::" in line]


def chosen() -> list[str]:
    if os.environ.get("TRELLIS_NETWORK") == ALL:
        return collected()
    return [f"{module}::test_{name}" for module, names in ALONE.items() for name in names]


def run(test: str, five: Validators, left_out: tuple[str, ...] = ()) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", f"tests/chain/{test}"]
    command += [f"--deselect=tests/chain/{test}::test_{name}" for name in left_out]
    environment = os.environ | {"TRELLIS_NETWORK_DIR": str(five.folder)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=850, check=False
    )
    assert done.returncode == 0, done.stdout[-4_000:]


@pytest.mark.parametrize("module", SHARED)
def test_what_holds_on_anvil_holds_on_validators(module: str, five: Validators) -> None:
    run(module, five, SHARED[module])


@pytest.mark.parametrize("test", chosen())
def test_what_holds_on_a_fresh_anvil_holds_on_validators(test: str, five: Validators) -> None:
    run(test, five)


@pytest.mark.smoke
def test_a_day_settles_on_validators_as_in_the_model(five: Validators) -> None:
    run("test_day.py", five)
