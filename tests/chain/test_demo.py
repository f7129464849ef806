"""`trellis demo` from its command line to its report, on an embedded chain."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from api.services import audit, commands, delivery
from api.services.cast import CONNECTION_W, make_cast
from api.services.community import CommunityDay
from api.services.measured import MeasuredChain
from api.services.plan import Plan, check_day
from oracle import homes
from oracle.homes import load_homes
from settlement.chain.anvil import Anvil
from settlement.chain.client import AnvilClock
from settlement.chain.deploy import read_deployment
from settlement.cli import main
from settlement.errors import TrellisError
from settlement.reference.orders import signed_hash
from settlement.reports import html
from settlement.reports.economics import economics
from settlement.reports.facts import DayFacts
from settlement.reports.tables import print_tables, report_console

HOMES = 4


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.strip().splitlines()


# The day ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def day():
    """A day that has been run, its chain still up."""
    plan = Plan(date(2017, 6, 14), seed=5, imbalance_margin=10_000)
    cast = make_cast(plan.seed, range(1, HOMES + 1))
    with Anvil(timestamp=plan.opens_at) as anvil:
        chain = MeasuredChain(str(anvil.ipc_path))
        found = CommunityDay(plan, cast, load_homes(HOMES), chain, AnvilClock(chain), anvil.rpc_url)
        with closing(found):
            for step in (found.deploy, found.register, found.order, found.clear, found.deliver, found.settle):
                step()
            yield found


def test_all_money_and_energy_adds_up_on_the_chain(day) -> None:
    report = economics(day.facts())
    assert [row.total for row in report.zero_sums] == [0] * 11
    assert report.over_hours("local_wh") > 0


def test_what_a_home_did_not_deliver_it_is_not_paid_and_its_buyers_get_back(day) -> None:
    report = economics(day.facts())
    assert report.total("unpaid_nano") > 0
    assert report.total("unpaid_nano") == report.total("refund_nano") + report.total(
        "rest_nano", report.bills
    )
    paid = {bill.member.name for bill in report.bills if bill.delivery_nano}
    console = report_console()
    with console.capture() as shown:
        print_tables(console, report)
    assert all(name in shown.get().split("Delivery")[1] for name in paid)
    assert "not<br>delivered" in html.render(report)


def test_each_home_and_the_supplier_were_told_their_day_by_the_api(day) -> None:
    facts = day.facts()
    assert [one.account for one in facts.told] == [agent.account for agent in day.agents.traders]
    assert sum(one.receipts for one in facts.told) == len(day.sealed.orders)
    for one in facts.told:
        assert one.bill_nano == -day.exchange.cash(one.account).free + _deposit(facts, one.account)
        assert dict(one.filled) == {
            o.order: sum(o.filled_wh) for o in facts.orders if o.trader == one.account
        }


def _deposit(facts: DayFacts, account: bytes) -> int:
    return next(one.deposited_nano for one in facts.accounts if one.account == account)


def test_a_bill_of_the_api_that_is_a_nano_off_fails_the_day(day) -> None:
    facts = day.facts()
    first, *rest = facts.told
    wrong = replace(facts, told=(replace(first, bill_nano=first.bill_nano + 1), *rest))
    report = economics(wrong)
    assert [row.name for row in report.zero_sums if not row.holds] == [
        "the API's bills against the chain's cash"
    ]
    assert not report.holds
    hidden = replace(facts, told=(replace(first, filled=first.filled[1:]), *rest))
    assert [row.unit for row in economics(hidden).zero_sums if not row.holds] in ([], ["Wh"])


def test_the_operator_clears_what_the_api_has_a_receipt_for_and_signs_none_itself(day) -> None:
    hashes = {one.hash for agent in day.agents.traders for one in agent.accepted}
    assert hashes == set(day.sealed.hashes)
    assert day.session.params.receipt_signer == day.cast.receipts.address
    assert day.cast.receipts.address not in day.cast.members


def test_one_home_s_orders_are_signed_by_a_session_key_and_none_by_its_owner(day) -> None:
    keyed, separator = day.agents.keyed, day.exchange.separator
    signers = {signed_hash(separator, one.order)[1] for agent in day.agents.homes for one in agent.accepted}
    assert day.cast.session_key.address in signers
    assert keyed.wallet.address not in signers
    assert len(signers) == HOMES
    (key,) = keyed.client.keys(keyed.account)
    assert (key.key, key.expires_at) == (day.cast.session_key.address, day.plan.starts_at)
    assert sum(wh for _, wh in keyed.filled) > 0
    assert any(keyed.name in note and "session key" in note for note in day.facts().notes)


def test_the_chain_filled_what_the_matcher_said(day) -> None:
    fills = {order.order: order.filled_wh for order in day.facts().orders}
    assert fills == day.cleared.fills
    assert not any(order.ineligible for order in day.facts().orders)


def test_metered_energy_is_the_homes_own_where_readings_arrived(day) -> None:
    accounts = {account.account: account for account in day.facts().accounts}
    for resident, home in zip(day.cast.homes, day.today.homes, strict=True):
        actual = home.pv_wh - home.load_wh
        account = accounts[resident.address]
        arrived = np.array(account.flags) == 0
        assert np.array_equal(np.array(account.metered_wh)[arrived], actual[arrived])
    estimated = sum(sum(map(bool, account.flags)) for account in accounts.values())
    assert delivery.OFFLINE_WINDOWS <= estimated <= delivery.OFFLINE_WINDOWS + 1


def test_all_trouble_is_found_and_told(day) -> None:
    outcomes = [(incident.outcome, incident.count) for incident in day.facts().incidents]
    assert ("signature does not verify", 1) in outcomes
    assert ("meter or register not registered", 1) in outcomes
    assert ("the same reading again", delivery.REPEATED) in outcomes
    assert ("estimated from its past, flagged", 2 * delivery.OFFLINE_WINDOWS) in outcomes
    assert (
        "refused by the API: the order is not taken: neither its trader nor a session key of it signed it",
        1,
    ) in outcomes
    assert any("outvoted 2 to 1" in outcome for outcome, _ in outcomes)


def test_certificates_are_for_delivered_low_carbon_energy_only(day) -> None:
    report = economics(day.facts())
    for bill in report.homes:
        assert bill.certified_wh == 0 or bill.member.low_carbon
    assert report.total("certified_wh") <= report.over_hours("low_carbon_wh")


def test_every_phase_is_accounted_for(day) -> None:
    phases = {phase.name: phase for phase in day.facts().phases}
    assert list(phases) == [
        *("deploy", "register", "open and sign", "commit", "clear", "deliver", "settle", "certify")
    ]
    assert all(phase.transactions and phase.gas > 21_000 * phase.transactions for phase in phases.values())


def test_no_transaction_is_forgotten(day) -> None:
    blocks = [
        day.chain.rpc("eth_getBlockByNumber", hex(number), False)
        for number in range(day.chain.block_number() + 1)
    ]
    phases = day.facts().phases
    assert sum(phase.transactions for phase in phases) == sum(len(block["transactions"]) for block in blocks)
    assert sum(phase.gas for phase in phases) == sum(int(block["gasUsed"], 16) for block in blocks)


def test_orders_know_nothing_of_the_days_after_the_gate_opened(day) -> None:
    before = day.decisions.homes()
    gate_day = day.plan.day - timedelta(days=1)
    start = homes.day_of(gate_day).first_window - day.measured.first_window
    changed = []
    for home in day.measured.homes:
        load_wh, pv_wh = home.load_wh.copy(), home.pv_wh.copy()
        load_wh[start:], pv_wh[start:] = 11_111, 22_222
        changed.append(replace(home, load_wh=load_wh, pv_wh=pv_wh))
    real = day.measured
    try:
        day.measured = replace(real, homes=tuple(changed))
        assert day.decisions.homes() == before
    finally:
        day.measured = real


# Streets and cars ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def streets():
    """A day of two streets and two cars, with lines that the cars fill; its chain still up."""
    plan = Plan(date(2017, 6, 14), seed=5, streets=2, line_charge=12_000, line_capacity_wh=2_500, cars=2)
    cast = make_cast(plan.seed, range(1, HOMES + 1), plan.streets, plan.cars)
    with Anvil(timestamp=plan.opens_at) as anvil:
        chain = MeasuredChain(str(anvil.ipc_path))
        found = CommunityDay(plan, cast, load_homes(HOMES), chain, AnvilClock(chain), anvil.rpc_url)
        with closing(found):
            for step in (found.deploy, found.register, found.order, found.clear, found.deliver, found.settle):
                step()
            yield found, anvil.rpc_url


def test_all_money_and_energy_of_two_streets_adds_up_on_the_chain(streets) -> None:
    day, _ = streets
    report = economics(day.facts())
    assert [row.total for row in report.zero_sums] == [0] * 12
    assert [street.homes for street in report.streets] == [2, 2]


def test_the_network_operators_cash_is_what_the_table_says(streets) -> None:
    day, _ = streets
    report = economics(day.facts())
    due = sum(street.charge_nano + street.rent_nano for street in report.streets)
    assert day.exchange.cash(day.cast.network.address).free == due > 0


def test_cars_get_what_they_want_within_what_lines_carry(streets) -> None:
    day, _ = streets
    report = economics(day.facts())
    assert [car.energy_wh for car in report.cars] == [home.car_wh for home in day.cast.homes[:2]]
    assert all(max(car.charged_wh) <= 3_600 and not any(car.charged_wh[7:]) for car in report.cars)
    assert all(max(map(abs, street.imports_wh)) <= 2_500 for street in report.streets)
    assert all(max(car.at_once_wh) == 3_600 for car in report.cars)


def test_what_an_order_filled_is_what_its_meter_counts(streets) -> None:
    day, _ = streets
    charged = day.charged_wh()
    homes = zip(day.cast.homes, day.today.homes, day.delivered().homes, strict=True)
    for resident, home, driven in homes:
        assert np.array_equal(driven.load_wh - home.load_wh, charged.get(resident.address, 0 * home.load_wh))


def test_each_street_is_posted_by_itself(streets) -> None:
    day, _ = streets
    assert [one.signed.posting.zone for one in day.posted] == [1, 2]
    assert [one.signed.posting.accounts for one in day.posted] == [2, 2]


def test_trouble_is_told_once_over_all_streets(streets) -> None:
    day, _ = streets
    outcomes = [(incident.outcome, incident.count) for incident in day.facts().incidents]
    assert ("meter or register not registered", 1) in outcomes
    assert ("the same reading again", delivery.REPEATED) in outcomes
    assert sum("outvoted 2 to 1" in outcome for outcome, _ in outcomes) == 1


def test_the_audit_of_streets_and_cars_holds(streets) -> None:
    day, rpc = streets
    checks = audit.audit_chain([rpc], day.facts().exchange)
    assert checks
    assert [check.name for check in checks if not check.holds] == []


def test_the_command_shows_streets_and_cars(tmp_path, capsys) -> None:
    options = ["--homes", "3", "--streets", "2", "--cars", "1"]
    options += ["--line-charge", "0.02", "--line-capacity", "4.5"]
    assert main(["demo", "--json", "--out", str(tmp_path), *options]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [street["homes"] for street in summary["streets"]] == [2, 1]
    assert {street["charge_micro_per_kwh"] for street in summary["streets"]} == {20_000}
    assert {street["capacity_wh"] for street in summary["streets"]} == {4_500}
    assert len(summary["cars"]["each"]) == 1
    assert summary["holds"]
    assert "Cars are assumed" in (tmp_path / "report.html").read_text()


# The cast -----------------------------------------------------------------------------------------------


def test_keys_follow_from_the_seed_and_differ() -> None:
    one, same, other = make_cast(1, range(1, 18)), make_cast(1, range(1, 18)), make_cast(2, range(1, 18))
    assert list(one.members) == list(same.members)
    assert not set(one.members) & set(other.members)
    assert len(one.members) == 20
    assert [home.meter for home in one.homes] == [home.meter for home in same.homes]


def test_homes_are_spread_over_streets_in_turn_and_the_first_have_cars() -> None:
    cast = make_cast(1, range(1, 6), streets=2, cars=3)
    assert [home.zone for home in cast.homes] == [1, 2, 1, 2, 1]
    assert cast.zones == [1, 2]
    assert [len(cast.registry_of(zone)) for zone in (0, 1, 2)] == [0, 3, 2]
    assert [5_000 <= home.car_wh <= 12_000 for home in cast.homes] == [True] * 3 + [False] * 2


def test_the_supplier_can_carry_all_connections_at_once() -> None:
    assert make_cast(1, range(1, 18)).ample_wh == 17 * CONNECTION_W
    most = max(int(np.maximum(home.import_wh, home.export_wh).max()) for home in load_homes().homes)
    assert most <= CONNECTION_W


# The command --------------------------------------------------------------------------------------------


def test_the_command_prints_a_summary_and_leaves_a_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "settlement.cli", "demo", "--homes", "2", "--json", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["holds"]
    assert summary["totals"]["all_bills_nano"] == 0
    assert len(summary["homes"]) == 2
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    deployment = json.loads((out / "deployment.json").read_text())
    assert deployment["exchange"].lower() == summary["exchange"].lower()
    assert "clear" in done.stderr  # progress, beside the summary


def test_a_kept_chain_answers_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "settlement.cli", "demo", "--homes", "1", "--keep"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if "The chain stays at" in line)
        rpc = line.split("stays at ")[1].split(": ")[0]
        chain = MeasuredChain(rpc)
        assert read_deployment(chain, tmp_path / "deployment.json").window_length == 3600
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        with pytest.raises(TrellisError):
            chain.block_number()
    finally:
        process.kill()
        process.stdout.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--day", "2018-01-01"], "2016-08-16 to 2017-07-30"),
        (["--day", "2016-08-15"], "2016-08-16 to 2017-07-30"),
        (["--day", "14.6.2017"], "no date"),
        (["--homes", "18"], "homes 1 to 17"),
        (["--homes", "0"], "homes 1 to 17"),
        (["--seed", "-1"], "--seed -1"),
        (["--port", "70000"], "--port 70000"),
        (["--feed-in", "900000"], "--feed-in"),
        (["--homes", "3", "--streets", "4"], "--streets 4 is out of range: 1 to the number of homes, 3"),
        (["--streets", "0"], "--streets 0"),
        (["--homes", "3", "--cars", "4"], "--cars 4 is out of range: 0 to the number of homes, 3"),
        (["--cars", "-1"], "--cars -1"),
        (["--streets", "2", "--line-charge", "-0.01"], "--line-charge -0.01 is out of range"),
        (["--streets", "2", "--line-charge", "0"], "--line-charge 0 is out of range: 0.000001"),
        (["--streets", "2", "--line-charge", "0.0000001"], "--line-charge 0.0000001 is finer"),
        (["--streets", "2", "--line-charge", "cheap"], "--line-charge cheap is no number of $/kWh"),
        (["--streets", "2", "--line-charge", "nan"], "--line-charge nan is no number"),
        (["--streets", "2", "--line-charge", "0.08"], "--line-charge 0.08 is out of range: energy"),
        (["--streets", "2", "--line-capacity", "-1"], "--line-capacity -1 is out of range"),
        (["--streets", "2", "--line-capacity", "inf"], "--line-capacity inf is no number of kW"),
        (["--line-charge", "0.01"], "--line-charge is of a street's line: give --streets 2 or more"),
        (["--line-capacity", "5"], "--line-capacity is of a street's line"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(options, says, tmp_path, capsys) -> None:
    assert main(["demo", "--out", str(tmp_path), *options]) == 2
    (line,) = told(capsys)
    assert says in line


def test_a_taken_port_is_named(tmp_path, capsys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "--homes", "1", "--json", "--out", str(tmp_path), "--port", str(port)]) == 2
    assert f"port {port} is taken" in told(capsys)[-1]


def test_a_folder_that_cannot_be_made_is_named_before_anything_runs(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert main(["demo", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "file" in told(capsys)[0]


def test_options_agree_with_the_data() -> None:
    assert commands.HOMES == homes.HOMES
    check_day(date.fromisoformat(commands.DEFAULT_DAY))


# The audit ----------------------------------------------------------------------------------------------


def test_checks_are_read_from_the_auditors_json() -> None:
    found = audit.checks_of(
        {
            "checks": [
                {"check": "fills", "count": 3, "holds": False, "detail": "order 7"},
                {"check": "x", "count": 0, "holds": True},
            ]
        }
    )
    assert [(one.name, one.count, one.holds, one.detail) for one in found] == [
        ("fills", 3, False, "order 7"),
        ("x", 0, True, ""),
    ]


def test_an_audit_that_cannot_run_says_so() -> None:
    with pytest.raises(TrellisError, match="the audit did not run"):
        audit.audit_chain(["http://127.0.0.1:1"], "0x" + "11" * 20)
