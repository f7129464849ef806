"""One question to a node over HTTP, in the two dialects nodes speak: named parameters, or a list of them."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from settlement.network.errors import NetworkError, Refused

TIMEOUT_S = 20.0


class Silent(NetworkError):
    """Nobody answers there, or not in time."""


def ask(url: str, method: str, parameters: Any, timeout_s: float = TIMEOUT_S) -> Any:
    """The result. Refused with the node's words, Silent if there is no answer."""
    answer = _post(url, {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}, timeout_s)
    if not isinstance(answer, dict) or "error" in answer:
        why = answer.get("error") if isinstance(answer, dict) else answer
        raise Refused(f"{method} was refused: {why.get('message') if isinstance(why, dict) else why}")
    return answer.get("result")


def ask_many(url: str, questions: Sequence[tuple[str, Any]], timeout_s: float = TIMEOUT_S) -> list[Any]:
    """The answers to a batch, as they come, those with a result. Refused if the node takes no batches."""
    batch = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
        for number, (method, parameters) in enumerate(questions, start=1)
    ]
    answer = _post(url, batch, timeout_s)
    if not isinstance(answer, list):
        raise Refused(f"a batch of {len(batch)} questions was refused: {answer}")
    return [one["result"] for one in answer if isinstance(one, dict) and "result" in one]


def _post(url: str, asked: Any, timeout_s: float) -> Any:
    body = json.dumps(asked).encode()
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return _told(error)
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as cause:
        raise Silent(f"nobody answers at {url} ({cause})") from cause


def _told(error: urllib.error.HTTPError) -> Any:
    """Nodes put a JSON-RPC error under status 4xx and 5xx as well."""
    text = error.read().decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Silent(f"{error.url} answers {error.code}: {text.strip() or error.reason}") from error
