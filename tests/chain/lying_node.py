"""A node that lies: forwards every question to an honest one and alters some answers."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from settlement.audit import envelope
from settlement.chain.rpc import to_bytes, to_hex

Json = Any
REFUSED = object()
"""Answered to what the node does not answer."""

Lie = Callable[[str, Json, Json], Json]
"""What is answered to a method with parameters, given the honest answer."""


@contextmanager
def lying(url: str, lie: Lie) -> Iterator[str]:
    """The address of a node that tells `lie`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked, answers = json.loads(body), forward(url, body)
            pairs = zip(asked, answers, strict=True) if isinstance(asked, list) else [(asked, answers)]
            for question, answer in pairs:
                if "result" in answer:
                    told = lie(question["method"], question["params"], answer.pop("result"))
                    answer |= (
                        {"error": {"code": -32601, "message": "no"}} if told is REFUSED else {"result": told}
                    )
            body = json.dumps(answers).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def forward(url: str, body: bytes) -> Json:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def sealed_again(block: Json, receipts: list[Json] | None = None) -> Json:
    """The block with the roots, filter and hash of what it now says."""
    if receipts is not None:
        logs = [one for raw in receipts for one in envelope.logs_of(raw)]
        block["logsBloom"] = to_hex(envelope.bloom_of(logs))
        block["receiptsRoot"] = to_hex(envelope.root_of(list(map(envelope.encode_receipt, receipts))))
    if block["transactions"] and isinstance(block["transactions"][0], dict):
        sent = [envelope.encode_transaction(raw) for raw in block["transactions"]]
        block["transactionsRoot"] = to_hex(envelope.root_of(sent))
    block["hash"] = to_hex(envelope.header_hash(block))
    return block


def other_byte(data: str, at: int = -1) -> str:
    """Hex with one byte changed."""
    changed = bytearray(to_bytes(data))
    changed[at] ^= 1
    return to_hex(bytes(changed))
