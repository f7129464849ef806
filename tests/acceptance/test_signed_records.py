"""Signed records of real meters and chargers, against verdicts known otherwise.

OCMF verdicts were found with the OpenSSL command line, which verifies the payload's bytes; those of EDL40 and
its kin by laying out the signed bytes by hand. They run where the measurements are: in the folder that
`TRELLIS_DATA` names, or in `shared/data` beside the checkout. Nothing of them is copied here but names and
verdicts.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oracle.formats import curves, detect

DATA = Path(os.environ.get("TRELLIS_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
FOLDER = DATA / "raw" / "signed_ev_meter_values"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no measurements in {DATA}: set TRELLIS_DATA")

VALID, NOT_BILLED, INVALID = ("valid", True), ("valid", False), ("invalid", False)
EXPECTED = {
    # file: format, verdict and billable of each record
    "pcdf__BVinvalid.pcdf": ("pcdf", [NOT_BILLED]),
    "pcdf__DataInvalid.pcdf": ("pcdf", [INVALID]),
    "pcdf__SIGinvalid.pcdf": ("pcdf", [INVALID]),
    "pcdf__valid.pcdf": ("pcdf", [VALID]),
    "pcdf__valid2.pcdf": ("pcdf", [VALID]),
    "pyocmf_base64_ocmf.xml": ("ocmf", [VALID]),
    "pyocmf_working_ocmf.xml": ("ocmf", [VALID]),
    "xml__20211007-device-with-evt-ocmf-sss-ses.xml": ("ocmf", [NOT_BILLED, NOT_BILLED]),
    "xml__VW_OCMF_load.xml": ("ocmf", [VALID]),
    "xml__brainpoolP256r1.xml": ("ocmf", [VALID, VALID]),
    "xml__edl-40-01.xml": ("edl40", [NOT_BILLED]),
    "xml__edl-40-03.xml": ("edl40", [NOT_BILLED]),
    "xml__emh-emoc__NewEHZSML.xml": ("edl40", [VALID, VALID]),
    "xml__emh-emoc__NewEHZXML.xml": ("emh", [VALID, VALID]),
    "xml__isa-edl-40p-data-fail.xml": ("edl40", [INVALID]),
    "xml__isa-edl-40p-ok.xml": ("edl40", [VALID]),
    "xml__isa-edl-40p-sign-fail.xml": ("edl40", [INVALID]),  # its key is off the curve
    "xml__isa-edl-40p-veri-fail.xml": (
        "edl40",
        [VALID],
    ),  # data and key are those of the one above that is ok
    "xml__isa-ocmf__OCMF-receipt-template.xml": ("safe", [INVALID]),
    "xml__isa-ocmf__OCMF-receipt-template_with_publickey.xml": ("safe", [INVALID]),
    "xml__isa-ocmf__OCMF-receipt-with_publickey_and_data.xml": ("ocmf", [NOT_BILLED]),
    "xml__measurements.xml": ("ocmf", [NOT_BILLED] * 21),  # clocks that are not set
    "xml__nistP384_0Wh.xml": ("ocmf", [VALID, VALID]),
    "xml__ocmf_tariff_1.xml": ("ocmf", [NOT_BILLED]),
    "xml__second_key_fail_ocmf.xml": ("ocmf", [NOT_BILLED, INVALID]),
    "xml__test_mennekes_full.xml": ("mennekes", [VALID, VALID]),
    "xml__test_ocmf_ebee_02.xml": ("ocmf", [INVALID, NOT_BILLED]),
    "xml__test_ocmf_keba_kcp30.xml": ("ocmf", [VALID]),
    "xml__test_ocmf_keba_kcp30_fail.xml": ("ocmf", [INVALID]),
    "xml__test_ocmf_transaction_two_values.xml": ("ocmf", [INVALID, INVALID]),  # secp192k1
}


def judged(name: str, key: bytes | None = None):
    return detect.records(detect.content(FOLDER / name), name, key)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_record_of_a_file_has_its_verdict(name: str) -> None:
    format_, expected = EXPECTED[name]
    records = judged(name)
    assert [(record.verdict, record.billable) for record in records] == expected
    assert {record.format for record in records} == {format_}


def test_every_file_is_expected() -> None:
    there = {path.name for path in FOLDER.iterdir() if path.suffix in (".xml", ".pcdf")}
    assert there == set(EXPECTED)


def test_a_curve_that_is_not_supported_is_named() -> None:
    for record in judged("xml__test_ocmf_transaction_two_values.xml"):
        assert record.reason == "the curve secp192k1 is not supported"


@pytest.mark.parametrize(
    "name", [n for n, (_, found) in EXPECTED.items() if "valid" in {v for v, _ in found}]
)
def test_no_record_holds_under_a_stranger_s_key(name: str) -> None:
    key = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert {record.verdict for record in judged(name, point)} == {"invalid"}


VECTORS = DATA / "vectors" / "ocmf.json"


def test_the_signed_vectors_have_their_verdicts() -> None:
    for vector in json.loads(VECTORS.read_text()):
        key = curves.key_bytes(vector["publicKey"])
        (record,) = detect.records(vector["signedData"].encode(), vector["file"], key)
        assert (record.verdict == "valid") == vector["valid"], vector["file"]
