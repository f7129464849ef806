"""What holds for every answer: problems, headers, limits, health, tags, pages, keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api_client import START, Api, Clock, running_api
from api_world import PROSUMER_KEY, World
from fastapi.responses import JSONResponse, Response

from api.db.stores import IdempotencyStore
from api.errors import InvalidRequest, KeyReused, RateLimited, WriteInProgress
from api.errors import Unavailable as Down
from api.etag import etag_of, matches
from api.idempotency import STALE_S, Once
from api.limits import Buckets, Limit
from api.pages import Cursors

pytestmark = pytest.mark.anyio

ME = "/v1/auth/me"


async def test_every_refusal_is_a_problem(api: Api) -> None:
    post = "/v1/auth/refresh"
    json_ = {"Content-Type": "application/json"}
    cases = [
        (await api.http.get("/nowhere"), 404, "not-found"),
        (await api.http.delete("/healthz"), 405, "method-not-allowed"),
        (await api.http.post(post, content=b"{", headers=json_), 400, "malformed-request"),
        (await api.http.post(post, json={"refresh_token": 5}), 422, "invalid-request"),
        (await api.http.post(post, json={"refresh_token": "x", "more": 1}), 422, "invalid-request"),
        (await api.http.post(post, content=bytes(5 << 20), headers=json_), 413, "body-too-large"),
        (await api.http.get(ME), 401, "unauthenticated"),
    ]
    for answer, status, slug in cases:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"urn:trellis:problem:{slug}"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_what_was_sent_is_not_repeated(api: Api) -> None:
    answer = await api.http.post("/v1/auth/login", json={"message": ["s3cret"], "signature": "s3cret"})
    assert answer.status_code == 422
    assert "s3cret" not in answer.text
    assert {each["pointer"] for each in answer.json()["errors"]} == {"/message", "/signature"}


async def test_a_body_without_a_length_is_cut_off_too(api: Api) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1 << 20)

    answer = await api.http.post("/v1/auth/refresh", content=endless())
    assert answer.status_code == 413


async def test_a_bug_shows_nothing_of_its_insides(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("s3cret path")

    headers = await api.as_(PROSUMER_KEY)
    monkeypatch.setattr(api.services.roles, "of", broken)
    answer = await api.http.get(ME, headers=headers)
    assert answer.status_code == 500
    assert "s3cret" not in answer.text
    assert answer.json()["type"] == "urn:trellis:problem:internal-error"


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1", True), ("a b", False), ("x" * 65, False), ('"}', False)]
)
async def test_a_plain_request_id_is_kept(api: Api, sent: str, kept: bool) -> None:
    answer = await api.http.get("/healthz", headers={"X-Request-ID": sent})
    assert (answer.headers["x-request-id"] == sent) is kept


async def test_health_readiness_and_metrics(api: Api) -> None:
    assert (await api.http.get("/healthz")).json() == {"status": "ok"}
    ready = await api.http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    text = (await api.http.get("/metrics")).text
    assert 'trellis_http_requests_total{method="GET",route="/readyz",status="200"} 1.0' in text


async def test_without_its_node_it_lives_but_is_not_ready_and_lets_nobody_in(
    world: World, tmp_path: Path
) -> None:
    async with running_api(world, tmp_path, rpc="http://127.0.0.1:9") as api:
        assert (await api.http.get("/healthz")).status_code == 200
        assert (await api.http.get("/readyz")).status_code == 503
        pair = await api.services.tokens.start(PROSUMER_KEY.address)
        answer = await api.http.get(ME, headers={"Authorization": f"Bearer {pair.access}"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_wallet_that_asks_too_often_waits(world: World, tmp_path: Path) -> None:
    async with running_api(world, tmp_path, reads_burst=2, reads_per_s=0.1) as api:
        headers = await api.as_(PROSUMER_KEY)
        answers = [await api.http.get(ME, headers=headers) for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) in (9, 10)


def test_a_bucket_refills_and_is_its_caller_s_own() -> None:
    clock = Clock(0)
    buckets = Buckets(Limit(2, 4), clock)
    buckets.take("a", 4)
    with pytest.raises(RateLimited, match="wait 1 s"):
        buckets.take("a")
    buckets.take("b", 4)
    clock.now = 0.5
    buckets.take("a")
    clock.now = 10
    buckets.take("a", 100)  # more than a bucket: passes when it is full
    with pytest.raises(RateLimited, match="wait 49 s"):
        buckets.take("a")


async def test_cors_is_off_unless_an_origin_is_named(world: World, api: Api, tmp_path: Path) -> None:
    ask = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    assert "access-control-allow-origin" not in (await api.http.options("/healthz", headers=ask)).headers
    async with running_api(world, tmp_path, cors_origins=("https://app.example",)) as open_:
        answer = await open_.http.options("/healthz", headers=ask)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in answer.headers


async def test_an_unchanged_answer_is_not_sent_again(api: Api) -> None:
    headers = await api.as_(PROSUMER_KEY)
    path = "/v1/accounts/0x" + PROSUMER_KEY.address.hex()
    first = await api.http.get(path, headers=headers)
    again = await api.http.get(path, headers=headers | {"If-None-Match": f'W/{first.headers["etag"]}, "x"'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"] == etag_of(first.content)
    assert not matches('"x"', etag_of(b""))
    assert matches("*", etag_of(b""))


def test_a_cursor_is_of_its_list_and_cannot_be_made_up() -> None:
    cursors = Cursors(b"k" * 32)
    items, cursor = cursors.page("orders", [1, 2, 3], 2, lambda row: (row, "0x01"))
    assert items == [1, 2]
    assert cursors.read("orders", cursor) == (2, "0x01")
    assert cursors.page("orders", [1, 2], 2, lambda row: (row,))[1] is None
    assert cursor is not None
    for scope, other in (("bills", cursor), ("orders", "A" + cursor[1:]), ("orders", "é"), ("orders", "")):
        with pytest.raises(InvalidRequest):
            cursors.read(scope, other)


# Idempotency --------------------------------------------------------------------------------------------


def once(api: Api, mark: str = "f", account: str = "0xa", ttl_s: int = 1000) -> Once:
    return Once(IdempotencyStore(api.services.sessions), account, "key", mark, ttl_s, api.clock)


async def test_a_write_sent_twice_is_carried_out_once(api: Api) -> None:
    done: list[int] = []

    async def write() -> Response:
        done.append(1)
        return JSONResponse({"n": len(done)}, 201)

    first, again = await once(api)(write), await once(api)(write)
    assert (again.status_code, again.body) == (first.status_code, first.body) == (201, b'{"n":1}')
    assert again.headers["Idempotency-Replayed"] == "true"
    with pytest.raises(KeyReused):
        await once(api, mark="g")(write)
    assert json.loads(bytes((await once(api, account="0xb")(write)).body)) == {"n": 2}
    api.clock.now = START + 1001
    assert json.loads(bytes((await once(api, mark="g")(write)).body)) == {"n": 3}


async def test_of_the_same_write_at_the_same_moment_one_is_carried_out(api: Api) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def write() -> Response:
        started.set()
        await go.wait()
        return JSONResponse({})

    first = asyncio.create_task(once(api)(write))
    await started.wait()
    with pytest.raises(WriteInProgress):
        await once(api)(write)
    go.set()
    assert (await first).status_code == 200


async def test_a_failure_frees_the_key_and_a_refusal_keeps_it(api: Api) -> None:
    async def down() -> Response:
        raise Down("later")

    async def refused() -> Response:
        raise InvalidRequest("no")

    async def fine() -> Response:
        return JSONResponse({})

    with pytest.raises(Down):
        await once(api)(down)
    assert (await once(api)(refused)).status_code == 422
    assert (await once(api)(fine)).status_code == 422


async def test_a_write_whose_process_died_is_taken_over(api: Api) -> None:
    store = IdempotencyStore(api.services.sessions)
    assert await store.claim("0xa", "key", "f", "dead", START, 0, 0) is None

    async def write() -> Response:
        return JSONResponse({})

    with pytest.raises(WriteInProgress):
        await once(api)(write)
    api.clock.now += STALE_S + 1
    assert (await once(api)(write)).status_code == 200
