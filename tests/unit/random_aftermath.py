"""What follows a day's first run, drawn from a seed: later runs, and challenges with every outcome.

Now and then something is brought that must be refused; it is recorded with the refusal.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import correction_world as made
import settling_world
from random_days import BALANCING_ADDRESS, WINDOWS, Lived, Zone, flags_of
from reference_world import DAY

from settlement.reference import correction as corrections
from settlement.reference import merkle, reading
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.correction import Correction, Difference
from settlement.reference.eip712 import keccak
from settlement.reference.errors import Refused
from settlement.reference.exchange.metering import CHALLENGE_WINDOW_S
from settlement.reference.exchange.state import Challenge
from settlement.reference.posting import ACTUAL, ESTIMATED
from settlement.reference.reading import EXPORT, IMPORT
from settlement.reference.statement import Statement

Rows = dict[bytes, tuple[int, ...]]
"""Differences of accounts, Wh."""


def go_on(seed: int, lived: Lived, events: int = 6, check: Callable[[], None] = lambda: None) -> None:
    """Opens corrections of every zone and lets things happen; `check` is called after each."""
    dice = random.Random(seed + 2)
    for zone in lived.zones:
        lived.exchange.open_corrections(lived.exchange.posting(zone, DAY))
    for _ in range(events):
        zone = lived.zones[dice.choice(list(lived.zones))]
        if dice.random() < 0.2:
            meanwhile(dice, lived, zone)
        elif zone.committed is None or dice.random() < 0.4:
            correct(dice, lived, zone)
        else:
            challenge(dice, lived, zone)
        check()
        lived.now += dice.randint(1, 3600)


def meanwhile(dice: random.Random, lived: Lived, zone: Zone) -> None:
    """A meter gets another key, somebody withdraws, or the oracles want their bond back."""
    account, exchange = dice.choice([*zone.metered]), lived.exchange
    what = dice.choice(("rotate", "rotate", "withdraw", "unbond"))
    if what == "rotate":
        generation = dice.randint(1, 3)
        key = made.key_of(made.secret_of(account, generation))
        window = DAY + dice.randrange(WINDOWS)
        if refused(lambda: exchange.rotate_meter(lived.now, made.meter_of(account), *key, window) or True):
            zone.generations[account] = generation
    elif what == "withdraw":
        refused(lambda: exchange.request_withdrawal(lived.now, account, dice.choice((1, 10**12))))
        refused(lambda: exchange.execute_withdrawal(lived.now, account))
    else:
        refused(lambda: exchange.unbond_oracles(lived.now, BALANCING_ADDRESS, dice.choice((1, 10**12))))


# Later runs ---------------------------------------------------------------------------------------------


def correct(dice: random.Random, lived: Lived, zone: Zone) -> None:
    """A whole run of a zone, from what is known of its readings now."""
    accounts = [account for account in zone.metered if dice.random() < 0.5]
    rows = {account: draw_difference(dice) for account in accounts}
    for account, row in rows.items():
        zone.metered[account] = [a + b for a, b in zip(zone.metered[account], row, strict=True)]
    zone.sequence += 10
    flags = {account: dice.choice((ACTUAL, ESTIMATED)) for account in zone.metered}
    zone.committed = made.commit_to(zone.metered, flags, zone.sequence)
    run = run_of(lived, zone, rows)
    spoiled = dice.choice(
        [{"run": run.run + 1}, {"previous": bytes(32)}, {"surplus": (900_001,) * WINDOWS}, {}, {}, {}]
    )
    if spoiled:
        refused(lambda: post(lived, replace(run, **spoiled)))
    post(lived, run)
    for at in range(len(run.statements)):
        if dice.random() < 0.2:
            now, _, statement, _ = brought(lived, zone, run, rows, run.statements[at])
            refused(partial(lived.exchange.correct, now, run, statement, b""))
        apply(lived, zone, run, rows, run.statements[at])


def draw_difference(dice: random.Random) -> tuple[int, ...]:
    """Somewhere it is not zero."""
    row = [dice.choice((0, 0, dice.randint(-2000, 2000))) for _ in range(WINDOWS)]
    row[dice.randrange(WINDOWS)] += 1 + dice.randint(2001, 3000)
    return tuple(row)


def run_of(lived: Lived, zone: Zone, rows: Rows) -> Correction:
    """What the oracles sign."""
    assert zone.committed is not None
    found = lived.exchange.zone_day(zone.number, DAY)
    named = sorted({lived.part_of(zone.number, account) for account in rows})
    return Correction(
        zone=zone.number,
        first_window=DAY,
        run=found.run + 1,
        previous=found.link,
        commitments=zone.committed.root,
        surplus=zone.surplus,
        deficit=zone.deficit,
        statements=tuple(named),
        parts=tuple(keccak(packed(lived, zone, rows, part)) for part in named),
    )


def packed(lived: Lived, zone: Zone, rows: Rows, part: int) -> bytes:
    assert zone.committed is not None
    accounts = sorted(account for account in rows if lived.part_of(zone.number, account) == part)
    return corrections.pack_differences(
        [Difference(account, flags_of(zone.committed, account), rows[account]) for account in accounts]
    )


def post(lived: Lived, run: Correction) -> None:
    signed = settling_world.signatures(lived.exchange, corrections.struct_hash(run))
    lived.exchange.post_correction(lived.now, run, signed)


def brought(
    lived: Lived, zone: Zone, run: Correction, rows: Rows, part: int
) -> tuple[int, Correction, Statement, bytes]:
    """The arguments that apply a part of a run."""
    accounts = [account for account in rows if lived.part_of(zone.number, account) == part]
    statement = lived.settler.statement(zone.number, part, accounts)
    return lived.now, run, statement, packed(lived, zone, rows, part)


def apply(lived: Lived, zone: Zone, run: Correction, rows: Rows, part: int) -> None:
    lived.exchange.correct(*brought(lived, zone, run, rows, part))
    for account, row in rows.items():
        if lived.part_of(zone.number, account) == part:
            lived.settler.change(zone.number, part, account, row)


# Challenges ---------------------------------------------------------------------------------------------


def challenge(dice: random.Random, lived: Lived, zone: Zone) -> None:
    """One challenge, to its end."""
    assert zone.committed is not None
    account, window = dice.choice([*zone.metered]), dice.randrange(WINDOWS)
    register = dice.choice((IMPORT, EXPORT))
    sequence = zone.sequence + dice.choice((-1, 0, 1, 2, 3))
    wh = max(0, abs(zone.metered[account][window]) + dice.choice((0, 7, dice.randint(-900, 900))))
    told = open_challenge(zone, account, window, register, wh, max(0, sequence))
    if dice.random() < 0.3:
        told = replace(told, **dice.choice([{"flag": 2}, {"index": told.index ^ 1}, {"day": DAY + 1}]))
        refused(lambda: lived.exchange.challenge_reading(lived.now, account, told))
        return
    id_ = refused(lambda: lived.exchange.challenge_reading(lived.now, account, told))
    if id_ is not None:
        _end(dice, lived, zone, id_)


def open_challenge(
    zone: Zone, account: bytes, window: int, register: int, wh: int, sequence: int
) -> ReadingChallenge:
    """What an account brings against what is committed."""
    assert zone.committed is not None
    index = zone.committed.at(account, window, register)
    committed = zone.committed.reads[index]
    return ReadingChallenge(
        committed=reading.encode(committed),
        flag=zone.committed.flags[index],
        salt=made.salt_of(committed),
        index=index,
        proof=merkle.proof(zone.committed.leaves, index),
        read=said(zone, replace(committed, wh=wh, sequence=sequence), account),
        zone=zone.number,
        day=DAY,
    )


def said(zone: Zone, read: reading.Reading, account: bytes) -> SignedRead:
    """Signed with the first of the meter's keys if it measures an early window, else with the last."""
    early = read.window_index < DAY + WINDOWS // 2
    return made.sign_read(read, made.secret_of(account, 0 if early else zone.generations.get(account, 0)))


def _end(dice: random.Random, lived: Lived, zone: Zone, id_: bytes) -> None:
    """Answered in one of the ways there are, or not; then settled, unless it was defeated."""
    found: Challenge = lived.exchange.state.challenges[id_]
    read = found.read
    answers = {
        "later": replace(read, sequence=read.sequence + 1, wh=read.wh + 1),
        "repeated": replace(read, sequence=read.sequence + 1),
        "twice": replace(read, wh=read.wh ^ 1),
        "stood": found.standing,
        "same": read,
    }
    kind = dice.choice(("none", "none", "later", "repeated", "twice", "stood", "stood", "stood", "same"))
    if kind != "none":
        answer = said(zone, answers[kind], found.account)
        refused(lambda: lived.exchange.request_withdrawal(lived.now, found.account, 1))
        refused(lambda: lived.exchange.execute_withdrawal(lived.now, found.account))
        refused(lambda: lived.exchange.answer_challenge(lived.now, id_, answer))
    part = lived.part_of(zone.number, found.account)
    statement = lived.settler.statement(zone.number, part, [found.account])
    prices = zone.surplus, zone.deficit

    def settle() -> bool:
        lived.exchange.settle_challenge(lived.now, id_, statement, part, *prices)
        return True

    if not refused(settle):
        if dice.random() < 0.15:
            refused(lambda: lived.exchange.drop_challenge(lived.now, id_))
            lived.now = found.answer_by + CHALLENGE_WINDOW_S + 1
            refused(lambda: lived.exchange.drop_challenge(lived.now, id_))
        lived.now = max(lived.now, found.answer_by + 1)
        if not refused(settle):
            return
    row = [0] * WINDOWS
    row[read.window_index - DAY] = (read.wh - found.standing.wh) * read.sign
    lived.settler.change(zone.number, part, found.account, row)


def refused(call: Callable[[], Any]) -> Any:
    """What it returns; None if it is refused."""
    try:
        return call()
    except Refused:
        return None


def outcomes(lived: Lived) -> Sequence[str]:
    """Names of refusals and stages of challenges, for a look at what was drawn."""
    stages = [one.stage.name for one in lived.exchange.state.challenges.values()]
    return [*(step.refused for step in lived.recorder.steps if step.refused), *stages]
