"""Structured logs: one JSON object a line, with the request's id, and never a secret.

A record says what happened in its message and its named fields (`extra={"fields": {...}}`). Bodies, headers,
query strings, tokens and signatures are never given to the log: nothing has to be taken out of it again.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered; empty outside of one."""

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)

LOG = logging.getLogger("trellis.api")


class JsonLines(logging.Formatter):
    """Records as JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=True)


def configure(level: str, stream: TextIO = sys.stderr) -> None:
    """Sends what the services log to a stream; the server's own access log, which has queries, nowhere."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("trellis")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True


def event(name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Logs one event with named fields."""
    LOG.log(level, name, extra={"fields": fields})


def accepted_id(offered: str | None) -> str:
    """The caller's request id if it is short and plain, else a new one."""
    return offered if offered and _ACCEPTED_ID.fullmatch(offered) else secrets.token_hex(16)
