"""What oracle nodes tell each other, how they decide, when runs are due, and from what keys are made."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from oracle.day import Day
from oracle.errors import BadBallot, BadStore
from oracle.localdays import local_day, time_zone
from oracle.voting import ballots, config, feed, keys
from oracle.voting.ballots import MOST_OFFERS, Ballot, Offer, Signature, Slot
from oracle.voting.book import Book
from oracle.voting.deciding import Said, Tally, turn
from oracle.voting.duties import LATEST_FIRST_S, Duty, Timetable
from oracle.voting.keys import Secret
from settlement.chain.sign import Signer
from settlement.cli import main
from settlement.errors import InputError
from settlement.rules.calendar import GREAT_BRITAIN

NODES = sorted((Signer(bytes(31) + bytes((n,))) for n in (1, 2, 3)), key=lambda one: one.address)
A, B, C = (one.address for one in NODES)
TEAM = (A, B, C)
SEPARATOR = bytes(range(32))
SLOT = Slot(1, 500_000, 0, "1")


def offer(n: int, flags: tuple[int, int, int] = (4, 0, 0)) -> Offer:
    return Offer(bytes((n,)) * 32, bytes(32), bytes(32), bytes((n,)) * 32, flags)


def vote(n: int) -> Signature:
    return Signature(bytes((n,)) * 32, bytes(65))


def tally(**said: Said) -> Tally:
    return Tally({{"a": A, "b": B, "c": C}[name]: one for name, one in said.items()}, TEAM, 2)


# Ballots ------------------------------------------------------------------------------------------------


def test_a_ballot_is_read_back_with_who_signed_it() -> None:
    signed = Signature(offer(7).digest, NODES[0].sign_digest(offer(7).digest))
    for given in (
        Ballot(SLOT, (offer(1), offer(7)), signed),
        Ballot(replace(SLOT, place="0x" + "ab" * 32), (), None),
    ):
        payload = ballots.encode(given, SEPARATOR, NODES[0].sign_digest)
        assert ballots.decode(payload, SEPARATOR) == (A, given)


def test_of_many_offers_the_latest_are_told_and_fit() -> None:
    given = Ballot(SLOT, tuple(offer(n, ((1 << 63), 1 << 63, 1 << 63)) for n in range(20)), None)
    payload = ballots.encode(given, SEPARATOR, NODES[0].sign_digest)
    assert len(payload) <= ballots.MOST_BYTES
    assert ballots.decode(payload, SEPARATOR)[1].offers == given.offers[-MOST_OFFERS:]


def test_another_ones_vote_is_refused() -> None:
    theirs = Signature(offer(1).digest, NODES[1].sign_digest(offer(1).digest))
    payload = ballots.encode(Ballot(SLOT, (offer(1),), theirs), SEPARATOR, NODES[0].sign_digest)
    with pytest.raises(BadBallot, match="another's vote"):
        ballots.decode(payload, SEPARATOR)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"[" * 5_000,
        b'{"slot":[1,2,3,"4"],"offers":[],"vote":[]}',
        b'{"slot":[-1,2,3,"4"],"offers":[],"vote":null}',
        b'{"slot":[1,2,3,"4x"],"offers":[],"vote":null}',
        b'{"slot":[1,2,3,4],"offers":[],"vote":null}',
        b'{"slot":[true,2,3,"4"],"offers":[],"vote":null}',
        b'{"slot":[1,2,3,"4"],"offers":[["0x00"]],"vote":null}',
        b'{"slot":[1,2,3,"4"],"offers":null,"vote":null}',
    ],
)
def test_what_is_no_ballot_is_refused_by_name(body: bytes) -> None:
    payload = NODES[0].sign_digest(ballots.signed_hash(body, SEPARATOR)) + body
    with pytest.raises(BadBallot):
        ballots.decode(payload, SEPARATOR)


# Deciding -----------------------------------------------------------------------------------------------


def test_a_node_signs_what_a_quorum_offers_and_it_has_at_hand() -> None:
    alone = tally(a=Said((offer(1),)), b=Said((offer(2),)))
    assert alone.to_sign(A, [offer(1).digest]) is None
    same = tally(a=Said((offer(1), offer(2))), b=Said((offer(2),)))
    assert same.to_sign(A, [offer(1).digest, offer(2).digest]) == offer(2).digest
    assert same.to_sign(A, [offer(1).digest]) is None
    assert same.to_sign(bytes(20), [offer(2).digest]) is None


def test_a_node_that_signed_signs_nothing_more_and_supports_nothing_else() -> None:
    signed = tally(a=Said((offer(1), offer(2)), (vote(1),)), b=Said((offer(2),)))
    assert signed.to_sign(A, [offer(2).digest]) is None
    assert signed.to_sign(B, [offer(2).digest]) is None


def test_of_two_digests_with_support_the_one_that_was_signed_is_taken() -> None:
    both = (offer(1), offer(2))
    said = tally(a=Said(both), b=Said(both, (vote(2),)), c=Said((offer(1),)))
    assert said.to_sign(A, [one.digest for one in both]) == offer(2).digest


def test_a_quorum_of_equal_votes_agrees_and_a_double_voter_counts_for_neither() -> None:
    assert tally(a=Said(votes=(vote(1),)), b=Said(votes=(vote(1),))).agreed() == vote(1).digest
    twice = tally(a=Said(votes=(vote(1), vote(2))), b=Said(votes=(vote(1),)))
    assert twice.agreed() is None
    assert twice.breaches() == [A]


def test_a_slot_is_dead_once_no_digest_can_reach_the_quorum() -> None:
    split = {"a": Said(votes=(vote(1),)), "b": Said(votes=(vote(2),))}
    assert not tally(**split).is_dead()
    assert tally(**split, c=Said(votes=(vote(3),))).is_dead()


def test_who_differs_is_told_with_its_vote_or_latest_offer() -> None:
    said = tally(a=Said((offer(1),), (vote(1),)), b=Said((offer(2), offer(3))), c=Said((offer(1),)))
    assert said.differing(offer(1).digest) == [(B, offer(3))]
    assert offer(3, (3, 1, 0)).differs(offer(1)) == ["metered", "flags"]


def test_every_node_has_a_turn_of_its_own_for_each_digest() -> None:
    for n in range(9):
        assert sorted(turn(TEAM, node, bytes((n,)) * 32) for node in TEAM) == [0, 1, 2]
    assert turn(TEAM, bytes(20), bytes(32)) == 3


# Duties -------------------------------------------------------------------------------------------------

LONDON = time_zone("Europe/London")


def table(grace_s: int | None = None) -> Timetable:
    return Timetable(GREAT_BRITAIN, LONDON, time(12), grace_s)


def test_runs_are_due_at_noon_of_the_calendars_dates() -> None:
    duties = table().duties(local_day(date(2026, 5, 4), LONDON, 1800))
    assert [one.name for one in duties[:3]] == ["II", "SF", "R1"]
    assert datetime.fromtimestamp(duties[0].due_at, UTC) == datetime(2026, 5, 11, 11, tzinfo=UTC)
    assert duties[0].due_date == date(2026, 5, 11)


def test_the_first_run_comes_after_the_grace_where_there_is_one() -> None:
    day = local_day(date(2026, 5, 4), LONDON, 1800)
    first = table(3_600).duties(day)[0]
    assert first.due_at == (day.first_window + day.windows) * 1800 + 3_600
    assert first.due_date == date(2026, 5, 5)


def test_over_christmas_the_first_run_does_not_wait_until_anyone_may_settle_by_default() -> None:
    near, late = (local_day(date(2026, 12, day), LONDON, 1800) for day in (22, 23))
    assert GREAT_BRITAIN.runs_of(date(2026, 12, 23))[0].due_date == date(2027, 1, 4)
    assert table().duties(near)[0].due_date == date(2026, 12, 31)
    assert table().duties(late)[0].due_at == (late.first_window + late.windows) * 1800 + LATEST_FIRST_S


# Keys ---------------------------------------------------------------------------------------------------

SECRET = Secret(date(2026, 5, 1), bytes(range(7, 39)))


def test_all_nodes_make_the_same_keys_and_no_two_runs_have_one() -> None:
    at = SECRET.at(date(2026, 5, 11))
    assert at == SECRET.next().at(date(2026, 5, 11))
    made = {at.key(day, run) for day in range(5) for run in range(5)}
    assert len(made | {at.next().key(0, 0)}) == 26
    with pytest.raises(InputError, match="gives no keys of 2026-05-10"):
        at.at(date(2026, 5, 10))


def test_a_secret_file_is_read_back_and_nothing_else_is(tmp_path: Path) -> None:
    file = tmp_path / "secret.json"
    file.write_text(keys.dump(SECRET))
    assert keys.read(file) == SECRET
    for bad in ("", "[]", "{}", keys.dump(SECRET).replace("0x07", "0x0"), "[" * 100_000):
        file.write_text(bad)
        with pytest.raises(InputError) as caught:
            keys.read(file)
        assert SECRET.value.hex()[4:] not in str(caught.value)


def test_a_node_that_joins_later_is_brought_the_present_secret(tmp_path: Path) -> None:
    book = Book(tmp_path / "node")
    book.begin(SECRET)
    book.draw_keys([], date(2026, 5, 11))
    book.close()
    out = tmp_path / "secret.json"
    assert main(["oracle", "secret", "--from", str(tmp_path / "node"), "--out", str(out)]) == 0
    assert keys.read(out) == SECRET.at(date(2026, 5, 12))
    assert out.stat().st_mode & 0o077 == 0
    assert main(["oracle", "secret", "--out", str(out)]) == 2  # never over another
    assert main(["oracle", "secret", "--from", str(tmp_path), "--out", str(tmp_path / "x")]) == 2


def duty(number: int, due: date, first: int = 500_000) -> Duty:
    return Duty(Day(1800, first, 48), number, "II", 0, due)


def test_a_key_is_drawn_once_and_what_it_came_from_is_forgotten(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.begin(SECRET)
    due = date(2026, 5, 11)
    assert book.draw_keys([duty(0, due), duty(1, due, 400_000)], due) == []
    assert book.key(500_000, 0) == SECRET.at(due).key(500_000, 0)
    assert book.key(400_000, 1) == SECRET.at(due).key(400_000, 1)
    found = book.secret()
    assert found == SECRET.at(due).next()
    assert book.draw_keys([duty(2, due)], due) == [duty(2, due)]  # too late
    book.finish(500_000, 0)
    assert book.key(500_000, 0) is None
    book.close()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert SECRET.at(due).key(500_000, 0) not in files
    assert SECRET.value not in files
    assert SECRET.at(due).key(400_000, 1) in files


def test_without_a_secret_nothing_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(BadStore, match="no secret"):
        Book(tmp_path).draw_keys([duty(0, date(2026, 5, 11))], date(2026, 5, 11))


# The book -----------------------------------------------------------------------------------------------


def test_a_node_chooses_once_for_a_slot_also_after_it_starts_again(tmp_path: Path) -> None:
    book = Book(tmp_path)
    assert book.choose(SLOT, bytes((1,)) * 32) == bytes((1,)) * 32
    book.close()
    again = Book(tmp_path)
    assert again.choose(SLOT, bytes((2,)) * 32) == bytes((1,)) * 32
    assert again.choose(replace(SLOT, place="2"), bytes((2,)) * 32) == bytes((2,)) * 32


def test_what_a_node_can_fill_in_anothers_book_is_bounded(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for n in range(100):
        book.hear(A, Ballot(SLOT, (offer(n),), vote(n)))
    assert len(book.said(SLOT)[A].offers) == 4 * MOST_OFFERS
    assert len(book.said(SLOT)[A].votes) == 2
    for place in range(100):
        book.hear(A, Ballot(replace(SLOT, place=str(place)), (offer(1), offer(2)), vote(1)))
    said = [book.said(replace(SLOT, place=str(place))).get(A, Said()) for place in range(100)]
    assert sum(len(one.offers) for one in said) == 16 * MOST_OFFERS
    assert sum(len(one.votes) for one in said) == 8


def test_what_comes_after_a_run_is_finished_is_not_kept(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.finish(SLOT.day, SLOT.run)
    assert not book.hear(A, Ballot(SLOT, (offer(1),), vote(1)))
    assert book.said(SLOT) == {}


def test_ballots_are_told_until_their_run_is_done(tmp_path: Path) -> None:
    book = Book(tmp_path)
    other = replace(SLOT, zone=2)
    for slot in (SLOT, other):
        assert book.offer(slot, A, offer(1), bytes(32))
        assert not book.offer(slot, A, offer(1), bytes(32))
    book.signed(SLOT, A, vote(1))
    assert book.current(A) == [Ballot(SLOT, (offer(1),), vote(1)), Ballot(other, (offer(1),), None)]
    book.mark_done(SLOT.zone, SLOT.day, SLOT.run)
    book.spend(other, "the votes are split")
    assert book.current(A) == []


# Prices -------------------------------------------------------------------------------------------------

HEAD = "window_start,surplus_micro_per_kwh,deficit_micro_per_kwh\n"
HOURS = Day(3600, 495_000, 2)
FIRST, SECOND = "2026-06-21T00:00:00Z", "2026-06-21T01:00:00Z"


def prices(tmp_path: Path, text: str) -> feed.Prices:
    file = tmp_path / "prices.csv"
    file.write_text(text)
    return feed.read_prices(file, HOURS, (-100, 500))


def test_prices_are_those_of_the_days_windows_and_the_last_word_of_each_holds(tmp_path: Path) -> None:
    rows = f"{SECOND},1,2\n{FIRST},-100,500\n2026-06-22T00:00:00Z,9999,9999\n2026-06-21T01:00:00+00:00,3,4\n"
    assert prices(tmp_path, HEAD + rows) == ((-100, 3), (500, 4))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: its columns"),
        ("start,a,b\n", "line 1: its columns"),
        (HEAD + f"{FIRST},1,2\n", "no prices of 1 of the day's 2 windows, the first 2026-06-21T01:00Z"),
        (HEAD + f"{FIRST},3,2\n", "line 2: the surplus price 3 is above"),
        (HEAD + f"{FIRST},-101,2\n", "line 2: prices -101 and 2 leave the bounds -100 to 500"),
        (HEAD + f"{FIRST},1,501\n", "leave the bounds"),
        (HEAD + f"{FIRST},1.5,2\n", "line 2: give a time in UTC and two whole numbers"),
        (HEAD + f"{FIRST},1\n", "two whole numbers"),
        (HEAD + "2026-06-21T00:00:00,1,2\n", "no start of a window"),
        (HEAD + "2026-06-21T00:30:00Z,1,2\n", "no start of a window"),
    ],
)
def test_a_wrong_price_names_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        prices(tmp_path, text)


# The node's file ----------------------------------------------------------------------------------------

NODE = """\
name = "oracle-1"
data = "node-1"
registry = "meters.json"
prices = "/feed/prices.csv"
key = "node-1/key.json"
sender = "unix:/run/signer"
time_zone = "Europe/London"
secret = "secret.json"
[broker]
url = "mqtts://broker.example"
[chain]
rpc = ["http://127.0.0.1:8545", "http://127.0.0.1:8546"]
deployment = "deployment.json"
[runs]
at = 09:30:00
grace_s = 3600
"""


def test_a_nodes_file_is_read_with_its_paths_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(NODE)
    found = config.read_config(file)
    assert (found.data, found.prices) == (tmp_path / "node-1", Path("/feed/prices.csv"))
    assert (found.key, found.sender) == (str(tmp_path / "node-1/key.json"), "unix:/run/signer")
    assert (found.runs.at, found.runs.past_days, found.voting.turn_s) == (time(9, 30), 7, 30)
    assert found.chain.clock == "wall"
    as_json = tmp_path / "node.json"
    as_json.write_text(json.dumps(tomllib.loads(NODE), default=str))
    assert config.read_config(as_json) == found


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "oracle-1"', "name = 1", "name"),
        ('key = "node-1/key.json"', "", "key"),
        ("grace_s = 3600", "grace_s = -1", "grace_s"),
        ("grace_s = 3600", "grace = 1", "runs.grace"),
        ("Europe/London", "Europe/Nowhere", "Nowhere"),
        ("[broker]", "[broker", "no TOML"),
        ('deployment = "deployment.json"', 'deployment = "d"\nclock = "sun"', "clock"),
    ],
)
def test_a_mistake_in_a_nodes_file_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(NODE.replace(old, new))
    with pytest.raises(InputError, match=told):
        config.read_config(file)
