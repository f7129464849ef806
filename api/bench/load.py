"""A client that costs little: HTTP/1.1 with kept connections, requests made before anything is measured."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api.auth import siwe
from settlement.chain.sign import Signer


@dataclass
class Taken:
    """What came back."""

    seconds: list[float] = field(default_factory=list)
    """Of each request."""
    receipts: list[dict[str, Any]] = field(default_factory=list)
    """Answers with a receipt, as `AcceptedAnswer`."""
    refused: list[str] = field(default_factory=list)
    """Other answers."""
    began: float = 0.0
    ended: float = 0.0

    @property
    def per_s(self) -> float:
        return len(self.receipts) / (self.ended - self.began) if self.receipts else 0.0

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def request(path: str, body: bytes, token: str = "", kind: str = "application/json") -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: api\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    return head.encode() + b"\r\n" + body


class Connection:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        return cls(*await asyncio.open_connection(host, port, limit=1 << 22))

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. OSError or EOFError if the server is gone."""
        self._writer.write(sent)
        await self._writer.drain()
        head = await self._reader.readuntil(b"\r\n\r\n")
        _, _, rest = head.lower().partition(b"content-length: ")
        length = int(rest.partition(b"\r\n")[0] or 0)
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def login(host: str, port: int, wallet: Signer) -> str:
    """An access token."""
    found = await Connection.open(host, port)
    body = json.dumps({"account": "0x" + wallet.address.hex()}).encode()
    _, answer = await found.ask(request("/v1/auth/challenge", body))
    message = json.loads(answer)["message"]
    signature = "0x" + wallet.sign_digest(siwe.digest(message)).hex()
    body = json.dumps({"message": message, "signature": signature}).encode()
    _, answer = await found.ask(request("/v1/auth/login", body))
    found.close()
    return str(json.loads(answer)["access_token"])


async def run(
    host: str, port: int, requests: Sequence[Sequence[bytes]], seconds: float, taken: Taken | None = None
) -> Taken:
    """Sends each connection's requests one after another, until all are sent, the time is over or the server
    is gone. `taken` may be watched meanwhile.
    """
    taken, answers = taken or Taken(), list[tuple[int, bytes]]()
    connections = [await Connection.open(host, port) for _ in requests]
    taken.began = time.perf_counter()
    deadline = taken.began + seconds
    works = (
        _send(one, each, deadline, taken.seconds, answers)
        for one, each in zip(connections, requests, strict=True)
    )
    await asyncio.gather(*works)
    taken.ended = time.perf_counter()
    for one in connections:
        one.close()
    for status, body in answers:
        _note(taken, status, body)
    return taken


async def _send(
    connection: Connection,
    requests: Sequence[bytes],
    deadline: float,
    seconds: list[float],
    answers: list[tuple[int, bytes]],
) -> None:
    for one in requests:
        began = time.perf_counter()
        if began > deadline:
            return
        try:
            answers.append(await connection.ask(one))
        except (OSError, EOFError):
            return
        seconds.append(time.perf_counter() - began)


def _note(taken: Taken, status: int, body: bytes) -> None:
    if status != 200:
        taken.refused.append(f"{status} {body[:300].decode(errors='replace')}")
        return
    found = json.loads(body)
    for one in found.get("items", [found]):
        if one.get("receipt"):
            taken.receipts.append(one)
        else:
            taken.refused.append(json.dumps(one["error"]))
