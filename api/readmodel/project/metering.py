"""Postings, readings, the first run, later runs, and challenges."""

from __future__ import annotations

from collections.abc import Iterable

from api.db.market_models import Challenge, Day, Posting, Reading, Run, Settlement
from api.readmodel.plain import exact
from api.readmodel.project import certificates
from api.readmodel.project.context import BALANCING_PARTY, CHALLENGE_BOND, Context, Place, RunKey
from settlement.chain import events as told
from settlement.chain.rpc import to_hex
from settlement.reference import correction, posting

NOTHING = dict.fromkeys(
    ("imbalance_wh", "cash_nano", "released_nano", "delivered_wh", "delivered_nano", "certified_wh"), 0
)


def posted(c: Context, event: told.MeteringPosted) -> None:
    place: RunKey = {"zone": event.zone, "day": event.day, "run": 0}
    terms = {"hash": to_hex(event.posting_hash), "terms": exact(event.posting)}
    c.put(Posting, sequence=event.sequence, **place, **terms)
    _change_run(c, event.zone, event.day, 0)


def _change_run(c: Context, zone: int, day: int, run: int, **changes: int | str | None) -> None:
    """Makes or changes a run; numbers named in `changes` are added to, everything else is set."""
    empty = {"stage": "posted", "parts": 0, "certified_parts": 0, "imbalance_wh": 0, "cash_nano": 0}
    found = c.rows.find(Run, zone, day, run) or {**empty, "link": None}
    added = {
        name: found[name] + value if isinstance(value, int) else value for name, value in changes.items()
    }
    c.put(Run, **{**found, "zone": zone, "day": day, "run": run, **added, **_here(c)})


def _here(c: Context) -> dict[str, object]:
    return {"block_number": c.block.number, "tx_hash": to_hex(c.telling.sent.hash)}


def _settlement(c: Context, zone: int, day: int, run: int, account: str, **values: int) -> None:
    key = {"zone": zone, "day": day, "account": account, "run": run}
    found = c.rows.find(Settlement, zone, day, account, run) or NOTHING
    c.put(Settlement, **{**found, **key, **values, **_here(c)})


def _balancing_result(c: Context, place: RunKey, **changes: int) -> None:
    """The balancing party takes the other side of each part: its result in the zone is their sum."""
    party = c.fact(BALANCING_PARTY)
    if party is not None:
        found = c.rows.find(Settlement, place["zone"], place["day"], party, place["run"]) or NOTHING
        _settlement(c, account=party, **place, **{name: found[name] + by for name, by in changes.items()})


def _balance(c: Context, kind: str, cash_nano: int, place: RunKey | Place) -> None:
    """The balancing party's other side."""
    c.pay(c.fact(BALANCING_PARTY), kind, cash_nano, **place)


# The first run ------------------------------------------------------------------------------------------


def donated(c: Context, event: told.DeliveryDonated) -> None:
    part = c.telling.after(c.index, told.PartSettled)
    assert part is not None, "settlement tells of a part at its end"
    place: RunKey = {"zone": part.zone, "day": part.day, "run": 0}
    c.pay(event.beneficiary, "donation", event.nano, **place)


def settled(c: Context, event: told.AccountSettled) -> None:
    """Cash for imbalances and, of what was sold as produced, for what was delivered."""
    part = c.telling.after(c.index, told.PartSettled)
    assert part is not None, "settlement tells of a part at its end"
    place: RunKey = {"zone": part.zone, "day": part.day, "run": 0}
    result = {"imbalance_wh": event.imbalance_wh, "cash_nano": event.cash_nano}
    _settlement(c, account=to_hex(event.account), released_nano=event.released_nano, **place, **result)
    _change_run(c, **place, **result)
    c.pay(event.account, "settlement", event.cash_nano, **place)
    c.pay(event.account, "reserve", event.released_nano, **place)


def part_settled(c: Context, event: told.PartSettled) -> None:
    _change_run(c, event.zone, event.day, 0, stage="settling", parts=1)
    message, entries = c.telling.argument("posting", "settle"), c.telling.argument("entries", "settle")
    if message is None or posting.is_default(message):
        return
    for entry in posting.unpack_part(entries, message.windows):
        _read(c, event.zone, event.day, 0, entry.account, entry.flags, entry.metered)


def _read(
    c: Context, zone: int, day: int, run: int, account: bytes, flags: Iterable[int], wh: Iterable[int]
) -> None:
    key = {"zone": zone, "day": day, "account": to_hex(account), "run": run}
    c.put(Reading, flags=list(flags), wh=list(wh), **key)


def run_settled(c: Context, event: told.RunSettled) -> None:
    c.put(Day, day=event.day, settled=True)
    place: RunKey = {"zone": event.zone, "day": event.day, "run": event.run}
    result = {"imbalance_wh": event.imbalance_wh, "cash_nano": event.cash_nano}
    _balancing_result(c, place, released_nano=event.released_nano, **result)
    _balance(c, "imbalance", event.cash_nano, place)
    _balance(c, "reserve", event.released_nano, place)


def delivered(c: Context, event: told.AccountDelivered) -> None:
    part = c.telling.after(c.index, told.PartCertified)
    assert part is not None, "certification tells of a part at its end"
    place: RunKey = {"zone": part.zone, "day": part.day, "run": 0}
    account = to_hex(event.account)
    before = c.rows.find(Settlement, part.zone, part.day, account, 0) or NOTHING
    released = before["released_nano"] + event.released_nano
    result = {"delivered_wh": event.imbalance_wh, "delivered_nano": event.cash_nano}
    _settlement(c, account=account, released_nano=released, **place, **result)
    _change_run(c, imbalance_wh=event.imbalance_wh, cash_nano=event.cash_nano, **place)
    c.pay(event.account, "undelivered", event.cash_nano, **place)
    c.pay(event.account, "reserve", event.released_nano, **place)


def certified(c: Context, event: told.AccountCertified) -> None:
    _settlement(c, event.zone, event.day, 0, to_hex(event.account), certified_wh=event.certified_wh)


def part_certified(c: Context, event: told.PartCertified) -> None:
    place: RunKey = {"zone": event.zone, "day": event.day, "run": 0}
    certificates.minted(c, event)
    _change_run(c, certified_parts=1, **place)
    _balancing_result(c, place, delivered_wh=event.imbalance_wh, delivered_nano=event.cash_nano)
    _balance(c, "undelivered", event.cash_nano, place)


def run_certified(c: Context, event: told.RunCertified) -> None:
    c.put(Day, day=event.day, certified=True)
    _balance(c, "undelivered", event.rest_nano, {"zone": event.zone, "day": event.day, "run": 0})


# Later runs ---------------------------------------------------------------------------------------------


def corrections_opened(c: Context, event: told.CorrectionsOpened) -> None:
    _change_run(c, event.zone, event.day, 0, stage="certified", link=to_hex(event.link))


def correction_posted(c: Context, event: told.CorrectionPosted) -> None:
    place: RunKey = {"zone": event.zone, "day": event.day, "run": event.run}
    terms = {"hash": to_hex(event.hash), "terms": exact(event.correction)}
    c.put(Posting, sequence=0, **place, **terms)
    _change_run(c, **place)


def corrected(c: Context, event: told.AccountCorrected) -> None:
    behind = c.telling.after(c.index, told.PartCorrected, told.ChallengeSettled)
    if isinstance(behind, told.PartCorrected):
        place: RunKey = {"zone": behind.zone, "day": behind.day, "run": behind.run}
        result = {"imbalance_wh": event.imbalance_wh, "cash_nano": event.cash_nano}
        _settlement(c, account=to_hex(event.account), **place, **result)
        _change_run(c, **place, **result)
        c.pay(event.account, "correction", event.cash_nano, **place)
    elif isinstance(behind, told.ChallengeSettled):
        at: Place = {"zone": behind.zone, "day": behind.day, "subject": behind.id}
        c.pay(event.account, "challenge", event.cash_nano, **at)


def part_corrected(c: Context, event: told.PartCorrected) -> None:
    place: RunKey = {"zone": event.zone, "day": event.day, "run": event.run}
    _change_run(c, stage="correcting", parts=1, **place)
    _balancing_result(c, place, imbalance_wh=event.imbalance_wh, cash_nano=event.cash_nano)
    _balance(c, "correction", event.cash_nano, place)
    differences = c.telling.argument("differences", "correct")
    if differences is not None:
        windows = c.rows.get(Day, event.day)["windows"]
        for one in correction.unpack_differences(differences, windows):
            _read(c, account=one.account, flags=one.flags, wh=one.wh, **place)


def run_corrected(c: Context, event: told.RunCorrected) -> None:
    _change_run(c, event.zone, event.day, event.run, stage="complete", link=to_hex(event.link))


# Challenges ---------------------------------------------------------------------------------------------


def challenged(c: Context, event: told.ReadingChallenged) -> None:
    bond = int(c.fact(CHALLENGE_BOND) or 0)
    names = ("meter", "register", "window", "committed_wh", "wh", "sequence", "answer_by")
    place: Place = {"zone": event.zone, "day": event.day, "subject": event.id}
    c.put(
        Challenge,
        id=to_hex(event.id),
        account=to_hex(event.account),
        terms={name: exact(getattr(event, name)) for name in names},
        bond_nano=bond,
        state="open",
        paid_nano=0,
        zone=event.zone,
        day=event.day,
    )
    c.pay(event.account, "challenge_bond", -bond, **place)


def answered(c: Context, event: told.ChallengeAnswered) -> None:
    c.put(Challenge, id=to_hex(event.id), state="defeated" if event.defeated else "answered")


def challenge_settled(c: Context, event: told.ChallengeSettled) -> None:
    found = c.rows.get(Challenge, to_hex(event.id))
    c.put(Challenge, id=to_hex(event.id), state="upheld", paid_nano=event.paid_nano)
    place: Place = {"zone": event.zone, "day": event.day, "subject": event.id}
    c.pay(found["account"], "challenge_bond", found["bond_nano"], **place)
    c.pay(found["account"], "challenge_paid", event.paid_nano, **place)
    _balance(c, "challenge", event.cash_nano, place)


def challenge_dropped(c: Context, event: told.ChallengeDropped) -> None:
    found = c.rows.get(Challenge, to_hex(event.id))
    c.put(Challenge, id=to_hex(event.id), state="dropped")
    place: Place = {"zone": found["zone"], "day": found["day"], "subject": event.id}
    c.pay(found["account"], "challenge_bond", found["bond_nano"], **place)


def oracle_bond_changed(c: Context, event: told.OracleBondChanged) -> None:
    c.pay(event.account, "oracle_bond", -event.amount_nano)
