"""Cash and claims while sessions run: what a withdrawal waits for; a claim handed over by two messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import index_world  # noqa: F401  (puts tests/chain on the path)
import pytest
from api_client import Api
from chain_world import PROSUMERS, PROVE_BY, World, running_world
from index_world import indexed
from relay_world import post, relaying, signed, to_sign, withdrawal
from test_day import small_book

from api.readmodel import query
from api.schemas.common import rfc3339
from settlement.chain.sign import Signer

pytestmark = pytest.mark.anyio


@pytest.fixture
def world() -> Iterator[World]:
    with running_world() as found:
        yield found


@asynccontextmanager
async def reading(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """An app over the chain as it is now, whose time is the chain's."""
    address = f"sqlite+aiosqlite:///{folder / 'now.db'}"
    async with indexed(world, address) as index:
        await index.catch_up()
    monkeypatch.setattr(query, "time", SimpleNamespace(time=world.chain.now))
    async with relaying(world, folder, database_url=address) as api:  # type: ignore[arg-type]
        yield api


async def mined(api: Api, signer: Signer, body: Any) -> None:
    answer = await post(api, "/v1/relays", signer, body)
    assert answer.status_code == 202, answer.text
    for _ in range(100):
        found = await api.http.get(answer.headers["location"], headers=await api.as_(signer))
        if found.json()["state"] != "pending":
            break
        await asyncio.sleep(0.02)
    assert found.json()["state"] == "mined", found.text


async def test_a_withdrawal_says_which_session_it_waits_for_and_is_paid_when_it_has_ended(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = PROSUMERS[0]
    path = f"/v1/accounts/0x{home.address.hex()}/withdrawals/pending"
    session = world.open_session()
    async with reading(world, tmp_path, monkeypatch) as api:
        await mined(api, home, await withdrawal(api, 5, home))
        found = (await api.http.get(path, headers=await api.as_(home))).json()
        assert (found["amount_nano"], found["after_epoch"]) == ("5", "1")
        assert (found["ready"], found["error"]) == (False, "WithdrawalNotReady")
        waits = [{"epoch": "1", "stage": "open", "deadline": rfc3339(session.params.commit_by)}]
        assert [one | {"deadline": waits[0]["deadline"]} for one in found["waits_for"]] == waits
        refused = await post(api, path + "/execution", home)
        assert refused.json()["error"] == "WithdrawalNotReady"
        world.clock.advance_to(PROVE_BY + 1)  # nobody commits: it is void
        api.clock.now = world.chain.now()
        found = (await api.http.get(path, headers=await api.as_(home))).json()
        assert (found["ready"], found["error"], found["waits_for"]) == (True, None, [])
        assert (await post(api, path + "/execution", home)).status_code == 202


async def test_a_claim_is_handed_over_by_an_acceptance_and_a_transfer(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = world.open_session()
    world.clear(session, small_book(world, session), chunk=5)
    async with reading(world, tmp_path, monkeypatch) as api:
        holder, product, wh = await _a_claim(api)
        other = next(one for one in PROSUMERS if one is not holder)
        terms = {"product": product, "amount_wh": wh}
        given = {**terms, "to": "0x" + other.address.hex()}
        early = await post(
            api, "/v1/relays", holder, signed(await to_sign(api, "transfers", given, holder), holder)
        )
        assert early.json()["error"] == "NotAccepted"
        taken = {**terms, "sender": "0x" + holder.address.hex()}
        await mined(api, other, signed(await to_sign(api, "acceptances", taken, other), other))
        before = world.exchange.view("balanceOf", other.address, int(product))[0]
        await mined(api, holder, signed(await to_sign(api, "transfers", given, holder), holder))
        after = world.exchange.view("balanceOf", other.address, int(product))[0]
        assert after - before == int(wh)


async def _a_claim(api: Api) -> tuple[Signer, str, str]:
    """A holder, a product and how much of it, of a session that is proved."""
    for holder in PROSUMERS:
        path = f"/v1/accounts/0x{holder.address.hex()}/positions"
        for one in (await api.http.get(path, headers=await api.as_(holder))).json()["items"]:
            if one["side"] == "claim":
                window = one["windows"][-1]
                return holder, window["product"], window["wh"]
    raise AssertionError("the book buys something")
