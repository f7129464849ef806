"""`trellis demo`: a community's day, end to end, on an embedded chain or a network.

Everything real is behind it (contracts, signatures, matcher, oracle, audit); only the keys follow from the
seed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from eth_utils.address import to_checksum_address
from rich.console import Console

from api.services import places
from api.services.aftermath import MOST_RUNS, LaterRuns, stake
from api.services.audit import audit_chain, has_audit
from api.services.cast import Cast, make_cast
from api.services.collect_later import aftermath
from api.services.commands import LINE_CHARGE
from api.services.community import CommunityDay
from api.services.places import Place
from api.services.plan import Plan, check_day, check_line_charge
from oracle.homes import load_homes
from settlement.chain.compile import compile_contracts
from settlement.chain.deploy import write_deployment
from settlement.errors import InputError
from settlement.reports.aftermath import Aftermath
from settlement.reports.economics import DayEconomics, economics
from settlement.reports.export import PAGE, summary, write_report
from settlement.reports.facts import AuditCheck, DayFacts
from settlement.reports.tables import print_tables, report_console

DEPLOYMENT = "deployment.json"
LARGEST_SEED = 2**63 - 1
LARGEST_AMOUNT = 10**9
"""Of a charge, micro/kWh (no line that dear is of use), or a capacity, Wh."""


def run(arguments: argparse.Namespace) -> int:
    """The command: 0 if everything holds, 1 if a check failed."""
    plan = plan_of(arguments)
    measured = load_homes(arguments.homes)
    check_line_charge(plan, measured)
    cast = make_cast(plan.seed, [home.number for home in measured.homes], plan.streets, plan.cars)
    console = report_console(stderr=arguments.json)
    out: Path = arguments.out
    check_folder(out)
    started = time.perf_counter()
    with _terminated_as_interrupted(), _step(console, "compile   the contracts"):
        compile_contracts()
    with _terminated_as_interrupted(), _place(arguments, plan, cast, console) as place:
        weeks = places.weeks_until(plan, place.chain)
        plan, measured = places.later(plan, weeks), measured.moved(weeks)
        nodes = place.rpcs[0], weeks, place.oracle_chain
        day = CommunityDay(plan, cast, measured, place.chain, place.clock, *nodes)
        with closing(day):
            facts = play(day, console, place.rpcs, out)
        report = economics(facts)
        with _step(console, "report    tables, plots, files"):
            write_report(report, out)
        _show(report, console, arguments.json, time.perf_counter() - started, place.rpcs[0], out)
        if arguments.keep:
            _keep(console, place.rpcs[0], facts.exchange)
    return 0 if report.holds and all(check.holds for check in facts.checks) else 1


@contextmanager
def _place(arguments: argparse.Namespace, plan: Plan, cast: Cast, console: Console) -> Iterator[Place]:
    """The chain it runs on; InputError if two are named."""
    if arguments.network is not None and arguments.rpc:
        raise InputError("--network and --rpc both name a chain: give one of them")
    if arguments.network is not None:
        with _step(console, "admit     who sends, by the network's administrator"):
            place = places.on_network(arguments.network, cast)
        yield place
    elif arguments.rpc:
        yield places.on_nodes(arguments.rpc)
    else:
        with places.embedded(plan, arguments.port) as place:
            yield place


def plan_of(arguments: argparse.Namespace) -> Plan:
    """The day to run; InputError or OutOfRange."""
    try:
        day = date.fromisoformat(arguments.day)
    except ValueError as cause:
        raise InputError(f"--day {arguments.day} is no date: write it as 2017-06-14") from cause
    check_day(day)
    for name, most in (("seed", LARGEST_SEED), ("feed_in", 220_000), ("imbalance_margin", 1_000_000)):
        if not 0 <= getattr(arguments, name) <= most:
            option = name.replace("_", "-")
            raise InputError(f"--{option} {getattr(arguments, name)} is out of range: 0 to {most}")
    if not 0 <= arguments.port < 1 << 16:
        raise InputError(f"--port {arguments.port} is out of range: 0 to 65535")
    if not 1 <= arguments.runs <= MOST_RUNS:
        raise InputError(f"--runs {arguments.runs} is out of range: 1 to {MOST_RUNS}, those of the calendar")
    plan = Plan(day, arguments.seed, arguments.feed_in, arguments.imbalance_margin, runs=arguments.runs)
    return _with_streets_and_cars(plan, arguments)


def _with_streets_and_cars(plan: Plan, arguments: argparse.Namespace) -> Plan:
    homes, streets, cars = arguments.homes, arguments.streets, arguments.cars
    if not 1 <= streets <= max(1, homes):
        raise InputError(f"--streets {streets} is out of range: 1 to the number of homes, {homes}")
    if not 0 <= cars <= max(0, homes):
        raise InputError(f"--cars {cars} is out of range: 0 to the number of homes, {homes}")
    for name in ("line_charge", "line_capacity"):
        if streets == 1 and getattr(arguments, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} is of a street's line: give --streets 2 or more")
    charge = LINE_CHARGE if arguments.line_charge is None else arguments.line_charge
    capacity_wh = None
    if arguments.line_capacity is not None:
        capacity_wh = _scaled("--line-capacity", arguments.line_capacity, "kW", 3, 0)
    charge_micro = _scaled("--line-charge", charge, "$/kWh", 6, 1)
    return replace(plan, streets=streets, line_charge=charge_micro, line_capacity_wh=capacity_wh, cars=cars)


def _scaled(option: str, given: str, unit: str, digits: int, least: int) -> int:
    """A decimal number times 10^digits, exactly: windows are hours, so kW times 1000 are Wh in a window."""
    try:
        scaled = Decimal(given).scaleb(digits)
        exact = int(scaled.to_integral_value())
    except (ArithmeticError, ValueError) as cause:
        raise InputError(f"{option} {given} is no number of {unit}") from cause
    if exact != scaled:
        raise InputError(f"{option} {given} is finer than {digits} digits behind the point")
    if not least <= exact <= LARGEST_AMOUNT:
        lowest, most = Decimal(least).scaleb(-digits), Decimal(LARGEST_AMOUNT).scaleb(-digits)
        raise InputError(f"{option} {given} is out of range: {lowest:f} to {most:f} {unit}")
    return exact


def check_folder(out: Path) -> None:
    """InputError now rather than after the run if the report has nowhere to go."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise InputError(f"--out {out} cannot be made: {cause.strerror or cause}") from cause


# The day ------------------------------------------------------------------------------------------------


def play(day: CommunityDay, console: Console, rpcs: Sequence[str], out: Path) -> DayFacts:
    """All steps, told as they go; then what an auditor finds."""
    for told, step in _steps(day):
        with _step(console, told, day):
            step()
        if step == day.deploy:
            write_deployment(day.exchange.deployment, out / DEPLOYMENT)
            console.print(f"            Exchange {to_checksum_address(day.exchange.address)}")
            console.print(f"            on {rpcs[0]}, kept in {out / DEPLOYMENT}", soft_wrap=True)
    facts = replace(day.facts(), later=_play_later(day, console))
    answers = day.agents.told()
    facts = replace(facts, phases=day.phases(), incidents=tuple(day.incidents), told=answers)
    checks: tuple[AuditCheck, ...] = ()
    if has_audit():
        with _step(console, "audit     all of it again, from the chain alone"):
            checks = audit_chain(rpcs, facts.exchange)
    return replace(facts, checks=checks)


def _steps(day: CommunityDay) -> list[tuple[str, Callable[[], Any]]]:
    count = len(day.cast.homes)
    homes = f"{count} home" + ("s" if count > 1 else "")
    vouched = [("stake     the operator vouches for oracles", partial(stake, day))]
    return [
        ("deploy    contracts and roles", day.deploy),
        (f"register  {homes}, meters, oracle, supplier", day.register),
        *(vouched if day.plan.runs > 1 else ()),
        (f"order     agents of {homes} sign for tomorrow", day.order),
        ("clear     the auction, proved by the contract", day.clear),
        ("deliver   meters sign, 2 of 3 oracle nodes agree", day.deliver),
        ("settle    imbalances and certificates", day.settle),
    ]


def _play_later(day: CommunityDay, console: Console) -> Aftermath | None:
    """Runs after the first, and what they changed; None if there are none."""
    if day.plan.runs == 1:
        return None
    later = LaterRuns(day)
    with _step(console, "contest   a home, what was posted of it", day):
        later.challenge()
    for number, run in enumerate(later.runs[1:], start=1):
        with _step(console, f"run {run.name:6}what differs from the run before", day):
            later.run(number)
    day.read_bills()
    day.incidents += later.incidents
    return aftermath(later)


@contextmanager
def _step(console: Console, told: str, day: CommunityDay | None = None) -> Iterator[None]:
    """A line for a step once it is done; in a terminal something moves meanwhile."""
    start = time.perf_counter()
    before = _spent(day)
    with console.status(told) if console.is_terminal else _nothing():
        yield
    seconds = time.perf_counter() - start
    transactions, gas = (after - b for after, b in zip(_spent(day), before, strict=True))
    cost = f"{transactions:3} tx {gas / 1e6:6.2f} M gas" if transactions else ""
    console.print(f"[green]✓[/] {told:48} {cost:19} {seconds:6.2f} s")


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _spent(day: CommunityDay | None) -> tuple[int, int]:
    """Transactions and gas so far."""
    spent = day.chain.spent.values() if day else ()
    return sum(phase[0] for phase in spent), sum(phase[1] for phase in spent)


# Afterwards ---------------------------------------------------------------------------------------------


def _show(report: DayEconomics, console: Console, as_json: bool, seconds: float, rpc: str, out: Path) -> None:
    if as_json:
        told = summary(report)
        told |= {"rpc": rpc, "seconds": round(seconds, 2), "report": str(out / PAGE)}
        print(json.dumps(told, indent=2))
        return
    console.print()
    print_tables(console, report)
    console.print(f"Report: {out / PAGE}  ({seconds:.1f} s in all)", soft_wrap=True)
    console.print("The keys of this run follow from its seed: never use one for value.")


def _keep(console: Console, rpc: str, exchange: str) -> None:
    """Until Ctrl-C or SIGTERM; both are a good end."""
    console.print(f"The chain stays at {rpc}: Ctrl-C ends it. Audit it with", soft_wrap=True)
    console.print(f"  trellis audit --rpc {rpc} --address {exchange}", soft_wrap=True)
    sys.stdout.flush()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("stopped")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that no chain is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: whoever runs us there answers for signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
