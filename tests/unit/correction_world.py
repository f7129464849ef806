"""A settled day in the reference whose oracles correct it, and whose participants challenge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import reference_world as world
import settling_world
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from reference_world import BUYER, DAY, DAY_END, OTHER, PROSUMER_ADDRESSES, SELLER, WINDOW_LENGTH, WINDOWS
from settling_world import Settler

from settlement.reference import challenge as challenges
from settlement.reference import correction as corrections
from settlement.reference import eip712, merkle, p256, posting, reading
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.correction import Correction, Difference
from settlement.reference.eip712 import keccak
from settlement.reference.exchange import Exchange
from settlement.reference.posting import ACTUAL, Entry, Posting
from settlement.reference.reading import EXPORT, IMPORT, Reading
from settlement.reference.statement import Statement

SURPLUS, DEFICIT = (80_000, 70_000, 60_000, -10_000), (240_000, 230_000, 60_000, 5_000)
HOMES = sorted(PROSUMER_ADDRESSES)
BOND, POT = 5_000_000_000, 12_000_000_000
LATER = DAY_END + 1000
"""When the day is settled, some time after it ended."""
FLAGS = (ACTUAL,) * WINDOWS


# Meters -------------------------------------------------------------------------------------------------


def meter_of(account: bytes) -> bytes:
    return keccak(b"trellis/meter" + account)


def secret_of(account: bytes, generation: int = 0) -> int:
    """The scalar of the meter's key, the same every time."""
    return 1 + int.from_bytes(keccak(account + bytes([generation])), "big") % (p256.ORDER - 1)


def key_of(secret: int) -> tuple[bytes, bytes]:
    numbers = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")


def sign_read(read: Reading | bytes, secret: int) -> SignedRead:
    """What a meter sends, with low `s`."""
    message = read if isinstance(read, bytes) else reading.encode(read)
    key = ec.derive_private_key(secret, ec.SECP256R1())
    scheme = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    r, s = utils.decode_dss_signature(key.sign(message, scheme))
    numbers = r, min(s, p256.ORDER - s)
    return SignedRead(message, *(number.to_bytes(32, "big") for number in numbers), *key_of(secret))


def read_of(account: bytes, window: int, wh: int, sequence: int = 1, register: int = EXPORT) -> Reading:
    """`window` counts from the day's first."""
    return Reading(meter_of(account), register, WINDOW_LENGTH, DAY + window, wh, sequence)


@dataclass(frozen=True)
class Committed:
    """What the oracles committed to, and can open."""

    reads: tuple[Reading, ...]
    """In ascending order of meter, register and window."""
    flags: tuple[int, ...]

    @property
    def leaves(self) -> list[bytes]:
        return [
            reading.commitment(salt_of(one), reading.encode(one), flag)
            for one, flag in zip(self.reads, self.flags, strict=True)
        ]

    @property
    def root(self) -> bytes:
        return merkle.root(self.leaves)

    def at(self, account: bytes, window: int, register: int = EXPORT) -> int:
        place = (meter_of(account), register, DAY + window)
        return [(one.meter, one.register, one.window_index) for one in self.reads].index(place)


def salt_of(read: Reading) -> bytes:
    return keccak(b"salt" + read.key)


def commit_to(
    metered: Mapping[bytes, Sequence[int]], flags: Mapping[bytes, int], sequence: int = 1
) -> Committed:
    """Both registers of every home and window."""
    found = []
    for account, row in metered.items():
        for window, wh in enumerate(row):
            for register, part in ((IMPORT, max(0, -wh)), (EXPORT, max(0, wh))):
                one = read_of(account, window, part, sequence, register)
                found.append((one, flags.get(account, ACTUAL)))
    found.sort(key=lambda pair: (pair[0].meter, pair[0].register, pair[0].window_index))
    return Committed(tuple(one for one, _ in found), tuple(flag for _, flag in found))


# A certified day ----------------------------------------------------------------------------------------


@dataclass
class Day:
    """A day after its first run, with what oracles and participants know of it."""

    exchange: Exchange
    settler: Settler
    message: Posting
    metered: dict[bytes, tuple[int, ...]]
    committed: Committed
    per_part: int
    runs: list[Correction] = field(default_factory=list)

    @property
    def link(self) -> bytes:
        return self.exchange.zone_day(0, DAY).link

    def part_of(self, account: bytes) -> int:
        return HOMES.index(account) // self.per_part

    def free(self, account: bytes) -> int:
        return self.exchange.cash(LATER, account).free

    def assert_conserved(self) -> None:
        """Every nano that came in belongs to somebody; imbalances sum to zero by the same bookkeeping."""
        state = self.exchange.state
        open_bonds = sum(one.bond_nano for one in state.challenges.values() if one.stage.name == "OPEN")
        total = settling_world.total_cash(self.exchange, LATER) + state.pot + open_bonds
        assert total == state.vault

    # Corrections ----------------------------------------------------------------------------------------

    def correction(self, differences: Mapping[bytes, Sequence[int]], **changes: Any) -> Correction:
        """What the oracles would sign next."""
        named = sorted({self.part_of(account) for account in differences})
        found = self.exchange.zone_day(0, DAY)
        base = Correction(
            zone=0,
            first_window=DAY,
            run=found.run + 1,
            previous=found.link,
            commitments=self.committed.root,
            surplus=SURPLUS,
            deficit=DEFICIT,
            statements=tuple(named),
            parts=tuple(keccak(self.packed(differences, part)) for part in named),
        )
        return replace(base, **changes)

    def packed(self, differences: Mapping[bytes, Sequence[int]], part: int) -> bytes:
        accounts = sorted(account for account in differences if self.part_of(account) == part)
        found = [Difference(account, FLAGS, tuple(differences[account])) for account in accounts]
        return corrections.pack_differences(found)

    def post(self, correction: Correction, now: int = LATER) -> None:
        signed = settling_world.signatures(self.exchange, corrections.struct_hash(correction))
        self.exchange.post_correction(now, correction, signed)

    def apply(self, correction: Correction, differences: Mapping[bytes, Sequence[int]], at: int) -> None:
        """The correction's part at a place."""
        part = correction.statements[at]
        accounts = [account for account in differences if self.part_of(account) == part]
        brought = self.settler.statement(0, part, accounts)
        self.exchange.correct(LATER, correction, brought, self.packed(differences, part))
        for account in accounts:
            self.settler.change(0, part, account, differences[account])

    def correct(self, differences: Mapping[bytes, Sequence[int]], now: int = LATER) -> Correction:
        """A whole run."""
        correction = self.correction(differences)
        self.post(correction, now)
        for at in range(len(correction.statements)):
            self.apply(correction, differences, at)
        self.runs.append(correction)
        return correction

    # Challenges -----------------------------------------------------------------------------------------

    def challenge(
        self,
        account: bytes,
        window: int,
        wh: int,
        sequence: int = 2,
        register: int = EXPORT,
        **changes: Any,
    ) -> ReadingChallenge:
        """What an account brings whose meter said something else."""
        index = self.committed.at(account, window, register)
        one = self.committed.reads[index]
        base = ReadingChallenge(
            committed=reading.encode(one),
            flag=self.committed.flags[index],
            salt=salt_of(one),
            index=index,
            proof=merkle.proof(self.committed.leaves, index),
            read=sign_read(read_of(account, window, wh, sequence, register), secret_of(account)),
            zone=0,
            day=DAY,
        )
        return replace(base, **changes)

    def settle_challenge(self, id_: bytes, now: int) -> None:
        found = self.exchange.state.challenges[id_]
        part = self.part_of(found.account)
        brought = self.settler.statement(0, part, [found.account])
        self.exchange.settle_challenge(now, id_, brought, part, SURPLUS, DEFICIT)
        difference = [0] * WINDOWS
        difference[found.read.window_index - DAY] = (found.read.wh - found.standing.wh) * found.read.sign
        self.settler.change(0, part, found.account, difference)


def signed_challenge(day: Day, account: bytes, brought: ReadingChallenge) -> ReadingChallenge:
    """Signed by the account, for anyone to send."""
    leaf = reading.commitment(brought.salt, brought.committed, brought.flag)
    run = day.exchange.zone_day(brought.zone, brought.day).run
    message = challenges.struct_hash(brought.zone, brought.day, run, leaf, brought.read.message)
    digest = eip712.digest(day.exchange.separator, message)
    return replace(brought, signature=world.sign_digest(world.KEYS[account], digest))


def certified_day(
    metered: Mapping[bytes, Sequence[int]] | None = None,
    flags: Mapping[bytes, int] | None = None,
    per_part: int = 2,
    bond: int = BOND,
    pot: int = POT,
    opened: bool = True,
) -> Day:
    """One trade, a posting, both passes; then corrections are open, and challenges cost `bond`."""
    exchange = world.make_exchange()
    prices = world.trade(exchange, world.opened(exchange))
    rows = {account: tuple(metered.get(account, (0,) * WINDOWS)) for account in HOMES} if metered else {}
    rows = rows or dict.fromkeys(HOMES, (0,) * WINDOWS) | {
        BUYER: (-1200, 5, 0, -7),
        SELLER: (700, -30, 2, 9),
        OTHER: (50, 0, 0, 1),
    }
    for account in HOMES:
        exchange.register_meter(LATER, meter_of(account), account, *key_of(secret_of(account)))
    exchange.set_challenge_bond(bond)
    exchange.bond_oracles(LATER, world.BALANCING_ADDRESS, pot)
    committed = commit_to(rows, flags or {})
    entries = [Entry(account, FLAGS, rows[account]) for account in HOMES]
    message, packed = settling_world.make_posting(
        0, DAY, entries, per_part, SURPLUS, DEFICIT, commitments=committed.root
    )
    settling_world.post(exchange, LATER, message)
    settler = Settler(exchange, LATER, DAY, {0: (prices,)})
    for part in packed:
        settler.settle(0, part)
    settler.certify_all()
    if opened:
        exchange.open_corrections(message)
    return Day(exchange, settler, message, rows, committed, per_part)


def unposted(windows: int = WINDOWS) -> Posting:
    return posting.default_posting(0, DAY, windows, len(HOMES))


def bare(statement: Statement) -> Statement:
    return replace(statement, rows=b"")
