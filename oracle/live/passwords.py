"""A node's password at the broker, from a file."""

from __future__ import annotations

import json
from pathlib import Path

from oracle.errors import BadBroker


def read_password(path: Path | None, username: str) -> str | None:
    """What a file says: the password alone, or a JSON object of them by user. BadBroker."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise BadBroker(path, "its password cannot be read") from cause
    if not text.startswith("{"):
        return text
    try:
        found = json.loads(text).get(username)
    except (ValueError, RecursionError):
        raise BadBroker(path, "it is neither a password nor JSON") from None
    if not isinstance(found, str):
        raise BadBroker(path, f"it has no password of {username}")
    return found
