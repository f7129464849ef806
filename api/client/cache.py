"""Answers that are kept with their ETag, so that what did not change is not sent again (RFC 9110, 13.1.2)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from api.client.wire import Reply, Request

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Cache:
    """Of one client, whose answers are all of one wallet. The least used go first."""

    most_bytes: int = 8 << 20
    """Of all bodies together; 0 keeps nothing."""
    kept: OrderedDict[Key, Reply] = field(default_factory=OrderedDict)
    size: int = 0

    def find(self, request: Request) -> Reply | None:
        """What a request was answered before."""
        if request.method != "GET":
            return None
        key = request.path, request.query
        found = self.kept.get(key)
        if found is not None:
            self.kept.move_to_end(key)
        return found

    def keep(self, request: Request, reply: Reply) -> None:
        """Keeps an answer that has a tag."""
        if request.method != "GET" or reply.status != 200 or "etag" not in reply.headers:
            return
        key = request.path, request.query
        before = self.kept.pop(key, None)
        self.kept[key] = reply
        self.size += len(reply.content) - (0 if before is None else len(before.content))
        while self.size > self.most_bytes:
            _, oldest = self.kept.popitem(last=False)
            self.size -= len(oldest.content)

    def clear(self) -> None:
        """Forgets everything."""
        self.kept.clear()
        self.size = 0
