"""P-256 as the reference verifies it is P-256 as a library does, with low `s` only."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.reference import p256

SECRETS = st.integers(1, p256.ORDER - 1)
MESSAGES = st.binary(max_size=60)
SETTINGS = settings(max_examples=25, deadline=None)


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def public(secret: int) -> tuple[int, int]:
    numbers = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x, numbers.y


def signed(secret: int, message: bytes) -> tuple[int, int]:
    """`r` and low `s`."""
    key = ec.derive_private_key(secret, ec.SECP256R1())
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r, min(s, p256.ORDER - s)


def verified(message: bytes, r: int, s: int, key: tuple[int, int]) -> bool:
    return p256.verify(message, *map(word, (r, s, *key)))


def by_library(message: bytes, r: int, s: int, key: tuple[int, int]) -> bool:
    public_key = ec.EllipticCurvePublicNumbers(*key, ec.SECP256R1()).public_key()
    try:
        public_key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@SETTINGS
@given(SECRETS, MESSAGES)
def test_what_a_key_signed_verifies_and_only_in_its_low_form(secret: int, message: bytes) -> None:
    (r, s), key = signed(secret, message), public(secret)
    assert verified(message, r, s, key)
    assert by_library(message, r, p256.ORDER - s, key)
    assert not verified(message, r, p256.ORDER - s, key)


@SETTINGS
@given(SECRETS, SECRETS, MESSAGES, MESSAGES, st.integers(1, p256.HIGHEST_S))
def test_the_library_and_the_reference_agree_on_what_is_no_signature(
    secret: int, other: int, message: bytes, another: bytes, number: int
) -> None:
    (r, s), key = signed(secret, message), public(secret)
    for case in (
        (another, r, s, key),
        (message, r, s, public(other)),
        (message, r, number, key),
        (message, number, s, key),
    ):
        assert verified(*case) == by_library(*case)


@SETTINGS
@given(SECRETS)
def test_a_multiple_of_the_generator_is_the_librarys_public_key(secret: int) -> None:
    assert p256.multiply(secret, p256.GENERATOR) == public(secret)


@pytest.mark.parametrize("number", [0, p256.ORDER, p256.ORDER + 1, 2**256 - 1])
def test_numbers_out_of_range_sign_nothing(number: int) -> None:
    (r, s), key = signed(7, b"message"), public(7)
    assert not verified(b"message", number, s, key)
    assert not verified(b"message", r, number, key)


@pytest.mark.parametrize(
    "key", [(0, 0), (p256.GENERATOR[0], p256.GENERATOR[1] + 1), (p256.GENERATOR[0] + p256.PRIME, 1)]
)
def test_a_key_off_the_curve_or_not_reduced_signs_nothing(key: tuple[int, int]) -> None:
    r, s = signed(1, b"message")
    assert not verified(b"message", r, s, (key[0] % 2**256, key[1]))


def test_a_signature_whose_point_is_at_infinity_is_none() -> None:
    """With s = -e d^-1 r ... the two multiples cancel: r d = -e modulo the order."""
    from hashlib import sha256

    message, secret = b"cancels", 5
    digest = int.from_bytes(sha256(message).digest(), "big")
    r = -digest * pow(secret, -1, p256.ORDER) % p256.ORDER
    assert not verified(message, r, 1, public(secret))


def test_the_group_has_its_order_and_its_neutral_element() -> None:
    g = p256.GENERATOR
    negative = (g[0], p256.PRIME - g[1])
    assert p256.multiply(p256.ORDER, g) is None
    assert p256.multiply(0, g) is None
    assert p256.add(g, negative) is None
    assert p256.add(None, g) == p256.add(g, None) == g
    assert p256.add(g, g) == p256.multiply(2, g) == public(2)
