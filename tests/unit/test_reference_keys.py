"""A meter's keys follow one another, belong to one account, and end with the meter."""

from __future__ import annotations

import pytest
from correction_world import LATER, key_of, meter_of, read_of, secret_of, sign_read
from reference_world import BUYER, DAY, SELLER
from test_reference_challenges import fresh, opened

from settlement.reference import errors


def test_a_former_key_signs_what_was_measured_in_its_time() -> None:
    day = fresh()
    new = secret_of(SELLER, 1)
    day.exchange.rotate_meter(LATER, meter_of(SELLER), *key_of(new), DAY + 1)
    with pytest.raises(errors.BadMeterKey):
        opened(day, window=1, wh=5)
    later = sign_read(read_of(SELLER, 1, 5, 2), new)
    day.exchange.challenge_reading(LATER, SELLER, day.challenge(SELLER, 1, 5, read=later))
    early = sign_read(read_of(SELLER, 0, 900, 2), new)
    with pytest.raises(errors.BadMeterKey):
        day.exchange.challenge_reading(LATER, SELLER, day.challenge(SELLER, 0, 900, read=early))
    opened(day)


def test_a_key_belongs_to_one_account() -> None:
    day = fresh()
    taken, another = key_of(secret_of(SELLER)), b"\x05" * 32
    with pytest.raises(errors.BadMeter):
        day.exchange.register_meter(LATER, another, BUYER, *taken)
    with pytest.raises(errors.BadMeter):
        day.exchange.rotate_meter(LATER, meter_of(BUYER), *taken, DAY)
    day.exchange.register_meter(LATER, another, SELLER, *taken)


def test_keys_follow_one_another_until_the_meter_is_revoked() -> None:
    day = fresh()
    meter = meter_of(SELLER)
    day.exchange.rotate_meter(LATER, meter, *key_of(secret_of(SELLER, 1)), DAY)
    with pytest.raises(errors.BadMeter):
        day.exchange.rotate_meter(LATER, meter, *key_of(secret_of(SELLER, 2)), DAY)
    with pytest.raises(errors.BadMeter):
        day.exchange.rotate_meter(LATER, meter, b"\x01" * 32, b"\x01" * 32, DAY + 1)
    day.exchange.revoke_meter(LATER, meter)
    with pytest.raises(errors.UnknownMeter):
        day.exchange.rotate_meter(LATER, meter, *key_of(secret_of(SELLER, 2)), DAY + 1)
    with pytest.raises(errors.BadMeterKey):
        opened(day)
