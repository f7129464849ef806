"""A bill as PDF: readable, the same bytes each time, its sums those of the JSON."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import index_world  # noqa: F401  (puts tests/chain on the path)
import pytest
from api_client import Api, running_api
from audit_world import run_day
from chain_world import DAY, PROSUMERS, WINDOW_LENGTH, World, running_world
from index_world import indexed
from pypdf import PdfReader

from api.bills.facts import Bill, Traded
from api.bills.page import render
from api.bills.words import kwh, money, quality_of, rounded
from api.etag import preferred
from settlement.chain.sign import Signer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as found:
        run_day(found)
        yield found


@pytest.fixture
async def api(world: World, tmp_path: Path) -> AsyncIterator[Api]:
    address = f"sqlite+aiosqlite:///{tmp_path / 'day.db'}"
    async with indexed(world, address) as index:
        await index.catch_up()
    async with running_api(world, tmp_path, database_url=address) as found:  # type: ignore[arg-type]
        yield found


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


async def bill_of(api: Api, signer: Signer, **headers: str) -> Any:
    path = f"/v1/accounts/0x{signer.address.hex()}/bills/{DAY}"
    return await api.http.get(path, headers=await api.as_(signer) | headers)


async def test_the_page_says_what_the_json_says_to_the_last_nano(api: Api) -> None:
    for signer in PROSUMERS:
        told = (await bill_of(api, signer)).json()
        answer = await bill_of(api, signer, Accept="application/pdf")
        assert answer.headers["content-type"] == "application/pdf"
        text = text_of(answer.content)
        assert f"Account {told['account']}" in text
        total = int(told["total_nano"])
        assert re.search(rf"^Sum\s*{re.escape(money(total))}$", text, re.MULTILINE), text
        assert ("You pay" if total < 0 else "You receive") in text
        assert rounded(total) in text
        sums: dict[str, int] = {}
        for line in told["lines"]:
            assert line["tx_hash"] in text
            assert money(int(line["amount_nano"])) in text
            sums[line["kind"]] = sums.get(line["kind"], 0) + int(line["amount_nano"])
        assert all(money(nano) in text for nano in sums.values())


async def test_its_energy_is_that_of_fills_readings_and_results(api: Api) -> None:
    home = PROSUMERS[2]
    headers, base = await api.as_(home), f"/v1/accounts/0x{home.address.hex()}/"
    orders, readings, results = [
        (await api.http.get(base + name, headers=headers)).json()["items"]
        for name in ("orders", "readings", "settlements")
    ]
    text = text_of((await bill_of(api, home, Accept="application/pdf")).content)
    for side, word in (("sell", "Sold"), ("buy", "Bought")):
        filled = sum(int(wh) for one in orders if one["side"] == side for wh in one["filled_wh"] or ())
        assert re.search(rf"^{word}\s*{re.escape(kwh(filled))}$", text, re.MULTILINE), text
    metered = sum(int(wh) for one in readings for wh in one["wh"])
    assert re.search(rf"^Metered.*\n{re.escape(kwh(metered))}$", text, re.MULTILINE)
    certified = sum(int(one["certified_wh"]) for one in results)
    assert re.search(rf"certificate.*\n{re.escape(kwh(certified))}$", text, re.MULTILINE)


async def test_the_same_bill_is_the_same_bytes_and_not_sent_again(api: Api) -> None:
    home = PROSUMERS[0]
    first = await bill_of(api, home, Accept="application/pdf")
    assert (await bill_of(api, home, Accept="application/pdf")).content == first.content
    assert first.headers["vary"] == "Authorization, Accept"
    again = await bill_of(api, home, **{"Accept": "application/pdf", "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await bill_of(api, home, **{"If-None-Match": first.headers["etag"]})
    assert other.headers["content-type"] == "application/json"


def bill(**changes: Any) -> Bill:
    """A day of 50 half-hours."""
    order = Traded("0x" + "1f" * 32, True, 13, 800, 1_000)
    line = {"kind": "trade", "amount_nano": 1, "block_number": 7, "tx_hash": "0x" + "2e" * 32}
    fields: dict[str, Any] = {
        "account": "0x" + "c0" * 20,
        "day": DAY,
        "starts_at": DAY * WINDOW_LENGTH,
        "window_s": WINDOW_LENGTH,
        "settled": False,
        "certified": False,
        "contracted_wh": (400, -400) * 25,
        "metered_wh": None,
        "estimated": 0,
        "imbalance_wh": 0,
        "certified_wh": 0,
        "orders": (order,),
        "lines": (SimpleNamespace(**line),),
    }
    return Bill(**{**fields, **changes})


def test_a_day_without_anything_and_one_with_very_much_have_a_page_each() -> None:
    empty = bill(contracted_wh=(0,) * 48, orders=(), lines=())
    assert "not read yet" in text_of(render(empty))
    assert "0.000000000" in text_of(render(empty))
    much = bill(lines=bill().lines * 400, orders=bill().orders * 100)
    assert len(PdfReader(io.BytesIO(render(much))).pages) > 5
    assert money(400) in text_of(render(much))


def test_a_day_that_is_not_settled_says_so() -> None:
    assert "Provisional" in text_of(render(bill()))
    assert "Settled, not yet certified" in text_of(render(bill(settled=True)))
    assert "Certified, but for later corrections" in text_of(render(bill(settled=True, certified=True)))


@pytest.mark.parametrize(
    ("nano", "exact", "near"),
    [
        (0, "0.000000000", "0.00"),
        (-1, "-0.000000001", "0.00"),
        (5_000_000, "0.005000000", "0.01"),
        (-1_234_567_890_123, "-1,234.567890123", "1,234.57"),
        (999_999_999_999, "999.999999999", "1,000.00"),
        (10**27, "1,000,000,000,000,000,000.000000000", "1,000,000,000,000,000,000.00"),
    ],
)
def test_amounts_are_written_without_losing_a_digit(nano: int, exact: str, near: str) -> None:
    assert (money(nano), rounded(nano)) == (exact, near)
    assert int(exact.replace(",", "").replace(".", "")) == nano


def test_energy_and_quality_in_words() -> None:
    assert [kwh(wh) for wh in (0, -5, 12_345_678)] == ["0.000", "-0.005", "12,345.678"]
    assert quality_of(13) == "at most 50 g CO2e/kWh, firm"
    assert (quality_of(0), quality_of(None)) == ("any source, as produced", "any")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/pdf", "application/pdf"),
        ("text/html, application/pdf;q=0.9, */*;q=0.8", "application/pdf"),
        ("application/json;q=0.1, text/csv;q=0.5", "text/csv"),
        ("text/*", "text/csv"),
        ("application/*, application/json;q=0", "application/pdf"),
        ("image/png", "application/json"),
        ("application/pdf;q=nonsense;q=2, ;;,,", "application/pdf"),
    ],
)
def test_the_type_that_is_liked_best_is_sent(accept: str, chosen: str) -> None:
    from starlette.requests import Request

    request = Request({"type": "http", "headers": [(b"accept", accept.encode())] if accept else []})
    assert preferred(request, ["application/json", "text/csv", "application/pdf"]) == chosen
