"""Other sites' pages, and answers that lead elsewhere: no browser is made to act for its wallet."""

from __future__ import annotations

import re
from typing import Any

import pytest
from api_client import Api
from api_world import PROSUMER_KEY, key

from api.roles import MATRIX

pytestmark = pytest.mark.anyio

WRITES = [cell for cell in MATRIX if cell[0] != "GET"]
EVIL = "https://evil.example"


def path_of(path: str) -> str:
    path = path.replace("{account}", "0x" + PROSUMER_KEY.address.hex())
    return re.sub(r"{\w+}", "0x" + "00" * 32, path)


@pytest.mark.parametrize("cell", WRITES, ids=" ".join)
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
async def test_what_a_form_of_another_site_can_send_writes_nothing(
    api: Api, cell: tuple[str, str], kind: str | None
) -> None:
    """These types need no preflight. Without a token nothing is written, and with one no form is read."""
    forms: dict[str, Any] = {"Origin": EVIL, "Cookie": "access_token=x", "Sec-Fetch-Site": "cross-site"}
    forms |= {} if kind is None else {"Content-Type": kind}
    answer = await api.http.request(cell[0], path_of(cell[1]), content=b'{"a": 1}', headers=forms)
    assert 400 <= answer.status_code < 500, answer.text
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain;application/json", "application/x-www-form-urlencoded", None]
)
async def test_json_under_the_type_of_a_form_is_no_json(api: Api, kind: str | None) -> None:
    body = b'{"account": "0x' + key(55).address.hex().encode() + b'"}'
    sent = {"content": body, "headers": {} if kind is None else {"Content-Type": kind}}
    answer = await api.http.post("/v1/auth/challenge", **sent)  # type: ignore[arg-type]
    assert answer.status_code in (415, 422)
    right = await api.http.post(
        "/v1/auth/challenge", content=body, headers={"Content-Type": "application/json"}
    )
    assert right.status_code == 200


@pytest.mark.parametrize("cell", sorted(MATRIX), ids=" ".join)
async def test_no_preflight_of_another_origin_is_granted(api: Api, cell: tuple[str, str]) -> None:
    asked = {
        "Origin": EVIL,
        "Access-Control-Request-Method": cell[0],
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = await api.http.options(path_of(cell[1]), headers=asked)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_method_in_a_header_is_not_the_method(api: Api) -> None:
    headers = await api.as_(PROSUMER_KEY)
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = await api.http.get("/v1/auth/logout", headers={**headers, name: "POST"})
        assert answer.status_code == 405
    assert (await api.http.get("/v1/auth/me", headers=headers)).status_code == 200


ELSEWHERE = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Prefix": "//evil.example",
    "Forwarded": "host=evil.example;proto=http",
    "X-Original-URL": "/v1/auth/me",
    "X-Rewrite-URL": "/v1/auth/me",
    "Referer": EVIL,
}


@pytest.mark.parametrize("cell", sorted(MATRIX), ids=" ".join)
async def test_no_answer_repeats_or_follows_a_host_that_the_caller_names(
    api: Api, cell: tuple[str, str]
) -> None:
    for path in (path_of(cell[1]), path_of(cell[1]) + "/", "/" + path_of(cell[1])):
        answer = await api.http.request(cell[0], path, headers=ELSEWHERE, follow_redirects=False)
        assert not 300 <= answer.status_code < 400
        assert "evil" not in answer.text + str(answer.headers)


async def test_an_address_in_a_header_is_not_whose_login_is_counted(api: Api) -> None:
    api.services.logins.limit = type(api.services.logins.limit)(0.001, 3)
    statuses = []
    for number in range(5):
        headers = {"X-Forwarded-For": f"10.0.0.{number}", "X-Real-IP": f"10.0.0.{number}"}
        body = {"account": "0x" + PROSUMER_KEY.address.hex()}
        answer = await api.http.post("/v1/auth/challenge", json=body, headers=headers)
        statuses.append(answer.status_code)
    assert statuses == [200] * 3 + [429] * 2


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/v1/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/accounts/..%2f..%2fopenapi.json",
        "/v1/accounts/0x00/%2e%2e/%2e%2e/healthz",
        "/v1/sessions/1/../../../metrics",
        "/v1//sessions",
        "/V1/sessions",
        "/v1/sessions;x=1",
        "/v1/sessions%00",
        "/v1/auth/me%2f",
        "\\v1\\sessions",
        "/static/..%5c..%5cetc%5cpasswd",
    ],
)
async def test_no_path_leads_around_the_table_of_routes(api: Api, path: str) -> None:
    """Asked for raw, as no client would send it: nobody gets in without a token, no file is read."""
    raw = path.encode()
    status: list[int] = []
    body: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
        body.append(message.get("body", b""))

    from urllib.parse import unquote

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": raw,
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("api.test", 80),
    }
    await api.app(scope, receive, send)
    assert status[0] in (401, 404)
    assert b"root:" not in b"".join(body)
