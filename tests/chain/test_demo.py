"""`trellis demo` from its command line to its report, on an embedded chain."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from api.services import audit, commands, community, delivery
from api.services.cast import CONNECTION_W, make_cast
from api.services.community import CommunityDay, MeasuredChain, Plan
from oracle import homes
from oracle.homes import load_homes
from settlement.chain.anvil import Anvil
from settlement.chain.deploy import read_deployment
from settlement.cli import main
from settlement.errors import TrellisError
from settlement.reports.economics import economics

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
        found = CommunityDay(plan, cast, load_homes(HOMES), MeasuredChain(str(anvil.ipc_path)))
        for step in (found.deploy, found.register, found.order, found.clear, found.deliver, found.settle):
            step()
        yield found


def test_all_money_and_energy_adds_up_on_the_chain(day) -> None:
    report = economics(day.facts())
    assert [row.total for row in report.zero_sums] == [0] * 7
    assert report.over_hours("local_wh") > 0


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
    assert ("refused: its trader did not sign it", 1) in outcomes
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
    before = day.home_orders()
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
        assert day.home_orders() == before
    finally:
        day.measured = real


# The cast -----------------------------------------------------------------------------------------------


def test_keys_follow_from_the_seed_and_differ() -> None:
    one, same, other = make_cast(1, range(1, 18)), make_cast(1, range(1, 18)), make_cast(2, range(1, 18))
    assert list(one.members) == list(same.members)
    assert not set(one.members) & set(other.members)
    assert len(one.members) == 20
    assert [home.meter for home in one.homes] == [home.meter for home in same.homes]


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
    community.check_day(date.fromisoformat(commands.DEFAULT_DAY))


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
        audit.audit_chain("http://127.0.0.1:1", "0x" + "11" * 20)
