"""`trellis meter verify`: exit codes, the JSON promised, keys in every spelling, files within bounds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from charge_records import KEYS, OTHER, content, info, ocmf, pcdf, point, reading, safe, value
from cryptography.hazmat.primitives import serialization

from oracle.formats import detect
from settlement import cli


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def run(data: bytes, *options: str, name: str = "records") -> tuple[int, str, str]:
        path = tmp_path / name
        path.write_bytes(data)
        code = cli.main(["meter", "verify", str(path), *options])
        return code, *capsys.readouterr()

    return run


def test_the_json_has_the_promised_fields_and_no_others(verify) -> None:
    code, out, _ = verify(ocmf(), "--public-key", info().hex(), "--json")
    assert code == 0
    assert json.loads(out) == {
        "records": [
            {
                "index": 0,
                "format": "ocmf",
                "verdict": "valid",
                "reason": "the signature holds",
                "billable": True,
                "problems": [],
            }
        ]
    }


PEM = KEYS["secp256r1"].public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip


def test_a_key_is_hexadecimal_or_a_pem_file(verify, tmp_path: Path) -> None:
    pem = tmp_path / "meter.pem"
    pem.write_bytes(PEM)
    for key in (info().hex(), info().hex().upper(), point().hex(), point()[1:].hex(), str(pem)):
        assert verify(ocmf(), "--public-key", key)[0] == 0
    assert verify(ocmf(), "--public-key", info(keys=OTHER).hex())[0] == 1


def test_a_key_that_is_neither_is_bad_usage_and_named(verify) -> None:
    code, _, err = verify(ocmf(), "--public-key", "no-such.pem")
    assert code == 2
    assert "no-such.pem is no public key" in err
    assert verify(ocmf(), "--public-key", "")[0] == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pcdf(), 0),
        (pcdf(BV="0"), 1),
        (ocmf(), 1),
        (ocmf(content(reading("C", 1))), 1),
        (safe(value(ocmf().decode(), info().hex())), 0),
        (b"plain text", 2),
        (b"", 2),
    ],
)
def test_it_exits_0_only_if_every_record_holds_and_can_be_billed(verify, data: bytes, code: int) -> None:
    assert verify(data)[0] == code


def test_an_unknown_format_names_the_file_and_the_formats(verify) -> None:
    _, _, err = verify(b"plain text", name="notes.txt")
    assert "notes.txt" in err
    assert all(name in err for name in detect.names())


def test_a_format_can_be_asked_for_also_inside_safe(verify) -> None:
    held = safe(value(ocmf().decode(), info().hex()))
    assert [verify(held, "--format", name)[0] for name in ("safe", "ocmf", "pcdf", "sml")] == [0, 0, 2, 2]
    code, _, err = verify(ocmf(), "--format", "pcdf", name="charge")
    assert code == 2
    assert "charge" in err


def test_the_table_shows_verdict_and_every_reason(verify) -> None:
    code, out, _ = verify(pcdf(BV="0"))
    assert code == 1
    assert "valid" in out
    assert "BV 0" in out
    assert "0 of 1 records" in out


def test_a_gzip_file_is_read_as_what_is_in_it(verify) -> None:
    assert verify(gzip.compress(pcdf()), name="charge.gz")[0] == 0
    code, _, err = verify(gzip.compress(pcdf())[:-9], name="cut.gz")
    assert code == 2
    assert "cut.gz cannot be read" in err


def test_a_file_that_unpacks_beyond_the_bound_is_refused(verify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "MOST_BYTES", 1 << 20)
    code, _, err = verify(gzip.compress(bytes(1 << 24)), name="bomb.gz")
    assert code == 2
    assert "bomb.gz is too large" in err
    assert verify(bytes((1 << 20) + 1))[0] == 2


def test_a_file_that_is_not_there_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["meter", "verify", "no-such-file"]) == 2
    assert "no-such-file cannot be read" in capsys.readouterr().err


def test_help_teaches_verdicts_keys_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["meter", "verify", "--help"])
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("verdicts", "unsigned", "examples", "exit codes", "meter.pem"))
