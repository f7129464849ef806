"""ETags (RFC 9110, sections 8.8 and 13): a hash of the answer, and no answer if the caller has it."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

_TAGS = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(body: bytes) -> str:
    """The strong tag of a representation."""
    return '"' + base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:18]).decode() + '"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether a caller's If-None-Match names the tag; compared weakly, as the field asks."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag in _TAGS.findall(if_none_match)


def cacheable(request: Request, answer: BaseModel | bytes, media_type: str = "application/json") -> Response:
    """The answer with its tag, to be asked for again each time; 304 without a body if the caller has it."""
    body = answer if isinstance(answer, bytes) else answer.model_dump_json().encode()
    tag = etag_of(body)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if matches(request.headers.get("If-None-Match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type)
