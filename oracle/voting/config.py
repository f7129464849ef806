"""One oracle node's file (docs/oracle.md, Configuration of a node): TOML, or JSON of the same shape.

Relative paths are from the file's folder. Errors name the file and the key.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field, replace
from datetime import time
from pathlib import Path
from typing import Any

from oracle.live.client import Login, read_address
from oracle.live.passwords import read_password
from oracle.localdays import time_zone
from settlement.errors import InputError
from settlement.rules.calendar import GREAT_BRITAIN, RunCalendar
from settlement.rules.configuration import KNOWN_KEYS_ONLY, from_json

MOST_FILE = 1 << 20
_REMOTE = re.compile(r"(https?:/|unix:)")
MOST_PAST_DAYS = 60


@dataclass(frozen=True)
class BrokerPart:
    """`[broker]`: where readings and ballots come from."""

    url: str
    """`mqtts://host:port`; `mqtt://` to this machine."""
    password_file: Path | None = None
    """A password, or the broker's credentials.json."""
    ca: Path | None = None
    """Certificates to trust; none: the machine's."""
    plaintext: bool = False
    """Allow `mqtt://` to another machine."""

    __pydantic_config__ = KNOWN_KEYS_ONLY


@dataclass(frozen=True)
class ChainPart:
    """`[chain]`: the Exchange that is posted to."""

    rpc: tuple[str, ...]
    """Nodes, http(s) URLs or IPC sockets; the first that answers is asked."""
    deployment: Path
    """deployment.json."""
    clock: str = "wall"
    """What due times are judged by: "wall", this machine's time, or "chain", the latest block's."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        if self.clock not in ("wall", "chain"):
            raise InputError(f'clock is {self.clock!r}: write "wall" or "chain"')


@dataclass(frozen=True)
class RunsPart:
    """`[runs]`: when runs are made, and from what. The same at every node."""

    calendar: Path | None = None
    """Terms of another market, JSON (docs/rules.md); none: Great Britain's."""
    at: time = time(12)
    """Local time of a run on its due date."""
    grace_s: int | None = None
    """The first run so long after the day's end, in place of the calendar's."""
    past_days: int = 7
    """Days before that estimates are made from."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        if self.grace_s is not None and self.grace_s < 0:
            raise InputError(f"grace_s is {self.grace_s}: seconds after a day's end, from 0")
        if not 0 <= self.past_days <= MOST_PAST_DAYS:
            raise InputError(f"past_days is {self.past_days}: from 0 to {MOST_PAST_DAYS}")


@dataclass(frozen=True)
class VotingPart:
    """`[voting]`: how often a node looks, tells, and takes its turn."""

    look_s: float = 5.0
    """Between two looks at what is due."""
    tell_s: float = 5.0
    """Between two times that a ballot is published, as long as its run is not on chain."""
    turn_s: float = 30.0
    """For each node to post, before it is the next one's turn."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        for name in ("look_s", "tell_s", "turn_s"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}: seconds, above zero")


@dataclass(frozen=True)
class NodeConfig:
    """All that a node runs with."""

    name: str
    """At the broker: user, and the last part of its topics."""
    data: Path
    """Its folder: readings, ballots, runs, what was signed."""
    registry: Path
    """The meters (docs/oracle.md, Registry)."""
    prices: Path
    """The feed of imbalance prices, CSV."""
    key: str
    """Source of the key that votes (docs/keys.md): a keystore file or a signer."""
    secret: Path | None
    """File that the nodes' day keys begin from; only read while the folder has none."""
    time_zone: str
    """Whose midnights days begin at."""
    broker: BrokerPart
    chain: ChainPart
    sender: str | None = None
    """Source of the key that sends transactions, if it is another: a signer may allow a key only one."""
    runs: RunsPart = field(default_factory=RunsPart)
    voting: VotingPart = field(default_factory=VotingPart)
    workers: int = 1
    """Processes that verify signatures."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"workers is {self.workers}: at least 1")
        time_zone(self.time_zone)

    def login(self) -> Login:
        """With what the node connects to the broker. BadBroker."""
        address = read_address(self.broker.url, plaintext=self.broker.plaintext)
        password = read_password(self.broker.password_file, self.name)
        return Login(address, self.name, password, self.broker.ca)

    def calendar(self) -> RunCalendar:
        """Of the runs. InputError."""
        if self.runs.calendar is None:
            return GREAT_BRITAIN
        return from_json(RunCalendar, _bytes(self.runs.calendar), str(self.runs.calendar))


def read_config(path: Path) -> NodeConfig:
    """InputError with file and key for whatever is wrong; nothing that it names is read yet."""
    text = _bytes(path)
    if path.suffix != ".json":
        try:
            text = json.dumps(tomllib.loads(text.decode()), default=str).encode()
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is no TOML: {error}") from None
    return _placed(from_json(NodeConfig, text, str(path)), path.absolute().parent)


def _placed(found: NodeConfig, folder: Path) -> NodeConfig:
    def at(place: Path) -> Path:
        return folder / place

    def source(text: str | None) -> str | None:
        return text if text is None or _REMOTE.match(text) else str(folder / text)

    def maybe(place: Path | None) -> Path | None:
        return None if place is None else folder / place

    broker, chain, runs = found.broker, found.chain, found.runs
    own: dict[str, Any] = {name: at(getattr(found, name)) for name in ("data", "registry", "prices")}
    return replace(
        found,
        **own,
        key=source(found.key) or found.key,
        sender=source(found.sender),
        secret=maybe(found.secret),
        broker=replace(broker, password_file=maybe(broker.password_file), ca=maybe(broker.ca)),
        chain=replace(chain, deployment=at(chain.deployment)),
        runs=replace(runs, calendar=maybe(runs.calendar)),
    )


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_FILE:
            raise InputError(f"{path} is larger than {MOST_FILE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
