"""A later run of a zone's day: what the oracle nodes signed, posted and applied part by part.

Each step is a function of what the chain says, so that whoever restarts with the signed correction and its
differences goes on where the chain is. The statements that the parts open come from the chain too
(`settlement.chain.statements`).
"""

from __future__ import annotations

from dataclasses import dataclass

from settlement.chain import abi, statements
from settlement.chain.errors import WrongProgress
from settlement.chain.events import CorrectionPosted, decode
from settlement.chain.exchange import Exchange
from settlement.chain.sign import Signer
from settlement.chain.statements import logs_of_day
from settlement.chain.steps import Step, step
from settlement.reference import correction as corrections
from settlement.reference.correction import Correction, unpack_differences
from settlement.reference.eip712 import keccak
from settlement.reference.posting import Posting


@dataclass(frozen=True)
class SignedCorrection:
    """What a quorum signed, and the differences behind its hashes."""

    correction: Correction
    differences: tuple[bytes, ...]
    """Packed, of each statement that changes."""
    signatures: tuple[bytes, ...]
    """Ascending by signer."""


@dataclass(frozen=True)
class ZoneDay:
    """How far the later runs of a zone and day are."""

    run: int
    """The last that is complete; 0 is the first settlement."""
    link: bytes
    """What the next correction names as its `previous`; zero while corrections are not open."""
    pending: bytes
    """Struct hash of a correction that is posted and not complete."""
    parts: int
    """Of it, applied so far."""
    open: int
    """Challenges that are not ended."""
    since: int
    """When the last run was complete, Unix seconds."""

    @property
    def is_open(self) -> bool:
        """Whether corrections and challenges of the day are accepted."""
        return any(self.link)


def zone_day(exchange: Exchange, zone: int, day: int) -> ZoneDay:
    """As the chain has it now."""
    return ZoneDay(*exchange.view("zoneDayOf", zone, day))


def open_corrections(exchange: Exchange, sender: Signer, posting: Posting) -> list[Step]:
    """Lets the zone's day be corrected and challenged; nothing if it may be already."""
    if zone_day(exchange, posting.zone, posting.first_window).is_open:
        return []
    receipt = exchange.send_data(sender, abi.open_corrections(posting))
    return [step("openCorrections", receipt)]


def open_day(exchange: Exchange, sender: Signer, zone: int, day: int) -> list[Step]:
    """The same of a day whose posting nobody has at hand. WrongProgress if the zone was never settled."""
    if zone_day(exchange, zone, day).is_open:
        return []
    return open_corrections(exchange, sender, posting_of(exchange, zone, day))


def posting_of(exchange: Exchange, zone: int, day: int) -> Posting:
    """What a zone's day was settled by. WrongProgress if it never was."""
    for one in statements.settled_postings(exchange, day):
        if one.posting.zone == zone:
            return one.posting
    raise WrongProgress(f"day {day} of zone {zone} was never settled: settle it first")


def run(exchange: Exchange, sender: Signer, signed: SignedCorrection) -> list[Step]:
    """Opens the day if need be, posts the correction and applies its parts, from wherever the chain is.

    WrongProgress if the differences are not those that were signed, or the chain has another correction of
    that run.
    """
    steps = post(exchange, sender, signed)
    return steps + apply(exchange, sender, signed)


def post(exchange: Exchange, sender: Signer, signed: SignedCorrection) -> list[Step]:
    """Opens the day if need be and posts the correction, unless the chain has it. WrongProgress as `run`."""
    _check_differences(signed)
    correction = signed.correction
    zone, day = correction.zone, correction.first_window
    steps = open_day(exchange, sender, zone, day)
    at, own = zone_day(exchange, zone, day), corrections.struct_hash(correction)
    if at.run >= correction.run:
        _check_made(exchange, correction, own)
    elif at.pending != own:
        receipt = exchange.send_data(sender, abi.post_correction(correction, signed.signatures))
        steps.append(step("postCorrection", receipt, len(correction.statements)))
    return steps


def apply(exchange: Exchange, sender: Signer, signed: SignedCorrection) -> list[Step]:
    """The parts that are left of a correction that is posted; nothing if it is not, or is complete. Anyone
    may. No two parts share a statement, so that what stands now serves them all.
    """
    _check_differences(signed)
    correction = signed.correction
    zone, day = correction.zone, correction.first_window
    at = zone_day(exchange, zone, day)
    if at.pending != corrections.struct_hash(correction):
        return []
    found = statements.current(exchange, zone, day)
    steps = []
    for part, packed in list(zip(correction.statements, signed.differences, strict=True))[at.parts :]:
        accounts = [one.account for one in unpack_differences(packed, len(correction.surplus))]
        brought = found.statement(part, *accounts)
        receipt = exchange.send_data(sender, abi.correct(correction, brought, packed))
        steps.append(step("correct", receipt, len(accounts)))
    return steps


def _check_differences(signed: SignedCorrection) -> None:
    if tuple(map(keccak, signed.differences)) != signed.correction.parts:
        raise WrongProgress(f"run {signed.correction.run} was signed over other differences: bring those")


def _check_made(exchange: Exchange, correction: Correction, own: bytes) -> None:
    """That the run which is complete is this one: of several postings of a run the last counts."""
    zone, day = correction.zone, correction.first_window
    posted = [one.hash for one in posted_corrections(exchange, zone, day) if one.run == correction.run]
    if posted[-1:] != [own]:
        raise WrongProgress(f"run {correction.run} of day {day}, zone {zone} is another correction's")


def posted_corrections(exchange: Exchange, zone: int, day: int) -> list[CorrectionPosted]:
    """What the chain accepted of a zone's day, in its order."""
    found = map(decode, logs_of_day(exchange, "CorrectionPosted", day, zone))
    return [one for one in found if isinstance(one, CorrectionPosted)]
