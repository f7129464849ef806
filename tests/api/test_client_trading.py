"""Clients trade with a real intake: only what they made is signed, only receipts that bind are believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from chain_world import PROSUMERS, STRANGER, World, make_schedule
from claims_world import RECEIPTS, Bonded, fund_operator, open_bonded
from client_world import Market, running_market

from api.client import Client
from api.client.errors import BadTerms, BadTypedData, NotFound, OrderRefused, UnbelievedReceipt
from api.client.terms import checked_receipt, checked_terms
from api.client.trading import checked_order, draft_of, signed
from api.schemas.orders import FlexibleDraft, ScheduleDraft
from settlement.chain.keystore import write_throwaway
from settlement.chain.receipts import check_receipt
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.schedule import Schedule

HOME, NEIGHBOUR = PROSUMERS[0], PROSUMERS[1]


@dataclass
class Open:
    """A market that is open for orders."""

    market: Market
    bonded: Bonded

    @property
    def epoch(self) -> int:
        return self.bonded.session.epoch

    def order(self, trader: Signer = HOME, **changes: Any) -> Schedule:
        return make_schedule(self.bonded.session, trader.address, **changes)


@pytest.fixture(scope="module")
def open_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    folder, found = tmp_path_factory.mktemp("trading"), list[Bonded]()

    def prepare(world: World) -> None:
        fund_operator(world)
        found.append(open_bonded(world))

    keystore = write_throwaway(folder, RECEIPTS)
    with running_market(folder, prepare, receipt_key_file=str(keystore)) as market:
        yield Open(market, found[0])


@pytest.fixture
def home(open_market: Open) -> Iterator[Client]:
    with open_market.market.client(HOME) as found:
        yield found


def refusing(*, at: str) -> Any:
    """A wallet of the home's that signs nothing more."""

    class Refusing(Signer):
        def sign_digest(self, digest: bytes) -> bytes:
            raise AssertionError(f"it signed {at}")

    return Refusing(HOME.secret)


# Terms and typed data -----------------------------------------------------------------------------------


def test_terms_are_those_that_the_session_s_id_is_the_hash_of(open_market: Open, home: Client) -> None:
    terms = home.terms(open_market.epoch)
    assert terms.params == open_market.bonded.session.params
    told = home.session(open_market.epoch)
    for changed in ({"receipt_signer": STRANGER.address}, {"gate": told.gate + 1}, {"order_bond_nano": 1}):
        with pytest.raises(BadTerms):
            checked_terms(told.model_copy(update=changed))


def test_the_service_fills_in_zone_and_nonce_and_nothing_else(open_market: Open, home: Client) -> None:
    order = open_market.order(quantity_wh=(500, 700), limit_micro_per_kwh=(200_000, 190_000))
    draft = ScheduleDraft(
        session=order.session,
        side=0,
        quality=0,
        firstWindow=order.first_window,
        quantityWh=[500, 700],
        limitMicroPerKWh=[200_000, 190_000],
    )
    found = home.complete(draft)
    assert isinstance(found, Schedule)
    assert replace(found, nonce=1) == order
    assert home.complete(draft_of(order)) == order


def test_a_flexible_order_is_completed_too(open_market: Open, home: Client) -> None:
    session = open_market.bonded.session
    draft = FlexibleDraft(
        session=session.id,
        side=0,
        firstWindow=session.params.first_window,
        windows=3,
        energyWh=900,
        maxWhPerWindow=400,
        limitMicroPerKWh=250_000,
    )
    found = home.complete(draft)
    assert isinstance(found, FlexibleSchedule)
    assert (found.trader, found.energy_wh, found.windows) == (HOME.address, 900, 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("side", "1"), ("quality", "5"), ("kind", "1"), ("nonce", "2"), ("zone", "1")),
        *(("quantityWh", ["9000"]), ("limitMicroPerKWh", ["900000"])),
        ("trader", "0x" + "11" * 20),
        ("beneficiary", "0x" + "11" * 20),
        ("replaces", "0x" + "11" * 32),
        ("session", "0x" + "11" * 32),
    ],
)
def test_typed_data_that_ask_for_something_else_are_not_signed(
    open_market: Open, home: Client, field: str, value: Any
) -> None:
    wanted = draft_of(open_market.order())
    name = "Schedule"
    answer = home.order_to_sign(name, wanted)
    service = open_market.market.api.service
    assert checked_order(answer, wanted, service) == open_market.order()
    changed = {**answer.typed_data, "message": {**answer.typed_data["message"], field: value}}
    with pytest.raises(BadTypedData):
        checked_order(answer.model_copy(update={"typed_data": changed}), wanted, service)


def test_typed_data_of_another_domain_type_or_digest_are_not_signed(open_market: Open, home: Client) -> None:
    wanted, service = draft_of(open_market.order()), open_market.market.api.service
    answer = home.order_to_sign("Schedule", wanted)
    data = answer.typed_data
    for update in (
        {"digest": bytes(32)},
        {"typed_data": {**data, "domain": {**data["domain"], "chainId": "1"}}},
        {"typed_data": {**data, "domain": {**data["domain"], "verifyingContract": "0x" + "22" * 20}}},
        {"typed_data": {**data, "primaryType": "Withdrawal"}},
        {"typed_data": {}},
    ):
        with pytest.raises(BadTypedData):
            checked_order(answer.model_copy(update=update), wanted, service)


# Orders and receipts ------------------------------------------------------------------------------------


def test_a_submitted_order_has_a_receipt_that_binds_the_operator(open_market: Open, home: Client) -> None:
    accepted = home.submit(open_market.order(nonce=10))
    separator = open_market.bonded.separator
    check_receipt(separator, open_market.bonded.session.params, accepted.hash, accepted.receipt)
    assert home.submit(open_market.order(nonce=10)) == accepted, "the same order has the same receipt"
    taken = home.accepted_order(accepted.hash)
    assert (taken.state, taken.trader, taken.record) == ("taken", HOME.address, accepted.kept.record)
    assert home.check_receipt(open_market.epoch, accepted.hash, taken.receipt) == accepted.receipt
    assert accepted.hash in {one.order for one in home.receipts(HOME.address)}


def test_a_receipt_of_anything_else_is_not_believed(open_market: Open, home: Client) -> None:
    accepted = home.submit(open_market.order(nonce=11))
    answer = home.accepted_order(accepted.hash).receipt
    terms, separator = home.terms(open_market.epoch), open_market.bonded.separator
    for update in (
        {"sequence": answer.sequence + 1},
        {"signature": answer.signature[:-1] + bytes([answer.signature[-1] ^ 7])},
        {"signature": b""},
        {"session": bytes(32)},
        {"hash": bytes(32)},
    ):
        with pytest.raises(UnbelievedReceipt):
            checked_receipt(separator, terms, accepted.hash, answer.model_copy(update=update))


def test_an_order_replaced_or_cancelled_is_out_with_a_receipt(open_market: Open, home: Client) -> None:
    first = home.submit(open_market.order(nonce=20))
    second = home.submit(open_market.order(nonce=21, replaces=first.hash))
    assert home.accepted_order(first.hash).state == "replaced"
    receipt = home.cancel(second.hash, open_market.epoch)
    assert receipt.sequence > second.receipt.sequence
    assert home.accepted_order(second.hash).state == "cancelled"
    with pytest.raises(OrderRefused):
        home.cancel(b"\x01" * 32, open_market.epoch)


def test_many_orders_of_several_traders_are_brought_at_once(
    open_market: Open, home: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.client.trading.MOST_BATCH", 4)
    service = open_market.market.api.service
    orders = [
        signed(trader, service, open_market.order(trader, nonce=30 + at, quantity_wh=(10,)))
        for at in range(5)
        for trader in (HOME, NEIGHBOUR)
    ]
    forged = replace(orders[3], signature=orders[2].signature)
    outcomes = home.submit_all([*orders[:3], forged, *orders[4:]])
    assert [one.accepted is None for one in outcomes] == [at == 3 for at in range(10)]
    assert outcomes[3].problem is not None
    assert "neither its trader nor a session key" in outcomes[3].problem.detail
    assert outcomes[5].accepted == home.submit_signed(orders[5])


def test_what_is_not_the_wallet_s_is_refused_by_either_side(open_market: Open, home: Client) -> None:
    with pytest.raises(InputError, match="its own wallet signs it"):
        home.submit(open_market.order(NEIGHBOUR))
    mine = home.submit(open_market.order(nonce=50))
    with open_market.market.client(STRANGER) as stranger, pytest.raises(NotFound):
        stranger.accepted_order(mine.hash)


def test_depth_is_an_aggregate(open_market: Open, home: Client) -> None:
    depth = home.depth(open_market.epoch, 0)
    assert (depth.zone, depth.source) == (0, "accepted")


def test_a_wallet_is_asked_for_one_signature_an_order(open_market: Open) -> None:
    with open_market.market.client(HOME) as client:
        client.log_in()
        client.core.wallet = refusing(at="while it only read")
        client.complete(draft_of(open_market.order(nonce=60)))
        list(client.receipts(HOME.address))
        with pytest.raises(AssertionError, match="it signed"):
            client.submit(open_market.order(nonce=60))


@pytest.mark.anyio
async def test_the_async_client_trades_the_same(open_market: Open) -> None:
    async with open_market.market.async_client(NEIGHBOUR) as client:
        order = await client.complete(draft_of(open_market.order(NEIGHBOUR, nonce=70)))
        accepted = await client.submit(order)
        (again,) = await client.submit_all([accepted.order])
        assert again.accepted == accepted
        assert (await client.cancel(accepted.hash, accepted.epoch)).sequence > accepted.receipt.sequence
