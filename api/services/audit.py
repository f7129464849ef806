"""The auditor's word, as the demo shows it: another process that gets an address and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from settlement.errors import TrellisError
from settlement.reports.facts import AuditCheck

TIMEOUT_S = 600


def audit_chain(rpc: str, address: str) -> tuple[AuditCheck, ...]:
    """Every check of `trellis audit`. TrellisError if it could not run at all."""
    command = [sys.executable, "-m", "settlement.cli", "audit", "--rpc", rpc, "--address", address, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    try:
        found = checks_of(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError) as cause:
        why = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise TrellisError(f"the audit did not run: {why}") from cause
    if done.returncode and all(check.holds for check in found):
        return (*found, AuditCheck("the auditor's exit code", done.returncode, holds=False))
    return found


def checks_of(told: dict[str, Any]) -> tuple[AuditCheck, ...]:
    """The checks of its JSON."""
    return tuple(
        AuditCheck(
            name=str(one["check"]),
            count=int(one["count"]),
            holds=bool(one["holds"]),
            detail=str(one.get("detail") or ""),
        )
        for one in told["checks"]
    )
