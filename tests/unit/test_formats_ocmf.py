"""OCMF records: signatures over the bytes as they stand, every curve and spelling of keys, billing rules."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import pytest
from charge_records import KEYS, OTHER, content, info, mirrored, ocmf, point, raw, reading, sign
from cryptography.hazmat.primitives import serialization

from oracle.errors import BadFormat
from oracle.formats import curves
from oracle.formats import ocmf as format_
from oracle.formats.curves import CURVES


def only(data: bytes, key: bytes | None = None):
    (record,) = format_.parse(data, info() if key is None else key)
    return record


def problems(*readings, **more) -> tuple[str, ...]:
    record = only(ocmf(content(*readings, **more)))
    assert record.verdict == "valid"
    assert record.billable == (not record.problems)
    return record.problems


def test_a_charge_with_begin_and_end_is_valid_billable_and_read_exactly() -> None:
    record = only(ocmf(content(reading("B", 12.5), reading("E", 13.25, 30))))
    assert (record.verdict, record.reason, record.billable) == ("valid", "the signature holds", True)
    assert [(r.register, r.value, r.unit, r.time_ns, r.status) for r in record.readings] == [
        ("1-0:1.8.0", Decimal("12.5"), "kWh", 1780300800 * 10**9, "S BG"),
        ("1-0:1.8.0", Decimal("13.25"), "kWh", 1780300830 * 10**9, "S EG"),
    ]
    assert record.meter == "M1"


@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_verifies_in_der_and_as_r_and_s_with_either_spelling_of_the_key(curve: str) -> None:
    payload = json.dumps(content()).encode()
    der = sign(payload, curve)
    for signature in (der, raw(der, curve)):
        for key in (info(curve), point(curve), point(curve)[1:]):
            assert only(ocmf(payload, curve, signature), key).verdict == "valid"


@pytest.mark.parametrize("curve", CURVES)
def test_another_key_of_the_curve_does_not_verify(curve: str) -> None:
    record = only(ocmf(curve=curve), info(curve, OTHER))
    assert (record.verdict, record.reason, record.billable) == (
        "invalid",
        "the signature does not hold",
        False,
    )


@pytest.mark.parametrize("curve", ["secp256r1", "secp256k1"])
@pytest.mark.parametrize("high", [True, False])
def test_s_above_half_the_order_is_as_good_as_below(curve: str, high: bool) -> None:
    payload = json.dumps(content()).encode()
    signature = mirrored(sign(payload, curve), curve, high)
    assert only(ocmf(payload, curve, signature), info(curve)).verdict == "valid"


def test_the_payload_is_verified_as_it_stands_blanks_included() -> None:
    spaced = json.dumps(content(), indent=2).encode().replace(b"\n", b" \r\n")
    record = ocmf(spaced)
    assert only(record).verdict == "valid"
    assert only(record.replace(b" \r\n", b"\n", 1)).verdict == "invalid"


CHANGES = [(name, {name: "other"}) for name in ("FV", "GS", "MS", "PG", "IS", "RD")]


@pytest.mark.parametrize(("name", "changed"), CHANGES, ids=[name for name, _ in CHANGES])
def test_no_field_of_the_payload_can_be_changed(name: str, changed: dict) -> None:
    signature = sign(json.dumps(content()).encode())
    assert only(ocmf(content() | changed, signature=signature)).verdict == "invalid"


@pytest.mark.parametrize("field", list(reading("B", 1)))
def test_no_field_of_a_reading_can_be_changed(field: str) -> None:
    body = content()
    signature = sign(json.dumps(body).encode())
    body["RD"][0][field] = 1
    assert only(ocmf(body, signature=signature)).reason == "the signature does not hold"


def test_every_bit_of_the_payload_counts() -> None:
    record = ocmf()
    end = record.rindex(b"|")
    for place in range(len(b"OCMF|"), end):
        changed = bytearray(record)
        changed[place] ^= 1
        assert only(bytes(changed)).verdict == "invalid"


def test_a_missing_key_is_invalid_and_said() -> None:
    (record,) = format_.parse(ocmf())
    assert record.verdict == "invalid"
    assert "no public key" in record.reason


@pytest.mark.parametrize("curve", ["secp192k1", "brainpoolP320r1", "frp256v1"])
def test_a_curve_that_is_not_supported_is_invalid_by_its_name(curve: str) -> None:
    record = only(ocmf(SA=f"ECDSA-{curve}-SHA256"))
    assert (record.verdict, record.reason) == ("invalid", f"the curve {curve} is not supported")


def test_a_key_on_a_curve_that_is_not_supported_is_named_by_its_identifier() -> None:
    key = bytes.fromhex("3046301006072a8648ce3d020106052b8104001f033200") + b"\x04" + bytes(48)
    assert curves.fault(b"", b"", key) == "the curve secp192k1 is not supported"


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"SA": "RSA-2048-SHA256"}, "signature algorithm"),
        ({"SA": "ECDSA-secp256r1-SHA1"}, "signature algorithm"),
        ({"SA": []}, "signature algorithm"),
        ({"SA": "ECDSA-secp256k1-SHA256"}, "the key is on the curve secp256r1"),
        ({"SE": "rot13"}, "encoding"),
        ({"SM": "text/plain"}, "encoding"),
        ({"SD": "xyz"}, "hexadecimal"),
        ({"SD": ""}, "missing"),
        ({"SD": None}, "missing"),
        ({"SD": "00" * 63}, "neither DER nor"),
        ({"SD": "00" * 64}, "does not hold"),
    ],
)
def test_what_the_signature_section_says_wrongly_is_said(section: dict, why: str) -> None:
    record = only(ocmf(**section))
    assert record.verdict == "invalid"
    assert why in record.reason


def test_the_defaults_of_the_signature_section_are_p256_sha256_hexadecimal_der() -> None:
    payload = json.dumps(content()).encode()
    bare = b"OCMF|" + payload + b'|{"SD":"' + sign(payload).hex().encode() + b'"}'
    assert only(bare).verdict == "valid"
    coded = base64.b64encode(sign(payload)).decode()
    assert only(ocmf(payload, SD=coded, SE="base64")).verdict == "valid"


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"OCMF|{}", "two pipes"),
        (b"OCMF|{}|{}|{}", "two pipes"),
        (b"OCMF|{}|{", "the signature section is no JSON"),
        (b"OCMF|[]|{}", "the payload section is no JSON object"),
        (b"OCMF|\xff|{}", "the payload section is no JSON"),
        (b'OCMF|{"RV":NaN}|{}', "the payload section has the number NaN"),
        (b'OCMF|{"RV":1,"RV":2}|{}', "the payload section names a field twice"),
        (b"OCMF|" + b"[" * 100_000 + b"|{}", "the payload section is no JSON"),
        (b'OCMF|{"RV":' + b"9" * 10_000 + b"}|{}", "the payload section is no JSON"),
    ],
)
def test_a_malformed_record_is_invalid_and_says_where(record: bytes, why: str) -> None:
    assert why in only(record).reason


def test_what_does_not_open_with_the_header_is_not_the_format() -> None:
    with pytest.raises(BadFormat):
        format_.parse(b"{}")
    assert not format_.recognises(b"ocmf|{}|{}")


RULES = [
    ({"ST": "M"}, "manipulation was detected"),
    ({"ST": "E"}, "the meter reports an error"),
    ({"ST": "?"}, "none of OCMF's"),
    ({"EF": "E"}, "error flags (EF) 'E'"),
    ({"EF": "t"}, "error flags (EF) 't'"),
    ({"TM": "2026-06-01T10:00:30,000+0200 U"}, "clock is not set"),
    ({"TM": "2026-06-01"}, "its time (TM) is none"),
    ({"RU": "mOhm"}, "is none of energy"),
    ({"RI": ""}, "names no register"),
    ({"RV": "many"}, "its value (RV) is no number"),
    ({"RV": 1e300}, "its value (RV) is no number"),
    ({"RV": True}, "its value (RV) is no number"),
    ({"CL": -1}, "compensated loss"),
    ({"RV": 12.4}, "falls from 12.5 to 12.4 kWh"),
    ({"RU": "Wh"}, "begins in kWh and ends in Wh"),
    ({"RI": "1-0:2.8.0"}, "register 1-0:1.8.0 has 1 begin and 0 end readings"),
    ({"TM": "2026-06-01T09:59:59,000+0200 S"}, "ends before it begins"),
    ({"TX": "X"}, "an exception"),
    ({"TX": "C"}, "has no end"),
    ({"TX": "B"}, "has no end"),
]


@pytest.mark.parametrize(("changed", "why"), RULES, ids=[why for _, why in RULES])
def test_a_broken_rule_is_a_problem_and_keeps_the_charge_from_being_billed(changed: dict, why: str) -> None:
    found = problems(reading("B", 12.5), reading("E", 13.25, 30, **changed))
    assert any(why in problem for problem in found), found


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"GS": "", "MS": ""}, "no serial number"),
        ({"PG": "X1"}, "no page"),
        ({"IL": "MISMATCH"}, "identification failed"),
        ({"RD": []}, "no list"),
        ({"RD": [1]}, "no object"),
    ],
)
def test_a_record_without_what_ties_it_to_a_meter_is_not_billed(more: dict, why: str) -> None:
    assert any(why in problem for problem in problems(**more))


@pytest.mark.parametrize("reason", list("ELRAP"))
def test_every_reason_to_end_ends_a_charge(reason: str) -> None:
    assert problems(reading("B", 1), reading("C", 1.5, 1), reading("S", 2, 2), reading(reason, 2, 3)) == ()


def test_losses_that_start_at_nothing_and_grow_can_be_billed_and_no_others() -> None:
    assert problems(reading("B", 1, CL=0), reading("E", 2, 9, CL=0.5)) == ()
    assert "reading 0: compensated loss (CL) of 0.5" in problems(reading("B", 1, CL=0.5), reading("E", 2, 9))
    assert "reading 1: its loss (CL) is no number" in problems(reading("B", 1), reading("E", 2, 9, CL="much"))


@pytest.mark.parametrize("clock", "ISR")
def test_an_informative_clock_is_enough(clock: str) -> None:
    time = {"TM": f"2026-06-01T10:00:30,000+0200 {clock}"}
    assert problems(reading("B", 1, **time), reading("E", 2, **time)) == ()


def test_fields_left_out_are_those_of_the_reading_before() -> None:
    end = {name: value for name, value in reading("E", 2, 30).items() if name in ("TM", "TX", "RV")}
    back = {"RV": 4, "RI": "1-0:2.8.0"}
    assert problems(reading("B", 1), back, end | {"RI": "1-0:1.8.0"}, back) == ()


def test_padded_and_quoted_values_and_registers_are_read() -> None:
    odd = {"RI": "01-00:01.08.00.FF"}
    (begin, _) = only(
        ocmf(content(reading("B", "       9.038", **odd), reading("E", "1.6e7", **odd)))
    ).readings
    assert (begin.register, begin.value) == ("1-0:1.8.0", Decimal("9.038"))


@pytest.mark.parametrize(
    ("register", "billed"),
    [
        ("1-0:1.8.0", True), ("1-b:2.8.0", True), ("1-0:21.8.0", True), ("01-00:98.08.00.FF", True),
        ("01-00:B2.08.00.FF", True), ("1-0:15.8.0", True),
        ("1-b:3.8.0", False), ("1-0:4.8.1", False), ("01-00:05.08.00.FF", False), ("1-0:9.8.0", False),
        ("1-0:23.8.0", False), ("1-0:63.8.0", False),
    ],
)  # fmt: skip
def test_only_active_energy_is_billed(register: str, billed: bool) -> None:
    found = problems(reading("B", 1, RI=register), reading("E", 2, 30, RI=register))
    assert (found == ()) == billed
    assert billed or all("is of reactive or apparent energy" in problem for problem in found)


@pytest.mark.parametrize("reason", "CTS")
@pytest.mark.parametrize(
    ("between", "why"),
    [
        (reading("C", 5, 1), "register 1-0:1.8.0 falls from 5 to 2 kWh"),
        (reading("C", 0.5, 1), "register 1-0:1.8.0 falls from 1 to 0.5 kWh"),
        (reading("C", 1500, 1, RU="Wh"), "begins in kWh and ends in Wh"),
        (reading("C", 1.5, 59), "goes back in time"),
    ],
)
def test_a_register_runs_forward_over_every_reading_between_begin_and_end(
    reason: str, between: dict, why: str
) -> None:
    read = between | {"TX": reason}
    found = problems(reading("B", 1), read, reading("E", 2, 30))
    assert any(why in problem for problem in found), found


def test_what_lies_between_the_halves_of_two_records_must_run_forward_too() -> None:
    begin, end = content(reading("B", 1), reading("C", 5, 1), PG="T7"), content(reading("E", 2, 9), PG="T8")
    found = halves(begin, end)
    assert not any(record.billable for record in found)
    assert "register 1-0:1.8.0 falls from 5 to 2 kWh" in found[0].problems


@pytest.mark.parametrize("reason", "CTS")
def test_an_interim_reading_by_itself_is_not_billed(reason: str) -> None:
    assert problems(reading(reason, 1)) == ("it is neither begin nor end of a transaction",)


def halves(begin: dict, end: dict) -> list:
    return format_.parse(ocmf(begin) + b"\n" + ocmf(end) + b"\n", info())


def test_begin_and_end_in_two_records_are_one_charge() -> None:
    found = halves(content(reading("B", 1), PG="T7"), content(reading("E", 2, 9), PG="T8"))
    assert [(r.index, r.verdict, r.billable, r.problems) for r in found] == [
        (0, "valid", True, ()),
        (1, "valid", True, ()),
    ]


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ({"MS": "M2"}, "its transaction has no end in this file"),
        ({"PG": "T7"}, "pages count upwards"),
        ({"IL": "INVALID"}, "the other half of its transaction, record 1, has problems"),
    ],
)
def test_halves_that_do_not_belong_together_are_no_charge(end: dict, why: str) -> None:
    found = halves(content(reading("B", 1), PG="T7"), content(reading("E", 2, 9), **({"PG": "T8"} | end)))
    assert not any(record.billable for record in found)
    assert any(why in problem for problem in found[0].problems)


def test_a_record_that_comes_again_is_billed_once() -> None:
    first, again = format_.parse(ocmf() + b"\n" + ocmf(), info())
    assert (first.billable, again.verdict, again.billable) == (True, "valid", False)
    assert again.problems == ("page 7 of the meter came already, in record 0",)


def test_the_half_of_a_forged_record_is_not_billed() -> None:
    begin = ocmf(content(reading("B", 1), PG="T7"))
    end = ocmf(content(reading("E", 2, 9), PG="T8")).replace(b'"RV": 2', b'"RV": 9')
    first, second = format_.parse(begin + b"\r\n" + end, info())
    assert (first.verdict, second.verdict) == ("valid", "invalid")
    assert first.problems == ("the other half of its transaction, record 1, is invalid",)


@pytest.mark.parametrize("curve", CURVES)
def test_keys_are_read_from_pem_hexadecimal_and_base64(curve: str) -> None:
    pem = KEYS[curve].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    key = info(curve)
    spaced = " ".join(key.hex()[at : at + 4] for at in range(0, 2 * len(key), 4))
    for text in (pem.decode(), key.hex(), spaced.upper(), "0x" + key.hex(), base64.b64encode(key).decode()):
        assert curves.key_bytes(text) == key


@pytest.mark.parametrize(
    "key", [b"", b"\x04", b"\x04" + bytes(64), bytes(64), b"\x30\x03\x02\x01\x05", b"x" * 65]
)
def test_what_is_no_key_is_said_to_be_none(key: bytes) -> None:
    assert "is no point of" in curves.fault(b"payload", sign(b"payload"), key, "secp256r1")
