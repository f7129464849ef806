"""Checks of the day's end: readings, imbalances and their cash, certificates, later runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from settlement.chain.events import (
    AccountCertified,
    AccountCorrected,
    AccountDelivered,
    AccountSettled,
    CorrectionPosted,
    DeliveryDonated,
    MeteringPosted,
    MeterRegistered,
    PartCertified,
    PartCorrected,
    PartSettled,
)
from settlement.evidence.bundle import CorrectionPart, DeliveryPart, OpeningPart, SettlementPart
from settlement.evidence.proved import Proved
from settlement.evidence.report import Missing, Report, Wrong, require
from settlement.evidence.subject import Subject
from settlement.reference import correction, delivery, merkle, posting, quality, settlement, statement
from settlement.reference.eip712 import keccak
from settlement.reference.fill import pro_rata
from settlement.reference.posting import Entry, Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.reading import decode as decode_reading
from settlement.reference.record import BUY
from settlement.reference.settlement import AccountResult, Day, Key, RunCarry, Tally, round_of
from settlement.units import floor_div

Held = dict[Key, int]


def check(subject: Subject, report: Report) -> None:
    """Everything that is told of the account's day."""
    told = subject.bundle.settlement
    if told is None:
        why = "the day is not settled, or the bundle leaves it out"
        report.add("settlement", "unchecked", why, "/settlement")
    else:
        _settlement(subject, report, told)
    _delivery(subject, report)
    for place, one in enumerate(subject.bundle.corrections):
        _correction(subject, report, one, f"/corrections/{place}")
    if not subject.bundle.corrections:
        why = "that no later run changed the day cannot be seen without the chain"
        report.add("later runs", "unchecked", why, "/corrections")
    for place, opened in enumerate(subject.bundle.openings):
        _opening(subject, report, opened, f"/openings/{place}")
    if not subject.bundle.openings:
        why = "no reading is disclosed: the posted total of each window is all that is shown"
        report.add("readings", "unchecked", why, "/openings")


# The first pass -----------------------------------------------------------------------------------------


def _settlement(subject: Subject, report: Report, told: SettlementPart) -> None:
    place = ("/settlement/zone", "/settlement/day")
    with report.check("posting", "what was settled is what the chain says the quorum posted", *place):
        message = _settled_in(subject, told).arguments["posting"]
        hash_ = posting.struct_hash(message)
        _, event = subject.evidence.get(MeteringPosted, "postMetering", posting_hash=hash_)
        require((told.zone, told.day), (event.zone, event.day), "zone and day")
        require(told.day, subject.params.day, "the session's day")
    with report.check(
        "metered",
        "the account's entry of a part that the posting names",
        "/settlement/metered_wh",
        "/settlement/flags",
    ):
        entry = _entry(subject, _settled_in(subject, told), told)
        require((tuple(told.metered_wh), tuple(told.flags)), (entry.metered, entry.flags), "what was metered")
    about = (
        "/settlement/holdings",
        "/settlement/imbalance_wh",
        "/settlement/cash_nano",
        "/settlement/released_nano",
    )
    with report.check("imbalances", "recomputed from contracts, readings and prices", *about):
        _check_result(subject, _settled_in(subject, told), told)
    with report.check(
        "contracted", "by the hash of the account's imbalances that certification brought", *about[:2]
    ):
        _check_leaf(subject, told)


def _settled_in(subject: Subject, told: SettlementPart) -> Proved:
    """The transaction that settled the account's part."""
    for sent in subject.evidence.sent:
        mine = sent.event(AccountSettled, account=subject.bundle.account)
        if mine and sent.event(PartSettled, zone=told.zone, day=told.day):
            if sent.function != "settle":
                raise Missing("another contract sent the call of settle: its arguments are not known")
            return sent
    raise Missing(subject.evidence.why_not("AccountSettled", "settle"))


def _entry(subject: Subject, sent: Proved, told: SettlementPart) -> Entry:
    message, part = sent.arguments["posting"], sent.arguments["entries"]
    if posting.is_default(message):
        return Entry(subject.bundle.account, (), ())
    if keccak(part) not in message.parts:
        raise Wrong("the part's entries do not hash to one of the posting's parts")
    entries = posting.unpack_part(part, message.windows)
    mine = [one for one in entries if one.account == subject.bundle.account]
    if not mine:
        raise Wrong("the part has no entry of the account")
    return mine[0]


def _day(subject: Subject, message: Posting, prices: Sequence[RoundPrices]) -> Day:
    """What the zone's day was settled under. Missing if a proved session of it is not in the bundle."""
    opened = subject.day(message.first_window)
    sessions = subject.rounds(message.first_window)
    if prices and len(prices) != len(sessions):
        raise Missing("not every proved session of the day is in the bundle")
    brought = prices or (None,) * len(sessions)
    rounds = [round_of(one.params, one.epoch, each) for one, each in zip(sessions, brought, strict=True)]
    codes = subject.grid(opened.grid_version).qualities
    return Day(opened.windows, codes, tuple(rounds), message.surplus, message.deficit)


def _holdings(day: Day, told: SettlementPart) -> tuple[Held, Held]:
    """Claims and obligations. Wrong unless they are of the day, their keys ascend and none is empty."""
    keys = [(one.round, one.quality, one.window) for one in told.holdings]
    if any(later <= earlier for earlier, later in pairwise(keys)):
        raise Wrong("the holdings' products do not ascend")
    if any(not (one.claims_wh or one.obligations_wh) for one in told.holdings):
        raise Wrong("a holding of nothing is told")
    if not set(keys) <= set(day.keys):
        raise Wrong("something is held that the day's proved sessions did not trade")
    pairs = list(zip(keys, told.holdings, strict=True))
    claims = {key: one.claims_wh for key, one in pairs if one.claims_wh}
    return claims, {key: one.obligations_wh for key, one in pairs if one.obligations_wh}


def _result(subject: Subject, sent: Proved, told: SettlementPart) -> AccountResult:
    message = sent.arguments["posting"]
    day = _day(subject, message, sent.arguments["prices"])
    claims, obligations = _holdings(day, told)
    _check_sold(subject, day, obligations)
    if posting.is_default(message):
        return settlement.presumed_account(day, claims, obligations)
    entry = _entry(subject, sent, told)
    return settlement.settle_account(day, entry.metered, claims, obligations)


def _check_sold(subject: Subject, day: Day, obligations: Held) -> None:
    """What the order sold is owed: obligations cannot be handed over."""
    cleared, signed, params = subject.bundle.clearing, subject.signed.schedule, subject.params
    if cleared is None or signed.side == BUY or not subject.bundle.session.proved:
        return
    for one in cleared.fills:
        key = (params.round, signed.quality, params.first_window - params.day + one.window)
        if one.filled_wh > obligations.get(key, 0):
            raise Wrong(f"the order sold {one.filled_wh} Wh in window {key[2]}, and less is owed")


def _check_result(subject: Subject, sent: Proved, told: SettlementPart) -> None:
    account = subject.bundle.account
    event, result = sent.event(AccountSettled, account=account), _result(subject, sent, told)
    assert event is not None, "the transaction was found by it"
    given = sum(one.nano for one in sent.of(DeliveryDonated) if one.account == account)
    require(tuple(told.imbalance_wh), result.imbalance, "the imbalance")
    require(sum(told.imbalance_wh), event.imbalance_wh, "the chain's sum of imbalances")
    require(told.cash_nano, result.cash + result.credit - given, "the cash")
    require(told.released_nano, result.returned, "the reserve that returns")
    require((told.cash_nano, told.released_nano), (event.cash_nano, event.released_nano), "what was booked")


def _check_leaf(subject: Subject, told: SettlementPart) -> None:
    """Contracted is metered less imbalance: the imbalances' hash pins it in every window."""
    sent = _certified_in(subject, told)
    brought = sent.arguments["statement"]
    leaves = dict(zip(brought.accounts, brought.leaves, strict=True))
    found = leaves.get(subject.bundle.account)
    require(statement.leaf_of(told.imbalance_wh), found, "the hash of the imbalances")


# The second pass ----------------------------------------------------------------------------------------


def _certified_in(subject: Subject, told: SettlementPart) -> Proved:
    """The transaction that certified the account's part."""
    for sent in subject.evidence.sent:
        part = sent.event(PartCertified, zone=told.zone, day=told.day)
        if part is None or sent.function != "certify":
            continue
        if subject.bundle.account in sent.arguments["statement"].accounts:
            return sent
    raise Missing(subject.evidence.why_not("PartCertified", "certify"))


def _delivery(subject: Subject, report: Report) -> None:
    told, settled = subject.bundle.delivery, subject.bundle.settlement
    if told is None:
        report.add("delivery", "unchecked", "the day is not certified, or it is left out", "/delivery")
        return
    if settled is None:
        report.add("delivery", "fails", "what was certified was settled before", "/delivery")
        return
    about = ("/delivery/imbalance_wh", "/delivery/cash_nano", "/delivery/released_nano")
    with report.check("delivery", "as the chain booked it, the reserve recomputed", *about):
        _check_delivered(subject, told, settled)
    with report.check(
        "certificates", "each within its share's rounding, their sum the chain's", "/delivery/certificates"
    ):
        _check_certificates(subject, told, settled)


def _check_delivered(subject: Subject, told: DeliveryPart, settled: SettlementPart) -> None:
    sent = _certified_in(subject, settled)
    event = sent.event(AccountDelivered, account=subject.bundle.account)
    booked = (event.imbalance_wh, event.cash_nano, event.released_nano) if event else (0, 0, 0)
    require((told.imbalance_wh, told.cash_nano, told.released_nano), booked, "what was booked")
    day = _day(subject, sent.arguments["posting"], sent.arguments["prices"])
    claims, _ = _holdings(day, settled)
    require(told.released_nano, delivery.released(day, claims), "the reserve that returns")


def _check_certificates(subject: Subject, told: DeliveryPart, settled: SettlementPart) -> None:
    sent = _certified_in(subject, settled)
    keys = [(one.round, one.quality, one.window) for one in told.certificates]
    if any(later <= earlier for earlier, later in pairwise(keys)) or not all(o.wh for o in told.certificates):
        raise Wrong("the certificates' products do not ascend, or one is of nothing")
    event = sent.event(AccountCertified, account=subject.bundle.account)
    total = sum(one.wh for one in told.certificates)
    require(total, event.certified_wh if event else 0, "the sum of the certificates")
    day = _day(subject, sent.arguments["posting"], sent.arguments["prices"])
    claims, _ = _holdings(day, settled)
    shown = dict(zip(keys, (one.wh for one in told.certificates), strict=True))
    if not set(shown) <= {key for key in claims if quality.band(key[1]) > 0}:
        raise Wrong("certificates are told of what was no claim on green energy")
    carry: RunCarry = sent.arguments["carry"]
    for key in claims:
        least, most = _bounds(day, carry, key, claims[key])
        if not least <= shown.get(key, 0) <= most:
            raise Wrong(f"of round, quality and window {key}, {least} to {most} Wh were certified")


def _bounds(day: Day, carry: RunCarry, key: Key, claim: int) -> tuple[int, int]:
    """The least and the most Wh that a claim can have had certified, whichever accounts came before it."""
    number, code, window = key
    if quality.band(code) == 0:
        return 0, 0
    tally: Tally = carry.tallies[day.index(key)]
    short = delivery.shortfalls(day, carry, number, window)[code].short
    backed = delivery.certified(day, carry, number, window).get(code, 0)
    least_short = floor_div(claim * short, tally.claims)
    most_short = -floor_div(-claim * short, tally.claims)
    rest = tally.claims - short
    least = pro_rata(0, claim - most_short, rest, backed)
    most = -floor_div(-(claim - least_short) * backed, rest) if rest else 0
    return least, most


# Later runs, disclosed readings -------------------------------------------------------------------------


def _correction(subject: Subject, report: Report, told: CorrectionPart, at: str) -> None:
    settled = subject.bundle.settlement
    with report.check(f"run {told.run}", "differences as the quorum signed them, and their worth", at):
        if settled is None:
            raise Wrong("a later run is told of a day that was not settled")
        sent, message = _corrected_in(subject, settled, told.run)
        differences = correction.unpack_differences(sent.arguments["differences"], len(message.surplus))
        accounts = [one.account for one in differences]
        place = accounts.index(subject.bundle.account)
        one = differences[place]
        require((tuple(told.wh), tuple(told.flags)), (one.wh, one.flags), "what changed")
        brought, size = sent.arguments["statement"], statement.row_bytes(len(one.wh))
        before = statement.unpack_row(brought.rows[place * size : (place + 1) * size], len(one.wh))
        after = tuple(wh + more for wh, more in zip(before, one.wh, strict=True))
        cash = statement.revalued(before, after, message.surplus, message.deficit)
        event = sent.event(AccountCorrected, account=subject.bundle.account)
        booked = (event.imbalance_wh, event.cash_nano) if event else None
        require((told.imbalance_wh, told.cash_nano), (sum(one.wh), cash), "what it is worth")
        require((told.imbalance_wh, told.cash_nano), booked, "what was booked")


def _corrected_in(
    subject: Subject, settled: SettlementPart, run: int
) -> tuple[Proved, correction.Correction]:
    place = {"zone": settled.zone, "day": settled.day, "run": run}
    subject.evidence.get(CorrectionPosted, "postCorrection", **place)
    for sent in subject.evidence.sent:
        mine = sent.event(AccountCorrected, account=subject.bundle.account)
        if mine and sent.function == "correct" and sent.event(PartCorrected, **place):
            return sent, sent.arguments["correction"]
    raise Missing(subject.evidence.why_not("AccountCorrected", "correct"))


def _opening(subject: Subject, report: Report, told: OpeningPart, at: str) -> None:
    with report.check("reading", "behind a commitment that the posting's root is of", at):
        settled = subject.bundle.settlement
        if settled is None:
            raise Missing("no settlement is told: there is no posting to compare with")
        message = decode_reading(told.message)
        windows = range(settled.day, settled.day + len(settled.metered_wh))
        if message.window_index not in windows:
            raise Wrong(f"window {message.window_index} is not of the day")
        leaf = keccak(b"\x00" + told.salt + told.message + bytes((told.flag,)))
        roots = _roots(subject, settled)
        if not any(merkle.verify(root, leaf, told.index, told.proof) for root in roots):
            raise Wrong("it is under no root that was posted for the day")
        found = subject.evidence.find(MeterRegistered, meter=message.meter)
        if found is None:
            raise Missing("that its meter is the account's is not told: no registration of it")
        require(subject.bundle.account, found[1].account, "whose meter it is")


def _roots(subject: Subject, settled: SettlementPart) -> list[bytes]:
    """Of commitments that the oracles posted for the zone's day."""
    place = {"zone": settled.zone, "day": settled.day}
    found: list[bytes] = []
    for sent in subject.evidence.sent:
        first, later = sent.event(MeteringPosted, **place), sent.event(CorrectionPosted, **place)
        found += [] if first is None else [first.posting.commitments]
        found += [] if later is None else [later.correction.commitments]
    if not found:
        raise Missing(subject.evidence.why_not("MeteringPosted", "postMetering"))
    return found
