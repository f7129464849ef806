"""A key in another process: JSON-RPC 2.0 over HTTP, or over a unix socket, one object a line.

    method                    parameters              result
    eth_accounts              []                      addresses
    eth_signTransaction       [transaction]           the signed bytes, hex; or {"raw": hex}
    eth_signTypedData_v4      [address, document]     r ‖ s ‖ v, hex
    trellis_signDigest        [address, digest]       r ‖ s ‖ v, hex

The first three are what Web3Signer, clef and others answer. The last signs 32 bytes as they are: receipts,
votes and orders reach a signer as digests. Whoever may ask for digests of a key can have anything signed by
it, so a signer should allow a key either transactions (operator, relay) or digests (receipts, votes), never
both. What comes back is believed only if the key signed exactly what was asked.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from settlement.chain.errors import SignerError
from settlement.chain.rpc import to_bytes, to_hex
from settlement.chain.sign import Signer, typed_data_digest
from settlement.chain.transaction import Transaction
from settlement.errors import InputError
from settlement.reference import eip712
from settlement.reference.errors import Refused

TIMEOUT_S = 10.0
MOST_BYTES = 1024 * 1024
UNIX = "unix:"


class RemoteSigner(Signer):
    """One key of an external signer."""

    def __init__(self, place: str, address: bytes | None = None) -> None:
        """`place` is an http(s) URL or `unix:PATH`. InputError unless the signer has the key: the only one
        if no address is given.
        """
        self.place = place
        _check_place(place)
        accounts = self._accounts()
        if address is None and len(accounts) != 1:
            told = ", ".join(map(to_hex, accounts)) or "none"
            raise InputError(f"the signer at {place} has keys of {told}: name one, as {place}#0x…")
        self._address = accounts[0] if address is None else address
        if self._address not in accounts:
            raise InputError(f"the signer at {place} has no key of {to_hex(self._address)}: name another")

    @property
    def secret(self) -> bytes:
        raise InputError(f"the key at {self.place} stays there: this command needs a keystore file")

    @property
    def address(self) -> bytes:
        return self._address

    def sign_digest(self, digest: bytes) -> bytes:
        """SignerError unless the key signs it."""
        return self._signature("trellis_signDigest", [to_hex(self.address), to_hex(digest)], digest)

    def sign_typed_data(self, document: Mapping[str, Any]) -> bytes:
        """SignerError unless the key signs it."""
        asked = [to_hex(self.address), dict(document)]
        return self._signature("eth_signTypedData_v4", asked, typed_data_digest(document))

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """SignerError unless the key signs exactly this."""
        answer = self._ask("eth_signTransaction", [transaction.as_json(self.address)])
        raw = self._bytes(answer.get("raw") if isinstance(answer, dict) else answer)
        for signature in _signatures_in(raw):
            if transaction.signed(signature) == raw and self._is_own(transaction.digest, signature):
                return raw
        raise SignerError(self.place, "signed another transaction than it was asked to: do not trust it")

    # Answers --------------------------------------------------------------------------------------------

    def _accounts(self) -> list[bytes]:
        answer = self._ask("eth_accounts", [])
        if not isinstance(answer, list):
            raise SignerError(self.place, "told no list of accounts: see what listens there")
        return [self._bytes(one) for one in answer]

    def _signature(self, method: str, asked: list[Any], digest: bytes) -> bytes:
        found = self._bytes(self._ask(method, asked))
        if len(found) == 65 and found[64] in (0, 1):
            found = found[:64] + bytes([27 + found[64]])
        if not self._is_own(digest, found):
            raise SignerError(self.place, f"answered {method} with no signature of its key: do not trust it")
        return found

    def _is_own(self, digest: bytes, signature: bytes) -> bool:
        try:
            return eip712.recover(digest, signature) == self.address
        except Refused:
            return False

    def _bytes(self, found: Any) -> bytes:
        try:
            return to_bytes(found)
        except (ValueError, AttributeError, TypeError) as cause:
            raise SignerError(self.place, "answered with something else than hex") from cause

    # Transport ------------------------------------------------------------------------------------------

    def _ask(self, method: str, parameters: list[Any]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
        try:
            raw = _over_socket(self.place, body) if self.place.startswith(UNIX) else _post(self.place, body)
            answer = json.loads(raw)
        except (OSError, ValueError, RecursionError) as cause:
            raise SignerError(self.place, f"does not answer {method} ({cause}): see that it runs") from cause
        if not isinstance(answer, dict) or "error" in answer or "result" not in answer:
            error = answer.get("error") if isinstance(answer, dict) else None
            told = error.get("message") if isinstance(error, dict) else "not a JSON-RPC answer"
            raise SignerError(self.place, f"refused {method}: {told}")
        return answer["result"]


def _check_place(place: str) -> None:
    """Asked without encryption only on this host: who reads along could ask for signatures too."""
    if place.startswith(UNIX):
        return
    parts = urlsplit(place)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{place} is no signer: give http://…, https://… or unix:PATH")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise InputError(f"{place} is not on this host: use https://, or a unix socket")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _post(url: str, body: bytes) -> bytes:
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as response:
        return bytes(response.read(MOST_BYTES))


def _over_socket(place: str, body: bytes) -> bytes:
    """One object a line; some signers end theirs with the connection, or with nothing."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(place.removeprefix(UNIX))
        connection.sendall(body + b"\n")
        found = b""
        while len(found) < MOST_BYTES:
            more = connection.recv(65_536)
            found += more
            if not more or found.endswith(b"\n") or _is_whole(found):
                return found
    raise ValueError(f"more than {MOST_BYTES} bytes")


def _is_whole(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _signatures_in(raw: bytes) -> list[bytes]:
    """What the last two items of a signed transaction say, with either parity; none if it is not one."""
    import rlp

    try:
        items = rlp.decode(raw[1:] if raw[:1] == b"\x02" else raw)
        r, s = (one.rjust(32, b"\x00") for one in items[-2:])
    except (rlp.exceptions.RLPException, ValueError, TypeError, AttributeError):
        return []
    return [r + s + bytes([v]) for v in (27, 28)] if len(r) == len(s) == 32 else []
