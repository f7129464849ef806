"""Tests of the chain that run on anvil, on five validators: each a process, on a day of its own.

A network cannot be turned back to before a test, so that each deploys its own Exchange.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from network_world import ROOT, Validators

CORRECTIONS, OMISSION, RESUME = "test_corrections.py", "test_omission.py", "test_resume.py"
TESTS = (
    "test_day.py",
    "test_challenges.py::test_whoever_is_right_is_corrected_on_the_spot_and_paid_by_the_oracles[london]",
    "test_challenges.py::test_whoever_holds_back_a_later_read_loses_what_it_set_at_stake[london]",
    f"{CORRECTIONS}::test_a_late_actual_changes_the_next_run_and_no_earlier_one",
    f"{CORRECTIONS}::test_runs_link_to_everything_before_and_each_nets_to_zero",
    f"{OMISSION}::test_an_omitted_order_is_paid_and_the_audit_follows",
    f"{OMISSION}::test_a_void_session_pays_and_a_forced_order_makes_it_void",
    f"{RESUME}::test_an_operator_goes_on_after_any_step[1]",
)


@pytest.mark.parametrize("test", TESTS)
def test_what_holds_on_anvil_holds_on_validators(test: str, five: Validators) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", f"tests/chain/{test}"]
    environment = os.environ | {"TRELLIS_NETWORK_DIR": str(five.folder)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-4_000:]
