"""`trellis oracle`: what it prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from oracle_world import DAY, meter, reading, registry

from oracle import registry_file
from oracle.day import Day
from oracle.live import broker
from oracle.live.judge import Delivery, Verdict, judge
from oracle.live.store import Store
from oracle.live.wire import (
    Receipt,
    join,
)
from oracle.messages import SignedReading, encode, private_key, sign
from oracle.registry import MeterRegistry
from settlement.cli import main
from settlement.errors import InputError

REGISTRY = registry()
ID = meter(0).meter_id
NOW_S = 1_800_000_000
Capture = pytest.CaptureFixture[str]


def deliver(payload: bytes, meter_id: bytes | None = ID) -> list[Verdict]:
    return judge([Delivery(meter_id, payload)], REGISTRY)


def written(store: Store, *payloads: bytes, now_s: int = NOW_S) -> list[Receipt]:
    return store.write([verdict for payload in payloads for verdict in deliver(payload)], now_s)


def test_what_is_stored_of_a_day_is_counted(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "meters.json"
    file.write_text(registry_file.dump(REGISTRY))
    hours = Day(3600, 1_792_882_800 // 3600, 25)
    with Store(tmp_path / "data") as store:

        def of(column: int, wh: int) -> SignedReading:
            moved = reading(0, 1, hours.first_window - DAY.first_window + column, wh)
            return sign(moved, private_key(1))

        bad = SignedReading(encode(reading(0, 1, hours.first_window - DAY.first_window, 9)), bytes(64))
        written(store, join([of(0, 1), of(24, 2), of(25, 3), bad, of(3, 1), of(3, 2)]))
    asked = ["oracle", "day", "--data", str(tmp_path / "data"), "--registry", str(file)]
    more = ["--day", "2026-10-25", "--tz", "Europe/London", "--window", "3600"]
    assert main([*asked, *more, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["windows"], told["registers"], told["expected"]) == (25, 6, 150)
    assert (told["actual"], told["missing"], told["out_of_service"]) == (2, 148, 0)
    assert told["rejected"] == {"bad_signature": 1, "equivocation": 2}
    assert (told["equivocations"], len(told["silent_meters"])) == (1, 2)
    assert main([*asked, *more]) == 0
    assert "actual          2\n" in capsys.readouterr().out


def test_a_day_shows_flags_and_what_fails_a_check(tmp_path: Path, capsys: Capture) -> None:
    """Yesterday is whole; today one window is above the capacity, one a surge, one missing."""
    file, first = tmp_path / "meters.json", 1_792_800_000 // 3600
    file.write_text(registry_file.dump(MeterRegistry([meter(0, capacity_w=9000, registers=(1,))])))
    today = dict.fromkeys(range(24), 300) | {4: 7400, 9: 20_000}
    del today[15]

    def of(column: int, wh: int) -> SignedReading:
        return sign(reading(0, 1, first - DAY.first_window + column, wh), private_key(1))

    with Store(tmp_path / "data") as store:
        written(store, join(of(column - 24, 200) for column in range(24)))
        written(store, join(of(*one) for one in today.items()))
    asked = ["oracle", "day", "--data", str(tmp_path / "data"), "--registry", str(file)]
    more = ["--day", "2026-10-24", "--window", "3600"]
    assert main([*asked, *more, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["actual"], told["missing"]) == (23, 1)
    assert told["posted"] == {"actual": 22, "estimated": 2, "default": 0}
    assert [(one["wh"], one["check"]) for one in told["taken_out"]] == [(20_000, "over_capacity")]
    assert [(one["wh"], one["check"]) for one in told["reported"]] == [(7400, "surge"), (7400, "spike")]
    assert main([*asked, *more]) == 0
    shown = capsys.readouterr().out
    assert "posted          22 actual, 2 estimated, 0 default\n" in shown
    assert f"window {first + 9}, 20000 Wh: more than its connection can carry" in shown
    assert main([*asked, *more, "--past", "-1"]) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"--day": "yesterday"}, "--day"),
        ({"--tz": "Mars"}, "Mars"),
        ({"--window": "7"}, "7"),
        ({"--data": "nowhere"}, "oracle run"),
        ({"--registry": "nothing.json"}, "nothing.json"),
    ],
)
def test_a_wrong_question_is_one_line(tmp_path: Path, capsys: Capture, change, told) -> None:
    (tmp_path / "meters.json").write_text(registry_file.dump(REGISTRY))
    Store(tmp_path / "data").close()
    asked = {
        "--data": str(tmp_path / "data"),
        "--registry": str(tmp_path / "meters.json"),
        "--day": "2026-10-25",
        "--tz": "UTC",
        "--window": "1800",
    } | change
    assert main(["oracle", "day", *(word for pair in asked.items() for word in pair)]) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") == 1


def test_a_service_cannot_be_asked_for_nonsense(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "password.json").write_text('{"other": "x"}')
    asked = ["oracle", "run", "--registry", str(tmp_path / "no.json"), "--data", str(tmp_path / "d")]
    for more in (
        ["--broker", "mqtt://far.example"],
        ["--broker", "mqtt://localhost", "--status-every", "0"],
        ["--broker", "mqtt://localhost", "--workers", "0"],
        ["--broker", "mqtt://localhost", "--password-file", str(tmp_path / "none")],
        ["--broker", "mqtt://localhost", "--password-file", str(tmp_path / "password.json")],
        ["--broker", "mqtt://localhost"],
    ):
        assert main([*asked, *more]) == 2
        assert capsys.readouterr().err.startswith("trellis: error: ")


def test_a_configuration_is_written_for_a_registry(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "meters.json").write_text(registry_file.dump(REGISTRY))
    meters = ("--registry", str(tmp_path / "meters.json"))
    asked = ["oracle", "broker-config", "--dir", str(tmp_path / "b"), *meters]
    assert main([*asked, "--oracle", "north", "--oracle", "south", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["oracles"] == ["north", "south"]
    assert set(json.loads((tmp_path / "b" / "credentials.json").read_text())) == {
        "north",
        "south",
        *(each.hex() for each in REGISTRY),
    }
    assert main([*asked, "--port", "70000"]) == 2
    with pytest.raises(InputError):
        broker.write(broker.Plan(Path("/dev/null/x"), ()))
