"""The stream over WebSocket: who may open one, what it hears, and with which code it ends."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from api_client import Api, running_api, settings_for
from api_world import AUDITOR, NEIGHBOUR, PROSUMER_KEY, STRANGER, World
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from ws_client import opened, tell

from api import sockets, stream
from api.app import create_app
from api.roles import LEDGER
from api.sockets import BEARER, PROTOCOL, Close
from settlement.chain import deploy
from settlement.chain.sign import Signer

pytestmark = pytest.mark.anyio

HOME, OTHER = "0x" + PROSUMER_KEY.address.hex(), "0x" + NEIGHBOUR.address.hex()


@pytest.fixture
async def api(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """Sockets that last, and look often."""
    monkeypatch.setattr(stream, "POLL_S", 0.02)
    async with running_api(world, tmp_path, stream_s=60) as found:
        yield found


async def token_of(api: Api, signer: Signer = PROSUMER_KEY) -> str:
    return str((await api.login(signer))["access_token"])


async def subscription(api: Api, signer: Signer = PROSUMER_KEY, **fields: Any) -> dict[str, Any]:
    return {"type": "subscribe", "token": await token_of(api, signer), **fields}


# What is heard ------------------------------------------------------------------------------------------


async def test_a_socket_hears_what_is_everybody_s_and_its_own_and_an_auditor_everything(api: Api) -> None:
    ids = await tell(api, None, HOME, OTHER)
    for signer, heard in ((PROSUMER_KEY, ids[:2]), (STRANGER, ids[:1]), (AUDITOR, ids)):
        async with opened(api) as talk:
            talk.send(await subscription(api, signer, after="0"))
            assert (await talk.read())["type"] == "subscribed"
            assert [one["id"] for one in await talk.read_events(len(heard))] == heard


async def test_what_happens_later_is_heard_as_it_happens(api: Api) -> None:
    async with opened(api) as talk:
        talk.send(await subscription(api))
        await talk.read()
        for _ in range(3):
            _, mine = await tell(api, OTHER, HOME)
            assert [one["id"] for one in await talk.read_events(1)] == [mine]


async def test_it_goes_on_behind_the_last_event_that_was_heard(api: Api) -> None:
    ids = await tell(api, *[None] * 6)
    async with opened(api) as talk:
        talk.send(await subscription(api, after=ids[2]))
        assert (await talk.read())["after"] == ids[2]
        assert [one["id"] for one in await talk.read_events(3)] == ids[3:]


async def test_without_a_number_it_begins_now(api: Api) -> None:
    await tell(api, None, None)
    async with opened(api) as talk:
        talk.send(await subscription(api))
        await talk.read()
        (new,) = await tell(api, None)
        assert [one["id"] for one in await talk.read_events(1)] == [new]


async def test_topics_are_chosen_and_chosen_anew(api: Api) -> None:
    (gate,), (clearing,) = await tell(api, None), await tell(api, None, topic="clearing")
    async with opened(api) as talk:
        talk.send(await subscription(api, topics=["clearing"], after="0"))
        assert (await talk.read())["topics"] == ["clearing"]
        assert [one["id"] for one in await talk.read_events(1)] == [clearing]
        talk.send({"type": "subscribe", "topics": ["gate"], "after": "0"})
        assert (await talk.read())["topics"] == ["gate"]
        assert [one["id"] for one in await talk.read_events(1)] == [gate]


async def test_both_streams_say_the_same_of_an_event(world: World, api: Api, tmp_path: Path) -> None:
    await tell(api, None)
    async with opened(api) as talk:
        talk.send(await subscription(api, after="0"))
        await talk.read()
        (heard,) = await talk.read_events(1)
    folder = tmp_path / "sse"
    folder.mkdir()
    async with running_api(world, folder, database_url=api.services.settings.database_url) as again:
        answer = await again.http.get("/v1/stream?after=0", headers=await again.as_(PROSUMER_KEY))
    lines = dict(line.split(": ", 1) for line in answer.text.splitlines() if ": " in line)
    assert {**json.loads(lines["data"]), "id": lines["id"], "type": "event"} == heard


# Who may ------------------------------------------------------------------------------------------------


async def test_a_token_may_travel_as_subprotocol_and_is_not_repeated(api: Api) -> None:
    protocols = [PROTOCOL, BEARER + await token_of(api)]
    async with opened(api, protocols=protocols) as talk:
        assert talk.accepted["subprotocol"] == PROTOCOL  # type: ignore[attr-defined]
        talk.send({"type": "subscribe"})
        assert (await talk.read())["account"] == HOME


@pytest.mark.parametrize("token", [None, "", "x", "a.b.c", 5, ["x"], {"x": 1}])
async def test_without_a_valid_token_nothing_is_heard(api: Api, token: object) -> None:
    async with opened(api) as talk:
        talk.send({"type": "subscribe", "token": token, "after": "0"})
        assert await talk.end() == Close.UNAUTHENTICATED


async def test_the_role_rule_of_the_table_holds_for_the_socket_too(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "RULE", LEDGER)
    for signer, allowed in ((AUDITOR, True), (PROSUMER_KEY, False), (STRANGER, False)):
        async with opened(api) as talk:
            talk.send(await subscription(api, signer))
            if allowed:
                assert (await talk.read())["type"] == "subscribed"
            else:
                assert await talk.end() == Close.FORBIDDEN


async def test_a_token_in_the_url_a_header_or_a_cookie_is_none(api: Api) -> None:
    token = await token_of(api)
    for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"token={token}"}):
        async with opened(api, headers) as talk:
            talk.send({"type": "subscribe"})
            assert await talk.end() == Close.UNAUTHENTICATED


async def test_a_socket_that_subscribes_to_nothing_is_closed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LOGIN_S", 0.05)
    async with opened(api) as talk:
        assert await talk.end() == Close.IDLE


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://market.example.evil.example", ""]
)
async def test_a_page_of_another_origin_opens_no_socket(api: Api, origin: str) -> None:
    async with opened(api, {"Origin": origin}, accepted=False) as talk:
        assert await talk.end() == Close.FORBIDDEN


async def test_a_page_of_its_own_origin_or_of_an_allowed_one_opens_a_socket(
    world: World, tmp_path: Path
) -> None:
    async with running_api(world, tmp_path, cors_origins=("https://app.example",)) as api:
        for origin in ("https://market.example", "https://app.example"):
            async with opened(api, {"Origin": origin}):
                pass


async def test_another_subprotocol_is_refused(api: Api) -> None:
    async with opened(api, protocols=["chat"], accepted=False) as talk:
        assert await talk.end() == Close.FORBIDDEN


async def test_a_socket_ends_with_its_token_its_login_or_its_role(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "JUDGE_S", 0.05)
    async with opened(api) as talk:
        talk.send(await subscription(api))
        await talk.read()
        api.clock.now += api.services.settings.access_ttl_s
        assert await talk.end() == Close.UNAUTHENTICATED
    tokens = await api.login(PROSUMER_KEY)
    async with opened(api) as talk:
        talk.send({"type": "subscribe", "token": tokens["access_token"]})
        await talk.read()
        await api.http.post("/v1/auth/logout", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert await talk.end() == Close.UNAUTHENTICATED


async def test_an_auditor_s_socket_hears_less_once_the_role_is_revoked(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "JUDGE_S", 0.05)
    world = api.world
    grant = (world.chain, world.admin, world.deployment, deploy.AUDITOR)
    deploy.grant(*grant, [STRANGER.address])
    async with opened(api) as talk:
        talk.send(await subscription(api, STRANGER))
        await talk.read()
        first = await tell(api, OTHER)
        assert [one["id"] for one in await talk.read_events(1)] == first
        deploy.revoke(*grant, STRANGER.address)
        await asyncio.sleep(0.3)
        later = await tell(api, OTHER, None)
        assert [one["id"] for one in await talk.read_events(1)] == later[1:]


async def test_a_token_is_renewed_by_the_same_wallet_only(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "JUDGE_S", 0.05)
    async with opened(api) as talk:
        talk.send(await subscription(api))
        await talk.read()
        api.clock.now += api.services.settings.access_ttl_s - 5
        talk.send({"type": "renew", "token": await token_of(api)})
        assert (await talk.read())["type"] == "renewed"
        api.clock.now += 10
        await asyncio.sleep(0.2)
        (new,) = await tell(api, None)
        assert [one["id"] for one in await talk.read_events(1)] == [new]
        talk.send({"type": "renew", "token": await token_of(api, NEIGHBOUR)})
        assert await talk.end() == Close.FORBIDDEN


# Limits -------------------------------------------------------------------------------------------------


async def test_a_reader_that_is_too_slow_is_dropped_and_comes_back_without_a_loss(
    world: World, tmp_path: Path
) -> None:
    async with running_api(world, tmp_path, stream_s=60, ws_slow_s=0.1) as api:
        ids = await tell(api, *[None] * 20)
        async with opened(api) as talk:
            talk.send(await subscription(api, after="0"))
            await talk.read()
            heard = [one["id"] for one in await talk.read_events(5)]
            talk.reads.clear()
            while not talk.incoming.empty():
                heard.append(json.loads((await talk.next())["text"])["id"])
            await tell(api, *[None] * 5)
            assert await talk.end() == Close.TOO_SLOW or talk.incoming.empty()
        async with opened(api) as talk:
            talk.send(await subscription(api, after=heard[-1]))
            await talk.read()
            rest = [one["id"] for one in await talk.read_events(25 - len(heard))]
        assert [*heard, *rest][:20] == ids


async def test_a_silent_listener_is_asked_and_then_counts_as_gone(world: World, tmp_path: Path) -> None:
    async with running_api(world, tmp_path, stream_s=60, ws_idle_s=0.3) as api, opened(api) as talk:
        talk.send(await subscription(api))
        await talk.read()
        for _ in range(4):
            assert await talk.read() == {"type": "ping"}
            talk.send({"type": "pong"})
        assert await talk.read() == {"type": "ping"}
        assert await talk.end() == Close.IDLE


async def test_a_ping_is_answered(api: Api) -> None:
    async with opened(api) as talk:
        talk.send(await subscription(api))
        await talk.read()
        talk.send({"type": "ping"})
        assert await talk.read() == {"type": "pong"}


async def test_a_wallet_has_so_many_sockets_and_a_closed_one_counts_no_more(
    world: World, tmp_path: Path
) -> None:
    async with running_api(world, tmp_path, stream_s=60, ws_per_wallet=1) as api:
        async with opened(api) as first:
            first.send(await subscription(api))
            await first.read()
            async with opened(api) as second:
                second.send(await subscription(api))
                assert await second.end() == Close.TOO_MANY
            async with opened(api) as other:
                other.send(await subscription(api, NEIGHBOUR))
                assert (await other.read())["type"] == "subscribed"
        assert not api.services.open_sockets
        async with opened(api) as third:
            third.send(await subscription(api))
            assert (await third.read())["type"] == "subscribed"


async def test_a_listener_that_talks_too_much_is_closed(world: World, tmp_path: Path) -> None:
    async with (
        running_api(world, tmp_path, stream_s=60, reads_burst=5, reads_per_s=0.1) as api,
        opened(api) as talk,
    ):
        talk.send(await subscription(api))
        for _ in range(6):
            talk.send({"type": "ping"})
        assert await talk.end() == Close.TOO_MANY


MALFORMED = {
    "no JSON": "{",
    "a list": "[]",
    "nothing": "",
    "no type": "{}",
    "an unknown type": '{"type": "unsubscribe"}',
    "JSON of great depth": "[" * 4000,
    "an integer of 4000 digits": '{"type": "subscribe", "after": ' + "9" * 4000 + "}",
    "a topic that is none": '{"type": "subscribe", "topics": ["x"]}',
    "topics that are no list": '{"type": "subscribe", "topics": "gate"}',
    "a topic that is a list": '{"type": "subscribe", "topics": [["gate"]]}',
    "a number that is an integer": '{"type": "subscribe", "after": 1}',
    "a negative number": '{"type": "subscribe", "after": "-1"}',
    "a number in other digits": '{"type": "subscribe", "after": "\u0661"}',
    "a number that does not fit": '{"type": "subscribe", "after": "' + "9" * 30 + '"}',
    "a renewal before it began": '{"type": "renew", "token": "x"}',
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_message_closes_the_socket(api: Api, name: str) -> None:
    async with opened(api) as talk:
        talk.send(MALFORMED[name])
        assert await talk.end() == Close.MALFORMED


async def test_a_message_of_bytes_or_of_great_length_closes_the_socket(api: Api) -> None:
    async with opened(api) as talk:
        talk.outgoing.put_nowait({"type": "websocket.receive", "bytes": b"{}"})
        assert await talk.end() == Close.MALFORMED
    async with opened(api) as talk:
        talk.send(" " * 5000)
        assert await talk.end() == Close.TOO_BIG


async def test_without_its_node_a_socket_says_that_it_cannot_tell(world: World, tmp_path: Path) -> None:
    async with running_api(world, tmp_path, rpc="http://127.0.0.1:9") as api, opened(api) as talk:
        pair = await api.services.tokens.start(PROSUMER_KEY.address)
        talk.send({"type": "subscribe", "token": pair.access})
        assert await talk.end() == Close.UNAVAILABLE


async def test_a_plain_request_is_told_to_open_a_socket(api: Api) -> None:
    answer = await api.http.get("/v1/ws", headers=await api.as_(STRANGER))
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.json()["type"] == "urn:trellis:problem:upgrade-required"


# Over a real socket -------------------------------------------------------------------------------------


@contextmanager
def served(world: World, folder: Path, **changes: Any) -> Iterator[str]:
    """The app behind its server; the address of its socket."""
    app = create_app(settings_for(world, folder, stream_s=60, **changes))
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


async def test_behind_its_server_a_socket_is_opened_refused_and_closed(world: World, tmp_path: Path) -> None:
    with served(world, tmp_path) as place:
        async with connect(f"ws://{place}/v1/ws", subprotocols=[PROTOCOL]) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == PROTOCOL
            await socket.send('{"type": "subscribe", "token": "x"}')
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == Close.UNAUTHENTICATED
        with pytest.raises(Exception, match="403"):
            await connect(f"ws://{place}/v1/ws", origin="https://evil.example")  # type: ignore[arg-type]
