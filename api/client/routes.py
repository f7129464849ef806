"""Every route of the API as a method, named as people ask for it. What runs them is `route.py`."""

from __future__ import annotations

from typing import Literal

from api.client.events import Topic
from api.client.lists import listed
from api.client.member_routes import MemberRoutes
from api.client.proofs import checked_proof
from api.client.route import Operation, ask, nothing, read, text, write
from api.client.streams import download, event_socket, event_stream
from api.client.wire import Flow
from api.schemas.aggregates import AggregatePage, ZoneAggregate
from api.schemas.auth import (
    ChallengeAnswer,
    ChallengeRequest,
    LoginRequest,
    RefreshRequest,
    StandingAnswer,
    TokenAnswer,
)
from api.schemas.depth import DepthAnswer
from api.schemas.holdings import (
    BillAnswer,
    CashAnswer,
    CashPage,
    CertificateAnswer,
    CertificatePage,
    OrderAnswer,
    OrderPage,
    PositionAnswer,
    PositionPage,
    ReadingAnswer,
    ReadingPage,
    ResultAnswer,
    ResultPage,
)
from api.schemas.ledger import EventAnswer, EventPage
from api.schemas.ops import Health, Readiness
from api.schemas.orders import (
    AcceptedAnswer,
    BatchAnswer,
    BatchBody,
    CancelBody,
    CancelDraftBody,
    DraftBody,
    FlexibleBody,
    FlexibleDraft,
    FlexibleMessage,
    OrderBody,
    ReceiptPage,
    ReceiptRow,
    ScheduleBody,
    ScheduleDraft,
    ScheduleMessage,
    TypedDataAnswer,
)
from api.schemas.orders import OrderAnswer as TakenOrder
from api.schemas.proofs import ProofAnswer
from api.schemas.sessions import (
    ClearingAnswer,
    ProductAnswer,
    RunAnswer,
    RunPage,
    SessionAnswer,
    SessionPage,
    ZoneClearing,
)


class OperationRoutes:
    """How the service is doing. Needs no login."""

    @read("/healthz", Health, public=True)
    def health(self) -> None:
        """That the process runs."""

    @read("/readyz", Readiness, public=True, expected=(503,))
    def readiness(self) -> None:
        """Whether requests can be answered, and up to which block the read model goes."""

    @text("/metrics", public=True)
    def metrics(self) -> None:
        """Counts, in Prometheus' text format."""

    @text("/openapi.json", public=True)
    def openapi(self) -> None:
        """The service's description, JSON."""


class LoginRoutes:
    """Steps of a login; the client takes them by itself."""

    @ask("/v1/auth/challenge", ChallengeRequest, ChallengeAnswer, public=True)
    def challenge(self, account: bytes, request_id: str | None = None) -> None:
        """A message to sign, unchecked."""

    @write("/v1/auth/login", LoginRequest, TokenAnswer, public=True, keyed=False)
    def exchange_signature(self, message: str, signature: bytes) -> None:
        """Tokens for a signed message."""

    @write("/v1/auth/refresh", RefreshRequest, TokenAnswer, public=True, keyed=False)
    def exchange_refresh_token(self, refresh_token: str) -> None:
        """The next tokens."""

    @nothing("/v1/auth/logout")
    def end_login(self) -> None:
        """Ends the login whose token is sent."""

    @read("/v1/auth/me", StandingAnswer)
    def me(self) -> None:
        """Roles and membership of the wallet, as the chain has them."""


class AccountRoutes:
    """What is one account's: the wallet's own, or another's where the role allows it."""

    @read("/v1/accounts/{account}", StandingAnswer)
    def account(self, account: bytes) -> None:
        """An account's roles and membership."""

    @listed("/v1/accounts/{account}/orders", OrderPage, OrderAnswer)
    def orders(self, account: bytes, epoch: int | None = None) -> None:
        """Orders that the chain has seen, with their fills."""

    @listed("/v1/accounts/{account}/positions", PositionPage, PositionAnswer)
    def positions(self, account: bytes, epoch: int | None = None) -> None:
        """What the account was allotted, by product and window."""

    @listed("/v1/accounts/{account}/readings", ReadingPage, ReadingAnswer)
    def readings(self, account: bytes, day: int | None = None) -> None:
        """Metered days as each run had them."""

    @listed("/v1/accounts/{account}/settlements", ResultPage, ResultAnswer)
    def settlements(self, account: bytes, day: int | None = None) -> None:
        """What each run made of the account's days."""

    @listed("/v1/accounts/{account}/certificates", ResultPage, ResultAnswer)
    def certificates(self, account: bytes) -> None:
        """Days in which claims of the account became certificates."""

    @listed("/v1/accounts/{account}/certificates/products", CertificatePage, CertificateAnswer)
    def certificates_by_product(self, account: bytes, day: int | None = None) -> None:
        """Zone, window and quality of each certificate."""

    @listed("/v1/accounts/{account}/cash", CashPage, CashAnswer)
    def cash(self, account: bytes) -> None:
        """Every change of the account's cash."""

    @read("/v1/accounts/{account}/bills/{day}", BillAnswer)
    def bill(self, account: bytes, day: int) -> None:
        """All that a delivery day moved of the account's cash."""

    @download("/v1/accounts/{account}/bills/{day}")
    def bill_file(self, account: bytes, day: int, format: Literal["json", "csv", "pdf"] = "csv") -> None:
        """The same as a file."""


class MarketRoutes:
    """What everyone in the market may see."""

    @listed("/v1/sessions", SessionPage, SessionAnswer)
    def sessions(self, day: int | None = None) -> None:
        """Sessions by their number, with gates, deadlines and stage."""

    @read("/v1/sessions/{epoch}", SessionAnswer)
    def session(self, epoch: int) -> None:
        """A session's terms, and how far it is."""

    @listed("/v1/sessions/{epoch}/clearing", ClearingAnswer, ZoneClearing)
    def clearing(self, epoch: int) -> None:
        """Prices and what proves them, zone by zone; its pages have the premiums too."""

    @read("/v1/sessions/{epoch}/depth", DepthAnswer)
    def depth(self, epoch: int, zone: int, quality: int | None = None, window: int | None = None) -> None:
        """What is bid and offered in a zone by price, in aggregate."""

    @read("/v1/sessions/{epoch}/books/{zone}/proofs/{order}", ProofAnswer)
    def unchecked_proof(self, epoch: int, zone: int, order: bytes) -> None:
        """Whether a book has an order, with the proof, unchecked."""

    @Operation
    def proof(self, epoch: int, zone: int, order: bytes) -> Flow[ProofAnswer]:
        """Whether a book has an order. BadProof unless the proof leads to the root it names."""
        return checked_proof((yield from MarketRoutes.unchecked_proof.flow(self, epoch, zone, order)), order)

    @read("/v1/products/{product}", ProductAnswer)
    def product(self, product: int) -> None:
        """What a token's id says."""

    @listed("/v1/days/{day}/runs", RunPage, RunAnswer)
    def runs(self, day: int) -> None:
        """First and later settlement runs of a day, summed over accounts."""


class OrderRoutes:
    """Orders and receipts as they travel, unchecked: `trading.py` signs, and believes what it has checked."""

    @ask("/v1/orders/typed-data", DraftBody, TypedDataAnswer)
    def order_to_sign(
        self,
        primary_type: Literal["Schedule", "FlexibleSchedule"],
        message: ScheduleDraft | FlexibleDraft,
    ) -> None:
        """EIP-712 data of an order; `complete` checks them."""

    @write("/v1/orders", OrderBody, AcceptedAnswer)
    def send_order(
        self,
        primary_type: Literal["Schedule", "FlexibleSchedule"],
        message: ScheduleMessage | FlexibleMessage,
        signature: bytes,
    ) -> None:
        """Brings a signed order; `submit` signs one and checks its receipt."""

    @write("/v1/orders/batch", BatchBody, BatchAnswer)
    def send_batch(self, orders: list[ScheduleBody | FlexibleBody]) -> None:
        """Brings signed orders; `submit_all` checks their receipts."""

    @ask("/v1/cancels/typed-data", CancelDraftBody, TypedDataAnswer)
    def cancel_to_sign(self, order: bytes) -> None:
        """EIP-712 data of a cancel; `cancel` needs none."""

    @write("/v1/cancels", CancelBody, AcceptedAnswer)
    def send_cancel(self, order: bytes, signature: bytes) -> None:
        """Brings a signed cancel; `cancel` signs one and checks its receipt."""

    @read("/v1/orders/{order}", TakenOrder)
    def accepted_order(self, order: bytes) -> None:
        """An order that was accepted: its state and receipts."""

    @listed("/v1/accounts/{account}/receipts", ReceiptPage, ReceiptRow)
    def receipts(self, account: bytes) -> None:
        """Receipts that an account was given."""


class LedgerRoutes:
    """The ledger, for auditors and regulators."""

    @listed("/v1/ledger/events", EventPage, EventAnswer)
    def ledger(
        self,
        name: str | None = None,
        account: bytes | None = None,
        epoch: int | None = None,
        zone: int | None = None,
        day: int | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
    ) -> None:
        """Events of the chain that fit, in its order."""

    @listed("/v1/ledger/aggregates", AggregatePage, ZoneAggregate)
    def aggregates(self, day: int) -> None:
        """Sums of a certified day, zone by zone, that hide every account."""

    @download("/v1/ledger/export")
    def export(
        self,
        format: Literal["csv", "parquet"] = "csv",
        name: str | None = None,
        account: bytes | None = None,
        epoch: int | None = None,
        zone: int | None = None,
        day: int | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
    ) -> None:
        """The same as a file, piece by piece while it is written."""


class StreamRoutes:
    """What happens, as it does."""

    @event_stream("/v1/stream")
    def events(self, topic: tuple[Topic, ...] = (), after: int | None = None) -> None:
        """Events of these topics (none: all) from behind a number on (None: from now on), without an end: a
        connection that breaks is made again from the last event on.
        """

    @event_socket("/v1/ws")
    def socket_events(self, topic: tuple[Topic, ...] = (), after: int | None = None) -> None:
        """The same over a WebSocket."""


class Routes(
    OperationRoutes,
    LoginRoutes,
    AccountRoutes,
    MarketRoutes,
    OrderRoutes,
    MemberRoutes,
    LedgerRoutes,
    StreamRoutes,
):
    """All of them."""
