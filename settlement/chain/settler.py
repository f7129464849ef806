"""What follows a delivery day: the postings of its zones that oracle nodes signed, their settlement, what
their accounts lack of what was sold, their certificates.

Each step is a function of what the chain says, so that a restart goes on where the chain is; and anyone may
take it. Carries and statements are the reference's, over what the accounts held when the day was posted (from
then on only settling changes it). Every part brings the prices that its zone was traded at: where all sales
are firm and delivered it need not, but they cost little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from settlement.chain import abi
from settlement.chain.errors import WrongProgress
from settlement.chain.exchange import Exchange, RunStage
from settlement.chain.held import Held, Holdings, day_of, read_holdings
from settlement.chain.sign import Signer
from settlement.chain.steps import Step, call_of, logs_of, step
from settlement.reference import delivery, settlement
from settlement.reference.delivery import Delivery
from settlement.reference.posting import Entry, Posting, default_posting, is_default, unpack_part
from settlement.reference.settlement import AccountResult, Day, RunCarry
from settlement.reference.statement import Statement, statement_of
from settlement.units import floor_div

MOST_WINDOWS = 2_048
"""Of the accounts of a part by default in all rounds, so that it can be certified too (`oracle.posting`)."""
ACCOUNT_BYTES = 20

Imbalances = list[tuple[bytes, tuple[int, ...]]]
"""Of a part's accounts, ascending, Wh in each window."""


@dataclass(frozen=True)
class SignedPosting:
    """What a quorum signed, and the entries behind its hashes; or, unsigned, what is settled by default."""

    posting: Posting
    parts: tuple[bytes, ...]
    """Packed entries; of a default posting the zone's accounts, in as many pieces as are convenient."""
    signatures: tuple[bytes, ...]
    """Ascending by signer."""

    def accounts(self, part: int) -> list[bytes]:
        """Of one part, ascending."""
        return [entry.account for entry in self.entries(part)]

    def entries(self, part: int) -> tuple[Entry, ...]:
        """Of one part; by default without quantities."""
        data = self.parts[part]
        if not is_default(self.posting):
            return unpack_part(data, self.posting.windows)
        places = range(0, len(data), ACCOUNT_BYTES)
        return tuple(Entry(data[at : at + ACCOUNT_BYTES], (), ()) for at in places)


def by_default(zone: int, day: int, windows: int, accounts: Sequence[bytes]) -> SignedPosting:
    """What settles a zone that nobody posted in time: all its metered members, contracted as metered."""
    posting = default_posting(zone, day, windows, len(accounts))
    return SignedPosting(posting, _cut(b"".join(sorted(accounts)), windows, 1), ())


def _cut(accounts: bytes, windows: int, rounds: int) -> tuple[bytes, ...]:
    """In parts that can be certified."""
    size = ACCOUNT_BYTES * max(1, floor_div(MOST_WINDOWS, windows * max(1, rounds)))
    return tuple(accounts[at : at + size] for at in range(0, len(accounts), size))


def _as_cut(exchange: Exchange, one: SignedPosting) -> SignedPosting:
    """A default posting in the parts that the chain has, whoever cut them, and the rest in ours."""
    posting = one.posting
    if not is_default(posting):
        return one
    logs = logs_of(exchange, "PartSettled", posting.zone, posting.first_window)
    done = tuple(call_of(exchange, log, "settle")[1] for log in logs)
    left = b"".join(one.parts)[sum(map(len, done)) :]
    rounds = len(day_of(exchange, posting).rounds)
    return replace(one, parts=(*done, *_cut(left, posting.windows, rounds)))


@dataclass(frozen=True)
class SettledDay:
    """What was sent to settle a day."""

    day: int
    steps: tuple[Step, ...]

    @property
    def gas_used(self) -> int:
        return sum(one.gas_used for one in self.steps)


def run(exchange: Exchange, sender: Signer, *zones: SignedPosting) -> SettledDay:
    """Posts, settles and certifies a day from wherever it is, given its zones' postings in their order."""
    steps = [post(exchange, sender, one) for one in zones if _is_news(exchange, one.posting)]
    day = DayRun(exchange, sender, zones)
    return SettledDay(day.day, (*steps, *day.settle(), *day.certify()))


def post(exchange: Exchange, sender: Signer, signed: SignedPosting) -> Step:
    """Posts what the quorum signed, once the day is over; or that nobody did."""
    posting = signed.posting
    if is_default(posting):
        name, data = "postDefault", abi.post_default(posting)
    else:
        name, data = "postMetering", abi.post_metering(posting, signed.signatures)
    return step(name, exchange.send_data(sender, data), posting.accounts)


def _is_news(exchange: Exchange, posting: Posting) -> bool:
    return exchange.run(posting.zone, posting.first_window).sequence < posting.sequence


# The order of all parts ---------------------------------------------------------------------------------

SETTLE, CERTIFY = "settle", "certify"


@dataclass(frozen=True)
class Part:
    """One part of a zone's posting, to be settled or certified."""

    name: str
    holdings: Holdings
    signed: SignedPosting
    index: int
    closes: Held | None = None
    """The balancing party's claims, where it is the last that is settled of the day."""
    ends: bool = False
    """Whether it is the last that is certified."""

    @property
    def key(self) -> tuple[int, int]:
        """Its statement's zone and number."""
        return self.signed.posting.zone, self.index

    def is_last(self) -> bool:
        """Of its zone."""
        return self.index + 1 == len(self.signed.parts)


@dataclass(frozen=True)
class Sent:
    """What a part brings, and what it leaves."""

    data: bytes
    """Calldata."""
    carry: RunCarry
    imbalances: Imbalances
    accounts: Mapping[bytes, AccountResult | Delivery]
    """What it does to each of its accounts."""


class DayRun:
    """The first run of a day, from wherever the chain is with it."""

    def __init__(
        self, exchange: Exchange, sender: Signer, zones: Sequence[SignedPosting], *, whole: bool = True
    ) -> None:
        """Reads what everyone held, and goes over what is done. WrongProgress if the chain has gone on with
        something else than these postings. Unless `whole`, they are the first zones of the day only: these
        can be settled, the rest waits for the others.
        """
        self.exchange, self.sender = exchange, sender
        self.day = zones[0].posting.first_window
        zones = [_as_cut(exchange, one) for one in zones]
        self.plan = plan_of(exchange, zones, whole=whole)
        self.carry: RunCarry | None = None
        self.imbalances: dict[tuple[int, int], Imbalances] = {}
        """By zone and part, as their statements have them now."""
        self.settled: dict[bytes, AccountResult] = {}
        """What settling did to each account so far."""
        self.delivered: dict[bytes, Delivery] = {}
        """What certifying did."""
        done = _done(exchange, zones)
        for part in self.plan[:done]:
            self._take(part, self._work_out(part))
        self.left = self.plan[done:]
        mine = settlement.run_carry_hash(self.carry) if self.carry else bytes(32)
        if exchange.run(0, self.day).carry_hash != mine:
            raise WrongProgress(f"day {self.day} was settled with other entries: bring the posted ones")

    def settle(self) -> list[Step]:
        """Settles the parts that are left to be settled."""
        return self._send_left(SETTLE)

    def certify(self) -> list[Step]:
        """Shares what was delivered, for the parts that are left."""
        return self._send_left(CERTIFY)

    def _send_left(self, name: str) -> list[Step]:
        steps = []
        while self.left and self.left[0].name == name:
            steps.append(self.send_next())
        return steps

    def send_next(self) -> Step:
        """Settles or certifies the next part that is left."""
        part = self.left[0]
        sent = self._work_out(part)
        receipt = self.exchange.send_data(self.sender, sent.data)
        self._take(part, sent)
        del self.left[0]
        return step(part.name, receipt, len(sent.imbalances))

    def _take(self, part: Part, sent: Sent) -> None:
        self.carry, self.imbalances[part.key] = sent.carry, sent.imbalances
        for account, one in sent.accounts.items():
            if isinstance(one, AccountResult):
                self.settled[account] = one
            else:
                self.delivered[account] = one

    def _work_out(self, part: Part) -> Sent:
        day = part.holdings.day
        carry = settlement.initial_run(day) if self.carry is None else self.carry
        brought = abi.run_carry_tuple(self.carry), abi.prices_array(part.holdings.prices)
        message = abi.posting_tuple(part.signed.posting)
        if part.name == SETTLE:
            after, settled = settle_part(part, day, carry)
            data = abi.settle(message, part.signed.parts[part.index], *brought)
            return Sent(data, follow(part, after), imbalances_of(settled), settled)
        after, delivered = certify_part(part, day, carry)
        statement, imbalances = restate(self.imbalances[part.key], lacks_of(delivered))
        data = abi.certify(message, abi.statement_tuple(statement), *brought)
        return Sent(data, follow(part, after), imbalances, delivered)


def plan_of(exchange: Exchange, zones: Sequence[SignedPosting], *, whole: bool = True) -> list[Part]:
    """Every part in the order in which the run takes it: all are settled, then all are certified. Where more
    zones follow, those of these are settled.
    """
    held = [(_holdings_of(exchange, one), one) for one in zones]
    parts = [
        Part(name, holdings, signed, index)
        for name in ((SETTLE, CERTIFY) if whole else (SETTLE,))
        for holdings, signed in held
        for index in range(len(signed.parts))
    ]
    if not whole:
        return parts
    last = sum(len(one.parts) for one in zones) - 1
    parts[last] = replace(parts[last], closes=_claims_of_party(exchange, zones[0].posting))
    parts[-1] = replace(parts[-1], ends=True)
    return parts


def _holdings_of(exchange: Exchange, signed: SignedPosting) -> Holdings:
    accounts = [account for part in range(len(signed.parts)) for account in signed.accounts(part)]
    return read_holdings(exchange, signed.posting, accounts)


def _claims_of_party(exchange: Exchange, posting: Posting) -> Held:
    """What the balancing party bought; it trades in zone 0."""
    (party,) = exchange.view("balancingParty")
    return read_holdings(exchange, replace(posting, zone=0), [party], posting.zone).claims[party]


def _done(exchange: Exchange, zones: Sequence[SignedPosting]) -> int:
    """How many parts of the plan the chain has behind it."""
    day = zones[0].posting.first_window
    stage, (under_way, parts) = exchange.run(0, day).stage, exchange.zone_under_way(day)
    in_all = sum(len(one.parts) for one in zones)
    before = sum(len(one.parts) for one in zones if one.posting.zone < under_way) + parts
    return before + (in_all if stage in (RunStage.SETTLED, RunStage.CERTIFIED) else 0)


# What parts leave ---------------------------------------------------------------------------------------


def settle_part(part: Part, day: Day, carry: RunCarry) -> tuple[RunCarry, dict[bytes, AccountResult]]:
    """What settling a part leaves of the carry, and does to its accounts."""
    settled = {}
    for entry in part.signed.entries(part.index):
        carry, settled[entry.account] = _settle_entry(part, day, carry, entry)
    if part.closes is not None:
        carry = settlement.with_escrow(day, carry, part.closes)
    return carry, settled


def _settle_entry(part: Part, day: Day, carry: RunCarry, entry: Entry) -> tuple[RunCarry, AccountResult]:
    held = part.holdings.claims[entry.account], part.holdings.obligations[entry.account]
    if is_default(part.signed.posting):
        return settlement.presume_entry(day, carry, entry.account, *held)
    return settlement.settle_entry(day, carry, entry, *held)


def certify_part(part: Part, day: Day, carry: RunCarry) -> tuple[RunCarry, dict[bytes, Delivery]]:
    """What certifying a part leaves of the carry, and does to its accounts."""
    delivered = {}
    for account in part.signed.accounts(part.index):
        claims = part.holdings.claims[account]
        carry, delivered[account] = delivery.deliver_account(day, carry, claims)
    return carry, delivered


def imbalances_of(settled: Mapping[bytes, AccountResult]) -> Imbalances:
    """As a part's statement has them."""
    return [(account, one.imbalance) for account, one in settled.items()]


def lacks_of(delivered: Mapping[bytes, Delivery]) -> dict[bytes, tuple[int, ...]]:
    """What each account that is short of something lacks in each window, Wh."""
    return {account: one.short for account, one in delivered.items() if any(one.short)}


def restate(imbalances: Imbalances, lacks: dict[bytes, tuple[int, ...]]) -> tuple[Statement, Imbalances]:
    """The statement to bring, with the rows of accounts that lack something, and what they become."""
    after = [
        (account, tuple(wh - less for wh, less in zip(row, lacks.get(account, (0,) * len(row)), strict=True)))
        for account, row in imbalances
    ]
    return statement_of(imbalances, lacks), after


def follow(part: Part, carry: RunCarry) -> RunCarry:
    """The carry that is brought to the part after this one; after the very last, nothing is left to pay."""
    if part.ends:
        carry = replace(carry, cash=0)
    return settlement.zone_start(carry) if part.is_last() else replace(carry, parts=part.index + 1)
