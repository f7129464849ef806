"""Addresses, waiting, certificates and the broker's configuration."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from oracle_world import meter, registry

from oracle.errors import BadBroker
from oracle.live import broker, tls
from oracle.live.backoff import Backoff
from oracle.live.client import Address, Login, read_address, trusting
from oracle.live.judge import Delivery, Verdict, judge
from oracle.live.store import Store
from oracle.live.wire import (
    Receipt,
)

REGISTRY = registry()
ID = meter(0).meter_id
NOW_S = 1_800_000_000


def deliver(payload: bytes, meter_id: bytes | None = ID) -> list[Verdict]:
    return judge([Delivery(meter_id, payload)], REGISTRY)


def written(store: Store, *payloads: bytes, now_s: int = NOW_S) -> list[Receipt]:
    return store.write([verdict for payload in payloads for verdict in deliver(payload)], now_s)


def test_an_address_is_tls_or_this_machine() -> None:
    assert read_address("mqtts://broker.example:8884") == Address("broker.example", 8884, True)
    assert read_address("mqtts://broker.example").port == 8883
    assert read_address("mqtt://127.0.0.1").port == 1883
    assert str(read_address("mqtt://localhost:1")) == "mqtt://localhost:1"
    assert not read_address("mqtt://broker.example", plaintext=True).tls
    wrong = ("http://x", "broker:1883", "mqtts://", "mqtts://x:99999", "mqtts://x/y", "mqtts://a..b")
    for bad in ("mqtt://broker.example", *wrong):
        with pytest.raises(BadBroker):
            read_address(bad)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(BadBroker) as caught:
        read_address("mqtts://oracle:hunter2@broker.example")
    assert "hunter2" not in caught.value.message
    assert "hunter2" not in repr(Login(Address("x", 1, True), "oracle", "hunter2"))


def test_attempts_wait_longer_and_longer_up_to_a_bound_and_never_all_the_same() -> None:
    waits = [Backoff(1, 30, random.Random(seed)) for seed in range(20)]
    rounds = [[each.next_s() for each in waits] for _ in range(40)]
    for number, these in enumerate(rounds):
        whole = min(30, 2**number)
        assert all(whole / 2 <= s <= whole for s in these)
        assert len(set(these)) == 20
    waits[0].reset()
    assert waits[0].next_s() <= 1


def test_a_server_certificate_is_kept_while_it_fits_and_the_authority_always(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def issued(hosts: tuple[str, ...], days: int = 0) -> tuple[bytes, bytes]:
        tls.issue(tmp_path, hosts, start + timedelta(days=days))
        return (tmp_path / "ca.crt").read_bytes(), (tmp_path / "server.crt").read_bytes()

    first = issued(("broker.example", "192.0.2.7"))
    assert issued(("192.0.2.7", "broker.example"), days=300) == first
    renewed, moved = issued(("broker.example", "192.0.2.7"), days=380), issued(("other.example",), days=381)
    assert first[0] == renewed[0] == moved[0]
    assert len({first[1], renewed[1], moved[1]}) == 3
    server, authority = (x509.load_pem_x509_certificate(each) for each in (moved[1], moved[0]))
    server.verify_directly_issued_by(authority)
    for key in ("ca.key", "server.key"):
        assert (tmp_path / key).stat().st_mode & 0o077 == 0
    (tmp_path / "ca.key").write_text("no key")
    with pytest.raises(BadBroker, match=r"ca\.crt and ca\.key"):
        issued(("broker.example",))


def test_certificates_that_cannot_be_read_are_an_error_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    for name in ("ca.crt", "none"):
        with pytest.raises(BadBroker, match=name):
            trusting(Login(Address("x", 1, True), ca=tmp_path / name))


def test_a_configuration_without_tls_listens_on_loopback_only(tmp_path: Path) -> None:
    plain = broker.write(broker.Plan(tmp_path / "plain", (ID,))).read_text()
    assert "listener 1883 127.0.0.1\n" in plain
    secure = broker.write(broker.Plan(tmp_path / "tls", (ID,), tls_hosts=("broker.example",))).read_text()
    assert "listener 8883\n" in secure
    assert "listener 1883" not in secure
    for text in (plain, secure):
        assert {"allow_anonymous false", "use_username_as_clientid true", "retain_available false"} < set(
            text.splitlines()
        )


@pytest.mark.parametrize("names", [(), ("a/b",), ("+",), ("",), ("x", "x"), (ID.hex(),), ("a\nuser b",)])
def test_a_name_that_would_change_the_rules_is_refused(tmp_path: Path, names) -> None:
    with pytest.raises(BadBroker):
        broker.write(broker.Plan(tmp_path, (ID,), names))


def test_files_of_a_broker_are_its_owners_only(tmp_path: Path) -> None:
    broker.write(broker.Plan(tmp_path / "b", (ID,), tls_hosts=("localhost",)))
    for name in ("passwords", "acl", "credentials.json", "mosquitto.conf", "tls/server.key", "tls/ca.key"):
        assert (tmp_path / "b" / name).stat().st_mode & 0o077 == 0, name
    (tmp_path / "b" / "credentials.json").write_text("[]")
    with pytest.raises(BadBroker, match=r"credentials\.json"):
        broker.write(broker.Plan(tmp_path / "b", (ID,)))
    with pytest.raises(BadBroker, match="no user"):
        broker.write(broker.Plan(tmp_path / "c", (ID,), user="nobody-of-that-name"))


def test_a_password_is_hashed_as_mosquitto_does() -> None:
    """A line that mosquitto_passwd 2.0.11 wrote for the password `trellis`."""
    written = (
        "$7$101$ux30NTNTe3/hPPfj$"
        "eTMne9RoOMyXAvZEdVhwpOhCVNedN+hbdOHjxNTn6K1M9m55jeXDpXCKOLYHni/4TmotxvN3qrKJfb2W4CNlqw=="
    )
    assert broker.hashed("trellis", base64.b64decode("ux30NTNTe3/hPPfj")) == written


def test_an_oracle_publishes_ballots_under_its_own_name_only_and_meters_none(tmp_path: Path) -> None:
    names = ("oracle-1", "oracle-2")
    broker.write(broker.Plan(tmp_path, tuple(REGISTRY), names))
    rules = (tmp_path / "acl").read_text()
    everyone, *own = rules.split("\nuser ")
    assert "ballots" not in everyone
    for name, lines in zip(names, own, strict=True):
        assert lines.startswith(name)
        ballots = [line for line in lines.splitlines() if "ballots" in line]
        assert ballots == [
            "topic read trellis/v1/oracles/+/ballots",
            f"topic write trellis/v1/oracles/{name}/ballots",
        ]
