"""What follows a delivery day: the postings of its zones that oracle nodes signed, their settlement, their
certificates.

Each step is a function of what the chain says, so that a restart goes on where the chain is. Carries are the
reference's, over what the accounts held when the day was posted (from then on only settling changes it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from settlement.chain import abi
from settlement.chain.errors import WrongProgress
from settlement.chain.events import MeteringPosted, SessionOpened, decode
from settlement.chain.exchange import Account, Exchange, RunStage, Stage
from settlement.chain.rpc import Call
from settlement.chain.sign import Signer
from settlement.chain.steps import Step, logs_of, step
from settlement.reference import packed_windows, product_id, settlement
from settlement.reference.packed_windows import Lanes
from settlement.reference.posting import Posting, unpack_part
from settlement.reference.product_id import CLAIM, ENERGY, OBLIGATION, ProductId
from settlement.reference.settlement import Day, Round, RunCarry

Held = dict[tuple[int, int, int], int]
"""Wh by (round, quality code, window of the day); none of zero."""


@dataclass(frozen=True)
class SignedPosting:
    """What a quorum signed, and the entries behind its hashes."""

    posting: Posting
    parts: tuple[bytes, ...]
    signatures: tuple[bytes, ...]
    """Ascending by signer."""


@dataclass(frozen=True)
class SettledDay:
    """What was sent to settle a day."""

    day: int
    steps: tuple[Step, ...]

    @property
    def gas_used(self) -> int:
        return sum(one.gas_used for one in self.steps)


@dataclass(frozen=True)
class Holdings:
    """What everyone of a posting held when it was posted."""

    day: Day
    claims: dict[bytes, Held]
    obligations: dict[bytes, Held]


def run(exchange: Exchange, sender: Signer, *zones: SignedPosting) -> SettledDay:
    """Posts, settles and certifies a day from wherever it is, given its zones' postings in their order."""
    day = zones[0].posting.first_window
    steps = [post(exchange, sender, one) for one in zones if _is_news(exchange, one.posting)]
    plan = plan_of(exchange, zones)
    done = _done(exchange, zones)
    carry = replay(exchange, day, plan[:done])
    for part in plan[done:]:
        carry, sent = _send(exchange, sender, part, carry)
        steps.append(sent)
    return SettledDay(day, tuple(steps))


# Steps --------------------------------------------------------------------------------------------------


def _is_news(exchange: Exchange, posting: Posting) -> bool:
    return exchange.run(posting.zone, posting.first_window).sequence < posting.sequence


def post(exchange: Exchange, sender: Signer, signed: SignedPosting) -> Step:
    """Posts what the quorum signed, once the day is over."""
    receipt = exchange.send_data(sender, abi.post_metering(signed.posting, signed.signatures))
    return step("postMetering", receipt, signed.posting.accounts)


def _send(exchange: Exchange, sender: Signer, part: Part, carry: RunCarry | None) -> tuple[RunCarry, Step]:
    """Settles or certifies one part, bringing what the part before left."""
    encode = abi.settle if part.name == SETTLE else abi.certify
    brought = (abi.posting_tuple(part.signed.posting), part.data, abi.run_carry_tuple(carry))
    receipt = exchange.send_data(sender, encode(*brought))
    return part.leaves(carry), step(part.name, receipt, part.accounts)


def settle_all(
    exchange: Exchange, sender: Signer, signed: SignedPosting, holdings: Holdings, carry: RunCarry | None
) -> tuple[RunCarry | None, list[Step]]:
    """Settles the parts of a zone that are left."""
    return _send_left(exchange, sender, SETTLE, signed, holdings, carry)


def certify_all(
    exchange: Exchange, sender: Signer, signed: SignedPosting, holdings: Holdings, carry: RunCarry | None
) -> tuple[RunCarry | None, list[Step]]:
    """Turns claims into certificates, for the parts of a zone that are left."""
    return _send_left(exchange, sender, CERTIFY, signed, holdings, carry)


def _send_left(
    exchange: Exchange,
    sender: Signer,
    name: str,
    signed: SignedPosting,
    holdings: Holdings,
    carry: RunCarry | None,
) -> tuple[RunCarry | None, list[Step]]:
    steps = []
    for index in range(carry.parts if carry else 0, len(signed.parts)):
        carry, sent = _send(exchange, sender, Part(name, holdings, signed, index), carry)
        steps.append(sent)
    return carry, steps


# The order of all parts ---------------------------------------------------------------------------------

SETTLE, CERTIFY = "settle", "certify"


@dataclass(frozen=True)
class Part:
    """One part of a zone's posting, to be settled or certified."""

    name: str
    holdings: Holdings
    signed: SignedPosting
    index: int

    @property
    def data(self) -> bytes:
        return self.signed.parts[self.index]

    @property
    def accounts(self) -> int:
        return len(unpack_part(self.data, self.signed.posting.windows))

    def leaves(self, carry: RunCarry | None) -> RunCarry:
        """What the part leaves to the next."""
        rule = settle_part if self.name == SETTLE else certify_part
        return rule(self.holdings, self.signed, carry, self.index)


def plan_of(exchange: Exchange, zones: Sequence[SignedPosting]) -> list[Part]:
    """Every part in the order in which the run takes it: all are settled, then all are certified."""
    held = [(read_holdings(exchange, one), one) for one in zones]
    return [
        Part(name, holdings, signed, index)
        for name in (SETTLE, CERTIFY)
        for holdings, signed in held
        for index in range(len(signed.parts))
    ]


def _done(exchange: Exchange, zones: Sequence[SignedPosting]) -> int:
    """How many parts of the plan the chain has behind it."""
    day = zones[0].posting.first_window
    stage, (under_way, parts) = exchange.run(0, day).stage, exchange.zone_under_way(day)
    in_all = sum(len(one.parts) for one in zones)
    before = sum(len(one.parts) for one in zones if one.posting.zone < under_way) + parts
    return before + (in_all if stage in (RunStage.SETTLED, RunStage.CERTIFIED) else 0)


def replay(exchange: Exchange, day: int, done: Sequence[Part]) -> RunCarry | None:
    """What these parts leave. WrongProgress if the chain keeps something else."""
    carry: RunCarry | None = None
    for part in done:
        carry = part.leaves(carry)
    mine = settlement.run_carry_hash(carry) if carry else bytes(32)
    if exchange.run(0, day).carry_hash != mine:
        raise WrongProgress(f"day {day} was settled with other entries: bring the posted ones")
    return carry


# Carries ------------------------------------------------------------------------------------------------


def settle_part(holdings: Holdings, signed: SignedPosting, carry: RunCarry | None, index: int) -> RunCarry:
    """What settling a part leaves to the next."""
    now = _or_initial(carry, holdings.day)
    for entry in unpack_part(signed.parts[index], signed.posting.windows):
        held = holdings.claims[entry.account], holdings.obligations[entry.account]
        now, _ = settlement.settle_entry(holdings.day, now, entry, *held)
    if index + 1 == len(signed.parts):
        return settlement.zone_start(now)
    return replace(now, parts=index + 1)


def certify_part(holdings: Holdings, signed: SignedPosting, carry: RunCarry | None, index: int) -> RunCarry:
    """What certifying a part leaves to the next."""
    now = _or_initial(carry, holdings.day)
    for entry in unpack_part(signed.parts[index], signed.posting.windows):
        now, _ = settlement.certify_account(holdings.day, now, holdings.claims[entry.account])
    if index + 1 == len(signed.parts):
        return settlement.zone_start(now)
    return replace(now, parts=index + 1)


def _or_initial(carry: RunCarry | None, day: Day) -> RunCarry:
    return settlement.initial_run(day) if carry is None else carry


# What the chain knows -----------------------------------------------------------------------------------


def day_of(exchange: Exchange, posting: Posting) -> Day:
    """What the day is settled under."""
    windows, _, qualities, count = exchange.view("dayOf", posting.first_window)
    rounds = []
    for log in logs_of(exchange, "SessionOpened"):
        event = decode(log)
        assert isinstance(event, SessionOpened)
        params = event.params
        if (params.day, params.kind) != (posting.first_window, ENERGY):
            continue
        if exchange.session(event.epoch)[1] is Stage.PROVED:
            rounds.append(Round(params.round, params.buy_reserve, params.sell_reserve))
    rounds.sort(key=lambda one: one.round)
    return Day(windows, tuple(qualities[:count]), tuple(rounds), posting.surplus, posting.deficit)


def read_holdings(exchange: Exchange, signed: SignedPosting) -> Holdings:
    """Everyone's claims and obligations of the day, when it was first posted."""
    posting, day = signed.posting, day_of(exchange, signed.posting)
    block = _posted_in(exchange, posting)
    entries = [entry for part in signed.parts for entry in unpack_part(part, posting.windows)]
    accounts = exchange.accounts([entry.account for entry in entries], block)
    sides = [_held(exchange, posting, day, accounts, side, block) for side in (CLAIM, OBLIGATION)]
    return Holdings(day, *sides)


def _posted_in(exchange: Exchange, posting: Posting) -> int:
    logs = logs_of(exchange, "MeteringPosted", posting.zone, posting.first_window)
    if not logs or not isinstance(decode(logs[0]), MeteringPosted):
        raise WrongProgress(f"day {posting.first_window} is not posted: post it first")
    return logs[0].block


def _held(
    exchange: Exchange, posting: Posting, day: Day, accounts: dict[bytes, Account], side: int, block: int
) -> dict[bytes, Held]:
    """Reads only the slots of products that an account ever had."""
    wanted = [
        (address, round_.round, code, group)
        for address, account in accounts.items()
        for round_ in day.rounds
        for code in day.qualities
        if account.holds(side, code)
        for group in _groups(posting, _lanes_of(account))
    ]
    keys = [_key(exchange, posting, side, one[1], one[2], one[3]) for one in wanted]
    calls = [
        Call(exchange.address, exchange.abi.encode("lanesOf", one[0], key))
        for one, key in zip(wanted, keys, strict=True)
    ]
    found: dict[bytes, Held] = {address: {} for address in accounts}
    for (address, number, code, group), data in zip(
        wanted, exchange.chain.call_many(calls, block=block), strict=True
    ):
        lanes = _lanes_of(accounts[address])
        for window, wh in _windows(int.from_bytes(data, "big"), lanes, group, posting):
            found[address][(number, code, window)] = wh
    return found


def _lanes_of(account: Account) -> Lanes:
    return packed_windows.WIDE if account.member and account.member.wide else packed_windows.HOME


def _groups(posting: Posting, lanes: Lanes) -> range:
    last = posting.first_window + posting.windows - 1
    return range(posting.first_window // lanes.count, last // lanes.count + 1)


def _key(exchange: Exchange, posting: Posting, side: int, round_: int, code: int, group: int) -> int:
    length = exchange.deployment.window_length
    return product_id.encode(ProductId(group, length, posting.zone, code, ENERGY, round_, side))


def _windows(word: int, lanes: Lanes, group: int, posting: Posting) -> list[tuple[int, int]]:
    """The day's windows of a slot that hold something, counted from the day's first."""
    each = (
        (group * lanes.count + lane, packed_windows.get(word, lane, lanes)) for lane in range(lanes.count)
    )
    day = range(posting.first_window, posting.first_window + posting.windows)
    return [(window - posting.first_window, wh) for window, wh in each if wh and window in day]
