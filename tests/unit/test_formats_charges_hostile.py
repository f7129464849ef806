"""Hostile charge records: any bytes are judged or refused, soon, in bounds, and never taken for signed."""

from __future__ import annotations

import contextlib
import time
import tracemalloc

import pytest
from charge_records import (
    content,
    edl40,
    emh,
    emoc,
    info,
    isa,
    mennekes,
    ocmf,
    pcdf,
    point,
    reading,
    safe,
    value,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats_hostile import edited, edits

from oracle.errors import BadFormat, UnknownFormat
from oracle.formats import detect
from oracle.formats import edl40 as edl40_format
from oracle.formats import emh as emh_format
from oracle.formats import mennekes as mennekes_format
from oracle.formats import ocmf as ocmf_format
from oracle.formats import pcdf as pcdf_format
from oracle.formats import safe as safe_format
from oracle.formats.record import Record

KEY = info()
EDL_KEY = point("secp192r1")
HALVES = (content(reading("B", 1), PG="T7"), content(reading("E", 2, 9), PG="T8"))
SAMPLES = [
    (ocmf_format, ocmf(), KEY),
    (ocmf_format, b"\n".join(ocmf(half) for half in HALVES), KEY),
    (pcdf_format, pcdf() + b"\r\n" + pcdf(TV="0"), KEY),
    (edl40_format, edl40(), EDL_KEY),
    (edl40_format, emoc().hex().encode(), KEY),
    (edl40_format, isa(), KEY),
    (mennekes_format, mennekes(), None),
    (emh_format, emh(), None),
    (safe_format, safe(value(ocmf().decode(), KEY.hex()), value(edl40().hex(), EDL_KEY.hex())), None),
]
NAMES = [f"{module.NAME}-{number}" for number, (module, _, _) in enumerate(SAMPLES)]
INNER = {"safe": {"safe", "ocmf", "edl40", "emh", "pcdf"}}


def judge(module, data: bytes, key: bytes | None) -> list[Record]:
    """Its records, with what holds of all records; none where it refuses."""
    assert module.recognises(data) in (True, False)
    try:
        records = module.parse(data, key)
    except BadFormat:
        return []
    assert [record.index for record in records] == list(range(len(records)))
    for record in records:
        assert record.format in INNER.get(module.NAME, {module.NAME})
        assert record.reason
        assert record.billable == (record.verdict == "valid" and not record.problems)
        assert all(reading.value.is_finite() for reading in record.readings)
    return records


@pytest.mark.parametrize("module", dict.fromkeys(module for module, _, _ in SAMPLES), ids=lambda m: m.NAME)
@settings(deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_records_or_no_such_format(module, data: bytes) -> None:
    judge(module, data, KEY)


@pytest.mark.parametrize(("module", "sample", "key"), SAMPLES, ids=NAMES)
@settings(deadline=None)
@given(changes=edits)
def test_what_is_still_valid_after_damage_says_what_was_signed(module, sample, key, changes) -> None:
    signed = {str(record.readings) for record in judge(module, sample, key) if record.verdict == "valid"}
    assert signed
    for record in judge(module, edited(sample, changes), key):
        assert record.verdict != "valid" or str(record.readings) in signed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["TM", "TX", "RV", "CL"]), inner)
    ),
    max_leaves=6,
)
FIELDS = ["FV", "GS", "MS", "PG", "IL", "RD"]
READING = ["TM", "TX", "RV", "RI", "RU", "EF", "ST", "CL"]


@settings(deadline=None)
@given(
    top=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3),
    inner=st.dictionaries(st.sampled_from(READING), json_values, max_size=3),
)
def test_whatever_is_signed_as_ocmf_is_judged(top, inner) -> None:
    body = content(reading("B", 1), reading("E", 2, 9) | inner) | top
    (record,) = judge(ocmf_format, ocmf(body), KEY)
    assert record.verdict in ("valid", "invalid")


@settings(deadline=None)
@given(key=st.binary(max_size=120), signature=st.binary(max_size=120))
def test_no_key_and_no_signature_of_chance_verifies(key: bytes, signature: bytes) -> None:
    (record,) = judge(ocmf_format, ocmf(signature=signature), key)
    assert record.verdict == "invalid"


SIZE = 1 << 18
FLOODS = [
    (ocmf_format, b"OCMF|", b"\nOCMF|"),
    (ocmf_format, b"OCMF|", b"|"),
    (ocmf_format, b"OCMF|", b"["),
    (ocmf_format, b"OCMF|{}|{}", b"\nOCMF|{}|{}"),
    (ocmf_format, b'OCMF|{"RD":[{}', b",{}"),
    (pcdf_format, b"128.8.0(A", b"128.8.0(A"),
    (pcdf_format, b"128.8.0(AA:x)", b"(AA:x)"),
    (pcdf_format, b"128.8.0(AA:", b"("),
    (edl40_format, b"1b1b1b1b01010101", b"8182815401ff"),
    (safe_format, b"<values>", b"<value>"),
    (safe_format, b"<values>", b"<value/>"),
    (safe_format, b"<values><value><signedData>", b"41"),
    (safe_format, b"<!--", b"-"),
    (safe_format, b"<!--", b"--><!--"),
    (mennekes_format, b"<Billing>", b"<ChargingProcess/>"),
    (emh_format, b"<signedMeterValue><encodedMeterValue>", b"A"),
]


@pytest.mark.parametrize(
    ("module", "opening", "flood"), FLOODS, ids=[f"{m.NAME}-{n}" for n, (m, _, _) in enumerate(FLOODS)]
)
def test_a_quarter_of_a_mebibyte_of_the_same_is_judged_in_seconds_and_bounded_memory(
    module, opening: bytes, flood: bytes
) -> None:
    closing = {b"<value/>": b"</values>", b"<ChargingProcess/>": b"</Billing>"}.get(flood, b"")
    begun = time.process_time()
    judge(module, opening + flood * (SIZE // len(flood)) + closing, KEY)
    assert time.process_time() - begun < 5
    tracemalloc.start()
    judge(module, opening + flood * (SIZE // 4 // len(flood)) + closing, KEY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 * SIZE // 4


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_a_file_of_chance_is_judged_or_unknown(data: bytes) -> None:
    with contextlib.suppress(UnknownFormat):
        assert all(record.reason for record in detect.records(data, "file"))
