"""What follows a settled day, measured: a later run in which one home in ten differs, and one challenge.

Without the precompile of P-256, as on chains of today's rules: it would make a challenge cheaper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from settlement.bench.community import ORACLES, WINDOW_LENGTH, WINDOWS, Community, Shape, first_window
from settlement.bench.registry import Tell
from settlement.chain import challenger, corrector
from settlement.chain.anvil import Anvil
from settlement.chain.corrector import SignedCorrection
from settlement.chain.steps import Step
from settlement.reference import correction, eip712, merkle, reading
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.correction import Correction, Difference
from settlement.reference.eip712 import keccak
from settlement.reference.p256 import ORDER
from settlement.reference.posting import ACTUAL
from settlement.reference.reading import EXPORT, Reading

ONE_IN = 10
"""Homes of which a later run changes one."""
SALT = keccak(b"salt of benchmarks")
KEY = ec.derive_private_key(0xBE9C, ec.SECP256R1())
"""The meter's, the same every time: never for value."""
DAY = 1


class MeteredCommunity(Community):
    """Its first home has a meter, whose reading of the first window is committed to."""

    def reading(self, day: int) -> Reading:
        """What was posted of that window."""
        return Reading(keccak(b"meter of benchmarks"), EXPORT, WINDOW_LENGTH, first_window(day), 1_000, 1)

    def leaf(self, day: int) -> bytes:
        return reading.commitment(SALT, reading.encode(self.reading(day)), ACTUAL)

    def commitments(self, day: int) -> bytes:
        return merkle.root([self.leaf(day)])

    def register_meter(self) -> None:
        x, y = _point()
        arguments = self.reading(DAY).meter, self.homes[0].address, x, y
        self.exchange.send(self.admin, "registerMeter", *arguments)

    def correct(self) -> list[Step]:
        """A later run of the day, in which one home in ten has other readings in every window."""
        changing = {home.address for home in self.homes[::ONE_IN]}
        signed = self.sign_posting(DAY)
        posting, at = signed.posting, corrector.zone_day(self.exchange, 0, first_window(DAY))
        cut = [changing.intersection(signed.accounts(part)) for part in range(len(signed.parts))]
        packed = [correction.pack_differences(_differences(accounts)) for accounts in cut]
        prices = posting.surplus, posting.deficit
        found = Correction(
            *(0, first_window(DAY), 1, at.link, self.commitments(DAY), *prices),
            statements=tuple(range(len(packed))),
            parts=tuple(map(keccak, packed)),
        )
        digest = eip712.digest(self.exchange.separator, correction.struct_hash(found))
        signatures = tuple(node.sign_digest(digest) for node in ORACLES[:2])
        return corrector.run(self.exchange, self.operator, SignedCorrection(found, tuple(packed), signatures))

    def challenge(self) -> list[Step]:
        """One to its end, signed by the home and sent by the operator, answered by nobody."""
        committed = self.reading(DAY)
        brought = ReadingChallenge(
            committed=reading.encode(committed),
            flag=ACTUAL,
            salt=SALT,
            index=0,
            proof=merkle.proof([self.leaf(DAY)], 0),
            read=_signed(replace(committed, wh=1_500, sequence=2)),
            zone=0,
            day=first_window(DAY),
        )
        signed = challenger.signed_by(self.homes[0], self.exchange, brought)
        opened = challenger.challenge(self.exchange, self.operator, signed)
        self.clock.advance_to(opened.answer_by + 1)
        return [opened.step, challenger.settle(self.exchange, self.operator, opened.id)]


def _differences(accounts: Iterable[bytes]) -> list[Difference]:
    return [Difference(account, (ACTUAL,) * WINDOWS, (7,) * WINDOWS) for account in sorted(accounts)]


def measure(tell: Tell) -> dict[str, float]:
    """Gas of each call, and of a later run by each window that differs."""
    shape = Shape()
    tell(f"aftermath: {shape.homes} accounts, a later run and a challenge ...")
    with Anvil(timestamp=Community.starts_at()) as anvil:
        community = MeteredCommunity(anvil, shape)
        community.register_meter()
        community.trade(DAY)
        community.settle(DAY)
        posting = community.sign_posting(DAY).posting
        steps = corrector.open_corrections(community.exchange, community.operator, posting)
        steps += [*community.correct(), *community.challenge()]
    gas: Counter[str] = Counter()
    for one in steps:
        gas[one.name] += one.gas_used
    windows = shape.homes // ONE_IN * WINDOWS
    figures: dict[str, float] = {"correct_gas_per_window": round(gas["correct"] / windows, 1)}
    return figures | {f"gas_{name}": used for name, used in gas.items()}


def _point() -> tuple[bytes, bytes]:
    numbers = KEY.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")


def _signed(read: Reading) -> SignedRead:
    """Signed deterministically (RFC 6979), with `s` in the lower half."""
    message = reading.encode(read)
    how = ec.ECDSA(SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(KEY.sign(message, how))
    return SignedRead(message, r.to_bytes(32, "big"), min(s, ORDER - s).to_bytes(32, "big"), *_point())
