"""Which service a client talks to, and what it knows of it before it asks: what a login may be for, and which
chain and contract signatures are for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from settlement.errors import InputError
from settlement.reference import eip712


class Wallet(Protocol):
    """Who signs. It is only ever given digests of texts and messages that the client has checked or made."""

    @property
    def address(self) -> bytes: ...

    def sign_digest(self, digest: bytes) -> bytes: ...


@dataclass(frozen=True)
class Service:
    """One deployment behind one API. None of it is taken from the service's own words: whoever answers in its
    place could choose them.
    """

    url: str
    """Of the API: https, or http on this machine."""
    chain_id: int
    exchange: bytes
    """Address of the Exchange."""
    login_domain: str | None = None
    """Authority that login messages name; None: the one of `url`."""
    login_uri: str | None = None
    """URI that login messages name; None: the origin of `url`."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InputError(f"{self.url} is no address of an API: give it as https://market.example")
        if parts.username is not None:
            raise InputError("the API's address holds a user's name: a wallet logs in instead")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise InputError(f"{self.url} would send tokens in plain text: use https")
        if len(self.exchange) != 20:
            raise InputError(f"the Exchange's address has 20 bytes, not {len(self.exchange)}")

    @property
    def domain(self) -> str:
        return urlsplit(self.url).netloc if self.login_domain is None else self.login_domain

    @property
    def uri(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if self.login_uri is None else self.login_uri

    @cached_property
    def separator(self) -> bytes:
        """The EIP-712 domain separator of all that is signed for the Exchange."""
        return eip712.domain_separator(self.chain_id, self.exchange)


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
