"""A chain as the mirror of a reference Exchange: whatever the one does, the other does or refuses alike.

Each transaction is sent to the chain first; the reference then does it at the time of the chain's block.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chain"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

import tree_world
from random_days import WINDOWS
from reference_world import DAY
from tree_chain import RICH, TreeChain

from settlement.chain import abi, deploy
from settlement.chain.abi import CODEC
from settlement.chain.errors import ContractRevert
from settlement.chain.sign import Signer
from settlement.reference import potential as potentials_
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.closing import Commitment
from settlement.reference.correction import Correction
from settlement.reference.exchange import Exchange
from settlement.reference.posting import Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.session import Grid
from settlement.reference.session_key import Scope
from settlement.reference.settlement import RunCarry, pack_tally
from settlement.reference.statement import Statement

Sent = tuple[Signer, bytes]
"""Who sends which calldata."""


@dataclass
class DayMirror:
    """Sends to a chain what a reference Exchange is told."""

    trees: TreeChain
    model: Exchange

    def __call__(self, name: str, args: tuple[Any, ...]) -> tuple[int, str]:
        encode: Callable[..., Sent] = getattr(self, name)
        sender, data = encode(*args)
        wanted = args[0] if name not in UNTIMED else 0
        if wanted > self.trees.chain.now():
            self.trees.clock.advance_to(wanted)
        try:
            self.trees.exchange.send_data(sender, data)
        except ContractRevert as revert:
            return self.trees.chain.now(), revert.name
        return self.trees.chain.now(), ""

    def _call(self, name: str, *arguments: Any) -> bytes:
        return self.trees.exchange.abi.encode(name, *arguments)

    def _epoch(self, session: bytes) -> int:
        return self.model.session(session).epoch

    # Keys and bonds -------------------------------------------------------------------------------------

    def register_meter(self, _: int, *args: Any) -> Sent:
        return self.trees.admin, self._call("registerMeter", *args)

    def set_challenge_bond(self, amount: int) -> Sent:
        return self.trees.admin, self._call("setChallengeBond", amount)

    def bond_oracles(self, _: int, account: bytes, amount: int) -> Sent:
        return _signer(account), self._call("bondOracles", amount)

    def unbond_oracles(self, _: int, account: bytes, amount: int) -> Sent:
        return _signer(account), self._call("unbondOracles", amount)

    def rotate_meter(self, _: int, meter: bytes, x: bytes, y: bytes, from_window: int) -> Sent:
        return self.trees.admin, self._call("rotateMeter", meter, x, y, from_window)

    def change_member(self, _: int, account: bytes, *terms: Any) -> Sent:
        return self.trees.admin, self._call("changeMember", account, *terms)

    def request_withdrawal(self, _: int, account: bytes, amount: int) -> Sent:
        return _signer(account), self._call("requestWithdrawal", amount)

    def execute_withdrawal(self, _: int, account: bytes) -> Sent:
        return self.trees.admin, self._call("executeWithdrawal", account)

    def grant_key(self, _: int, account: bytes, key: bytes, zone: int, scope: Scope) -> Sent:
        return _signer(account), self._call("grantKey", key, zone, *vars(scope).values())

    def revoke_key(self, _: int, account: bytes, key: bytes) -> Sent:
        return _signer(account), self._call("revokeKey", key)

    # Trade ----------------------------------------------------------------------------------------------

    def open_session(self, _: int, params: Any) -> Sent:
        return self.trees.operator, self._call("openSession", tuple(vars(params).values()))

    def commit_books(self, _: int, session: bytes, counts: Sequence[int], roots: Sequence[bytes]) -> Sent:
        books = [Commitment(*one) for one in zip(counts, roots, strict=True)]
        return self.trees.operator, abi.commit_books(self._epoch(session), books)

    def post_header(self, _: int, session: bytes, header: Any) -> Sent:
        return self.trees.operator, abi.post_header(self._epoch(session), header)

    def clear(
        self, _: int, session: bytes, zone: int, header: Any, posted: Any, carry: Any, records: bytes
    ) -> Sent:
        words = abi.posted_tuple(header, posted), abi.carry_tuple(carry)
        return self.trees.operator, abi.clear(self._epoch(session), zone, *words, records)

    def close_zone(
        self,
        _: int,
        session: bytes,
        zone: int,
        header: Any,
        posted: Any,
        carry: Any,
        children: Any,
        flows: Any,
    ) -> Sent:
        words = abi.posted_tuple(header, posted), abi.carry_tuple(carry)
        data = abi.close_zone(self._epoch(session), zone, *words, children, flows)
        return self.trees.operator, data

    def join_children(
        self, _: int, session: bytes, zone: int, own: Any, children: Any, header: Any, flows: Any
    ) -> Sent:
        data = abi.join_children(self._epoch(session), zone, own, children, header, flows)
        return self.trees.operator, data

    # Settlement -----------------------------------------------------------------------------------------

    def post_metering(self, _: int, message: Posting, signatures: Sequence[bytes]) -> Sent:
        return self.trees.node, abi.post_metering(message, signatures)

    def post_default(self, _: int, message: Posting) -> Sent:
        return self.trees.admin, self._call("postDefault", posting_fields(message))

    def settle(
        self,
        _: int,
        zone: int,
        day: int,
        carry: RunCarry | None,
        part: bytes,
        prices: Sequence[RoundPrices] = (),
    ) -> Sent:
        posted = posting_fields(self.model.posting(zone, day))
        data = self._call("settle", posted, part, carry_fields(carry), price_fields(prices))
        return self.trees.node, data

    def certify(
        self,
        _: int,
        zone: int,
        day: int,
        carry: RunCarry | None,
        brought: Statement,
        prices: Sequence[RoundPrices] = (),
    ) -> Sent:
        posted = posting_fields(self.model.posting(zone, day))
        fields = statement_fields(brought), carry_fields(carry), price_fields(prices)
        return self.trees.node, self._call("certify", posted, *fields)

    # Later runs and challenges --------------------------------------------------------------------------

    def open_corrections(self, message: Posting) -> Sent:
        return self.trees.admin, self._call("openCorrections", posting_fields(message))

    def post_correction(self, _: int, correction: Correction, signatures: Sequence[bytes]) -> Sent:
        return self.trees.node, self._call("postCorrection", correction_fields(correction), [*signatures])

    def correct(self, _: int, correction: Correction, brought: Statement, differences: bytes) -> Sent:
        fields = correction_fields(correction), statement_fields(brought), differences
        return self.trees.node, self._call("correct", *fields)

    def challenge_reading(self, _: int, caller: bytes, brought: ReadingChallenge) -> Sent:
        return _signer(caller), self._call("challengeReading", challenge_fields(brought))

    def answer_challenge(self, _: int, id_: bytes, read: SignedRead) -> Sent:
        return self.trees.admin, self._call("answerChallenge", id_, tuple(vars(read).values()))

    def settle_challenge(
        self,
        _: int,
        id_: bytes,
        brought: Statement,
        part: int,
        surplus: Sequence[int],
        deficit: Sequence[int],
    ) -> Sent:
        fields = statement_fields(brought), part, [*surplus], [*deficit]
        return self.trees.admin, self._call("settleChallenge", id_, *fields)

    def drop_challenge(self, _: int, id_: bytes) -> Sent:
        return self.trees.admin, self._call("dropChallenge", id_)


UNTIMED = ("set_challenge_bond", "open_corrections")


def _signer(account: bytes) -> Signer:
    return Signer(tree_world.KEYS[account].secret)


# Structs ------------------------------------------------------------------------------------------------


def posting_fields(message: Posting) -> tuple[Any, ...]:
    return tuple(vars(message).values())


def correction_fields(correction: Correction) -> tuple[Any, ...]:
    return tuple(vars(correction).values())


def statement_fields(statement: Statement) -> tuple[Any, ...]:
    return statement.accounts, statement.leaves, statement.rows


def carry_fields(carry: RunCarry | None) -> tuple[Any, ...]:
    if carry is None:
        return [], [], 0, 0, bytes(20), 0
    words = [*map(pack_tally, carry.tallies)], [*carry.pots]
    return *words, carry.imbalance, carry.cash, carry.last_account, carry.parts


def price_fields(prices: Sequence[RoundPrices]) -> list[tuple[list[int], list[int]]]:
    return [([*map(potentials_.pack, one.energy)], [*map(potentials_.pack, one.qualities)]) for one in prices]


def challenge_fields(brought: ReadingChallenge) -> tuple[Any, ...]:
    opening = brought.committed, brought.flag, brought.salt, brought.index, brought.proof
    read = tuple(vars(brought.read).values())
    return brought.zone, brought.day, *opening, read, brought.signature


# Beginning, and the same in the end ---------------------------------------------------------------------


def grant(trees: TreeChain) -> None:
    """The balancing party stands for the oracles."""
    party = [tree_world.BALANCING_ADDRESS]
    deploy.grant(trees.chain, trees.admin, trees.deployment, deploy.ORACLE, party)


def start(trees: TreeChain, grid: Grid) -> tuple[Exchange, DayMirror]:
    """A day open over the grid, on both sides."""
    trees.open_day(grid, WINDOWS)
    place = trees.chain.chain_id, trees.exchange.address
    model = tree_world.make_exchange(grid, WINDOWS, deposit=RICH, place=place)
    return model, DayMirror(trees, model)


def assert_same(trees: TreeChain, model: Exchange) -> None:
    """Cash, lanes, the run, statements, later runs, challenges and bonds."""
    now, exchange = trees.chain.now(), trees.exchange
    accounts = exchange.accounts(list(model.state.members))
    assert {a: one.cash for a, one in accounts.items()} == {a: model.cash(now, a) for a in accounts}
    for (account, group), word in model.state.lanes.items():
        assert exchange.view("lanesOf", account, group) == (word,)
    run = exchange.run(0, DAY)
    assert run.carry_hash == (model.run(DAY).carry_hash or bytes(32))
    assert run.stage.name == model.run(DAY).stage.name
    state = model.state
    for place, hash_ in state.statements.items():
        assert exchange.view("statementOf", *place) == (hash_,)
    for (zone, day), one in state.zone_days.items():
        fields = one.run, one.link, one.pending, one.parts, one.open, one.since
        assert exchange.view("zoneDayOf", zone, day) == fields
    terms = state.pot, state.challenge_bond, state.challengeable_until
    assert exchange.view("challengeTerms") == terms
    for id_, found in state.challenges.items():
        assert exchange.view("challengeOf", id_)[0] == (
            found.account,
            found.zone,
            found.day,
            found.stage.value,
            found.actual,
            found.answered,
            found.read.meter,
            found.read.register,
            found.read.window_index,
            found.standing.wh,
            found.standing.sequence,
            found.read.wh,
            found.read.sequence,
            found.answer_by,
            found.bond_nano,
        )
    for account in state.members:
        assert exchange.view("holdsOf", account) == (state.holds.get(account, 0),)


TOLD = {
    "DeliveryDonated": ("beneficiary", "account", "epoch", "nano"),
    "AccountDelivered": ("account", "imbalance_wh", "cash_nano", "released_nano"),
    "AccountCertified": ("zone", "day", "account", "certified_wh"),
    "PartCertified": ("zone", "day", "imbalance_wh", "cash_nano", "statement"),
    "RunCertified": ("zone", "day", "rest_nano"),
    "AccountCorrected": ("account", "imbalance_wh", "cash_nano"),
    "PartCorrected": ("zone", "day", "run", "imbalance_wh", "cash_nano", "statement"),
    "RunCorrected": ("zone", "day", "run", "link"),
    "CorrectionsOpened": ("zone", "day", "link"),
    "ChallengeAnswered": ("id", "defeated"),
    "ChallengeSettled": ("id", "zone", "day", "imbalance_wh", "cash_nano", "paid_nano"),
    "ChallengeDropped": ("id",),
    "MeterRevoked": ("meter",),
    "OracleBondChanged": ("account", "amount_nano"),
}
"""Fields of events in the order of the contract's arguments."""


def assert_told(trees: TreeChain, model: Exchange, since: int) -> None:
    """The same was told, in the same order, of all that `TOLD` names; and of each settled account."""
    interface, found = trees.exchange.abi, []
    for log in trees.chain.logs(trees.exchange.address, since):
        entry = interface.events[log.topics[0]]
        if entry.name in TOLD or entry.name == "AccountSettled":
            indexed = [one.type for one in entry.inputs if one.indexed]
            topics = iter(
                CODEC.decode([kind], topic)[0] for kind, topic in zip(indexed, log.topics[1:], strict=True)
            )
            data = iter(CODEC.decode([one.type for one in entry.inputs if not one.indexed], log.data))
            values = tuple(next(topics) if one.indexed else next(data) for one in entry.inputs)
            found.append((entry.name, values))
    expected = []
    for event in model.events:
        name = type(event).__name__
        if name in TOLD:
            expected.append((name, tuple(getattr(event, field) for field in TOLD[name])))
        elif name == "AccountSettled":
            told = event.account, sum(event.imbalance_wh), event.cash_nano, event.returned_nano  # type: ignore[attr-defined]
            expected.append((name, told))
    assert found == expected
