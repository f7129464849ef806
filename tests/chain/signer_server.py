"""A reference signer: a process that holds keystores and answers what `RemoteSigner` asks.

    python signer_server.py (--socket PATH | --port P) [--digests] [--transactions] [--lie HOW] KEYSTORE...

Each key signs only the kinds it is allowed. It tells where it listens in one line on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import socketserver
from http.server import BaseHTTPRequestHandler
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

from settlement.chain.keystore import read_keystore
from settlement.chain.sign import Signer


class Refusal(Exception):
    """Told to whoever asked."""


class Keys:
    """What the signer knows, and what it may be asked."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.signers = {one.address: one for one in map(_signer, options.keystores)}

    def answer(self, body: bytes) -> bytes:
        asked = json.loads(body)
        try:
            told = {"result": self._result(asked["method"], asked["params"])}
        except Refusal as cause:
            told = {"error": {"code": -32000, "message": str(cause)}}
        return json.dumps({"jsonrpc": "2.0", "id": asked["id"], **told}).encode() + b"\n"

    def _result(self, method: str, params: list[Any]) -> Any:
        if method == "eth_accounts":
            return ["0x" + one.hex() for one in self.signers]
        if method == "eth_signTransaction" and self.options.transactions:
            return self._transaction(params[0])
        if method == "eth_signTypedData_v4" and self.options.digests:
            signed = Account.sign_message(
                encode_typed_data(full_message=params[1]), self._key(params[0]).secret
            )
            return "0x" + signed.signature.hex()
        if method == "trellis_signDigest" and self.options.digests:
            digest = bytes.fromhex(params[1][2:])
            other = digest[::-1] if self.options.lie == "digest" else digest
            return "0x" + self._key(params[0]).sign_digest(other).hex()
        raise Refusal(f"{method} is not allowed")

    def _transaction(self, asked: dict[str, Any]) -> Any:
        fields = {name: value for name, value in asked.items() if name != "from"}
        if "to" in fields:
            fields["to"] = bytes.fromhex(fields["to"][2:])
        if self.options.lie == "value":
            fields["value"] = hex(int(fields["value"], 16) + 1)
        raw = Account.sign_transaction(fields, self._key(asked["from"]).secret).raw_transaction
        text = "0x" + raw.hex()
        return {"raw": text} if self.options.nested else text

    def _key(self, address: str) -> Signer:
        found = self.signers.get(bytes.fromhex(address[2:]))
        if found is None:
            raise Refusal(f"no key of {address}")
        return found


def _signer(file: str) -> Signer:
    from pathlib import Path

    return Signer(read_keystore(Path(file)))


def serve_socket(keys: Keys, path: str) -> None:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(keys.answer(line))

    os.umask(0o177)  # the socket is its owner's
    with socketserver.UnixStreamServer(path, Handler) as server:
        print(f"unix:{path}", flush=True)
        server.serve_forever()


def serve_http(keys: Keys, port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = keys.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            """Nothing of what is signed is written down."""

    with socketserver.TCPServer(("127.0.0.1", port), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("keystores", nargs="+")
    parser.add_argument("--socket")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--digests", action="store_true")
    parser.add_argument("--transactions", action="store_true")
    parser.add_argument("--nested", action="store_true", help='answer transactions as {"raw": …}')
    parser.add_argument("--lie", choices=("digest", "value"))
    options = parser.parse_args()
    keys = Keys(options)
    if options.socket:
        serve_socket(keys, options.socket)
    else:
        serve_http(keys, options.port)


if __name__ == "__main__":
    main()
