"""Injection: what a caller sends stays data in SQL, logs, spreadsheets, headers, pages and ids."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from api_client import Api, running_api
from api_world import AUDITOR, NEIGHBOUR, PROSUMER_KEY, World
from sqlalchemy import func, select

from api import logs, sheets
from api.db.tables import METADATA
from api.pages import Cursors

pytestmark = pytest.mark.anyio

HOME = "0x" + PROSUMER_KEY.address.hex()
STRINGS = [
    "' OR '1'='1",
    "'; DROP TABLE logins; --",
    '" OR ""="',
    "1) UNION SELECT hash FROM refresh_tokens --",
    "%' ESCAPE '\\",
    "\\x27 OR 1=1",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "\x00",
    "a\x00b",
    "\r\nSet-Cookie: a=b",
    "\u2028\u202e\ufeff",
    "0\u0445" + "00" * 20,
    "\uff11",
    "\u0661",
    "1e3",
    "-0",
    "9" * 400,
    "../" * 20,
]


async def rows_of(api: Api) -> dict[str, int]:
    """Rows of each table but those that a login or request adds to by itself."""
    own = {"login_nonces", "logins", "refresh_tokens", "idempotency_records"}
    async with api.services.sessions() as session:
        return {
            table.name: (await session.execute(select(func.count()).select_from(table))).scalar_one()
            for table in METADATA.sorted_tables
            if table.name not in own
        }


def places(api: Api) -> list[tuple[str, str, list[str], list[str]]]:
    """Method, path, query parameters and headers of each operation."""
    found = []
    for path, methods in api.app.openapi()["paths"].items():
        for method, operation in methods.items():
            named: dict[str, list[str]] = {"query": [], "header": [], "path": [], "cookie": []}
            for one in operation.get("parameters", ()):
                named[one["in"]].append(one["name"])
            found.append((method.upper(), path, named["query"], named["header"]))
    return found


async def test_no_string_in_any_place_is_carried_out_or_makes_a_fault(
    world: World, tmp_path: Path, database_url: str
) -> None:
    """In every path, query and header parameter, on SQLite and on PostgreSQL."""
    wide = {"reads_burst": 10**6, "writes_burst": 10**6, "logins_burst": 10**6, "roles_cache_s": 60}
    async with running_api(world, tmp_path, database_url=database_url, **wide) as api:
        headers = await api.as_(AUDITOR)
        before = await rows_of(api)
        for method, path, queries, named in places(api):
            for text in STRINGS:
                await _try(api, method, path, text, headers, queries, named)
            if path == "/v1/auth/logout":
                headers = await api.as_(AUDITOR)
        assert await rows_of(api) == before
        assert (await api.http.get("/v1/auth/me", headers=headers)).status_code == 200


async def _try(
    api: Api, method: str, path: str, text: str, headers: dict[str, str], queries: list[str], named: list[str]
) -> None:
    from urllib.parse import quote

    filled = re.sub(r"{\w+}", lambda _: quote(text, safe=""), path)
    plain = re.sub(r"{\w+}", HOME, path)
    attempts: list[tuple[str, dict[str, str], dict[bytes, bytes]]] = [(filled, {}, {})]
    if queries:
        attempts.append((plain, dict.fromkeys(queries, text), {}))
    sent = re.sub(rb"[\r\n\x00]", b"", text.encode())
    extra = [*named, "Idempotency-Key", "If-None-Match", "Accept", "X-Request-ID", "Last-Event-ID"]
    attempts.append((plain, {}, {name.encode(): sent for name in extra}))
    for url, params, more in attempts:
        all_ = {**{name.encode(): value.encode() for name, value in headers.items()}, **more}
        answer = await api.http.request(method, url, params=params, headers=all_)
        assert answer.status_code < 500 or answer.status_code == 503, (method, url, text, answer.text)
        assert "set-cookie" not in answer.headers


BODIES: list[Any] = [
    {"account": HOME, "request_id": "' OR 1=1 --"},
    {"message": "\ud800", "signature": "0x"},
    {"refresh_token": "\ud800"},
    {"refresh_token": "\x00"},
    {"kind": "withdrawal", "message": {"\ud800": "1"}, "signature": "0x00"},
    {"kind": "withdrawal", "message": {"account": "\x00", "amountNano": "1; DROP"}, "signature": "0x00"},
    {"amount_nano": "1e9"},
    {"to": "0x" + "\uff11" * 40, "product": "1", "amount_wh": "1"},
    [],
    None,
    True,
    "x",
]


async def test_no_body_is_carried_out_or_makes_a_fault(api: Api) -> None:
    headers = await api.as_(PROSUMER_KEY)
    for method, path, _, _ in places(api):
        if method == "GET":
            continue
        for body in BODIES:
            text = json.dumps(body)
            answer = await api.http.request(
                method,
                re.sub(r"{\w+}", HOME, path),
                content=text,
                headers={**headers, "Content-Type": "application/json"},
            )
            assert answer.status_code < 500 or answer.status_code == 503, (path, text, answer.text)
            if path == "/v1/auth/logout":
                headers = await api.as_(PROSUMER_KEY)


BOMBS = {
    "arrays of great depth": "[" * 100_000 + "]" * 100_000,
    "objects of great depth": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "an integer of a million digits": '{"refresh_token": ' + "9" * 1_000_000 + "}",
    "a number beyond all": '{"refresh_token": 1e999999999}',
    "no number": '{"refresh_token": NaN}',
    "a key ten thousand times": "{" + ",".join(['"refresh_token": "x"'] * 10_000) + "}",
    "many keys": "{" + ",".join(f'"k{at}": 1' for at in range(50_000)) + "}",
    "bytes that are no text": b"\xff\xfe{\x00}\x00",
    "text of 16 bits": '{"refresh_token": "x"}'.encode("utf-16"),
    "an escape that ends early": '{"refresh_token": "\\ud8"}',
    "nothing": "",
}


@pytest.mark.parametrize("name", BOMBS)
async def test_json_that_is_a_bomb_is_refused_at_once(api: Api, name: str) -> None:
    sent = {"content": BOMBS[name], "headers": {"Content-Type": "application/json"}}
    answer = await api.http.post("/v1/auth/refresh", **sent)  # type: ignore[arg-type]
    assert answer.status_code in (400, 401, 413, 422), answer.text
    assert len(answer.content) < 20_000


# Logs, headers, spreadsheets ----------------------------------------------------------------------------


async def test_a_log_line_is_one_line_of_json_whatever_was_sent(api: Api, caplog: Any) -> None:
    import logging

    logging.getLogger("trellis").addHandler(caplog.handler)
    forged = '\n{"event": "login", "account": "0xadmin"}\r\n\x1b[2J\x1b[31m'
    from urllib.parse import quote

    for text in (forged, "\u2028\u0085\x7f"):
        await api.http.get(f"/v1/accounts/{quote(text, safe='')}", headers=await api.as_(PROSUMER_KEY))
        await api.http.get(f"/{quote(text, safe='')}", params={text: text})
        clean = re.sub(rb"[\r\n]", b" ", text.encode())
        names = (b"X-Request-ID", b"User-Agent", b"Referer", b"Origin")
        await api.http.get("/healthz", headers=dict.fromkeys(names, clean))
        body = {"account": HOME, "request_id": text}
        await api.http.post("/v1/auth/challenge", json=body)
    assert caplog.records
    for record in caplog.records:
        line = logs.JsonLines().format(record)
        assert line.isascii()
        assert line.isprintable()
        assert "0xadmin" not in line
        assert json.loads(line)["event"] in ("request", "login")


@pytest.mark.parametrize("sent", [b"a\r\nX-Evil: 1", b"a\nb", b"\xc3\xa9", b"a" * 5000, b"<script>", b"a b"])
async def test_a_header_that_is_given_back_is_one_that_is_harmless(api: Api, sent: bytes) -> None:
    """Put into the request as it is: no client of HTTP would send a line feed."""
    headers: list[tuple[bytes, bytes]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        headers.extend(message.get("headers", ()))

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/healthz", "raw_path": b""}
    rest = {"query_string": b"", "root_path": "", "scheme": "http", "client": None, "server": None}
    named = [(b"x-request-id", sent), (b"if-none-match", sent), (b"origin", sent)]
    await api.app({**scope, **rest, "headers": named}, receive, send)
    for name, value in headers:
        assert b"evil" not in name.lower()
        assert sent not in value
        assert not re.search(rb"[\r\n\x00]", value)


def test_no_cell_of_a_table_is_a_formula() -> None:
    hostile = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://127.0.0.1")']
    rows = list(csv.reader(io.StringIO(sheets.lines([hostile]).decode(), newline="")))
    assert [one.startswith("'") for one in rows[0]] == [True] * len(hostile)
    harmless = ["-17", "12", "0xab", "trade", "", None, -5]
    (kept,) = csv.reader(io.StringIO(sheets.lines([harmless]).decode()))
    assert kept == ["-17", "12", "0xab", "trade", "", "", "-5"]


# Cursors and ids ----------------------------------------------------------------------------------------


async def test_a_cursor_that_was_changed_or_is_of_another_list_is_refused(api: Api) -> None:
    headers = await api.as_(PROSUMER_KEY)
    cursors: Cursors = api.services.cursors
    path = f"/v1/accounts/{HOME}/orders"
    right = cursors.write(f"orders {HOME[2:]} None", (1, "0x" + "00" * 32))
    assert (await api.http.get(path, headers=headers, params={"cursor": right})).status_code == 200
    others = [cursors.write(f"orders {NEIGHBOUR.address.hex()} None", (1, "0x")), right + "A", right[:-1]]
    others += [cursors.write(f"cash {HOME[2:]}", (1, 1, "x")), right.upper(), "A" * 1000, "=", "..", "\u0661"]
    others += [
        right[:at] + ("B" if right[at] != "B" else "C") + right[at + 1 :] for at in range(len(right) - 1)
    ]
    for one in others:
        answer = await api.http.get(path, headers=headers, params={"cursor": one})
        assert answer.status_code == 422, one


@pytest.mark.parametrize(
    "account",
    [
        HOME.replace("0x", "0X"),
        HOME.replace("0", "\uff10"),
        HOME.replace("0x", "\u202e0x"),
        HOME + "\u200b",
        " " + HOME,
        HOME + "%00",
        HOME[:-1] + "\u0661",
        HOME[2:],
        HOME + "00",
    ],
)
async def test_an_account_in_other_letters_is_nobody_s(api: Api, account: str) -> None:
    """Neither let through as one's own, nor as another's."""
    headers = await api.as_(PROSUMER_KEY)
    answer = await api.http.get(f"/v1/accounts/{account}/cash", headers=headers)
    assert answer.status_code in (404, 422)
    body = {"account": account}
    assert (await api.http.post("/v1/auth/challenge", json=body)).status_code == 422


async def test_an_account_in_capital_digits_is_the_same_one(api: Api) -> None:
    headers = await api.as_(PROSUMER_KEY)
    path = f"/v1/accounts/0x{PROSUMER_KEY.address.hex().upper()}/cash"
    assert (await api.http.get(path, headers=headers)).status_code == 200
