"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from settlement.chain.anvil import find_anvil
from settlement.errors import MissingPrerequisite

Facts = dict[str, str | int]


def describe() -> Facts:
    """This machine, its interpreter and its chain."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_mb": _memory_mb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "anvil": _anvil(),
    }


def _cpu(file: Path = Path("/proc/cpuinfo")) -> str:
    if file.is_file() and (model := re.search(r"^model name\s*:\s*(.+)$", file.read_text(), re.MULTILINE)):
        return " ".join(model[1].split())
    return platform.processor() or "unknown"


def _memory_mb() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    except (ValueError, OSError):
        return 0


def _anvil() -> str:
    try:
        told = subprocess.run([find_anvil(), "--version"], capture_output=True, text=True, check=True).stdout
    except (MissingPrerequisite, OSError, subprocess.CalledProcessError):
        return "missing"
    version = re.search(r"\d+\.\d+\.\d+\S*", told)
    return version[0] if version else "unknown"
