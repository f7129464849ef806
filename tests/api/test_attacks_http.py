"""Bytes that are no honest request, sent to the server itself; and where the service ever calls."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from api_client import Api, settings_for
from api_world import PROSUMER_KEY, World
from eth_utils.address import to_checksum_address

from api.app import create_app
from api.auth import siwe
from api.auth.signatures import MAGIC_6492
from settlement.chain.abi import CODEC

pytestmark = pytest.mark.anyio


@contextmanager
def served(world: World, folder: Path, **changes: Any) -> Iterator[int]:
    """The app behind its server; its port."""
    app = create_app(settings_for(world, folder, **changes))
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def port(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with served(world, tmp_path_factory.mktemp("served"), body_timeout_s=0.5) as found:
        yield found


def talk(port: int, *pieces: bytes, pause_s: float = 0, wait_s: float = 2) -> bytes:
    """What comes back until the server is silent or closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
        answer = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
            while part := connection.recv(65_536):
                answer += part
        except (TimeoutError, ConnectionError):
            pass
        return answer


HOST = b"Host: market.example\r\n"
HIDDEN = b"GET /v1/auth/me HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /v1/auth/refresh HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNK = b"%x\r\n%s\r\n0\r\n\r\n"
JSON = b'{"refresh_token": "x"}'

SMUGGLED = {
    "two lengths": POST + b"Content-Length: 22\r\nContent-Length: 0\r\n\r\n" + JSON + HIDDEN,
    "a length that is a list": POST + b"Content-Length: 22, 0\r\n\r\n" + JSON + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +22\r\n\r\n" + JSON + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length in hex": POST + b"Content-Length: 0x16\r\n\r\n" + JSON + HIDDEN,
    "another coding than chunked": POST + b"Transfer-Encoding: gzip, identity\r\n\r\n" + JSON + HIDDEN,
    "a chunk of no length": POST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    + JSON
    + b"\r\n0\r\n\r\n"
    + HIDDEN,
    "a chunk of a negative length": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + JSON + HIDDEN,
    "a space before the colon": POST.replace(b"Type:", b"Type :") + b"Content-Length: 22\r\n\r\n" + JSON,
    "a header without a name": b"GET /healthz HTTP/1.1\r\n" + HOST + b": x\r\n\r\n" + HIDDEN,
    "another protocol": b"GET /healthz FTP/9.9\r\n" + HOST + b"\r\n" + HIDDEN,
    "a NUL in a header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "bytes of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_request_that_two_servers_could_read_in_two_ways_is_refused(port: int, name: str) -> None:
    """One refusal, and the connection is closed: what is hidden behind it is not answered."""
    answer = talk(port, SMUGGLED[name])
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert not answer or answer.split(b" ", 2)[1] in (b"400", b"422", b"501"), answer
    assert b"unauthenticated" not in answer


def test_a_request_with_a_length_and_chunks_hides_none(port: int) -> None:
    """RFC 9112, section 6.3: refused, or read by its chunks alone and the connection closed."""
    body = CHUNK % (len(JSON), JSON)
    both = POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    answer = talk(port, both)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert not answer or answer.split(b" ", 2)[1] in (b"400", b"401")


@pytest.mark.parametrize("pieces", [[b"X" * 60] * 2000, [b"X: " + b"y" * 100_000 + b"\r\n"]])
def test_headers_without_end_are_not_read_for_ever(port: int, pieces: list[bytes]) -> None:
    answer = talk(port, b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Long: ", *pieces)
    assert not answer or answer.split(b" ", 2)[1] in (b"400", b"431")


def test_a_body_that_does_not_arrive_is_given_up(port: int) -> None:
    started = time.monotonic()
    answer = talk(port, POST + b"Content-Length: 100\r\n\r\n", *[b"x"] * 2, pause_s=0.1, wait_s=5)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body-too-slow" in answer
    assert time.monotonic() - started < 5


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(port: int) -> None:
    answer = talk(port, POST + b"Content-Length: 999999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_after_all_this_it_answers(port: int) -> None:
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).json() == {"status": "ok"}


# Where the service calls --------------------------------------------------------------------------------


class Trap:
    """A server that nobody should ever call."""

    def __init__(self) -> None:
        self.called: list[str] = []
        called = self.called

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                called.append(self.path)
                self.send_response(200)
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def trap() -> Iterator[Trap]:
    found = Trap()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every URL that goes out over a real connection."""
    urls: list[str] = []
    real = httpx.AsyncHTTPTransport.handle_async_request

    async def noted(self: Any, request: httpx.Request) -> httpx.Response:
        urls.append(str(request.url).rstrip("/"))
        return await real(self, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", noted)
    return urls


async def test_only_the_node_of_the_settings_is_ever_called(api: Api, trap: Trap, asked: list[str]) -> None:
    """Whatever URL a header, a login message or a wrapped signature names."""
    names = ("Host", "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "Origin", "Referer", "Location")
    headers = dict.fromkeys((*names, "X-Original-URL", "Link", "Destination", "Profile"), trap.url)
    login = await api.login(PROSUMER_KEY)
    bearing = {**headers, "Authorization": f"Bearer {login['access_token']}"}
    for path in ("/v1/auth/me", "/readyz", f"/v1/accounts/0x{PROSUMER_KEY.address.hex()}", trap.url):
        await api.http.get(path if path.startswith("/") else "/" + path, headers=bearing)
    await api.http.post("/v1/auth/challenge", json={"account": "0x" + "00" * 20}, headers=headers)
    message = await api.challenge(PROSUMER_KEY.address)
    for text in (
        message.replace("URI: https://market.example", f"URI: {trap.url}"),
        f"{message}\nResources:\n- {trap.url}/terms",
    ):
        await api.send_login(text, PROSUMER_KEY.sign_digest(siwe.digest(text)))
    assert trap.called == []
    assert set(asked) == {api.world.anvil.rpc_url.rstrip("/")}


async def test_a_wallet_or_factory_that_a_signature_names_is_asked_on_the_node_alone(
    api: Api, trap: Trap, asked: list[str]
) -> None:
    """The node is asked, within a gas limit; precompiles, the Exchange and plain accounts as wallets or
    factories say nothing for anybody.
    """
    exchange = api.world.deployment.exchange
    addresses = [bytes(20), b"\0" * 19 + b"\x01", b"\0" * 19 + b"\x05", exchange, b"\xff" * 20]
    for account in addresses:
        message = await api.challenge(account)
        assert to_checksum_address(account) in message
        for factory in addresses[:4]:
            wrapped = CODEC.encode(
                ["address", "bytes", "bytes"], [factory, trap.url.encode(), trap.url.encode()]
            )
            answer = await api.send_login(message, wrapped + MAGIC_6492)
            assert answer.status_code == 401
        again = await api.challenge(account)
        assert (await api.send_login(again, trap.url.encode())).status_code == 401
    assert trap.called == []
    assert set(asked) == {api.world.anvil.rpc_url.rstrip("/")}


async def test_a_node_that_redirects_is_not_followed(world: World, tmp_path: Path) -> None:
    called = []

    class Redirects(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            called.append(self.path)
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Redirects)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        from api_client import running_api

        async with running_api(world, tmp_path, rpc=f"http://127.0.0.1:{server.server_port}") as api:
            answer = await api.http.post("/v1/auth/challenge", json={"account": "0x" + "11" * 20})
            assert answer.status_code == 503
    finally:
        server.shutdown()
        server.server_close()
    assert "/elsewhere" not in called
