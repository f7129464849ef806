"""The auditor's word, as the demo shows it: another process that gets an address and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

from settlement.cli import GROUP
from settlement.errors import TrellisError
from settlement.reports.facts import AuditCheck

TIMEOUT_S = 600


def audit_chain(rpcs: Sequence[str], address: str) -> tuple[AuditCheck, ...]:
    """Every check of `trellis audit`, by all nodes. TrellisError if it could not run at all."""
    nodes = [part for rpc in rpcs for part in ("--rpc", rpc)]
    command = [sys.executable, "-m", "settlement.cli", "audit", *nodes, "--address", address, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    try:
        found = checks_of(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError) as cause:
        why = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise TrellisError(f"the audit did not run: {why}") from cause
    if done.returncode and all(check.holds for check in found):
        return (*found, AuditCheck("the auditor's exit code", done.returncode, holds=False))
    return found


def has_audit() -> bool:
    """Whether this installation has `trellis audit`."""
    return any(command.name == "audit" for command in entry_points(group=GROUP))


def checks_of(told: dict[str, Any]) -> tuple[AuditCheck, ...]:
    """The checks of its JSON. KeyError where it is of another form."""
    return tuple(_check(one) for one in told["checks"])


def _check(one: dict[str, Any]) -> AuditCheck:
    name, holds = ("check" if "check" in one else "name"), ("holds" if "holds" in one else "ok")
    return AuditCheck(str(one[name]), int(one["count"]), bool(one[holds]), str(one.get("detail") or ""))
