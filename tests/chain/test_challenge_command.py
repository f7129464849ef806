"""`trellis meter challenge`, `answer` and `settle-challenge`: from a meter's word to corrected credit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chain_world import DAY, ORACLES, STRANGER, WINDOW_LENGTH, World
from key_files import keystore_file
from metered_world import (
    BOND,
    CALM,
    LATE,
    POT,
    REGISTRY,
    SURPLUS,
    MeteredDay,
    meter_of,
    post_and_settle,
    read_of,
    stake,
    traded_world,
)

from oracle import run_files
from oracle.challenge_files import to_json
from oracle.contesting import upheld_readings
from oracle.live.judge import Delivery, judge
from oracle.live.store import Store
from oracle.live.wire import join
from oracle.messages import SignedReading
from settlement import cli
from settlement.chain import challenger, corrector
from settlement.chain.challenger import DEFEATED, DROPPED, UPHELD
from settlement.chain.deploy import write_deployment
from settlement.chain.sign import Signer
from settlement.chain.statements import challenge_of
from settlement.reference import p256
from settlement.reference.challenge import ReadingChallenge

Run = Callable[..., tuple[int, str, str]]
DAYS_S = 86_400


@pytest.fixture(scope="module")
def traded() -> Iterator[World]:
    with traded_world() as found:
        stake(found)
        yield found


@pytest.fixture
def day(traded: World) -> Iterator[MeteredDay]:
    with traded.turned_back():
        yield post_and_settle(traded)


@pytest.fixture
def run(traded: World, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one of the commands against the chain: its exit code, and what it printed."""

    def call(name: str, *more: str) -> tuple[int, str, str]:
        node = ["--rpc", traded.anvil.rpc_url, "--address", "0x" + traded.exchange.address.hex()]
        code = cli.main(["meter", name, *node, *more])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def challenge_file(folder: Path, brought: ReadingChallenge, name: str = "challenge.json") -> str:
    file = folder / name
    file.write_text(json.dumps(to_json(brought)))
    return str(file)


def both(file: str) -> tuple[str, ...]:
    return "--opening", file, "--read", file


def opened(day: MeteredDay, run: Run, folder: Path, brought: ReadingChallenge, account: Signer = LATE) -> str:
    """The id of a challenge that the account sent."""
    file = challenge_file(folder, brought)
    code, shown, error = run("challenge", *both(file), "--key-file", keystore_file(folder, account), "--json")
    assert code == 0, error
    return str(json.loads(shown)["challenge"])


def after_answers(day: MeteredDay, id_: str, more_s: int = 0) -> None:
    answer_by = challenge_of(day.world.exchange, bytes.fromhex(id_[2:])).answer_by
    day.world.clock.advance_to(answer_by + 1 + more_s)


def stage(day: MeteredDay, id_: str) -> int:
    return challenge_of(day.world.exchange, bytes.fromhex(id_[2:])).stage


def test_a_challenge_that_holds_corrects_the_credit_and_the_next_run_goes_on_from_it(
    day: MeteredDay, run: Run, tmp_path: Path
) -> None:
    exchange, before = day.world.exchange, day.free(LATE.address)
    signed = tmp_path / "signed.json"
    file = challenge_file(tmp_path, day.challenge(LATE.address, 0, 1_700))
    keys = ("--account-key", keystore_file(tmp_path, LATE), "--out", str(signed))
    code, shown, _ = run("challenge", *both(file), *keys)
    assert code == 0
    assert "the day is opened to challenges first; nothing was sent" in shown
    relay = ("--key-file", keystore_file(tmp_path, STRANGER), "--json")
    code, shown, error = run("challenge", *both(str(signed)), *relay)
    assert code == 0, error
    told = json.loads(shown)
    assert (told["account"], told["window"]) == ("0x" + LATE.address.hex(), DAY)
    assert (told["committed_wh"], told["flag"], told["read_wh"]) == (700, "actual", 1_700)
    assert (told["difference_wh"], told["bond_nano"], told["oracles_pay_nano"]) == (
        1_000,
        str(BOND),
        str(BOND),
    )
    assert told["worth_nano"] == str(1_000 * SURPLUS[0])
    assert day.free(LATE.address) == before - BOND
    assert exchange.view("holdsOf", LATE.address) == (1,)
    code, _, error = run("settle-challenge", "--challenge", told["challenge"], *relay)
    assert (code, "cannot be ended until" in error) == (1, True)
    after_answers(day, told["challenge"])
    code, shown, _ = run("settle-challenge", "--challenge", told["challenge"], *relay)
    ended = json.loads(shown)
    worth = 1_000 * SURPLUS[0]
    assert (code, ended["worth_nano"], ended["paid_nano"]) == (0, str(worth), str(BOND))
    assert (day.row(LATE.address)[0], day.free(LATE.address)) == (1_700, before + worth + BOND)
    assert exchange.view("holdsOf", LATE.address) == (0,)
    held = challenger.upheld(exchange, 0, DAY)
    day.upheld = [(one.account, one.window, one.difference) for one in held]
    day.proved = upheld_readings(held, WINDOW_LENGTH)
    day.correct(read_of(LATE.address, 1, 40, sequence=2))
    assert day.row(LATE.address)[:2] == (1_700, 40 - 30)
    day.assert_sums_are_zero()


def test_what_an_earlier_challenge_made_of_a_reading_stands(
    day: MeteredDay, run: Run, tmp_path: Path
) -> None:
    id_ = opened(day, run, tmp_path, day.challenge(LATE.address, 0, 1_700))
    after_answers(day, id_)
    sender = keystore_file(tmp_path, STRANGER)
    assert run("settle-challenge", "--challenge", id_, "--key-file", sender)[0] == 0
    file = challenge_file(tmp_path, day.challenge(LATE.address, 0, 1_500, sequence=3))
    code, shown, _ = run("challenge", *both(file), "--json")
    told = json.loads(shown)
    assert (code, told["committed_wh"], told["stands_wh"], told["difference_wh"]) == (0, 700, 1_700, -200)
    assert (told["worth_nano"], told["oracles_pay_nano"]) == (str(-200 * SURPLUS[0]), "0")
    code, shown, _ = run("challenge", *both(file))
    assert "an earlier challenge made it 1700 Wh; if it holds, worth" in shown


def test_a_check_says_what_would_happen_and_sends_nothing(day: MeteredDay, run: Run, tmp_path: Path) -> None:
    corrector.open_corrections(day.world.exchange, day.node, day.signed.posting)
    height = day.world.chain.block_number()
    file = challenge_file(tmp_path, day.challenge(LATE.address, 0, 1_700))
    keys = ("--key-file", keystore_file(tmp_path, LATE), "--check")
    code, shown, _ = run("challenge", *both(file), *keys)
    assert code == 0
    assert "posted 700 Wh (actual, sequence 1), the meter signed 1700 Wh (sequence 2): +1000 Wh" in shown
    assert f"would pay {BOND} nano" in shown
    assert "nothing was sent" in shown
    assert day.world.chain.block_number() == height


def test_a_later_read_from_a_nodes_hand_defeats_it_and_the_bond_is_the_oracles(
    day: MeteredDay, run: Run, tmp_path: Path
) -> None:
    before = day.free(LATE.address)
    id_ = opened(day, run, tmp_path, day.challenge(LATE.address, 0, 1_700))
    later = read_of(LATE.address, 0, 700, sequence=3)
    record = (later.message + later.signature).hex()
    code, shown, _ = run("answer", "--challenge", id_, "--read", record, "--check")
    assert (code, "it falls, and its bond goes to the oracles" in shown) == (0, True)
    sender = keystore_file(tmp_path, ORACLES[0])
    code, shown, _ = run("answer", "--challenge", id_, "--read", record, "--key-file", sender, "--json")
    told = json.loads(shown)
    assert (code, told["defeats"], told["revokes_meter"]) == (0, True, False)
    assert (stage(day, id_), day.free(LATE.address)) == (DEFEATED, before - BOND)
    assert int(day.world.exchange.view("challengeTerms")[0]) == POT + BOND
    code, _, error = run("settle-challenge", "--challenge", id_, "--key-file", sender)
    assert (code, "was defeated: nothing is left to do" in error) == (1, True)
    day.assert_sums_are_zero()


def test_the_read_that_was_committed_to_costs_the_oracles_nothing(
    day: MeteredDay, run: Run, tmp_path: Path
) -> None:
    id_ = opened(day, run, tmp_path, day.challenge(LATE.address, 0, 1_700))
    stood = read_of(LATE.address, 0, 700, sequence=1)
    record, sender = (stood.message + stood.signature).hex(), keystore_file(tmp_path, STRANGER)
    code, shown, _ = run("answer", "--challenge", id_, "--read", record, "--key-file", sender)
    assert (code, "pay nothing" in shown) == (0, True)
    after_answers(day, id_)
    code, shown, _ = run("settle-challenge", "--challenge", id_, "--key-file", sender)
    assert (code, "and 0 nano from the oracles" in shown, stage(day, id_)) == (0, True, UPHELD)


def test_a_node_finds_the_best_answer_in_its_own_folder(day: MeteredDay, run: Run, tmp_path: Path) -> None:
    id_ = opened(day, run, tmp_path, day.challenge(LATE.address, 0, 1_700))
    stood, newer = read_of(LATE.address, 0, 700), read_of(LATE.address, 0, 650, sequence=4)
    with Store(tmp_path / "node") as store:
        forged = SignedReading(read_of(LATE.address, 0, 600, sequence=9).message, stood.signature)
        both_came = Delivery(meter_of(LATE.address), join([forged, stood]))  # the forgery is no answer
        store.write(judge([both_came], REGISTRY), 1_800_000_000)
    code, shown, _ = run("answer", "--challenge", id_, "--data", str(tmp_path / "node"), "--json")
    assert (code, json.loads(shown)["defeats"], json.loads(shown)["read_wh"]) == (0, False, 700)
    with Store(tmp_path / "node") as store:
        store.write(judge([Delivery(meter_of(LATE.address), join([newer]))], REGISTRY), 1_800_000_000)
    code, shown, _ = run("answer", "--challenge", id_, "--data", str(tmp_path / "node"), "--json")
    assert (code, json.loads(shown)["defeats"], json.loads(shown)["read_wh"]) == (0, True, 650)
    with Store(tmp_path / "other"):
        pass
    code, _, error = run("answer", "--challenge", id_, "--data", str(tmp_path / "other"))
    assert (code, "of 0 reads of the window none answers" in error) == (1, True)


def test_an_estimated_reading_is_corrected_and_costs_the_oracles_nothing(
    traded: World, run: Run, tmp_path: Path
) -> None:
    with traded.turned_back():
        lost = read_of(LATE.address, 0, 700)
        day = post_and_settle(traded, without=[lost])
        file = challenge_file(tmp_path, day.challenge(LATE.address, 0, 900, sequence=1))
        code, shown, _ = run("challenge", *both(file), "--key-file", keystore_file(tmp_path, LATE))
        assert code == 0
        assert re.search("flagged (estimated|default), so it is corrected and the oracles pay nothing", shown)


def test_a_challenge_that_nobody_settles_is_dropped(day: MeteredDay, run: Run, tmp_path: Path) -> None:
    before = day.free(LATE.address)
    id_ = opened(day, run, tmp_path, day.challenge(LATE.address, 0, 1_700))
    after_answers(day, id_, 10 * DAYS_S)
    sender = keystore_file(tmp_path, STRANGER)
    code, _, _ = run("settle-challenge", "--challenge", id_, "--drop", "--key-file", sender)
    assert (code, stage(day, id_), day.free(LATE.address)) == (0, DROPPED, before)


def test_every_refusal_says_what_was_wrong_and_what_to_do(day: MeteredDay, run: Run, tmp_path: Path) -> None:
    exchange = day.world.exchange
    corrector.open_corrections(exchange, day.node, day.signed.posting)
    good = day.challenge(LATE.address, 0, 1_700)
    own = keystore_file(tmp_path, LATE)

    def refused(brought: ReadingChallenge, key: str = own) -> str:
        code, _, error = run(
            "challenge", *both(challenge_file(tmp_path, brought)), "--key-file", key, "--check"
        )
        assert code == 1, error
        return error

    forged = replace(good.read, s=bytes(31) + b"\x01")
    assert "ask an oracle node for one of that run (NotCommitted)" in refused(replace(good, salt=bytes(32)))
    assert "did not sign this read" in refused(replace(good, read=forged))
    assert "give its key as --account-key (NotTheAccount)" in refused(good, keystore_file(tmp_path, STRANGER))
    assert "the read has sequence 0, and what stands has 1" in refused(day.challenge(LATE.address, 0, 9, 0))
    assert "says 700 Wh, which is what stands" in refused(day.challenge(LATE.address, 0, 700, 2))
    assert "(NotCommitted)" in refused(replace(good, index=7))
    other = day.challenge(LATE.address, 1, 9)
    assert "not of the opening's meter" in refused(replace(good, read=other.read))
    exchange.send(day.world.admin, "setChallengeBond", 10**17)
    assert "deposit the rest first (CannotBond)" in refused(good)
    exchange.send(day.world.admin, "revokeMeter", meter_of(LATE.address))
    assert "a revoked meter proves nothing any more (BadMeterKey)" in refused(good)
    day.world.clock.advance_to(corrector.zone_day(exchange, 0, DAY).since + 10 * DAYS_S + 1)
    assert "could be challenged until" in refused(good)


@pytest.mark.parametrize("more", [(), ("--check",)], ids=["sent", "checked"])
def test_a_day_is_not_opened_for_a_challenge_that_would_be_refused(
    day: MeteredDay, run: Run, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """All that the chain would refuse once the day is open is found before, and nothing is mined for it."""
    exchange, good, own = (
        day.world.exchange,
        day.challenge(LATE.address, 0, 1_700),
        keystore_file(tmp_path, LATE),
    )

    def refused(brought: ReadingChallenge, key: str = own) -> str:
        before = exchange.chain.block_number()
        code, _, error = run("challenge", *both(challenge_file(tmp_path, brought)), "--key-file", key, *more)
        assert (code, exchange.chain.block_number()) == (1, before), error
        assert not corrector.zone_day(exchange, 0, DAY).is_open
        return error

    tampered = bytearray(good.read.message)
    tampered[-9] ^= 1
    assert "(BadReadSignature)" in refused(replace(good, read=replace(good.read, message=bytes(tampered))))
    assert "(BadReadSignature)" in refused(replace(good, read=replace(good.read, s=bytes(31) + b"\x01")))
    others = day.challenge(CALM.address, 0, 9).read
    assert "(BadMeterKey)" in refused(replace(good, read=replace(good.read, x=others.x, y=others.y)))
    assert "(NotCommitted)" in refused(replace(good, salt=bytes(32)))
    assert "(NotCommitted)" in refused(replace(good, index=7))
    assert "(NotTheSameReading)" in refused(replace(good, read=day.challenge(LATE.address, 1, 9).read))
    assert "(NotTheAccount)" in refused(good, keystore_file(tmp_path, STRANGER))
    assert "has sequence 0, and what stands has 1" in refused(day.challenge(LATE.address, 0, 9, 0))
    assert "(NothingContradicted)" in refused(day.challenge(LATE.address, 0, 700))
    exchange.send(day.world.admin, "setChallengeBond", 10**17)
    assert "(CannotBond)" in refused(good)
    exchange.send(day.world.admin, "setChallengeBond", BOND)
    day.world.clock.advance_to(exchange.chain.now() + 10 * DAYS_S + 1)
    assert "(TooLateToChallenge)" in refused(good)


def test_a_rotated_key_counts_for_the_windows_that_it_had(day: MeteredDay, run: Run, tmp_path: Path) -> None:
    """A meter that signs with another key after the day is challenged by what it signed with the former."""
    exchange, good = day.world.exchange, day.challenge(LATE.address, 0, 1_700)
    other = (number.to_bytes(32, "big") for number in p256.multiply(7, p256.GENERATOR) or ())
    exchange.send(day.world.admin, "rotateMeter", meter_of(LATE.address), *other, DAY + 1)
    file, own = challenge_file(tmp_path, good), keystore_file(tmp_path, LATE)
    code, shown, error = run("challenge", *both(file), "--key-file", own, "--check", "--json")
    assert (code, json.loads(shown)["opens_day_first"]) == (0, True), error
    late = challenge_file(tmp_path, day.challenge(LATE.address, 1, 9), "late.json")
    assert "(BadMeterKey)" in run("challenge", *both(late), "--key-file", own, "--check")[2]
    assert run("challenge", *both(file), "--key-file", own)[0] == 0


def test_what_cannot_be_read_is_named(day: MeteredDay, run: Run, tmp_path: Path) -> None:
    good = to_json(day.challenge(LATE.address, 0, 1_700))
    file = tmp_path / "challenge.json"
    for change, told in (
        ({"opening": {**good["opening"], "salt": "0x00"}}, "--opening, salt: has 1 bytes, not 32"),
        ({"opening": {**good["opening"], "flag": 3}}, "flag: 3 is none"),
        ({"opening": {**good["opening"], "proof": "0x"}}, "proof: give the list"),
        ({"opening": {**good["opening"], "proof": good["opening"]["proof"][:3]}}, "has 3 hashes, not 20"),
        ({"opening": 1}, "--opening, opening: must be a JSON object"),
        ({"read": {**good["read"], "public_key": "0x04"}}, "public_key: no point of P-256"),
        ({"read": {**good["read"], "message": "0x" + "02" * 52}}, "--read .*, message: "),
        ({"day": -1}, "--opening, day: must be a whole number"),
    ):
        file.write_text(json.dumps(good | change))
        code, _, error = run("challenge", *both(str(file)))
        assert code == 2
        assert re.search(told, error), error
    file.write_text(json.dumps(good | {"zone": 7}))
    code, _, error = run("challenge", *both(str(file)), "--key-file", keystore_file(tmp_path, LATE))
    assert (code, "of zone 7 was never settled" in error) == (2, True)
    assert "--zone -1: must be a whole number" in run("challenge", *both(str(file)), "--zone", "-1")[2]
    file.write_text("{")
    assert "line 1, column 2" in run("challenge", *both(str(file)))[2]
    code, _, error = run("challenge", *both(str(tmp_path / "none")))
    assert (code, "cannot be read" in error) == (2, True)
    code, _, error = run("answer", "--challenge", "0x12", "--read", "00")
    assert (code, "is no id: give 0x and 64 hex digits" in error) == (2, True)
    code, _, error = run("settle-challenge", "--challenge", "00" * 32)
    assert (code, "was never opened" in error) == (1, True)


def test_a_deployment_file_is_enough_and_a_missing_key_is_named(
    day: MeteredDay, traded: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_deployment(traded.deployment, tmp_path / "deployment.json")
    file = challenge_file(tmp_path, day.challenge(LATE.address, 0, 1_700))
    place = ["--rpc", traded.anvil.rpc_url, "--deployment", str(tmp_path / "deployment.json")]
    assert cli.main(["meter", "challenge", *place, *both(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["transaction"] is None
    assert cli.main(["meter", "challenge", *place, *both(file), "--key-file", str(tmp_path / "no")]) == 2
    assert "--key-file" in capsys.readouterr().err
    assert cli.main(["meter", "challenge", *place, *both(file), "--out", str(tmp_path / "out")]) == 2
    assert "give --account-key" in capsys.readouterr().err


def test_an_opening_from_a_nodes_kept_run_is_what_a_challenge_needs_until_it_is_erased(
    day: MeteredDay, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_files.keep(tmp_path, day.inputs(day.batch, 1), day.computed)
    opening, meter = tmp_path / "opening.json", "0x" + meter_of(LATE.address).hex()
    asked = ["oracle", "opening", "--data", str(tmp_path), "--meter", meter, "--register", "export"]
    asked += ["--window", str(DAY), "--out", str(opening)]
    assert cli.main(asked) == 0
    assert "run 1 of zone 0" in capsys.readouterr().out
    read = read_of(LATE.address, 0, 1_700, sequence=2)
    said = "--opening", str(opening), "--read", (read.message + read.signature).hex()
    code, shown, error = run("challenge", *said, "--key-file", keystore_file(tmp_path, LATE), "--json")
    assert code == 0, error
    told = json.loads(shown)
    assert (told["committed_wh"], told["read_wh"], told["difference_wh"]) == (700, 1_700, 1_000)
    on = str(datetime.fromtimestamp(DAY * WINDOW_LENGTH, UTC).date())
    erase = ["oracle", "erase", "--data", str(tmp_path), "--meter", meter]
    assert cli.main([*erase, "--day", on, "--window", str(WINDOW_LENGTH)]) == 0
    assert cli.main(asked) == 2
    assert "was erased" in capsys.readouterr().err
