"""Signatures verified in several processes: the `Verifier` of a shell that has more than one core.

`cryptography` holds the interpreter lock while it verifies, so threads gain nothing. What goes to a process
is one blob of messages and signatures and the points of the keys that they name; each process keeps the keys
it has loaded. Verdicts are those of `intake.verify_all`, message by message.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context, parent_process
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oracle.errors import OutOfRange
from oracle.messages import MESSAGE_BYTES, SIGNATURE_BYTES, Reading, SignedReading, verify
from oracle.registry import MeterRegistry

RECORD_BYTES = MESSAGE_BYTES + SIGNATURE_BYTES
CHUNK = 2_000
"""Messages that a process is given at once."""

Pairs = Sequence[tuple[SignedReading, Reading]]


class VerifierPool:
    """Processes that verify; a context manager, started at the first batch. Processes are spawned, so that it
    can be used beside threads.
    """

    def __init__(self, processes: int) -> None:
        """OutOfRange unless there is at least one process."""
        if processes < 1:
            raise OutOfRange(processes, "a pool has at least one process")
        self._pool = ProcessPoolExecutor(
            processes,
            mp_context=get_context("spawn"),
            initializer=_belong,
        )

    def __enter__(self) -> VerifierPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, once they have done what they were given."""
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, pairs: Pairs, registry: MeterRegistry) -> list[bool]:
        """Whether each message is signed by its registered meter."""
        chunks = (pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK))
        waiting = [self._pool.submit(_verify, *_pack(chunk, registry)) for chunk in chunks]
        return [bool(verdict) for each in waiting for verdict in each.result()]


def _belong() -> None:
    """In a process of the pool: Ctrl-C is for the owner, and when that dies, however it does, this ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_owner, daemon=True).start()


def _end_with_owner() -> None:
    owner = parent_process()
    if owner is not None:
        owner.join()
        os._exit(1)


def _pack(pairs: Pairs, registry: MeterRegistry) -> tuple[list[bytes], list[int], bytes]:
    """The distinct keys of some messages, which of them each message names (-1: its signature has not the
    length of one), and all messages with their signatures.
    """
    place_of: dict[int, int] = {}  # by identity: keys have no hash, and the registry keeps them alive
    points: list[bytes] = []
    places, blob = list[int](), bytearray()
    for signed, reading in pairs:
        key = registry.key_of(reading)
        if id(key) not in place_of:
            place_of[id(key)] = len(points)
            points.append(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        whole = len(signed.signature) == SIGNATURE_BYTES
        places.append(place_of[id(key)] if whole else -1)
        blob += signed.message + (signed.signature if whole else bytes(SIGNATURE_BYTES))
    return points, places, bytes(blob)


def _verify(points: list[bytes], places: list[int], blob: bytes) -> bytes:
    """One byte a message, 1 where it is signed. Runs in a process of the pool."""
    keys = [_key(point) for point in points]
    verdicts = bytearray(len(places))
    for number, place in enumerate(places):
        start, end = number * RECORD_BYTES, (number + 1) * RECORD_BYTES
        message, signature = blob[start : start + MESSAGE_BYTES], blob[start + MESSAGE_BYTES : end]
        verdicts[number] = place >= 0 and verify(message, signature, keys[place])
    return bytes(verdicts)


@lru_cache(maxsize=1 << 17)
def _key(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
