"""Both clients against a real server: they read the chain's, and what does not hold is not believed."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import anyio
import httpx
import pyarrow.parquet as pq
import pytest
from api_world import AUDITOR, REGULATOR
from chain_world import DAY, PROSUMERS, RICH, STRANGER, SUPPLIER
from client_world import Market, running_market

from api.client import AsyncClient, Client, Service
from api.client.errors import (
    BadAnswer,
    BadChallenge,
    BadProof,
    Forbidden,
    NoAnswer,
    NotFound,
    RelayUnavailable,
    SocketClosed,
)
from api.client.proofs import checked_proof
from api.client.retries import Retries
from settlement.chain.sign import Signer

HOME, NEIGHBOUR = PROSUMERS[2], PROSUMERS[0]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with running_market(tmp_path_factory.mktemp("client"), stream_s=1) as found:
        yield found


@pytest.fixture
def home(market: Market) -> Iterator[Client]:
    with market.client(HOME) as found:
        yield found


def test_operation_needs_no_login(market: Market) -> None:
    with market.client() as client:
        assert client.health().status == "ok"
        assert client.readiness().indexed_block == market.world.chain.block_number()
        assert "trellis_indexed_block_number" in client.metrics()
        assert '"openapi"' in client.openapi()


def test_a_wallet_is_who_the_chain_says(home: Client) -> None:
    me = home.me()
    assert me == home.account(HOME.address)
    assert (me.account, me.roles, me.member and me.member.zone) == (HOME.address, ["prosumer"], 0)


def test_a_bill_is_what_the_day_cost_to_the_last_nano(market: Market) -> None:
    with market.client(AUDITOR) as auditor:
        for signer in (*PROSUMERS, SUPPLIER):
            bill = auditor.bill(signer.address, DAY)
            free = market.world.exchange.cash(signer.address).free
            assert bill.total_nano == free - RICH == sum(one.amount_nano for one in bill.lines)


def test_lists_are_the_same_in_pages_of_any_size(home: Client) -> None:
    whole = list(home.orders(HOME.address))
    assert len(whole) == 3
    first = next(home.orders(HOME.address).pages())
    assert (list(first.items), first.next_cursor) == (whole, None)
    cash = list(home.cash(HOME.address))
    assert len({(one.block_number, one.log_index, one.kind) for one in cash}) == len(cash) > 5


def test_a_list_goes_on_behind_the_page_where_it_was_left(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.client.lists.MOST", 2)
    with market.client(HOME) as client:
        pages = list(client.cash(HOME.address).pages())
        assert [len(page.items) for page in pages[:-1]] == [2] * (len(pages) - 1)
        rest = list(client.cash(HOME.address).pages(pages[0].next_cursor))
        assert rest == pages[1:]


def test_the_market_is_everybody_s(market: Market) -> None:
    with market.client(STRANGER) as client:
        (session,) = client.sessions(day=DAY)
        assert session == client.session(1)
        page = next(client.clearing(1).pages())
        assert (page.stage, page.premiums[0].quality, len(list(client.clearing(1)))) == ("proved", 5, 1)
        assert [run.run for run in client.runs(DAY)] == [0]
        with pytest.raises(NotFound, match="session 7"):
            client.session(7)
        with pytest.raises(Forbidden):
            list(client.orders(HOME.address))


def test_one_s_own_is_read_and_a_product_is_decoded(home: Client) -> None:
    position = next(iter(home.positions(HOME.address, epoch=1)))
    product = home.product(position.windows[0].product)
    assert (product.quality, product.epoch, product.side) == (position.quality, 1, position.side)
    assert next(iter(home.readings(HOME.address, day=DAY))).wh == [-2600, -2400, -2000, -2100]
    result = next(iter(home.settlements(HOME.address)))
    assert [one.certified_wh for one in home.certificates(HOME.address)] in ([], [result.certified_wh])
    assert b"amount_nano" in b"".join(home.bill_file(HOME.address, DAY))


def test_a_member_has_its_certificates_evidence_and_a_bill_to_print(home: Client) -> None:
    certificates = list(home.certificates_by_product(HOME.address, day=DAY))
    assert sum(one.minted_wh for one in certificates) == sum(
        one.certified_wh for one in home.certificates(HOME.address)
    )
    order = next(iter(home.orders(HOME.address)))
    bundle = home.evidence(HOME.address, order.hash)
    assert (bundle.account, bundle.exchange) == (HOME.address, home.core.service.exchange)
    assert b"".join(home.bill_file(HOME.address, DAY, "pdf")).startswith(b"%PDF-")
    assert list(home.keys(HOME.address)) == list(home.disclosures()) == []
    with pytest.raises(NotFound, match="no transaction of yours"):
        home.relayed(bytes(32))
    with pytest.raises(RelayUnavailable):
        home.withdraw(1)


def test_a_proof_is_checked_before_it_is_believed(market: Market, home: Client) -> None:
    order = next(iter(home.orders(HOME.address))).hash
    found = home.proof(1, 0, order)
    assert found.inclusion is not None
    assert home.proof(1, 0, bytes(32)).absence is not None
    for wrong in (
        found.model_copy(update={"root": bytes(32)}),
        found.model_copy(update={"inclusion": None}),
        found.model_copy(update={"order": bytes(32)}),
    ):
        with pytest.raises(BadProof):
            checked_proof(wrong, order)


def test_the_ledger_is_searched_and_exported(market: Market) -> None:
    with market.client(REGULATOR) as client:
        found = list(client.ledger(name="ScheduleCleared", account=HOME.address))
        assert {one.account for one in found} == {HOME.address}
        table = pq.read_table(io.BytesIO(b"".join(client.export("parquet", from_block=20))))
        assert {one.day for one in client.aggregates(DAY)} == {DAY}
        assert table.num_rows == len(list(client.ledger(from_block=20))) > 40


# Events -------------------------------------------------------------------------------------------------


def test_events_go_on_over_the_ends_of_connections(home: Client) -> None:
    heard = list(islice(home.events(after=0), 12))
    ids = [one.id for one in heard]
    assert ids == sorted(set(ids))
    assert {one.account for one in heard} <= {None, HOME.address}
    assert next(home.events(after=heard[4].id)) == heard[5]
    assert next(home.events(("clearing",), after=0)).topic == "clearing"


def test_a_listener_hears_what_happens_after_several_connections(market: Market) -> None:
    heard: list[str] = []

    def hear() -> None:
        with market.client(HOME) as client:
            heard.extend(one.name for one in islice(client.events(), 1))

    listening = threading.Thread(target=hear)
    listening.start()
    listening.join(2.5)  # two connections of a second end meanwhile
    assert listening.is_alive()
    exchange, admin = market.world.exchange, market.world.admin
    exchange.send(admin, "changeMember", HOME.address, 0, 5_000, False)
    listening.join(10)
    assert len(heard) == 1


def test_a_socket_tells_what_the_stream_tells_and_goes_on_over_its_ends(home: Client) -> None:
    heard = list(islice(home.socket_events(after=0), 12))
    assert heard == list(islice(home.events(after=0), 12))
    assert next(home.socket_events(after=heard[4].id)) == heard[5]
    assert next(home.socket_events(("clearing",), after=0)).topic == "clearing"


def test_a_socket_whose_token_is_over_is_opened_with_another(home: Client) -> None:
    home.log_in()
    first = next(home.socket_events(after=0))
    home.core.tokens = home.core.tokens.__class__("stale", home.core.tokens.refresh, 1e12)
    assert next(home.socket_events(after=0)) == first


def test_a_socket_that_asks_for_what_there_is_not_is_closed_for_good(home: Client) -> None:
    with pytest.raises(SocketClosed, match="topics") as closed:
        next(home.socket_events(("weather",), after=0))  # type: ignore[arg-type]
    assert closed.value.code == 4400


def test_nobody_answers_a_socket_either(market: Market) -> None:
    wallet = Watched(HOME.secret)
    with market.client(wallet, retries=Retries(most=1, first_s=0.01)) as client:
        client.log_in()
        known = market.api.service
        client.core.service = Service("http://127.0.0.1:9", known.chain_id, known.exchange)
        with pytest.raises(NoAnswer):
            next(client.socket_events())


def test_a_socket_hears_what_happens_after_several_connections(market: Market) -> None:
    heard: list[str] = []

    def hear() -> None:
        with market.client(HOME) as client:
            heard.extend(one.name for one in islice(client.socket_events(), 1))

    listening = threading.Thread(target=hear)
    listening.start()
    listening.join(2.5)  # two connections of a second end meanwhile
    assert listening.is_alive()
    market.world.exchange.send(market.world.admin, "changeMember", HOME.address, 0, 5_001, False)
    listening.join(10)
    assert len(heard) == 1


# Logins -------------------------------------------------------------------------------------------------


class Watched(Signer):
    """A wallet that counts what it signs."""

    signed = 0

    def sign_digest(self, digest: bytes) -> bytes:
        self.signed += 1
        return super().sign_digest(digest)


def test_threads_share_one_login(market: Market) -> None:
    wallet = Watched(HOME.secret)
    with market.client(wallet) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.me(), range(16)))
        assert (len({one.account for one in answers}), wallet.signed) == (1, 1)
        client.core.tokens = client.core.tokens.__class__("stale", client.core.tokens.refresh, 1e12)
        list(pool.map(lambda _: client.me(), range(16)))
        assert wallet.signed == 1, "the refresh token was exchanged once, and no login was lost"


def test_after_logging_out_the_tokens_are_worth_nothing(market: Market) -> None:
    with market.client(HOME) as client:
        client.log_in()
        old = client.core.tokens
        client.log_out()
        client.log_out()
        wallet = Watched(HOME.secret)
        client.core.tokens, client.core.wallet = old, wallet
        client.me()
        assert wallet.signed == 1, "it had to log in again"


def test_a_service_that_passes_on_another_s_challenge_gets_no_signature(market: Market) -> None:
    """The real service answers, as it would through a phishing one; the client was told another address."""

    class PassesOn(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            request.url = request.url.copy_with(
                scheme="http", host="127.0.0.1", port=httpx.URL(market.api.service.url).port
            )
            return super().handle_request(request)

    wallet = Watched(HOME.secret)
    known = market.api.service
    phishing = Service("https://market-login.example", known.chain_id, known.exchange)
    with (
        Client(phishing, wallet, now=market.api.time, http=httpx.Client(transport=PassesOn())) as client,
        pytest.raises(BadChallenge, match="for the domain"),
    ):
        client.me()
    other_chain = Service(known.url, known.chain_id + 1, known.exchange)
    with (
        Client(other_chain, wallet, now=market.api.time) as client,
        pytest.raises(BadChallenge, match="chain"),
    ):
        client.me()
    assert wallet.signed == 0


def test_a_silent_or_foreign_address_is_said_to_be_one(market: Market) -> None:
    nobody = Service("http://127.0.0.1:9", 1, bytes(20))
    with Client(nobody, retries=Retries(most=1, first_s=0.01)) as client, pytest.raises(NoAnswer):
        client.health()
    with (
        Client(Service(market.world.anvil.rpc_url, 1, bytes(20))) as client,
        pytest.raises(BadAnswer, match="is it the API's address"),
    ):
        client.health()


# asyncio ------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_async_client_reads_the_same(market: Market, home: Client) -> None:
    async with market.async_client(HOME) as client:
        assert await client.session(1) == home.session(1)
        assert [one async for one in client.cash(HOME.address)] == list(home.cash(HOME.address))
        pages = [one async for one in client.orders(HOME.address).pages()]
        assert pages == list(home.orders(HOME.address).pages())
        assert (await client.proof(1, 0, pages[0].items[0].hash)).inclusion is not None
        heard = []
        async for one in client.events(after=0):
            heard.append(one)
            if len(heard) == 12:
                break
        assert heard == list(islice(home.events(after=0), 12))
        sockets = client.socket_events(after=0)
        assert [await anext(sockets) for _ in range(12)] == heard
        text = b"".join([piece async for piece in client.bill_file(HOME.address, DAY)])
        assert text == b"".join(home.bill_file(HOME.address, DAY))


@pytest.mark.anyio
async def test_tasks_share_one_login(market: Market) -> None:
    wallet = Watched(HOME.secret)
    async with market.async_client(wallet) as client, anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(client.me)
    assert wallet.signed == 1
    async with AsyncClient(Service("http://127.0.0.1:9", 1, bytes(20)), retries=Retries(most=0)) as client:
        with pytest.raises(NoAnswer):
            await client.health()
