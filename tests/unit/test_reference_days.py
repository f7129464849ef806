"""Random days to their very end: cash and energy are conserved, wherever parts are cut."""

from __future__ import annotations

import pytest
import random_aftermath
import tree_world
from random_days import WINDOW_LENGTH, WINDOWS, Lived, live, total
from reference_world import DAY

from settlement.reference import quality
from settlement.reference.exchange import RunStage, Stage
from settlement.reference.exchange.events import (
    AccountCorrected,
    AccountDelivered,
    AccountSettled,
    ChallengeSettled,
    DeliveryDonated,
    PartCertified,
    PartCorrected,
    RunCertified,
    RunSettled,
)
from settlement.reference.product_id import CERTIFICATE, ProductId, encode

SEEDS = range(24)


MEMBERS = AccountSettled, AccountDelivered, AccountCorrected
PARTY = RunSettled, PartCertified, PartCorrected, ChallengeSettled


def told_wh(lived: Lived, *kinds: type) -> int:
    """Imbalances of events of some kinds over all windows."""
    found = [event for event in lived.exchange.events if isinstance(event, kinds)]
    return sum(sum(e.imbalance_wh) if isinstance(e, AccountSettled) else e.imbalance_wh for e in found)


def told_nano(lived: Lived) -> int:
    """Cash that anyone got of a day's runs: members, beneficiaries, the balancing party."""
    total = 0
    for event in lived.exchange.events:
        match event:
            case DeliveryDonated():
                total += event.nano
            case RunCertified():
                total += event.rest_nano
            case _ if isinstance(event, MEMBERS + PARTY):
                total += event.cash_nano
    return total


@pytest.mark.parametrize("seed", SEEDS)
def test_energy_sums_to_zero_and_cash_to_what_was_withheld_to_the_very_end(
    seed: int,
) -> None:
    lived = live(seed)
    exchange = lived.exchange
    assert exchange.run(DAY).stage is RunStage.CERTIFIED

    def check() -> None:
        assert lived.total() == exchange.state.vault
        members = told_wh(lived, *MEMBERS)
        assert members == -told_wh(lived, *PARTY)
        assert told_nano(lived) == lived.withheld
        rows = [row for parts in lived.settler.parts.values() for part in parts for _, row in part]
        assert sum(map(sum, rows)) == members

    check()
    random_aftermath.go_on(seed, lived, check=check)


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_cut_anywhere_leave_the_same(seed: int) -> None:
    one, four = live(seed, per_part=1), live(seed, per_part=4)
    assert one.exchange.state.cash == four.exchange.state.cash
    assert one.exchange.state.lanes == four.exchange.state.lanes
    assert one.settler.carry == four.settler.carry
    rows = [
        dict(row for parts in lived.settler.parts.values() for part in parts for row in part)
        for lived in (one, four)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_certificates_never_exceed_what_was_delivered_in_their_round(seed: int) -> None:
    lived = live(seed)
    exchange, carry = lived.exchange, lived.settler.carry
    assert carry is not None
    codes = exchange.grid_of(DAY).qualities
    rounds = [exchange.session(one) for one in exchange.state.epochs]
    proved = [one.params.round for one in rounds if one.stage is Stage.PROVED]
    for window in range(WINDOWS):
        for band in {quality.band(code) for code in codes} - {0}:
            green = [code for code in codes if quality.band(code) >= band]
            for place, number in enumerate(proved):
                cells = [(place * len(codes) + codes.index(code)) * WINDOWS + window for code in green]
                certified = sum(_certified(lived, code, number, window) for code in green)
                assert certified <= sum(carry.tallies[at].delivered for at in cells)


def _certified(lived: Lived, code: int, number: int, window: int) -> int:
    exchange = lived.exchange
    return sum(
        exchange.balance(
            lived.now, account, _certificate(exchange.member(account).zone, code, number, window)
        )
        for account in exchange.state.members
    )


def _certificate(zone: int, code: int, number: int, window: int) -> int:
    return encode(ProductId(DAY + window, WINDOW_LENGTH, zone, code, CERTIFICATE, number))


def test_a_day_on_which_nothing_was_traded_is_settled_too() -> None:
    """Its carry holds nothing, and may look like what is brought to a first part."""
    lived = live(13, per_part=1)
    assert not lived.exchange.settlement_day(lived.now, 0, DAY).rounds
    assert lived.settler.carry is not None
    assert lived.settler.carry.tallies == ()
    assert lived.exchange.run(DAY).stage is RunStage.CERTIFIED


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_what_is_recorded_of_a_day_is_all_of_it(seed: int) -> None:
    """Its transactions, sent again to an Exchange as it was in the morning, end in the same state."""
    lived = live(seed)
    random_aftermath.go_on(seed, lived)
    again = tree_world.make_exchange(lived.exchange.grid_of(DAY), WINDOWS)
    for step in lived.recorder.steps:
        if not step.refused:
            getattr(again, step.method)(*step.args)
    assert again.state == lived.exchange.state
    assert total(again, lived.now) == lived.total()


def test_the_days_are_worth_their_time() -> None:
    """Something of everything happens in some of them."""
    seen: set[str] = set()
    for seed in SEEDS:
        lived = live(seed)
        random_aftermath.go_on(seed, lived)
        seen |= {type(event).__name__ for event in lived.exchange.events}
        seen |= set(random_aftermath.outcomes(lived)) | kinds_of(lived)
    wanted = {"AccountDelivered", "AccountCertified", "PricesMissing", "MeterRevoked", "UPHELD", "DEFEATED"}
    wanted |= {"DeliveryDonated", "ProceedsDonated", "short below zero", "short firm", "rest", "by default"}
    wanted |= {"several rounds", "several zones", "all qualities"}
    assert wanted <= seen, wanted - seen


def kinds_of(lived: Lived) -> set[str]:
    """What happened to sales on a day, in words."""
    exchange, carry = lived.exchange, lived.settler.carry
    assert carry is not None
    under = exchange.settlement_day(lived.now, 0, DAY)
    proved, zones = len(under.rounds), len(lived.zones)
    lacking = [
        (quality.firm(key[1]), pot)
        for key, tally, pot in zip(under.keys, carry.tallies, carry.pots, strict=True)
        if tally.obligations > tally.delivered
    ]
    holds = {
        "several rounds": proved > 1,
        "several zones": zones > 1,
        "all qualities": len(under.qualities) == 4 and bool(lacking),
        "by default": any(one.committed is None for one in lived.zones.values()) and lived.withheld != 0,
        "short firm": any(firm for firm, _ in lacking),
        "short below zero": any(not firm and not pot for firm, pot in lacking),
        "rest": any(e.rest_nano for e in exchange.events if isinstance(e, RunCertified)),
    }
    return {name for name, one in holds.items() if one}
