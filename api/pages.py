"""Pages of long lists: a cursor says after which row to go on, and cannot be made up.

A cursor is base64url of a check and the JSON of (sort key, id) of the last row of a page. The check binds it
to the list and its filters, so that a cursor of one list says nothing in another. Pages neither skip nor
repeat a row that was there all the time, whatever is added in between.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from api.errors import InvalidRequest

DEFAULT_LIMIT, MOST = 50, 500
CHECK_BYTES = 16

Row = TypeVar("Row")
Key = tuple[int | str, ...]
"""Of a row in the list's order; together its parts name one row only."""


class Page(BaseModel, Generic[Row]):
    """Part of a list."""

    model_config = ConfigDict(frozen=True)

    items: list[Row]
    next_cursor: str | None = Field(description="Sent as `cursor`, gives what follows; null at the end.")


@dataclass(frozen=True, slots=True)
class Cursors:
    """Writes and reads cursors."""

    secret: bytes

    def write(self, scope: str, key: Key) -> str:
        """The cursor after a row. `scope` names the list, its filters and whose it is."""
        data = json.dumps(key, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._check(scope, data) + data).rstrip(b"=").decode()

    def read(self, scope: str, cursor: str | None) -> Key | None:
        """The key to go on after; None for a first page. InvalidRequest if this list did not give it out."""
        if cursor is None:
            return None
        try:
            raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        except ValueError:
            raw = b""
        check, data = raw[:CHECK_BYTES], raw[CHECK_BYTES:]
        if not hmac.compare_digest(check, self._check(scope, data)):
            raise InvalidRequest(
                "the cursor is of another list: leave it out to begin again",
                errors=[{"pointer": "query/cursor", "detail": "not a cursor of this list"}],
            )
        return tuple(json.loads(data))

    def page(
        self, scope: str, rows: Sequence[Row], limit: int, key: Callable[[Row], Key]
    ) -> tuple[list[Row], str | None]:
        """The page of rows that were read one more than the limit, and the cursor of what follows."""
        items = list(rows[:limit])
        return items, self.write(scope, key(items[-1])) if len(rows) > limit else None

    def _check(self, scope: str, data: bytes) -> bytes:
        text = scope.encode()
        framed = len(text).to_bytes(4, "big") + text + data
        return hmac.digest(self.secret, framed, hashlib.sha256)[:CHECK_BYTES]
