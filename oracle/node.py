"""One oracle node, and how several agree.

    signed readings ─ intake ─ validation ─ estimation ─ aggregate ┬─ posting ─ digest ─ signature
                                                   └─ commitments ─┘

`compute` is that chain as one pure function: the same `DayInputs` give the same bytes on every machine.
Nodes share the registry, the history, the prices and the day key, and receive the same messages (a node that
misses one must fetch it from another before it computes: meters are signed, so no node has to be trusted for
that). Each computes alone and signs what it got. `agree` counts: whoever computed something else, signed
badly or said nothing is reported and is simply missing from the quorum.

Only `OracleNode` holds a secret, and nothing here reads a clock, a file or a random source; those are the
caller's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from oracle.aggregate import AccountDay, aggregate
from oracle.commitments import Commitments, commit
from oracle.correcting import CorrectedDay, Correcting, correct
from oracle.day import Day, Mask, MeterDay, only_in_service
from oracle.errors import BadNodeSignature, SplitQuorum, TooFewSigners
from oracle.estimation import History, estimate
from oracle.intake import Intake, Verifier, take, to_day, verify_all
from oracle.messages import Reading, SignedReading
from oracle.posting import PostedDay, build, collect, node_address, sign_posting, signer_of
from oracle.registers import RegisterReads
from oracle.registry import MeterRegistry
from oracle.salts import Salts, derive_all
from oracle.upheld import uphold
from oracle.validation import RULES, Evidence, Failure, Rules, capacities_wh, validate
from settlement.reference.errors import Refused


@dataclass(frozen=True)
class DayInputs:
    """All that a posting follows from."""

    zone: int
    day: Day
    registry: MeterRegistry
    """The meters of this zone only."""
    batch: tuple[SignedReading, ...]
    """Everything received, in any order, with any rubbish in it."""
    history: History
    """Past days of the registry's series, in its order."""
    surplus: tuple[int, ...]
    deficit: tuple[int, ...]
    """Imbalance prices of each window, micro/kWh."""
    day_key: bytes = field(repr=False)
    """32 random bytes, for this posting only; delete them once it is on chain (`oracle.salts`)."""
    sequence: int = 1
    """Grows with each posting of the same zone and day."""
    rounds: int = 1
    """Proved sessions of energy of the day: parts of a posting are cut by it (`oracle.posting`)."""
    accounts_per_part: int | None = None
    """Accounts of a part, if others than those."""
    reads: RegisterReads | None = None
    """Register reads at bounds of the day's windows, where there are any."""
    in_service: Mask | None = None
    """(S, W) where each of the registry's series serves its account, if more is known than the registry
    says.
    """
    rules: Rules = RULES
    upheld: tuple[Reading, ...] = ()
    """What challenges of the day have upheld, in the order of the chain: all nodes read it there."""


@dataclass(frozen=True)
class Computed:
    """What one node made of the day. Its salts can be erased; the day key is not in it."""

    posted: PostedDay
    accounts: AccountDay
    readings: MeterDay
    commitments: Commitments
    salts: Salts = field(repr=False)
    intake: Intake = field(repr=False)
    failures: tuple[Failure, ...] = ()
    """Signed readings that validation took out."""
    warnings: tuple[Failure, ...] = ()
    """Doubtful ones that stayed."""


class Signable(Protocol):
    """What nodes sign: a posting, or a correction."""

    def digest(self, separator: bytes) -> bytes:
        """Under the Exchange's domain separator."""
        ...

    def is_whole(self) -> bool:
        """Whether the calldata beside it is what it names."""
        ...


S = TypeVar("S", bound=Signable)


@dataclass(frozen=True)
class Vote(Generic[S]):
    """A node's signature under what it computed."""

    node: bytes
    """20-byte address."""
    digest: bytes
    signature: bytes
    posted: S


@dataclass(frozen=True, slots=True)
class Dissent:
    """A node that is not in the quorum, and why."""

    node: bytes
    why: str


@dataclass(frozen=True)
class Agreement(Generic[S]):
    """A posting or correction that enough nodes signed."""

    posted: S
    digest: bytes
    signatures: tuple[bytes, ...]
    """One a node, ascending by address: at least the quorum, at most every node."""
    signers: tuple[bytes, ...]
    """Ascending."""
    dissents: tuple[Dissent, ...]
    """The other nodes, ascending, and strangers who voted."""


def compute(inputs: DayInputs, verifier: Verifier = verify_all) -> Computed:
    """The day's posting from its inputs alone. WrongShape or OutOfRange if those do not fit each other;
    whatever is wrong with a reading is in the result, not raised.
    """
    intake = take(inputs.batch, inputs.registry, inputs.day, verifier)
    serving = inputs.registry.in_service(inputs.day)
    if inputs.in_service is not None:
        serving = serving & inputs.in_service
    arrived = only_in_service(to_day(intake, inputs.registry, inputs.day), serving)
    capacities = capacities_wh(inputs.registry, inputs.day.window_length_s)
    proved, upheld = uphold(arrived, inputs.upheld)
    evidence = Evidence(capacities, inputs.history, inputs.reads, upheld=upheld)
    valid, failures, warnings = validate(proved, evidence, inputs.rules)
    valid, _ = uphold(valid, inputs.upheld)  # again, where a later word of the meter's did not pass
    readings = estimate(valid, inputs.history, inputs.reads, capacities)
    accounts = aggregate(readings, inputs.registry)
    salts = derive_all(inputs.day_key, inputs.zone, inputs.sequence, readings)
    commitments = commit(readings, salts)
    posted = build(
        accounts,
        zone=inputs.zone,
        sequence=inputs.sequence,
        commitments=commitments.root,
        surplus=inputs.surplus,
        deficit=inputs.deficit,
        rounds=inputs.rounds,
        accounts_per_part=inputs.accounts_per_part,
    )
    return Computed(posted, accounts, readings, commitments, salts, intake, failures, warnings)


class OracleNode:
    """A node with its own secp256k1 key."""

    def __init__(self, private_key: bytes) -> None:
        self._private_key = private_key
        self.address = node_address(private_key)

    def __repr__(self) -> str:
        return f"OracleNode(0x{self.address.hex()})"

    def vote(
        self, inputs: DayInputs, separator: bytes, verifier: Verifier = verify_all
    ) -> tuple[Vote[PostedDay], Computed]:
        """Compute the day from the node's own inputs and sign it under the Exchange's domain separator."""
        computed = compute(inputs, verifier)
        return self.sign(computed.posted, separator), computed

    def vote_again(
        self,
        inputs: DayInputs,
        standing: AccountDay,
        given: Correcting,
        separator: bytes,
        verifier: Verifier = verify_all,
    ) -> tuple[Vote[CorrectedDay], Computed]:
        """Compute the day from what is known now, and sign what differs from what stands. `inputs` has a day
        key of its own, and a sequence that no posting of the day had.
        """
        computed = compute(inputs, verifier)
        corrected = correct(standing, computed.accounts, computed.commitments.root, given)
        return self.sign(corrected, separator), computed

    def sign(self, made: S, separator: bytes) -> Vote[S]:
        """The node's vote for what it computed."""
        digest = made.digest(separator)
        return Vote(self.address, digest, sign_posting(digest, self._private_key), made)


def agree(votes: Iterable[Vote[S]], nodes: Collection[bytes], quorum: int, separator: bytes) -> Agreement[S]:
    """The one posting, or correction, that at least `quorum` of `nodes` signed. A vote is believed only as
    far as it is checked here: its digest must be its posting's, its parts the posting's, its signature the
    node's.

    A node that signed two postings counts for neither. TooFewSigners if no posting has a quorum; SplitQuorum
    if two have (possible only where 2 quorum <= n).
    """
    sound, unsound = _check_votes(votes, nodes, separator)
    camps: dict[bytes, dict[bytes, Vote[S]]] = defaultdict(dict)
    for vote in sound:
        camps[vote.digest][vote.node] = vote
    for node in _double_voters(sound):
        unsound[node] = "signed two different postings"
        for camp in camps.values():
            camp.pop(node, None)
    reached = sorted(digest for digest, camp in camps.items() if len(camp) >= quorum)
    if len(reached) > 1:
        raise SplitQuorum(", ".join("0x" + digest.hex() for digest in reached))
    if not reached:
        best = max((len(camp) for camp in camps.values()), default=0)
        raise TooFewSigners(best, f"{quorum} are needed")
    camp = camps[reached[0]]
    signatures = collect(reached[0], (vote.signature for vote in camp.values()), nodes, quorum)
    dissents = _dissents(unsound, camps, reached[0], nodes)
    return Agreement(next(iter(camp.values())).posted, reached[0], signatures, tuple(sorted(camp)), dissents)


def _check_votes(
    votes: Iterable[Vote[S]], nodes: Collection[bytes], separator: bytes
) -> tuple[list[Vote[S]], dict[bytes, str]]:
    """The votes that are what they say, and why each other one is not."""
    sound, unsound = [], {}
    for vote in votes:
        fault = _fault(vote, nodes, separator)
        if fault is None:
            sound.append(vote)
        else:
            unsound[vote.node] = fault
    return sound, unsound


def _double_voters(sound: Iterable[Vote[S]]) -> list[bytes]:
    digests: dict[bytes, set[bytes]] = defaultdict(set)
    for vote in sound:
        digests[vote.node].add(vote.digest)
    return sorted(node for node, signed in digests.items() if len(signed) > 1)


def _fault(vote: Vote[S], nodes: Collection[bytes], separator: bytes) -> str | None:
    if vote.node not in nodes:
        return "is no oracle node"
    try:
        if not vote.posted.is_whole() or vote.posted.digest(separator) != vote.digest:
            return "signed something else than the posting it sent"
        signer = signer_of(vote.digest, vote.signature)
    except Refused:
        return "sent a posting that is none"
    except BadNodeSignature:
        return "sent a malformed signature"
    return None if signer == vote.node else "sent a signature that is not its own"


def _dissents(
    unsound: dict[bytes, str],
    camps: dict[bytes, dict[bytes, Vote[S]]],
    winner: bytes,
    nodes: Collection[bytes],
) -> tuple[Dissent, ...]:
    why = dict(unsound)
    for digest, camp in sorted(camps.items()):
        if digest != winner:
            why |= {node: f"computed another posting, 0x{digest.hex()}" for node in camp}
    for node in nodes:
        why.setdefault(node, "did not vote")
    return tuple(Dissent(node, reason) for node, reason in sorted(why.items()) if node not in camps[winner])
