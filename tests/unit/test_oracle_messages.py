"""The meter message: its bytes, its bounds, its signature."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.errors import BadMessage, BadMeterKey
from oracle.messages import (
    MESSAGE_BYTES,
    P256_ORDER,
    WINDOW_LENGTHS_S,
    Reading,
    decode,
    encode,
    meter_id,
    normalise,
    private_key,
    public_point,
    sign,
    verify,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "meter.json").read_text())
KEY = private_key(1)
READING = Reading(meter_id("TEST-1"), 1, 3600, 415944, 1234, 7)

readings = st.builds(
    Reading,
    meter_id=st.binary(min_size=32, max_size=32),
    register=st.sampled_from((1, 2)),
    window_length_s=st.sampled_from(WINDOW_LENGTHS_S),
    window_index=st.integers(0, 2**32 - 1),
    wh=st.integers(0, 2**32 - 1),
    sequence=st.integers(0, 2**64 - 1),
)


def high_s(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + (P256_ORDER - s).to_bytes(32, "big")


@given(readings)
def test_a_reading_survives_its_encoding(reading: Reading) -> None:
    assert len(encode(reading)) == MESSAGE_BYTES
    assert decode(encode(reading)) == reading


@given(st.binary(max_size=80) | st.binary(min_size=MESSAGE_BYTES, max_size=MESSAGE_BYTES))
def test_decoding_random_bytes_gives_that_reading_or_bad_message(data: bytes) -> None:
    try:
        reading = decode(data)
    except BadMessage:
        return
    assert encode(reading) == data


@given(readings, st.integers(0, MESSAGE_BYTES - 1), st.integers(1, 255))
def test_decoding_one_changed_byte_gives_another_reading_or_bad_message(reading, at, change) -> None:
    data = bytearray(encode(reading))
    data[at] ^= change
    with contextlib.suppress(BadMessage):
        assert decode(bytes(data)) != reading


@pytest.mark.parametrize(
    "change",
    [
        {"meter_id": bytes(31)},
        {"register": 0},
        {"register": 3},
        {"window_length_s": 0},
        {"window_length_s": 60},
        {"window_length_s": 65536},
        {"window_index": -1},
        {"window_index": 2**32},
        {"wh": -1},
        {"wh": 2**32},
        {"sequence": -1},
        {"sequence": 2**64},
    ],
)
def test_a_field_out_of_range_is_refused(change: dict) -> None:
    fields = {name: getattr(READING, name) for name in Reading.__dataclass_fields__}
    with pytest.raises(BadMessage) as caught:
        Reading(**fields | change)
    assert caught.value.offender == change.get("meter_id", READING.meter_id)


@pytest.mark.parametrize(
    "data", [b"", encode(READING)[:-1], encode(READING) + b"\x00", b"\x02" + encode(READING)[1:]]
)
def test_another_length_or_version_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(data)


def test_a_signature_verifies_in_either_half_and_is_normalised_to_the_lower() -> None:
    signed = sign(READING, KEY)
    flipped = high_s(signed.signature)
    assert flipped != signed.signature
    assert verify(signed.message, signed.signature, KEY.public_key())
    assert verify(signed.message, flipped, KEY.public_key())
    assert normalise(flipped) == normalise(signed.signature) == signed.signature


@given(st.integers(0, MESSAGE_BYTES + 63), st.integers(0, 7))
def test_any_flipped_bit_of_message_or_signature_is_refused(byte: int, bit: int) -> None:
    signed = sign(READING, KEY)
    data = bytearray(signed.message + signed.signature)
    data[byte] ^= 1 << bit
    assert not verify(bytes(data[:MESSAGE_BYTES]), bytes(data[MESSAGE_BYTES:]), KEY.public_key())


@given(st.binary(max_size=80) | st.binary(min_size=64, max_size=64))
def test_random_bytes_are_no_signature(data: bytes) -> None:
    assert not verify(encode(READING), data, KEY.public_key())


@pytest.mark.parametrize(
    ("r", "s"), [(0, 1), (1, 0), (0, 0), (P256_ORDER, 1), (1, P256_ORDER), (2**256 - 1, 2**256 - 1)]
)
def test_scalars_outside_the_order_are_no_signature(r: int, s: int) -> None:
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert not verify(encode(READING), signature, KEY.public_key())
    assert len(normalise(signature)) == 64


def test_r_or_s_plus_the_order_is_refused() -> None:
    signed = sign(READING, KEY)
    r, s = int.from_bytes(signed.signature[:32], "big"), int.from_bytes(signed.signature[32:], "big")
    for other in ((r + P256_ORDER, s), (r, s + P256_ORDER)):
        if max(other) < 2**256:
            raw = other[0].to_bytes(32, "big") + other[1].to_bytes(32, "big")
            assert not verify(signed.message, raw, KEY.public_key())


def test_the_known_answer_of_rfc_6979_verifies_and_normalises() -> None:
    """A.2.5, P-256 with SHA-256 over "sample"; its `s` happens to lie in the upper half."""
    key = private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721)
    signature = bytes.fromhex(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )
    assert f"{public_point(key)[0]:X}" == "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    assert normalise(signature) == high_s(signature)
    assert verify(b"sample", signature, key.public_key())
    assert verify(b"sample", normalise(signature), key.public_key())
    assert not verify(b"test", signature, key.public_key())


def test_another_meters_key_does_not_verify() -> None:
    signed = sign(READING, KEY)
    assert not verify(signed.message, signed.signature, private_key(2).public_key())


@pytest.mark.parametrize("secret", [0, P256_ORDER, -1])
def test_a_scalar_that_is_no_key_is_refused(secret: int) -> None:
    with pytest.raises(BadMeterKey):
        private_key(secret)


@pytest.mark.parametrize("vector", VECTORS["readings"], ids=lambda v: v["name"])
def test_the_shared_vectors_hold(vector: dict) -> None:
    key = private_key(int(vector["privateKey"], 16))
    reading = Reading(
        meter_id(vector["serial"]),
        vector["register"],
        vector["windowLength"],
        vector["windowIndex"],
        int(vector["wh"]),
        int(vector["sequence"]),
    )
    signed = sign(reading, key)
    assert [f"0x{c:064x}" for c in public_point(key)] == [vector["publicX"], vector["publicY"]]
    assert "0x" + reading.meter_id.hex() == vector["meterId"]
    assert "0x" + signed.message.hex() == vector["message"]
    assert "0x" + signed.signature.hex() == vector["signature"]
    assert verify(signed.message, bytes.fromhex(vector["signatureHighS"][2:]), key.public_key())
