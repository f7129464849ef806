"""Login messages: the grammar of EIP-4361, exactly, and what is refused although it parses."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.rfc3986 import is_authority, is_uri
from api.auth.siwe import Expected, Malformed, Message, Refused, build, check, date_time, digest, parse
from settlement.reference import eip712
from settlement.reference.errors import InvalidSignature

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "siwe.json").read_text())
ADDRESS = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
WHOLE = Message(
    domain="market.example:8443",
    address=ADDRESS,
    uri="https://market.example:8443",
    chain_id="31337",
    nonce="a1B2c3D4e5F6",
    issued_at="2026-06-01T12:00:00Z",
    expiration_time="2026-06-01T12:05:00Z",
    not_before="2026-06-01T11:59:00Z",
    statement="Sign in to the market.",
    request_id="request-1",
    resources=("https://market.example/terms",),
)
EXPECTED = Expected(
    domain=WHOLE.domain,
    uri=WHOLE.uri,
    chain_id=31337,
    nonce=WHOLE.nonce,
    account=WHOLE.account,
    statement="Sign in to the market.",
    request_id="request-1",
    resources=("https://market.example/terms",),
    max_age=timedelta(minutes=5),
    skew=timedelta(seconds=30),
)


def message_of(vector: dict[str, Any]) -> Message:
    names = {each.name for each in fields(Message)}
    found = {name: value for name, value in vector.items() if name in names}
    if "resources" in found:
        found["resources"] = tuple(found["resources"])
    return Message(**found)


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda each: each["name"])
def test_published_eip4361_messages_are_read_and_written(vector: dict[str, Any]) -> None:
    assert parse(vector["text"]) == message_of(vector)
    assert build(message_of(vector)) == vector["text"]


@pytest.mark.parametrize("name", VECTORS["invalid"])
def test_published_eip4361_faults_are_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        parse(VECTORS["invalid"][name])


@pytest.mark.parametrize("uri", VECTORS["invalid_uris"])
def test_published_eip4361_non_uris_are_malformed(uri: str) -> None:
    assert not is_uri(uri)
    with pytest.raises(Malformed):
        parse(build(WHOLE).replace(f"URI: {WHOLE.uri}", f"URI: {uri}"))


@pytest.mark.parametrize("vector", VECTORS["signed"], ids=lambda each: each["name"])
def test_published_eip4361_signatures_recover_their_signer(vector: dict[str, Any]) -> None:
    message = message_of(vector)
    try:
        signature = bytes.fromhex(vector["signature"][2:])  # one has an odd number of digits
        signature = signature[:64] + bytes([signature[64] % 27 + 27])
        found = eip712.recover(digest(build(message)), signature)
    except (ValueError, InvalidSignature):
        found = b""
    assert (found == message.account) is vector["signer"]


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "a:",
            "a:/",
            "a:b",
            "a:b/c//",
            "a:/b/c",
            "a:///",
            "a://",
            "a://@:",
            "urn:isbn:0451450523",
            "a://h:80/",
        ),
        *("a://[::]", "a://[1:2:3:4:5:6:7::]", "a://[::2:3:4:5:6:7:8]", "a://[::1.2.3.4]", "a://[v7.a:b]"),
        *("a:?q?/#f?/", "a://u:p@h/%41", "a+b-c.1://h", "mailto:x@y.example"),
    ],
)
def test_uris_of_rfc_3986_are_uris(uri: str) -> None:
    assert is_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "",
            "a",
            "1a:b",
            "//h/p",
            "/p",
            "a:%4",
            "a:%zz",
            "a:b#c#d",
            "a://h:8x",
            "a://[::1%25eth0]",
            "a://[::1",
        ),
        *("a://[v.a]", "a://h^", "a:b c", "a:\n", "a:b\n", "a:é", "a://a@b@c", "a:[b]"),
    ],
)
def test_what_rfc_3986_does_not_name_is_no_uri(uri: str) -> None:
    assert not is_uri(uri)


@pytest.mark.parametrize("text", ["a/b", "a b", "a@b@c", "[::1]x", "a:b:1", "<a>", "a#"])
def test_what_is_no_authority_is_refused(text: str) -> None:
    assert not is_authority(text)


def test_a_long_adversarial_uri_is_judged_in_linear_time() -> None:
    for one in ("a:" + "/a" * 20_000 + " ", "a://" + "a" * 40_000 + "@" * 2, "a:" + "%41" * 20_000 + "%"):
        assert not is_uri(one)


TEXT = build(WHOLE)
FAULTS = {
    "a line feed at the end": TEXT + "\n",
    "carriage returns": TEXT.replace("\n", "\r\n"),
    "a space before the domain": " " + TEXT,
    "no domain": TEXT.replace(WHOLE.domain, "", 1),
    "a scheme without its slashes": "https:" + TEXT,
    "a scheme that starts with a digit": "1s://" + TEXT,
    "a domain with a path": TEXT.replace(WHOLE.domain, "market.example/x", 1),
    "another case in the first line": TEXT.replace("wants you", "Wants you"),
    "an address in lower case": TEXT.replace(ADDRESS, ADDRESS.lower()),
    "an address of 39 digits": TEXT.replace(ADDRESS, ADDRESS[:-1]),
    "an address with 0X": TEXT.replace(ADDRESS, "0X" + ADDRESS[2:]),
    "an address with its checksum broken": TEXT.replace(ADDRESS, "0xc" + ADDRESS[3:]),
    "a statement with a quote": TEXT.replace("Sign in", 'Sign "in'),
    "a statement with a tab": TEXT.replace("Sign in", "Sign\tin"),
    "a statement of two lines": TEXT.replace("Sign in", "Sign\nin"),
    "a statement with a percent sign": TEXT.replace("Sign in", "Sign%20in"),
    "a letter beyond ASCII": TEXT.replace("Sign in", "Sign ín"),
    "no empty line before the statement": TEXT.replace("\n\nSign", "\nSign"),
    "no empty line after the statement": TEXT.replace("market.\n\n", "market.\n"),
    "a label without its space": TEXT.replace("URI: ", "URI:"),
    "a label in another case": TEXT.replace("Chain ID", "Chain Id"),
    "version 01": TEXT.replace("Version: 1", "Version: 01"),
    "a chain id with a sign": TEXT.replace("ID: 31337", "ID: +31337"),
    "a chain id in hex": TEXT.replace("ID: 31337", "ID: 0x7a69"),
    "no chain id": TEXT.replace("ID: 31337", "ID: "),
    "a nonce of 7 letters": TEXT.replace(WHOLE.nonce, "a1B2c3D"),
    "a nonce with a hyphen": TEXT.replace(WHOLE.nonce, "a1B2-c3D4"),
    "a field twice": TEXT.replace("Version: 1", "Version: 1\nVersion: 1"),
    "optional fields out of order": build(replace(WHOLE, not_before=None)).replace(
        "Request ID: request-1", "Request ID: request-1\nNot Before: 2026-06-01T11:59:00Z"
    ),
    "an unknown field": TEXT.replace("Resources:", "Device: x\nResources:"),
    "a request id with a slash": TEXT.replace("request-1", "request/1"),
    "a resource without its dash": TEXT.replace("- https", "https"),
    "a resource that is no URI": TEXT.replace("- https://market.example/terms", "- terms"),
    "an empty resource": TEXT + "\n- ",
    "text after the heading of resources": TEXT.replace("Resources:", "Resources: "),
    "a time without a zone": TEXT.replace("12:00:00Z", "12:00:00"),
    "a time with a space": TEXT.replace("T12:00:00Z", " 12:00:00Z"),
    "a day that does not exist": TEXT.replace("2026-06-01T12:00:00Z", "2026-02-30T12:00:00Z"),
    "hour 24": TEXT.replace("T12:00:00Z", "T24:00:00Z"),
    "an offset of 24 hours": TEXT.replace("12:00:00Z", "12:00:00+24:00"),
    "a fraction without digits": TEXT.replace("12:00:00Z", "12:00:00.Z"),
    "more than 4096 letters": TEXT.replace("Sign in", "S" * 4096),
    "nothing": "",
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_grammar_does_not_name_is_malformed(name: str) -> None:
    assert FAULTS[name] != TEXT
    with pytest.raises(Malformed, match=r"line \d+ of the message"):
        parse(FAULTS[name])


@pytest.mark.parametrize("statement", [None, "", " ", "a:/?#[]@!$&'()*+,;= Z0-._~"])
@pytest.mark.parametrize("resources", [None, (), ("a:", "urn:b")])
@pytest.mark.parametrize("request_id", [None, "", "a:@%41"])
def test_optional_fields_may_be_missing_or_empty(
    statement: str | None, resources: tuple[str, ...] | None, request_id: str | None
) -> None:
    one = replace(WHOLE, statement=statement, resources=resources, request_id=request_id)
    assert parse(build(one)) == one


@given(
    st.text(alphabet='Ab1 :/?#-\n\r\t"%é.~', max_size=40),
    st.sampled_from([each.name for each in fields(Message)]),
)
def test_a_field_is_written_so_that_it_is_read_back_or_not_at_all(text: str, name: str) -> None:
    one = replace(WHOLE, **{name: (text,) if name == "resources" else text})
    try:
        written = build(one)
    except Malformed:
        return
    assert parse(written) == one


@given(st.integers(0, len(TEXT)), st.sampled_from(["", "\n", " ", "x", "0", ":", "\x00"]))
def test_any_text_that_parses_is_written_back_as_it_was(at: int, piece: str) -> None:
    text = TEXT[:at] + piece + TEXT[at + 1 :]
    try:
        found = parse(text)
    except Malformed:
        return
    assert build(found) == text


def test_times_are_instants_whatever_their_offset() -> None:
    same = (
        "2026-06-01T12:00:00Z",
        "2026-06-01t12:00:00.000z",
        "2026-06-01T14:00:00+02:00",
        "2026-06-01T11:30:00-00:30",
    )
    assert {date_time(each) for each in same} == {NOW}
    assert date_time("2016-12-31T23:59:60Z") == datetime(2017, 1, 1, tzinfo=UTC)
    assert date_time("2026-06-01T12:00:00.1234567Z").microsecond == 123456
    for out_of_range in ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:60Z"):
        with pytest.raises(ValueError, match="outside"):
            date_time(out_of_range)


# Acceptance ---------------------------------------------------------------------------------------------


def test_the_message_asked_for_is_accepted() -> None:
    check(WHOLE, EXPECTED, NOW)
    check(
        replace(WHOLE, scheme="https", expiration_time=None, not_before=None, resources=None), EXPECTED, NOW
    )


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "domain": ({"domain": "market.example"}, "domain"),
    "a domain with a user in front": ({"domain": "x@market.example:8443"}, "domain"),
    "downgraded scheme": ({"scheme": "http"}, "scheme"),
    "uri": ({"uri": "https://market.example:8443/"}, "URI"),
    "chain": ({"chain_id": "1"}, "another chain"),
    "nonce": ({"nonce": "a1B2c3D4e5F7"}, "nonce"),
    "address": ({"address": "0x9D85ca56217D2bb651b00f15e694EB7E713637D4"}, "address"),
    "statement": ({"statement": "Transfer everything."}, "statement"),
    "no statement": ({"statement": None}, "statement"),
    "request id": ({"request_id": None}, "request id"),
    "resource": ({"resources": ("https://elsewhere.example/",)}, "resource"),
    "issued in the future": ({"issued_at": "2026-06-01T12:00:31Z"}, "future"),
    "issued long ago": ({"issued_at": "2026-06-01T11:54:29Z"}, "too long ago"),
    "expired": ({"expiration_time": "2026-06-01T12:00:00Z"}, "expired"),
    "expired before it was issued": (
        {"issued_at": "2026-06-01T12:00:20Z", "expiration_time": "2026-06-01T12:00:10Z"},
        "expired",
    ),
    "not yet valid": ({"not_before": "2026-06-01T12:00:31Z"}, "not valid yet"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_message_is_refused_and_says_why(name: str) -> None:
    changes, reason = CHANGES[name]
    with pytest.raises(Refused, match=reason):
        check(replace(WHOLE, **changes), EXPECTED, NOW)


def test_a_clock_may_differ_by_the_skew() -> None:
    late = {"issued_at": "2026-06-01T12:00:30Z", "not_before": "2026-06-01T12:00:30Z"}
    check(replace(WHOLE, **late), EXPECTED, NOW)
