"""What the Exchange tells of session keys, typed as in `settlement/chain/events.py`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyGranted:
    account: bytes
    key: bytes
    zone: int
    kinds: int
    max_wh_per_window: int
    max_spend_nano_per_day: int
    expiry: int


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    account: bytes
    key: bytes
