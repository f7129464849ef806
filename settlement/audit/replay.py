"""Every call to the Exchange, made again on the reference.

A call that succeeded on the chain must succeed here, tell the same events, and come from somebody who may
make it; one that failed must be refused here too. A call that is not understood is a Difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from settlement.audit import told
from settlement.audit.administration import Manager, is_restricted
from settlement.audit.findings import Difference, Findings
from settlement.audit.history import Block, Sent
from settlement.audit.sums import Sums
from settlement.audit.told import Teller, Told, tell
from settlement.chain.abi import Entry, interface
from settlement.chain.calldata import MESSAGES, arguments, function_of, header
from settlement.chain.client import GAS_SLACK
from settlement.chain.rpc import Log
from settlement.reference import clearing, orders, posting, settlement
from settlement.reference.accounts import Member
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import ClosedZone
from settlement.reference.correction import Correction
from settlement.reference.errors import Refused
from settlement.reference.exchange import Exchange, RunStage
from settlement.reference.exchange import events as model
from settlement.reference.messages import Transfer
from settlement.reference.orders import SignedOrder
from settlement.reference.posting import Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.record import NO_ADDRESS
from settlement.reference.session_key import Scope
from settlement.reference.settlement import RunCarry
from settlement.reference.statement import Statement

NO_SESSION = bytes(32)

EXECUTE, MULTICALL = "execute", "multicall"

COUNTED: Mapping[type[model.Event], str] = {
    model.ScheduleCleared: "orders",
    model.ScheduleIneligible: "orders",
    model.SessionProved: "proofs",
    model.MeteringPosted: "postings",
    model.AccountSettled: "entries",
    model.DeliveryDonated: "gifts",
    model.AccountDelivered: "delivered",
    model.AccountCertified: "certificates",
    model.AccountCorrected: "corrected",
    model.RunCorrected: "later runs",
    model.ReadingChallenged: "challenges",
}
"""Checks that hold once for each such event."""


@dataclass
class Cleared:
    """What was read of a session: its orders, why some fill nothing, and the posted potentials."""

    header: Header
    orders: dict[int, list[SignedOrder]] = field(default_factory=lambda: defaultdict(list))
    """By zone."""
    reasons: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By zone."""
    postings: dict[int, ZonePosting] = field(default_factory=dict)
    """By zone."""
    zone: int = 0
    """The zone whose orders are being read."""


class Replay:
    """One deployment, done again."""

    def __init__(
        self, exchange: Exchange, address: bytes, token: bytes, manager: Manager, findings: Findings
    ) -> None:
        self.exchange, self.address, self.token = exchange, address, token
        self.manager, self.findings = manager, findings
        self.teller, self.sums = Teller(exchange), Sums()
        self.cleared: dict[bytes, Cleared] = {}
        self.proved: list[bytes] = []
        """Sessions proved by the block being replayed."""
        self.seen: set[bytes] = set()
        """Every address that sent or was named."""
        self.submitted: dict[bytes, None] = {}
        """Orders ever submitted on chain, in their order."""
        self.nodes: set[bytes] = set()
        self.operators: set[tuple[bytes, bytes]] = set()
        """Owners and spenders that were ever approved for everything."""
        self.donated = 0
        """Settlement tokens that came in otherwise than by a deposit."""

    # A transaction --------------------------------------------------------------------------------------

    def block(self, block: Block, sent: Sent) -> None:
        """One transaction of a block, whoever it was sent to."""
        for one in sent.logs:
            if one.address == self.manager.address:
                self.manager.apply(one)
        if not sent.succeeded:
            self._failed(block, sent)
            return
        vault = self.exchange.state.vault
        expected: list[Told] = []
        if sent.to == self.address:
            expected = self._call(block.time, sent.sender, sent.data, sent.logs)
        elif sent.to == self.manager.address:
            expected = self._through_manager(block.time, sent.data, sent.logs)
        elif sent.created == self.address:
            expected = [tell("AuthorityUpdated", authority=self.manager.address)]
        logs = [one for one in sent.logs if one.address == self.address]
        if logs and not expected and sent.to not in (self.address, self.manager.address):
            raise Difference(
                "calls", "another contract called the Exchange: this cannot be followed", None, logs
            )
        told.compare(expected, logs)
        self.findings.add("events", len(expected))
        self._moved(sent, self.exchange.state.vault - vault)

    def _through_manager(self, now: int, data: bytes, logs: tuple[Log, ...]) -> list[Told]:
        """What the manager was made to call on the Exchange."""
        abi = interface("Administration")
        entry = next((e for e in abi.functions.values() if e.selector == data[:4]), None)
        if entry is None:
            raise Difference("administration", "a call that an AccessManager does not know", None, data[:4])
        if entry.name == MULTICALL:
            (calls,) = arguments(entry, data)
            return [one for call in calls for one in self._through_manager(now, call, logs)]
        if entry.name == EXECUTE:
            target, call = arguments(entry, data)
            if target == self.address:
                return self._call(now, self.manager.address, call, logs)
        return []

    def _failed(self, block: Block, sent: Sent) -> None:
        """Nothing came of it. Nor must the rules allow it, unless it ran out of gas or sent money along."""
        if sent.logs:
            raise Difference("events", "a transaction that failed told something", [], sent.logs)
        if sent.to != self.address:
            return
        starved = sent.gas_used * 64 >= sent.gas * 63 - GAS_SLACK
        entry = function_of(sent.data)
        paying = sent.value > 0  # nothing here takes money along
        if not (starved or paying) and entry is not None and entry.name in REHEARSED:
            self._must_refuse(block.time, sent)
        self.findings.add("refusals")

    def _must_refuse(self, now: int, sent: Sent) -> None:
        before, quiet = self.exchange.state.copy(), Findings()
        rehearsal = Replay(self.exchange, self.address, self.token, self.manager, quiet)
        rehearsal.cleared = {key: Cleared(one.header) for key, one in self.cleared.items()}
        try:
            allowed = rehearsal._call(now, sent.sender, sent.data, ())
        except Difference:
            return
        finally:
            self.exchange.state = before
        raise Difference("refusals", "the chain refused what the rules allow", allowed, "failed")

    # A call ---------------------------------------------------------------------------------------------

    def _call(self, now: int, sender: bytes, data: bytes, logs: tuple[Log, ...]) -> list[Told]:
        """Makes the call again: what the Exchange should tell."""
        entry = function_of(data)
        if entry is None:
            raise Difference("calls", "a call that the Exchange does not know succeeded", None, data[:4])
        handler = HANDLERS.get(entry.name)
        if handler is None:
            if not entry.outputs:
                raise Difference("calls", f"{entry.name} cannot be replayed")
            self.findings.add("calls", kind="reads")
            return []
        self.teller.caller = sender
        self.seen.add(sender)
        try:
            self._check_permission(now, sender, entry, data, logs)
            values = arguments(entry, data)
            after = handler(self, now, sender, *values) or []
        except Refused as cause:
            what = f"the chain did what the rules refuse ({entry.name})"
            raise Difference("calls", what, f"{type(cause).__name__}{cause.args}", "done") from cause
        except ValueError as cause:
            raise Difference("calls", f"a call of {entry.name} that does not decode: {cause}") from cause
        self.findings.add("calls", kind=entry.name)
        return self._drained() + after

    def _check_permission(
        self, now: int, sender: bytes, entry: Entry, data: bytes, logs: tuple[Log, ...]
    ) -> None:
        if not is_restricted(entry, data):
            return
        scheduled = self.manager.tells_use(logs)
        allowed = self.manager.may(now, sender, self.address, entry.selector, scheduled)
        self.findings.require(allowed, "permissions", f"{entry.name} by somebody who may not", None, sender)

    def _drained(self) -> list[Told]:
        """The events of the replay since the last call, as the chain should tell them."""
        events, self.exchange.state.events = self.exchange.events, []
        for event in events:
            self.sums.follow(event, self.exchange)
            self._count(event)
        return [self.teller.expected(event) for event in events]

    def _count(self, event: model.Event) -> None:
        if check := COUNTED.get(type(event)):
            self.findings.add(check)
        match event:
            case model.ScheduleCleared():
                self._note_reason(event.session, 0)
                self.findings.add("fills", len(event.filled_wh))
            case model.ScheduleIneligible():
                self._note_reason(event.session, event.reason)
                self.findings.add("ineligible")
            case model.SessionProved():
                self.proved.append(event.session)
                self.findings.add("books", len(self.exchange.session(event.session).commitments))
            case model.AccountSettled():
                self.findings.add("imbalances", len(event.imbalance_wh))

    def _note_reason(self, session: bytes, reason: int) -> None:
        cleared = self.cleared[session]
        cleared.reasons[cleared.zone].append(reason)

    def _moved(self, sent: Sent, expected: int) -> None:
        """Settlement tokens move by deposits and withdrawals only; but anyone may give some away."""
        moved = sum(_amount_for(self.address, one) for one in sent.logs if one.address == self.token)
        if moved != expected and (sent.to == self.address or moved < expected):
            raise Difference("settlement token", "moved otherwise than was told, nano", expected, moved)
        self.donated += moved - expected
        if moved:
            self.findings.add("settlement token")

    # What each function does ----------------------------------------------------------------------------

    def session_at(self, epoch: int) -> bytes:
        """The id of the session of a number; of none, one that nobody has."""
        epochs = self.exchange.state.epochs
        return epochs[epoch - 1] if 1 <= epoch <= len(epochs) else NO_SESSION

    def open_day(self, now: int, _: bytes, day: int, windows: int, version: int) -> None:
        self.exchange.require_running(now)
        self.exchange.open_day(day, windows, version)

    def commit_books(
        self, now: int, _: bytes, epoch: int, counts: Sequence[int], roots: Sequence[bytes]
    ) -> None:
        self.exchange.commit_books(now, self.session_at(epoch), counts, roots)

    def post_header(self, now: int, _: bytes, epoch: int, words: tuple[int, ...]) -> None:
        id_, posted = self.session_at(epoch), header(words)
        self.exchange.post_header(now, id_, posted)
        self.cleared[id_] = Cleared(posted)

    def clear(
        self,
        now: int,
        _: bytes,
        epoch: int,
        zone: int,
        posted: tuple[Header, ZonePosting],
        carry: Carry | None,
        records: bytes,
    ) -> list[Told]:
        id_ = self.session_at(epoch)
        kind = self.exchange.session(id_).params.kind
        found = orders.decode_all(records, id_, kind, zone)
        for one in found:
            hash_, _ = orders.signed_hash(self.exchange.separator, one)
            self.teller.first_windows[hash_] = one.schedule.first_window
            self.seen |= {one.schedule.trader, one.schedule.beneficiary} - {NO_ADDRESS}
            self.sums.orders[hash_] = one.schedule
        self.sums.prices = RoundPrices(posted[1].energy, posted[0].qualities)
        after = self.exchange.clear(now, id_, zone, *posted, carry, records)
        cleared = self.cleared[id_]
        cleared.orders[zone] += found
        cleared.postings[zone], cleared.zone = posted[1], zone
        hash_ = clearing.carry_hash(posted[1], after)
        count = after.frontier.count
        return [tell("ZoneAdvanced", epoch=epoch, zone=zone, carry_hash=hash_, count=count)]

    def close_zone(
        self,
        now: int,
        _: bytes,
        epoch: int,
        zone: int,
        posted: tuple[Header, ZonePosting],
        carry: Carry | None,
        children: Sequence[ClosedZone],
        flows: tuple[int, ...],
    ) -> None:
        id_ = self.session_at(epoch)
        self.exchange.close_zone(now, id_, zone, *posted, carry, children, flows)
        self.cleared[id_].postings[zone] = posted[1]

    def join_children(
        self,
        now: int,
        _: bytes,
        epoch: int,
        zone: int,
        own: ClosedZone,
        children: Sequence[ClosedZone],
        words: tuple[int, ...],
        flows: tuple[int, ...],
    ) -> None:
        id_ = self.session_at(epoch)
        self.exchange.join_children(now, id_, zone, own, children, header(words), flows)

    def submit(self, now: int, _: bytes, epoch: int, zone: int, record: bytes) -> None:
        id_ = self.session_at(epoch)
        self.exchange.submit(now, id_, zone, record)
        order, _at = orders.decode(record, 0, id_, self.exchange.session(id_).params.kind, zone)
        self.submitted[orders.signed_hash(self.exchange.separator, order)[0]] = None

    def register(self, now: int, _: bytes, account: bytes, zone: int, role: int, *terms: Any) -> None:
        self.seen.add(account)
        self.exchange.register(now, account, Member(role, zone, *terms))

    def relay(self, now: int, _: bytes, message: Any, signature: bytes) -> None:
        by_type: dict[str, Callable[..., None]] = {
            "Withdrawal": self.exchange.request_withdrawal_signed,
            "Transfer": self.exchange.transfer_signed,
            "Acceptance": self.exchange.accept_signed,
            "KeyGrant": self.exchange.grant_key_signed,
            "KeyRevocation": self.exchange.revoke_key_signed,
        }
        by_type[type(message).__name__](now, message, signature)

    def grant_key(self, now: int, sender: bytes, key: bytes, zone: int, *scope: int) -> None:
        self.exchange.grant_key(now, sender, key, zone, Scope(*scope))

    def set_operator(self, _: int, sender: bytes, spender: bytes, approved: bool) -> None:
        self.operators.add((sender, spender))
        self.exchange.set_operator(sender, spender, approved)

    def set_oracle(self, now: int, _: bytes, node: bytes, active: bool) -> None:
        self.nodes.add(node)
        self.exchange.set_oracle(now, node, active)

    # Runs -----------------------------------------------------------------------------------------------

    def require_posting(self, message: Posting) -> None:
        known = posting.struct_hash(self.exchange.posting(message.zone, message.first_window))
        brought = posting.struct_hash(message)
        if brought != known:
            raise Difference("calls", "another posting than the day's was brought", known, brought)

    def settle(
        self,
        now: int,
        _: bytes,
        message: Posting,
        entries: bytes,
        carry: RunCarry | None,
        prices: tuple[RoundPrices, ...],
    ) -> list[Told]:
        self.require_posting(message)
        zone, day = message.zone, message.first_window
        after = self.exchange.settle(now, zone, day, carry, entries, prices)
        if self.exchange.run(day).stage is RunStage.SETTLED:
            self.sums.close(day, after, self.exchange.settlement_day(now, zone, day))
            self.findings.add("runs")
        hash_ = settlement.run_carry_hash(after)
        return [tell("PartSettled", zone=zone, day=day, carry_hash=hash_)]

    def certify(
        self,
        now: int,
        _: bytes,
        message: Posting,
        brought: Statement,
        carry: RunCarry | None,
        prices: tuple[RoundPrices, ...],
    ) -> None:
        self.require_posting(message)
        self.exchange.certify(now, message.zone, message.first_window, carry, brought, prices)

    def post_correction(
        self, now: int, _: bytes, correction: Correction, signatures: Sequence[bytes]
    ) -> None:
        self.teller.correction = correction
        self.exchange.post_correction(now, correction, signatures)


_TRANSFER = next(t for t, e in interface("SettlementToken").events.items() if e.name == "Transfer")


def _amount_for(account: bytes, one: Log) -> int:
    """What a settlement token's event brings to an account, nano."""
    if len(one.topics) != 3 or one.topics[0] != _TRANSFER:
        return 0
    amount = int.from_bytes(one.data, "big")
    source, target = one.topics[1][12:], one.topics[2][12:]
    return amount * ((target == account) - (source == account))


def _relayed(name: str) -> Callable[..., Any]:
    def run(self: Replay, now: int, sender: bytes, values: tuple[Any, ...], signature: bytes) -> None:
        self.relay(now, sender, MESSAGES[name](*values), signature)

    return run


def _of_session(name: str) -> Callable[..., None]:
    """A call about a session, which the reference knows by its id."""

    def run(self: Replay, now: int, _: bytes, epoch: int, *values: Any) -> None:
        getattr(self.exchange, name)(now, self.session_at(epoch), *values)

    return run


HANDLERS: dict[str, Callable[..., list[Told] | None]] = {
    "registerMember": Replay.register,
    "changeMember": lambda r, now, _, *values: r.exchange.change_member(now, *values),
    "deposit": lambda r, now, _, *values: r.exchange.deposit(now, *values),
    "requestWithdrawal": lambda r, now, sender, amount: r.exchange.request_withdrawal(now, sender, amount),
    "executeWithdrawal": lambda r, now, _, account: r.exchange.execute_withdrawal(now, account),
    "grantKey": Replay.grant_key,
    "revokeKey": lambda r, now, sender, key: r.exchange.revoke_key(now, sender, key),
    **{name: _relayed(name) for name in MESSAGES},
    "setGrid": lambda r, now, _, grid: drop(r.exchange.add_grid(grid)),
    "openDay": Replay.open_day,
    "openSession": lambda r, now, sender, params: drop(r.exchange.open_session(now, params, sender)),
    "commitBooks": Replay.commit_books,
    "postHeader": Replay.post_header,
    "clear": Replay.clear,
    "closeZone": Replay.close_zone,
    "joinChildren": Replay.join_children,
    "submit": Replay.submit,
    "claimOmission": _of_session("claim_omission"),
    "claimCancelled": _of_session("claim_cancelled"),
    "claimReplaced": _of_session("claim_replaced"),
    "claimVoid": _of_session("claim_void"),
    "claimCommitted": _of_session("claim_committed"),
    "claimSubmitted": _of_session("claim_submitted"),
    "defendCancelled": lambda r, now, _, *values: r.exchange.defend_cancelled(now, *values),
    "defendReplaced": lambda r, now, _, *values: r.exchange.defend_replaced(now, *values),
    "payClaim": lambda r, now, _, order: r.exchange.pay_claim(now, order),
    "releaseBond": _of_session("release_bond"),
    "approve": lambda r, now, sender, *values: r.exchange.approve(sender, *values),
    "setOperator": Replay.set_operator,
    "transfer": lambda r, now, sender, *values: r.exchange.transfer(now, sender, *values),
    "transferFrom": lambda r, now, sender, *values: r.exchange.transfer_from(now, sender, *values),
    "accept": lambda r, now, sender, *values: r.exchange.accept(sender, *values),
    "pause": lambda r, now, _: r.exchange.pause(now),
    "unpause": lambda r, now, _: r.exchange.unpause(now),
    "registerMeter": lambda r, now, _, *values: r.exchange.register_meter(now, *values),
    "rotateMeter": lambda r, now, _, *values: r.exchange.rotate_meter(now, *values),
    "revokeMeter": lambda r, now, _, meter: r.exchange.revoke_meter(now, meter),
    "setOracle": Replay.set_oracle,
    "setQuorum": lambda r, now, _, quorum: r.exchange.set_quorum(now, quorum),
    "postMetering": lambda r, now, _, *values: r.exchange.post_metering(now, *values),
    "postDefault": lambda r, now, _, message: r.exchange.post_default(now, message),
    "settle": Replay.settle,
    "certify": Replay.certify,
    "openCorrections": lambda r, now, _, message: r.exchange.open_corrections(message),
    "postCorrection": Replay.post_correction,
    "correct": lambda r, now, _, *values: r.exchange.correct(now, *values),
    "setChallengeBond": lambda r, now, _, nano: r.exchange.set_challenge_bond(nano),
    "bondOracles": lambda r, now, sender, nano: r.exchange.bond_oracles(now, sender, nano),
    "unbondOracles": lambda r, now, sender, nano: r.exchange.unbond_oracles(now, sender, nano),
    "challengeReading": lambda r, now, sender, brought: drop(
        r.exchange.challenge_reading(now, sender, brought)
    ),
    "answerChallenge": lambda r, now, _, *values: r.exchange.answer_challenge(now, *values),
    "settleChallenge": lambda r, now, _, *values: r.exchange.settle_challenge(now, *values),
    "dropChallenge": lambda r, now, _, id_: r.exchange.drop_challenge(now, id_),
}
"""By the contract's function: the reference's, called with the time, the sender and the arguments."""

REHEARSED = HANDLERS.keys() - {"deposit"}
"""What must not fail unless the rules refuse it; in a deposit the settlement token has a say."""


def drop(_: object) -> None:
    """The reference answers, the contract tells."""


assert MESSAGES["relayTransfer"] is Transfer
