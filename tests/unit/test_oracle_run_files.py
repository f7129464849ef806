"""A node keeps its runs, opens readings of the latest, and forgets them in all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from oracle_world import DAY, DAY_KEY, account, inputs, meter, signed

from oracle import run_files
from oracle.challenge_files import read_opening
from oracle.commitments import check_opening
from oracle.errors import BadStore, ErasedSalt
from oracle.messages import EXPORT, IMPORT, encode
from oracle.node import Computed, DayInputs, compute
from settlement.cli import main

METER = "0x" + meter(0).meter_id.hex()
ACCOUNT = "0x" + account(0).hex()
WINDOW = str(DAY.first_window + 2)
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path) -> list[tuple[DayInputs, Computed]]:
    """Two runs of a day, the second with a read that came late, under another day key."""
    first = inputs()
    late = (*first.batch, signed(0, IMPORT, 2, 777, sequence=9))
    made = [
        (given, compute(given))
        for given in (first, replace(first, batch=late, sequence=2, day_key=DAY_KEY[::-1]))
    ]
    for given, computed in made:
        run_files.keep(tmp_path, given, computed)
    return made


def test_what_is_kept_of_a_run_is_its_commitments_and_opens_every_reading(tmp_path: Path, runs) -> None:
    for kept, (given, computed) in zip(run_files.kept(tmp_path), runs, strict=True):
        assert (kept.zone, kept.sequence, kept.day) == (given.zone, given.sequence, DAY)
        assert kept.tree().root == computed.posted.posting.commitments
        assert [row.key for row in kept] == list(computed.commitments.keys)
        assert [row.account for row in kept] == [given.registry[row.key.meter_id].account for row in kept]
        assert all(check_opening(kept.tree().root, kept.open(row)) for row in kept)
        assert DAY_KEY not in kept.path.read_bytes()
        assert kept.path.stat().st_mode & 0o077 == 0


def test_an_opening_is_of_the_latest_run_and_what_a_challenge_takes(
    tmp_path: Path, runs, capsys: Capture
) -> None:
    out = tmp_path / "opening.json"
    asked = ["oracle", "opening", "--data", str(tmp_path), "--window", WINDOW]
    assert main([*asked, "--meter", METER, "--out", str(out)]) == 0
    opened = read_opening(out)
    given, computed = runs[1]
    assert (opened.zone, opened.day, opened.committed.wh) == (given.zone, DAY.first_window, 777)
    assert check_opening(computed.posted.posting.commitments, opened.opening)
    capsys.readouterr()
    assert main([*asked, "--account", ACCOUNT, "--register", "export"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (
        shown["opening"]["message"]
        == "0x" + encode(computed.readings.reading(computed.readings.row(meter(0).meter_id, EXPORT), 2)).hex()
    )


def test_erasing_forgets_in_every_run_and_leaves_the_other_proofs(
    tmp_path: Path, runs, capsys: Capture
) -> None:
    asked = ["oracle", "erase", "--data", str(tmp_path), "--account", ACCOUNT, *_day(), "--json"]
    secrets = [c.salts[key] for _, c in runs for key in c.salts if key.meter_id == meter(0).meter_id]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["erased"], told["erased_before"]) == (2, 2 * 2 * DAY.windows, 0)
    assert "total" in told["provable"][0]
    for kept, (_, computed) in zip(run_files.kept(tmp_path), runs, strict=True):
        content = kept.path.read_bytes()
        assert not any(secret in content for secret in secrets)
        assert (777).to_bytes(4, "big") + (9).to_bytes(8, "big") not in content
        assert kept.tree().root == computed.posted.posting.commitments
        for row in kept:
            assert row.erased == (row.account == account(0))
            if not row.erased:
                assert check_opening(kept.tree().root, kept.open(row))
    with pytest.raises(ErasedSalt):
        kept.open(next(row for row in kept if row.erased))
    assert main(["oracle", "opening", "--data", str(tmp_path), "--meter", METER, "--window", WINDOW]) == 2
    assert "was erased" in capsys.readouterr().err
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["erased_before"] == 2 * 2 * DAY.windows


def _day() -> list[str]:
    """The date of the world's six hours."""
    start = datetime.fromtimestamp(DAY.first_window * DAY.window_length_s, UTC)
    return ["--day", str(start.date()), "--window", str(DAY.window_length_s)]


def test_what_is_not_there_is_said(tmp_path: Path, runs, capsys: Capture) -> None:
    data = ["--data", str(tmp_path)]
    for code, words, told in (
        (1, ["opening", *data, "--meter", METER, "--window", "1"], "window 1"),
        (1, ["erase", *data, "--meter", METER, "--day", "2001-01-01", "--window", "3600"], "2001-01-01"),
        (2, ["opening", *data, "--meter", "0x12", "--window", WINDOW], "--meter"),
        (2, ["erase", *data, "--account", ACCOUNT, "--day", "today"], "--day"),
    ):
        assert main(["oracle", *words]) == code
        shown = capsys.readouterr().err
        assert told in shown
        assert shown.count("\n") == 1


def test_a_run_is_kept_once_and_a_changed_file_is_refused(tmp_path: Path, runs) -> None:
    with pytest.raises(BadStore, match="kept already"):
        run_files.keep(tmp_path, *runs[0])
    kept = run_files.kept(tmp_path)[0]
    content = bytearray(kept.path.read_bytes())
    kept.path.write_bytes(content[:-1])
    with pytest.raises(BadStore, match="bytes"):
        run_files.read(kept.path)
    content[len(run_files.MAGIC) + run_files.HEADER.size + run_files.SALT_AT] ^= 1
    kept.path.write_bytes(content)
    changed = run_files.read(kept.path)
    with pytest.raises(BadStore, match="committed"):
        changed.open(next(iter(changed)))
    other = run_files.kept(tmp_path, range(DAY.first_window + DAY.windows, DAY.first_window + 99))
    assert other == []  # of another day nothing is looked at
    kept.path.write_bytes(b"nothing")
    with pytest.raises(BadStore, match="no file of a run"):
        run_files.kept(tmp_path)
