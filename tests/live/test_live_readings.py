"""Readings through a real broker: who may send what, and that each ends in the store exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import aiomqtt
from live_world import (
    METERS,
    Broker,
    Node,
    meter,
    needs_mosquitto,
    publish,
    published,
    registry,
    running_broker,
    running_node,
    signed,
    wait_for,
)
from paho.mqtt.reasoncodes import ReasonCode

from oracle import registry_file
from oracle.live.broker import Plan, write
from oracle.live.client import DurableClient, Login
from oracle.live.outbox import Outbox
from oracle.live.service import Service, Settings
from oracle.live.store import Store
from oracle.live.wire import ALL_READINGS, decode_receipt, digest, join, readings_topic, receipts_topic
from oracle.messages import P256_ORDER, SignedReading, private_key, public_point
from oracle.registry import MeterRegistry

pytestmark = needs_mosquitto
NOT_AUTHORISED = 135


def topic(n: int) -> str:
    return readings_topic(meter(n).meter_id)


async def publish_code(login: Login, where: str, payload: bytes) -> int:
    """The reason code with which the broker acknowledges."""
    heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_publish(client, userdata, mid, code: ReasonCode, properties) -> None:
        if not heard.done():
            heard.set_result(code.value)

    async with DurableClient(login) as client:
        client._client.on_publish = on_publish
        client._client.publish(where, payload, qos=1)
        return await asyncio.wait_for(heard, 5)


async def heard_by(login: Login, pattern: str, send: Login, where: str, payload: bytes) -> list[bytes]:
    """What a subscriber gets in half a second after somebody published."""
    got: list[bytes] = []
    async with DurableClient(login) as client:
        await client.subscribe(pattern, qos=1)
        await publish_code(send, where, payload)
        try:
            async with asyncio.timeout(0.5):
                async for message in client.messages:
                    got.append(bytes(message.payload))
        except TimeoutError:
            return got
    return got


def refused_login(login: Login) -> bool:
    async def connect() -> None:
        async with DurableClient(login):
            pass

    try:
        asyncio.run(connect())
    except aiomqtt.MqttError:
        return True
    return False


def high_s(message: SignedReading) -> SignedReading:
    s = P256_ORDER - int.from_bytes(message.signature[32:], "big")
    return SignedReading(message.message, message.signature[:32] + s.to_bytes(32, "big"))


def test_only_a_registered_meter_with_its_own_password_connects(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        first, second = (meter(n).meter_id.hex() for n in (0, 1))
        assert not refused_login(broker.login(first))
        assert refused_login(broker.login(first, broker.credentials[second]))
        assert refused_login(broker.login(first, "guess"))
        assert refused_login(broker.login("stranger", "guess"))
        assert refused_login(Login(broker.address))


def test_a_meter_publishes_on_its_own_topic_and_nowhere_else(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        payload = join([signed(0)])
        own, others = broker.meter_login(0), [topic(1), receipts_topic(meter(0).meter_id, "oracle-1"), "x"]
        assert asyncio.run(publish_code(own, topic(0), payload)) < 128
        for where in others:
            assert asyncio.run(publish_code(own, where, payload)) == NOT_AUTHORISED


def test_a_meter_hears_nobody_elses_readings_or_receipts(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        spy, victim, oracle = broker.meter_login(0), broker.meter_login(1), broker.login("oracle-1")
        assert asyncio.run(heard_by(spy, "#", victim, topic(1), join([signed(1)]))) == []
        theirs = receipts_topic(meter(1).meter_id, "oracle-1")
        assert asyncio.run(heard_by(spy, "#", oracle, theirs, bytes(36))) == []
        assert asyncio.run(heard_by(victim, theirs, oracle, theirs, bytes(36))) == [bytes(36)]


def test_an_oracle_reads_all_readings_and_publishes_no_reading(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        payload = join([signed(1)])
        oracle, sender = broker.login("oracle-1"), broker.meter_login(1)
        assert asyncio.run(heard_by(oracle, ALL_READINGS, sender, topic(1), payload)) == [payload]
        for where in (topic(1), receipts_topic(meter(1).meter_id, "oracle-2")):
            assert asyncio.run(publish_code(oracle, where, payload)) == NOT_AUTHORISED


def test_a_meter_cannot_take_over_an_oracles_session(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:

        async def connect_as_oracle() -> None:
            login = broker.meter_login(0)
            async with aiomqtt.Client(
                login.address.host,
                login.address.port,
                username=login.username,
                password=login.password,
                identifier="oracle-1",
            ):
                await asyncio.sleep(0.3)

        asyncio.run(connect_as_oracle())
        published(broker.meter_login(0), (topic(0), join([signed(0)])))
        node.wait_stored(1)
        assert node.events("disconnected") == []


def test_duplicates_reordered_and_rewritten_messages_are_stored_once(tmp_path: Path) -> None:
    rng = random.Random(5)
    readings = [signed(0, window, register, wh=window) for window in range(10) for register in (1, 2)]
    payloads = [join([each]) for each in readings] + [join(readings), join([high_s(readings[3])])]
    sequence = payloads * 3
    rng.shuffle(sequence)
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:
        published(broker.meter_login(0), *((topic(0), payload) for payload in sequence))
        wait_for(lambda: node.counters().get("payloads") == len(sequence), "every payload")
        assert node.stored() == sorted(each.message for each in readings)
        assert node.counters()["duplicate"] == (20 * 2 + 1) * 3 - 20


def test_what_is_not_sound_is_refused_with_its_reason_and_blocks_nothing(tmp_path: Path) -> None:
    good = join([signed(0)])
    bad = {
        "truncated": [good[:-1], good[:60], b"", good + b"\0", bytes(116 * 512)[:-5]],
        "malformed": [bytes(116)],
        "wrong_topic": [join([signed(1)])],
        "bad_signature": [good[:-1] + bytes((good[-1] ^ 1,))],
        "too_large": [join([signed(0, wh=2**30)])],
    }
    sent = [(topic(0), payload) for payloads in bad.values() for payload in payloads] * 2
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:
        published(broker.meter_login(0), *sent, (topic(0), good))
        node.wait_stored(1)
        assert node.stored() == [signed(0).message]
        counted = {name: n for name, n in node.counters().items() if name.startswith("refused_")}
        assert counted == {f"refused_{reason}": 2 * len(payloads) for reason, payloads in bad.items()}


def test_a_receipt_follows_each_payload_and_says_what_is_on_disk(tmp_path: Path) -> None:
    payload = join([signed(0), signed(0, 1), signed(1)])
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:

        async def receipt() -> object:
            async with DurableClient(broker.meter_login(0)) as client:
                await client.subscribe(receipts_topic(meter(0).meter_id, "+"))
                await client.publish(topic(0), payload, qos=1)
                async with asyncio.timeout(10):
                    return decode_receipt(bytes((await anext(client.messages)).payload))

        told = asyncio.run(receipt())
        assert len(node.stored()) == 2  # at once: the receipt came after
        assert (told.digest, told.stored, told.refused) == (digest(payload), 2, 1)


def test_a_meter_forgets_a_payload_when_every_oracle_has_answered_and_learns_what_was_refused(
    tmp_path: Path,
) -> None:
    async def deliver(broker: Broker, awaited: tuple[str, ...], seconds: float) -> tuple[int, list[int]]:
        outbox = Outbox(broker.meter_login(0), meter(0).meter_id, awaited, resend_s=0.5)
        outbox.put([signed(0), signed(0, 1)])
        outbox.put([signed(0, 2), signed(1)])
        running = asyncio.create_task(outbox.run())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(outbox.drained(), seconds)
        running.cancel()
        return len(outbox), [receipt.refused for receipt in outbox.refused]

    names = ("oracle-1", "oracle-2")
    with running_broker(tmp_path, oracles=names) as broker, running_node(broker, tmp_path / "1") as node:
        assert asyncio.run(deliver(broker, ("oracle-1",), 15)) == (0, [1])
        left, _ = asyncio.run(deliver(broker, names, 2))
        assert left == 2  # the second has not answered
        with running_node(broker, tmp_path / "2", "oracle-2") as other:
            assert asyncio.run(deliver(broker, names, 15)) == (0, [1, 1])
            assert node.stored() == other.stored()
            assert len(node.stored()) == 3


def test_what_was_published_while_the_oracle_was_down_arrives_afterwards(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        with running_node(broker, tmp_path / "node") as node:
            assert node.terminate() == 0
        published(broker.meter_login(0), *((topic(0), join([signed(0, w)])) for w in range(30)))
        with running_node(broker, tmp_path / "node") as node:
            node.wait_stored(30)
            assert len(set(node.stored())) == len(node.stored()) == 30


def test_what_waits_for_the_oracle_survives_a_restart_of_the_broker(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        with running_node(broker, tmp_path / "node") as node:
            node.terminate()
        published(broker.meter_login(0), *((topic(0), join([signed(0, w)])) for w in range(5)))
        assert broker.process is not None
        broker.process.send_signal(signal.SIGTERM)
        broker.process.wait()
        broker.start()
        with running_node(broker, tmp_path / "node") as node:
            node.wait_stored(5)


def test_with_tls_a_reading_arrives_and_who_does_not_trust_or_speak_it_is_left_out(tmp_path: Path) -> None:
    with running_broker(tmp_path, tls=True) as broker, running_node(broker, tmp_path / "node") as node:
        published(broker.meter_login(0), (topic(0), join([signed(0)])))
        node.wait_stored(1)
        plain = broker.meter_login(0)
        unencrypted = Login(
            type(plain.address)("127.0.0.1", broker.port, False), plain.username, plain.password
        )
        assert refused_login(unencrypted)
        distrusting = Login(plain.address, plain.username, plain.password)
        assert refused_login(distrusting)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The store's file may not grow: nothing is acknowledged until it may again."""
    events: list[str] = []
    payloads = [join([signed(0, w * 40 + k) for k in range(40)]) for w in range(5)]
    with running_broker(tmp_path) as broker, Store(tmp_path / "data") as store:
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        settings = Settings(broker.login("oracle-1"), tmp_path / "registry.json", "oracle-1")

        async def until(holds: Callable[[], bool]) -> None:
            async with asyncio.timeout(20):
                while not holds():
                    await asyncio.sleep(0.02)

        async def scenario() -> None:
            service = Service(settings, store, lambda event, _: events.append(event))
            running = asyncio.create_task(service.run())
            await until(lambda: "connected" in events)
            await publish(broker.meter_login(0), [(topic(0), payload) for payload in payloads])
            await until(lambda: events.count("store failed") >= 2)
            assert store.readings() == 0
            store._connection.execute("PRAGMA max_page_count = 1000000")
            await until(lambda: store.readings() == 200)
            service.stop()
            await running

        asyncio.run(scenario())
        assert store.counters()["stored"] == 200
        assert events[-1] == "stopped"


def test_signatures_may_be_verified_by_other_processes(tmp_path: Path) -> None:
    good, bad = signed(0, 0), SignedReading(signed(0, 1).message, bytes(64))
    with (
        running_broker(tmp_path) as broker,
        running_node(broker, tmp_path / "node", "oracle-1", "--workers", "2") as node,
    ):
        published(broker.meter_login(0), (topic(0), join([good, bad])))
        node.wait_stored(1)
        assert node.counters() == {"payloads": 1, "stored": 1, "refused_bad_signature": 1}
        assert node.terminate() == 0
        assert "Traceback" not in node.log.read_text()


def test_a_meter_may_speak_mqtt_3(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:

        async def send() -> None:
            login = broker.meter_login(0)
            host, port = login.address.host, login.address.port
            async with aiomqtt.Client(host, port, username=login.username, password=login.password) as client:
                await client.publish(topic(0), join([signed(0)]), qos=1)

        asyncio.run(send())
        node.wait_stored(1)


def test_no_password_is_logged(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:
        broker.kill()
        wait_for(lambda: bool(node.events("waiting")), "a pause")
        broker.start()
        node.wait_connected(2)
        node.terminate()
        logs = node.log.read_text() + (broker.folder / "log").read_text()
        assert [user for user, password in broker.credentials.items() if password in logs] == []


def test_wrong_credentials_end_the_service_with_one_line(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        wrong = tmp_path / "wrong"
        wrong.write_text("guess")
        node = Node(broker, tmp_path / "node")
        node.start("--password-file", str(wrong))
        assert node.process is not None
        assert node.process.wait(20) == 2
        assert "refuses this user" in node.log.read_text()
        assert "Traceback" not in node.log.read_text()


def test_a_second_service_on_one_folder_is_refused(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:
        second = Node(broker, tmp_path / "node")
        second.start()
        assert second.process is not None
        assert second.process.wait(20) == 2
        assert "another `trellis oracle run` uses it" in node.log.read_text()
        assert node.process is not None
        assert node.process.poll() is None


def test_a_registry_that_changed_is_read_at_sighup_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:
        assert node.process is not None
        file = tmp_path / "registry.json"
        file.write_text("{")
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: bool(node.events("registry refused")), "the refusal")
        published(broker.meter_login(0), (topic(0), join([signed(0)])))
        node.wait_stored(1)
        rotated = meter(0).without_key(*public_point(private_key(1000)))
        file.write_text(registry_file.dump(MeterRegistry([rotated])))
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: bool(node.events("registry")), "the registry")
        published(broker.meter_login(0), (topic(0), join([signed(0, 1)])))
        wait_for(lambda: "refused_revoked_key" in node.counters(), "the refusal of a reading")
        assert len(node.stored()) == 1


def test_status_lines_count_what_came(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker, running_node(broker, tmp_path / "node") as node:
        published(broker.meter_login(0), (topic(0), join([signed(0)])))
        wait_for(lambda: any(e.get("stored") == 1 for e in node.events("status")), "a status")
        last = node.events("status")[-1]
        assert (last["connected"], last["meters"], last["payloads"]) == (True, METERS, 1)
        assert node.terminate() == 0
        assert node.events("stopped")[-1]["stored"] == 1


def test_the_password_file_is_what_mosquitto_passwd_would_verify(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        lines = (tmp_path / "passwords").read_text().splitlines()
        assert len(lines) == METERS + 1
        assert all(line.split(":")[1].startswith("$7$101$") for line in lines)
        assert not any(
            password in (tmp_path / "passwords").read_text() for password in broker.credentials.values()
        )
        assert json.loads((tmp_path / "credentials.json").read_text()) == broker.credentials


def test_a_broker_is_left_with_the_same_passwords_when_its_configuration_is_written_again(tmp_path) -> None:
    with running_broker(tmp_path, tls=True) as broker:
        assert not refused_login(broker.meter_login(0))  # it serves, so it hears signals too
        ca = (tmp_path / "tls" / "ca.crt").read_bytes()
        server = (tmp_path / "tls" / "server.crt").read_bytes()
        passwords = (tmp_path / "passwords").read_text()
        again = Plan(
            tmp_path, tuple(registry(METERS + 1)), tls_hosts=("localhost", "127.0.0.1"), port=broker.port
        )
        write(again)
        assert (tmp_path / "tls" / "ca.crt").read_bytes() == ca
        assert (tmp_path / "tls" / "server.crt").read_bytes() == server
        assert set(passwords.splitlines()) < set((tmp_path / "passwords").read_text().splitlines())
        assert broker.process is not None
        broker.process.send_signal(signal.SIGHUP)
        broker.credentials = json.loads((tmp_path / "credentials.json").read_text())
        wait_for(lambda: not refused_login(broker.meter_login(METERS)), "the new meter to be known")
        assert not refused_login(broker.meter_login(0))
