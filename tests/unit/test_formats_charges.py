"""PCDF, EDL40 and its kin, SAFE's XML: what is signed, what is not, and what can be billed."""

from __future__ import annotations

import base64
from decimal import Decimal

import charge_records
import pytest
from charge_records import (
    METER,
    OTHER,
    content,
    edl40,
    emh,
    emoc,
    info,
    isa,
    laid_out,
    mennekes,
    ocmf,
    pcdf,
    point,
    reading,
    safe,
    sign,
    value,
)  # fmt: skip

from oracle.errors import BadFormat
from oracle.formats import FORMATS, detect
from oracle.formats import edl40 as edl40_format
from oracle.formats import emh as emh_format
from oracle.formats import mennekes as mennekes_format
from oracle.formats import pcdf as pcdf_format
from oracle.formats import safe as safe_format
from oracle.formats.xml import root_of
from settlement.errors import InputError

EDL_KEY, P256 = point("secp192r1")[1:], point()


def states(records) -> list[tuple[str, bool]]:
    return [(record.verdict, record.billable) for record in records]


def test_a_pcdf_line_is_valid_by_its_own_key_or_the_caller_s() -> None:
    (record,) = pcdf_format.parse(pcdf() + b"\r\n")
    assert (record.verdict, record.billable, record.problems) == ("valid", True, ())
    assert record.reason == "the signature holds, by the file's own key"
    assert [(r.register, r.value, r.unit) for r in record.readings] == [("128.8.0", Decimal("3.276"), "kWh")]
    assert states(pcdf_format.parse(b"\x02" + pcdf() + b"\x03", info())) == [("valid", True)]
    assert states(pcdf_format.parse(pcdf(), info(keys=OTHER))) == [("invalid", False)]


def test_no_byte_of_a_pcdf_line_can_be_changed() -> None:
    line = pcdf()
    for place in range(len("128.8.0(S"), line.index(b"(SG:")):
        changed = bytearray(line)
        changed[place] ^= 1
        assert all(record.verdict == "invalid" for record in pcdf_format.parse(bytes(changed), info()))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"BV": "0"}, "must not be billed"),
        ({"TV": "0"}, "times are not valid"),
        ({"SP": "0"}, "not the last data"),
        ({"RV": "3.276*kWh"}, "field RV"),
        ({"RV": "0003.276*Wh"}, "field RV"),
        ({"ST": "261332100000"}, "no times"),
        ({"CT": "260601095959"}, "ends (CT) before"),
        ({"SI": "session"}, "field SI"),
    ],
)
def test_a_signed_line_that_the_rules_do_not_let_bill_is_valid_and_not_billable(fields, why) -> None:
    (record,) = pcdf_format.parse(pcdf(**fields))
    assert (record.verdict, record.billable) == ("valid", False)
    assert any(why in problem for problem in record.problems)


def test_a_line_without_signature_or_with_fields_after_it_is_invalid() -> None:
    line = pcdf()
    unsigned_line, after = line[: line.index(b"(SG:")], line + b"(RV:9999.999*kWh)"
    for changed in (unsigned_line, after, line[:-1], line.replace(b"(SG:", b"(SG:(")):
        assert [record.verdict for record in pcdf_format.parse(changed)] == ["invalid"]


@pytest.mark.parametrize(("made", "key"), [(edl40(), EDL_KEY), (emoc(), P256)], ids=["edl40", "emoc"])
def test_a_frame_is_valid_in_bytes_and_in_hexadecimal(made: bytes, key: bytes) -> None:
    for data in (made, made.hex().encode(), b" " + made.hex(" ").upper().encode() + b"\n"):
        (record,) = edl40_format.parse(data, key)
        assert (record.verdict, record.meter) == ("valid", METER.hex())
        assert [(r.value, r.unit) for r in record.readings] == [(Decimal("327.5"), "Wh")]
        assert record.problems == ("it is neither begin nor end of a transaction",)


@pytest.mark.parametrize("changed", ["value", "local", "status", "second", "page"])
def test_no_number_of_a_frame_can_be_changed(changed: str) -> None:
    signed = {"value": 3275, "local": 7200, "status": 8, "second": 729, "page": 33}
    payload = laid_out()
    made = edl40(payload, **{changed: signed[changed] + 1})
    assert edl40_format.parse(made, EDL_KEY)[0].reason == "the signature does not hold"


def test_the_contract_cannot_be_changed_and_another_key_does_not_verify() -> None:
    assert edl40_format.parse(edl40(laid_out(), contract=b"OTHER"), EDL_KEY)[0].verdict == "invalid"
    (record,) = edl40_format.parse(edl40(), info("secp192r1", OTHER))
    assert record.reason == "the signature does not hold"
    assert "no public key" in edl40_format.parse(edl40())[0].reason


def test_numbers_that_do_not_fit_what_is_signed_of_them_are_refused() -> None:
    beyond = edl40(laid_out(), local=7200 + (1 << 31)), edl40(laid_out(), value=-1)
    assert edl40_format.parse(beyond[0], EDL_KEY)[0].verdict == "invalid"
    assert "does not fit" in edl40_format.parse(beyond[1], EDL_KEY)[0].reason


def test_a_damaged_or_cut_frame_is_invalid_by_its_check_sum() -> None:
    made = bytearray(edl40())
    made[60] ^= 1
    assert "check sum" in edl40_format.parse(bytes(made), EDL_KEY)[0].reason
    assert "cut short" in edl40_format.parse(edl40()[:-3], EDL_KEY)[0].reason


def test_edl40p_holds_begin_and_end_and_can_be_billed_alone() -> None:
    (record,) = edl40_format.parse(isa(), P256)
    assert (record.verdict, record.billable, record.problems) == ("valid", True, ())
    assert [r.value for r in record.readings] == [Decimal("10.0"), Decimal("35.0")]
    (falling,) = edl40_format.parse(isa(start=400), P256)
    assert (falling.verdict, falling.billable) == ("valid", False)
    (other,) = edl40_format.parse(isa(unit=31), P256)
    assert other.problems == ("the unit is number 31, not 30 (Wh)",)


def test_mennekes_billing_is_two_valid_halves_of_a_charge() -> None:
    records = mennekes_format.parse(mennekes())
    assert states(records) == [("valid", True)] * 2
    assert [record.readings[0].value for record in records] == [Decimal("10.0"), Decimal("25.0")]
    assert states(mennekes_format.parse(mennekes(), info("secp192r1", OTHER))) == [("invalid", False)] * 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<Value>250<", "<Value>251<"),
        ("<Scaler>-1</Scaler><Pagination>26", "<Scaler>0</Scaler><Pagination>26"),
        ("02:01:40+02:00", "02:01:41+02:00"),
        ("<Pagination>26<", "<Pagination>27<"),
        ("<Value>250<", "<Value>-5<"),
        ("<Value>250<", "<Value>x<"),
    ],
)
def test_no_value_of_mennekes_billing_can_be_changed(old: str, new: str) -> None:
    begin, end = mennekes_format.parse(mennekes(old, new))
    assert (begin.verdict, begin.billable) == ("valid", False)
    assert end.verdict == "invalid"


def test_a_charging_process_without_its_end_is_invalid_and_not_billed() -> None:
    begin, end = mennekes_format.parse(mennekes("MeasurementEnd", "Elsewhere"))
    assert (begin.verdict, begin.billable, end.verdict) == ("valid", False, "invalid")
    assert begin.problems == ("its transaction has no end in this file",)


def test_charging_processes_of_one_billing_are_numbered_through_and_tied_each_by_itself() -> None:
    one = mennekes().decode()
    begin, end = one.index("<ChargingProcess>"), one.index("</Billing>")
    other = (
        mennekes("<MeasurementEnd>", "<Elsewhere>").replace(b"</MeasurementEnd>", b"</Elsewhere>").decode()
    )
    other = other[other.index("<ChargingProcess>") : other.index("</Billing>")]
    records = mennekes_format.parse((one[:begin] + other + one[begin:end] + "</Billing>").encode())
    assert [record.index for record in records] == [0, 1, 2, 3]
    assert [record.verdict for record in records] == ["valid", "invalid", "valid", "valid"]
    assert records[0].problems == ("its transaction has no end in this file",)


@pytest.mark.parametrize("code", ["8180817101ff", "810060080001", "0100011100ff"])
def test_a_frame_that_lacks_a_signed_value_is_invalid_and_names_it(code: str, monkeypatch) -> None:
    whole = charge_records.entry
    monkeypatch.setattr(
        charge_records,
        "entry",
        lambda name, *a, **k: whole("00af737672ff" if name == code else name, *a, **k),
    )
    (record,) = edl40_format.parse(edl40(), EDL_KEY)
    assert record.verdict == "invalid"
    assert "is missing or malformed" in record.reason


@pytest.mark.parametrize("name", [b"encodedMeterValue", b"meterValueSignature", b"signatureMethod"])
def test_emh_xml_without_one_of_its_parts_is_invalid(name: bytes) -> None:
    (record,) = emh_format.parse(emh().replace(name, b"elsewhere"))
    assert (record.verdict, record.billable) == ("invalid", False)


def test_emh_xml_verifies_the_bytes_that_it_brings() -> None:
    (record,) = emh_format.parse(emh())
    assert (record.verdict, record.meter) == ("valid", METER.hex())
    assert record.readings[0].value == Decimal("327.5")
    other = laid_out(value=3276, contract=b"\x01CONTRACT")
    assert emh_format.parse(emh(other, laid_out()))[0].verdict == "invalid"
    assert emh_format.parse(emh(laid_out(log=b"\0\x08")))[0].reason.startswith("the log book's index")


KEY = info().hex()
OCMF_HALVES = (
    ocmf(content(reading("B", 1), PG="T7")).decode(),
    ocmf(content(reading("E", 2, 9), PG="T8")).decode(),
)
BEGIN, END = "Transaction.Begin", "Transaction.End"


@pytest.mark.parametrize(
    ("begin", "end", "key", "name"),
    [
        (*OCMF_HALVES, KEY, "ocmf"),
        (*(half.encode().hex() for half in OCMF_HALVES), KEY, "ocmf"),
        (*(base64.b64encode(half.encode()).decode() for half in OCMF_HALVES), KEY, "ocmf"),
        (edl40().hex(" "), edl40(value=3300, local=7300, page=34).hex(), EDL_KEY.hex(), "edl40"),
        (emoc().hex(), emoc(contract=b"\x02CONTRACT", page=40).hex(), P256.hex(), "edl40"),
        (emh().decode(), emh(laid_out(page=40, contract=b"\x02CONTRACT")).decode(), "", "emh"),
    ],
    ids=["plain", "hex", "base64", "edl40", "emoc", "emh"],
)
def test_safe_ties_the_halves_of_a_charge_in_every_encoding(begin, end, key, name) -> None:
    made = safe(value(begin, key, BEGIN), value(end, key, END))
    records = safe_format.parse(made)
    assert states(records) == [("valid", True)] * 2
    assert [(record.index, record.format) for record in records] == [(0, name), (1, name)]
    assert all(record.reason == "the signature holds, by the file's own key" for record in records)


def test_in_safe_a_pcdf_line_stands_for_itself() -> None:
    assert states(safe_format.parse(safe(value(pcdf().decode())))) == [("valid", True)]


def test_the_caller_s_key_takes_the_place_of_the_file_s() -> None:
    made = safe(*(value(half, info(keys=OTHER).hex()) for half in OCMF_HALVES))
    assert states(safe_format.parse(made)) == [("invalid", False)] * 2
    assert states(safe_format.parse(made, info())) == [("valid", True)] * 2


def test_halves_of_different_transactions_are_no_charge() -> None:
    made = safe(*(value(half, KEY, transaction=str(at)) for at, half in enumerate(OCMF_HALVES)))
    assert states(safe_format.parse(made)) == [("valid", False)] * 2


@pytest.mark.parametrize(
    ("content_", "why"),
    [("", "no signed data"), ("hello", "of no known format"), ("1b" * 20, "of no known format")],
)
def test_a_value_that_cannot_be_read_is_invalid_and_says_why(content_: str, why: str) -> None:
    (record,) = safe_format.parse(safe(value(content_, KEY)))
    assert record.verdict == "invalid"
    assert why in record.reason


BOMB = (
    b'<!DOCTYPE values [<!ENTITY a "' + b"x" * 1000 + b'"><!ENTITY b "' + b"&a;" * 1000 + b'">]>'
    b"<values><value><signedData>&b;</signedData></value></values>"
)


@pytest.mark.parametrize(
    "data",
    [BOMB, b'<!DOCTYPE values SYSTEM "file:///etc/passwd"><values/>', b"<values>", b"<values/>", b"<value/>"],
)
def test_document_types_entities_and_broken_xml_are_refused(data: bytes) -> None:
    with pytest.raises(BadFormat):
        safe_format.parse(data)
    if b"DOCTYPE" in data:
        with pytest.raises(BadFormat):
            root_of(data, "safe")


@pytest.mark.parametrize("wanted", ["", "safe", "espi"])
@pytest.mark.parametrize("before", ["", '<?xml version="1.0"?>\n<!-- a comment -->\n'])
def test_a_document_type_is_said_to_be_the_reason(wanted: str, before: str) -> None:
    data = (before + '<!DOCTYPE v [<!ENTITY e "x">]><values><value/></values>').encode()
    with pytest.raises(InputError, match=r"document type \(DOCTYPE\), which is refused"):
        detect.records(data, "file", None, wanted)
    with pytest.raises(BadFormat, match="DOCTYPE"):
        root_of(data, "safe")


SAMPLES = {
    "ocmf": ocmf(), "pcdf": pcdf(), "edl40": edl40(), "mennekes": mennekes(), "emh": emh(),
    "safe": safe(value(OCMF_HALVES[0], KEY)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_is_found_to_be_of_its_own_format(name: str) -> None:
    assert next(module.NAME for module in FORMATS if module.recognises(SAMPLES[name])) == name
    assert detect.records(SAMPLES[name], "file")


def test_a_signature_says_nothing_of_another_payload() -> None:
    assert pcdf_format.parse(pcdf(sign(b"another")))[0].verdict == "invalid"
