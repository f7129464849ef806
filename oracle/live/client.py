"""MQTT 5 with a session that outlives its connection, and acknowledgements that are sent when told to.

aiomqtt acknowledges a message once it is queued in memory; here it is acknowledged by `acknowledge`, after
what it says is on disk. The broker delivers whatever was not acknowledged again, on the next connection.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from oracle.errors import BadBroker

PLAIN_PORT, TLS_PORT = 1883, 8883
KEEPALIVE_S = 30
IN_FLIGHT = 2_000
"""Messages that the broker sends before it waits for an acknowledgement; the queue in memory is no longer."""
SESSION_EXPIRY_S = 30 * 86_400
"""How long the broker keeps what comes while this client is away."""
REFUSED_CREDENTIALS = {134, 135}
"""Reason codes of MQTT 5: bad user name or password, not authorized."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker listens."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """Everything to connect with."""

    address: Address
    username: str | None = None
    """The client id too: the session is kept under it."""
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    """Certificates to trust; None trusts the machine's."""


def read_address(url: str, *, plaintext: bool = False) -> Address:
    """`mqtts://host:port`, or `mqtt://` to this machine (to others with `plaintext` only: passwords and
    readings would be sent in the clear). BadBroker for anything else.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:  # UnicodeError too
        raise BadBroker(url, "its host is no name, or its port no number up to 65535") from None
    if parts.username or parts.password:
        raise BadBroker(f"{parts.scheme}://…@{parts.hostname}", "credentials do not belong in an address")
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path not in ("", "/"):
        raise BadBroker(url, "give mqtts://host:port")
    tls = parts.scheme == "mqtts"
    if not (tls or plaintext or _local(parts.hostname)):
        raise BadBroker(url, "mqtt:// sends passwords in the clear: use mqtts://")
    return Address(parts.hostname, port or (TLS_PORT if tls else PLAIN_PORT), tls)


def _local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def trusting(login: Login) -> ssl.SSLContext | None:
    """TLS 1.2 or later to a server whose name is checked; None for a plain connection. BadBroker if the
    certificates cannot be read.
    """
    if not login.address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=login.ca)
    except OSError as cause:  # ssl.SSLError too
        raise BadBroker(login.address, f"{login.ca} holds no certificate to trust ({cause})") from cause
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class DurableClient(aiomqtt.Client):
    """One connection of a lasting session; a context manager. Make another one to reconnect."""

    def __init__(self, login: Login, *, in_flight: int = IN_FLIGHT) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = in_flight
        super().__init__(
            login.address.host,
            login.address.port,
            username=login.username,
            password=login.password,
            identifier=login.username,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            keepalive=KEEPALIVE_S,
            properties=properties,
            tls_context=trusting(login),
        )
        self._client.manual_ack_set(True)

    async def receive(self, most: int) -> list[aiomqtt.Message]:
        """Wait for a message, and take those with it that have come already, `most` at most; MqttError when
        the connection ends.
        """
        received = [await anext(self.messages)]
        while len(received) < most and not self._queue.empty():
            received.append(self._queue.get_nowait())
        return received

    def acknowledge(self, messages: Sequence[aiomqtt.Message]) -> None:
        """Tell the broker that they need not be delivered again. On a connection that has ended it does
        nothing: they are delivered again, and known.
        """
        for message in messages:
            self._client.ack(message.mid, message.qos)


def refused_credentials(error: aiomqtt.MqttError) -> bool:
    """Whether a connection failed for who asked, which no waiting mends."""
    code = getattr(error, "rc", None)
    return isinstance(error, aiomqtt.MqttCodeError) and getattr(code, "value", code) in REFUSED_CREDENTIALS
