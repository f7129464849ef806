"""What `trellis oracle serve`, `vote`, `post` and `secret` do and print."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from oracle.errors import BadStore
from oracle.intake import verify_all
from oracle.live.backoff import Backoff
from oracle.live.service import Report, Service, Settings
from oracle.live.shell import alone, json_lines, lines, verifier_of
from oracle.live.store import Store
from oracle.localdays import date_of, time_zone
from oracle.voting import keys as day_keys
from oracle.voting.ballots import MOST_BYTES, Ballot
from oracle.voting.book import FILE, Book
from oracle.voting.config import NodeConfig, read_config
from oracle.voting.duties import Duty, Timetable
from oracle.voting.engine import Engine, Terms
from oracle.voting.keys import Secret
from oracle.voting.side import BallotSide
from oracle.voting.work import Sources, Work
from settlement.chain.client import Chain
from settlement.chain.deploy import read_deployment
from settlement.chain.exchange import Exchange
from settlement.chain.keystore import open_signer
from settlement.chain.market_days import MarketDay, market_days
from settlement.chain.settling_command import clock_of
from settlement.chain.sign import Signer
from settlement.errors import CheckFailed, InputError, TrellisError


@dataclass(frozen=True)
class Keys:
    """With what a node signs."""

    votes: Signer
    sends: Signer
    """The same, unless the node's file names another."""


def keys_of(config: NodeConfig) -> Keys:
    """The node's. InputError."""
    votes = open_signer(config.key, option="key")
    return Keys(votes, votes if config.sender is None else open_signer(config.sender, option="sender"))


# serve --------------------------------------------------------------------------------------------------


def serve(arguments: argparse.Namespace) -> int:
    """`trellis oracle serve`."""
    config = read_config(arguments.config)
    keys, login, report = keys_of(config), config.login(), json_lines if arguments.json else lines
    config.calendar()
    with (
        alone(config.data),
        Store(config.data) as store,
        _book(config) as book,
        verifier_of(config.workers) as verifier,
    ):
        settings = Settings(login, config.registry, config.name, arguments.status_every, verifier)
        asyncio.run(_Serving(config, keys, book, report).run(settings, store))
    return 0


class _Serving:
    """Readings and runs in one process: the service of readings owns the signals."""

    def __init__(self, config: NodeConfig, keys: Keys, book: Book, report: Report) -> None:
        self.config, self.keys, self.book, self.report = config, keys, book, report
        self._engine: Engine | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="runs")
        self._stop = asyncio.Event()

    async def run(self, settings: Settings, store: Store) -> None:
        """Until the service of readings ends."""
        side = _Later()
        service = Service(settings, store, self.report, side)
        serving = asyncio.create_task(service.run())
        working = asyncio.create_task(self._work(settings, side))
        working.add_done_callback(lambda _: service.stop())  # neither goes on without the other
        try:
            await serving
        finally:
            self._stop.set()
            if self._engine is not None:
                self._engine.stopping = True
            await working
            self._worker.shutdown()

    async def _work(self, settings: Settings, side: _Later) -> None:
        loop, backoff = asyncio.get_running_loop(), Backoff()
        while not self._stop.is_set():
            pause = self.config.voting.look_s
            try:
                if self._engine is None:
                    self._engine = await loop.run_in_executor(self._worker, self._begin, settings)
                    side.begin(BallotSide(self._engine, self.config.name, self.config.voting.tell_s, loop))
                await loop.run_in_executor(self._worker, self._engine.tick)
                backoff.reset()
            except (TrellisError, sqlite3.Error) as error:
                self.report("waiting", {"why": " ".join(str(error).split())})
                pause = max(pause, backoff.next_s())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    def _begin(self, settings: Settings) -> Engine:
        engine = engine_of(self.config, self.keys, self.book, self.report, settings)
        node, exchange = "0x" + self.keys.votes.address.hex(), "0x" + engine.exchange.address.hex()
        self.report("ready", {"node": node, "exchange": exchange})
        return engine


class _Later:
    """The side of a service that begins before a node of the chain answers."""

    def __init__(self) -> None:
        self.topics = BallotSide.topics
        self.topic, self.every_s = "", 1.0
        self.changed = asyncio.Event()
        self._side: BallotSide | None = None

    def begin(self, side: BallotSide) -> None:
        """From now on it is that one."""
        self.topic, self.every_s, side.changed = side.topic, side.every_s, self.changed
        self._side = side

    def take(self, payloads: Sequence[bytes]) -> None:
        """What comes before is lost, and told again."""
        if self._side is not None:
            self._side.take(payloads)

    def outgoing(self) -> list[bytes]:
        """Nothing before."""
        return [] if self._side is None else self._side.outgoing()


def engine_of(
    config: NodeConfig, keys: Keys, book: Book, report: Report, settings: Settings | None = None
) -> Engine:
    """A node's engine, once a node of the chain answers. NoAnswer; InputError."""
    chain = Chain(config.chain.rpc)
    exchange = Exchange(chain, read_deployment(chain, config.chain.deployment))
    sources = Sources(
        data=config.data,
        registry=config.registry,
        prices=config.prices,
        tz=config.time_zone,
        past_days=config.runs.past_days,
        verifier=verify_all if settings is None else settings.verifier,
    )
    runs = config.runs
    timetable = Timetable(config.calendar(), time_zone(config.time_zone), runs.at, runs.grace_s)
    terms = Terms(config.data, timetable, config.voting.turn_s)
    now = clock_of(exchange, config.chain.clock)
    return Engine(Work(exchange, sources), book, keys.votes, terms, now, report, keys.sends)


@contextlib.contextmanager
def _book(config: NodeConfig) -> Iterator[Book]:
    """The node's book, with the secret of its file if it has none. BadStore, InputError."""
    with closing(Book(config.data)) as book:
        if book.secret() is None:
            if config.secret is None:
                raise BadStore(book.path, "it has no secret yet: name the nodes' common one as `secret`")
            book.begin(day_keys.read(config.secret))
        yield book


# Once ---------------------------------------------------------------------------------------------------


def vote(arguments: argparse.Namespace) -> int:
    """`trellis oracle vote`."""
    config = read_config(arguments.config)
    with _book(config) as book:
        engine = engine_of(config, keys_of(config), book, _quiet)
        duty, round_ = _duty(engine, config, arguments), engine.look()
        engine.draw_keys(engine.duties(_days(engine)), round_)
        slot = engine.slot_of(duty, arguments.zone)
        if book.choice(slot) is None:
            if not engine.make(duty, slot, round_):
                raise CheckFailed(f"{arguments.day}: this run has no key: it is not due, or is finished")
            engine.vote(slot, engine.latest(slot))
        else:
            engine.vote(slot, book.choice(slot) or b"")
        said = book.said(slot)[engine.signer.address]
        payload = engine.encode(Ballot(slot, said.offers, said.vote))
    _write(arguments.out, payload)
    digest = "0x" + (said.vote.digest.hex() if said.vote else "")
    told = {"zone": slot.zone, "day": slot.day, "run": slot.run, "place": slot.place, "digest": digest}
    print(json.dumps(told, indent=2) if arguments.json else f"{arguments.out}: voted for {digest}")
    return 0


def post(arguments: argparse.Namespace) -> int:
    """`trellis oracle post`."""
    config = read_config(arguments.config)
    events: list[tuple[str, Mapping[str, object]]] = []
    with _book(config) as book:
        engine = engine_of(config, keys_of(config), book, lambda *told: events.append(told))
        duty, round_ = _duty(engine, config, arguments), engine.look()
        engine.know(_days(engine))
        for file in arguments.votes:
            engine.hear(_read(file))
        slot = engine.slot_of(duty, arguments.zone)
        tally = engine.tally(slot, round_)
        agreed = tally.agreed()
        if agreed is None:
            best = max((len(tally.signatures(one)) for one in tally.voted()), default=0)
            raise CheckFailed(
                f"only {best} nodes signed the same, {tally.quorum} are needed: bring more votes"
            )
        if book.choice(slot) != agreed:
            raise CheckFailed(f"this node did not sign 0x{agreed.hex()}: post from one that did")
        engine.post(slot, tally, agreed, at_once=True)
    steps = [figures for name, figures in events if name == "posted"]
    if arguments.json:
        print(json.dumps({"digest": "0x" + agreed.hex(), "steps": steps}, indent=2))
    else:
        told = [f"{one['step']} in block {one['block']}" for one in steps]
        print(*told or ["nothing was left to post"], sep="\n")
    return 0


def secret(arguments: argparse.Namespace) -> int:
    """`trellis oracle secret`."""
    text = day_keys.dump(_secret(arguments))
    try:
        with os.fdopen(os.open(arguments.out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"--out {arguments.out} cannot be written: {error.strerror}") from None
    print(f"{arguments.out}: bring it to every node, and delete it once each has started")
    return 0


def _secret(arguments: argparse.Namespace) -> Secret:
    """A new one, or what a node has now."""
    if arguments.data is None:
        day = _date(arguments.date) if arguments.date else date.today()
        return Secret(day, secrets.token_bytes(day_keys.SECRET_BYTES))
    if not (arguments.data / FILE).exists():
        raise InputError(f"--from {arguments.data}: it is no folder of a node that voted")
    with closing(Book(arguments.data)) as book:
        found = book.secret()
    if found is None:
        raise InputError(f"--from {arguments.data}: it has no secret")
    return found


def _duty(engine: Engine, config: NodeConfig, arguments: argparse.Namespace) -> Duty:
    """The run that is meant. InputError."""
    wanted, zone = _date(arguments.day), time_zone(config.time_zone)
    for group in engine.duties(_days(engine)):
        for duty in group:
            if date_of(duty.day, zone) == wanted and duty.number == arguments.run_number:
                return duty
    raise InputError(
        f"--day {arguments.day}: no day of the Exchange has run {arguments.run_number} left then"
    )


def _days(engine: Engine) -> list[MarketDay]:
    return market_days(engine.exchange)


def _date(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise InputError(f"{text!r} is no date: write YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is no date: write YYYY-MM-DD") from None


def _quiet(event: str, figures: Mapping[str, object]) -> None:
    """One-shot commands print what they did themselves."""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()[: MOST_BYTES + 1]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _write(path: Path, payload: bytes) -> None:
    try:
        path.write_bytes(payload)
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error.strerror}") from None
