"""ETags (RFC 9110, sections 8.8 and 13): a hash of the answer, and no answer if the caller has it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

_WEIGHT = re.compile(r"(?:^|;)\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)")
_TAGS = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(body: bytes) -> str:
    """The strong tag of a representation."""
    return '"' + base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:18]).decode() + '"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether a caller's If-None-Match names the tag; compared weakly, as the field asks."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag in _TAGS.findall(if_none_match)


def preferred(request: Request, offered: Sequence[str]) -> str:
    """The media type that a caller likes best (RFC 9110, section 12.5.1); of equals, and if none is liked,
    the first. Of several ranges that name a type the most exact one counts.
    """
    ranges = [_range(each) for each in ",".join(request.headers.getlist("Accept")).split(",")[:20]]

    def weight(media_type: str) -> float:
        exact = {media_type: 2, media_type.split("/")[0] + "/*": 1, "*/*": 0}
        named = [(exact[name], quality) for name, quality in ranges if name in exact]
        return max(named)[1] if named else 0.0

    return max(offered, key=weight)


def _range(text: str) -> tuple[str, float]:
    name, _, rest = text.strip().lower().partition(";")
    found = _WEIGHT.search(rest)
    return name.strip(), float(found[1]) if found else 1.0


def cacheable(
    request: Request, answer: BaseModel | bytes, media_type: str = "application/json", vary: str = ""
) -> Response:
    """The answer with its tag, to be asked for again each time; 304 without a body if the caller has it.
    `vary` names request headers besides Authorization that it depends on.
    """
    body = answer if isinstance(answer, bytes) else answer.model_dump_json().encode()
    tag = etag_of(body)
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Vary": ", ".join(filter(None, ("Authorization", vary))),
    }
    if matches(request.headers.get("If-None-Match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type)
