"""Evidence of an order says what the chain says, and whatever is changed of it shows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from chain_world import PROSUMERS
from evidence_world import Evidenced, evidenced
from mutations import mutations

from settlement.audit.node import Node
from settlement.chain.rpc import to_bytes
from settlement.cli import main
from settlement.errors import InputError
from settlement.evidence.bundle import Bundle, parse, pointers
from settlement.evidence.report import Report
from settlement.evidence.verify import verify
from settlement.reference.record import BUY, SELL

SELLER, BUYER = PROSUMERS[0].address, PROSUMERS[2].address

ABSENCES = {"/claim", "/corrections", "/openings", "/withheld"}
"""What is told to be nothing can be seen with the chain only."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidenced]:
    with evidenced(tmp_path_factory.mktemp("evidence")) as found:
        yield found


@pytest.fixture(scope="module")
def sold(world: Evidenced) -> dict[str, Any]:
    """Of an order that sold, as an auditor gets it."""
    return world.bundle(world.of(SELLER, SELL)[0])


@pytest.fixture(scope="module")
def bought(world: Evidenced) -> dict[str, Any]:
    """Of an order that bought green energy, as an auditor gets it."""
    return world.bundle(next(one for one in world.of(BUYER, BUY) if one.schedule.quality))


@pytest.fixture(scope="module")
def own(world: Evidenced) -> dict[str, Any]:
    """What its trader gets of the same."""
    return world.bundle(next(one for one in world.of(BUYER, BUY) if one.schedule.quality), whole=False)


@pytest.fixture(scope="module")
def absent(world: Evidenced) -> dict[str, Any]:
    """Of an order that was left out though it has a receipt."""
    return world.bundle(world.left_out)


def read(document: dict[str, Any]) -> Bundle:
    return parse(json.dumps(document), "bundle")


def unchecked(document: dict[str, Any], report: Report) -> set[str]:
    fields = report.fields(pointers(document))
    return {pointer for pointer, status in fields.items() if status == "unchecked"}


def trusting(document: dict[str, Any]) -> Report:
    """With all of its blocks known, and the Exchange."""
    blocks = {to_bytes(one["hash"]) for one in document["blocks"]}
    return verify(read(document), trusted=blocks, exchange=to_bytes(document["exchange"]))


# What holds ---------------------------------------------------------------------------------------------


def test_whole_bundles_of_all_orders_hold_and_leave_nothing_but_absences_open(world: Evidenced) -> None:
    for order in world.orders:
        if order.schedule.trader not in {one.address for one in PROSUMERS}:
            continue
        document = world.bundle(order)
        report = trusting(document)
        assert [one for one in report.checks if one.status == "fails"] == []
        assert unchecked(document, report) <= ABSENCES


def test_a_member_s_bundle_names_what_holds_others_and_says_what_that_leaves_open(
    own: dict[str, Any], bought: dict[str, Any]
) -> None:
    report = trusting(own)
    assert report.ok
    assert {one["function"] for one in own["withheld"]} == {"clear", "settle", "certify"}
    raw = json.dumps(own)
    others = [one.address.hex() for one in PROSUMERS if one.address != BUYER]
    assert all(one in json.dumps(bought["transactions"]) for one in others[:1])
    assert not any(one in raw for one in others)
    open_ = unchecked(own, report)
    for bound in ("/order/record", "/order/receipt/signature", "/inclusion/index", "/clearing/net_nano"):
        assert bound not in open_
    assert {"/clearing/outcome", "/settlement/cash_nano", "/withheld/0/hash"} <= open_


def test_members_get_whole_bundles_where_the_setting_says_so(
    world: Evidenced, bought: dict[str, Any]
) -> None:
    order = next(one for one in world.of(BUYER, BUY) if one.schedule.quality)
    assert world.bundle(order, whole=False, evidence_whole=True) == bought


def test_an_order_left_out_though_it_has_a_receipt_is_shown_to_be_missing(absent: dict[str, Any]) -> None:
    report = trusting(absent)
    assert report.ok
    (found,) = [one for one in report.checks if one.name == "membership"]
    assert found.status == "holds"
    assert "omission" in found.why
    assert (absent["inclusion"], absent["clearing"]) == (None, None)


def test_an_order_that_is_not_eligible_is_shown_with_the_reason(world: Evidenced) -> None:
    refused = [world.bundle(one) for one in world.orders if one.schedule.nonce in (10, 11)]
    assert [one["clearing"]["outcome"] for one in refused] == ["ineligible"] * 2
    for document in refused:
        report = trusting(document)
        assert report.ok
        assert unchecked(document, report) <= ABSENCES


# What does not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sold", "bought", "own", "absent"])
def test_whatever_one_thing_is_changed_fails_or_was_told_to_be_unchecked(
    name: str, request: pytest.FixtureRequest
) -> None:
    document = request.getfixturevalue(name)
    blocks = {to_bytes(one["hash"]) for one in document["blocks"]}
    exchange = to_bytes(document["exchange"])
    before = trusting(document)
    held, open_ = {one.name for one in before.checks if one.status == "holds"}, unchecked(document, before)
    passed = []
    for pointer, changed in mutations(document):
        try:
            report = verify(read(changed), trusted=blocks, exchange=exchange)
        except InputError:
            continue
        lost = held - {one.name for one in report.checks if one.status == "holds"}
        told = any(pointer == one or one.startswith(pointer + "/") for one in open_)
        if report.ok and not lost and not told:
            passed.append(pointer)
    assert passed == []


def test_a_block_that_nobody_vouches_for_is_told(sold: dict[str, Any]) -> None:
    report = verify(read(sold))
    asked = [one for one in report.checks if one.name.startswith("block hash")]
    assert {one.status for one in asked} == {"unchecked"}
    assert len(asked) == len(sold["blocks"])
    assert not report.complete


def test_nodes_confirm_blocks_and_one_that_has_others_does_not(
    world: Evidenced, sold: dict[str, Any]
) -> None:
    node = Node(world.world.anvil.rpc_url)

    def of_blocks(*nodes: Node) -> set[str]:
        found = verify(read(sold), nodes=nodes).checks
        return {one.status for one in found if one.name.startswith(("block hash", "chain of"))}

    assert of_blocks(node) == {"holds"}
    assert "fails" in of_blocks(node, AnotherChain(node.url))


class AnotherChain(Node):
    """Has other blocks."""

    def ask(self, method: str, *params: Any) -> Any:
        found = super().ask(method, *params)
        return {**found, "hash": "0x" + "11" * 32} if method == "eth_getBlockByNumber" else found


# The command --------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["evidence", "verify", "--json", *arguments])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else None


def test_the_command_tells_every_check_and_exits_by_them(
    world: Evidenced, sold: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(sold))
    url = world.world.anvil.rpc_url
    code, found = run(capsys, str(file), "--rpc", url, "--address", sold["exchange"])
    assert (code, found["ok"]) == (0, True)
    assert set(found["unchecked_fields"]) <= ABSENCES
    assert run(capsys, str(file), "--strict")[0] == 1
    sold = {**sold, "settlement": {**sold["settlement"], "cash_nano": "1"}}
    file.write_text(json.dumps(sold))
    code, found = run(capsys, str(file))
    assert code == 1
    assert [one["name"] for one in found["checks"] if one["status"] == "fails"] == ["imbalances"]
    assert main(["evidence", "verify", str(file)]) == 1
    assert "FAILS" in capsys.readouterr().out


def test_a_node_gives_what_a_member_s_bundle_only_names(
    world: Evidenced, own: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(own))
    code, found = run(capsys, str(file), "--rpc", world.world.anvil.rpc_url)
    assert code == 0
    assert set(found["unchecked_fields"]) <= ABSENCES
    assert len(run(capsys, str(file))[1]["unchecked_fields"]) > 20
    nobody = "http://127.0.0.1:1"
    assert run(capsys, str(file), "--rpc", nobody)[0] == 2


class Serving(BaseHTTPRequestHandler):
    """Answers as the API does, once: with a bundle for whoever has the token."""

    answer: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer token" and self.path.endswith("/evidence")
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(self.answer if allowed else b'{"detail": "log in first"}')

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def test_a_bundle_is_fetched_from_an_api_and_verified(
    sold: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Serving.answer = json.dumps(sold).encode()
    server = HTTPServer(("127.0.0.1", 0), Serving)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file, url = tmp_path / "fetched.json", f"http://127.0.0.1:{server.server_port}"
    order = ["evidence", "fetch", sold["order"]["hash"], "--account", sold["account"], "--out", str(file)]
    try:
        assert main([*order, "--api", url]) == 2
        monkeypatch.setenv("TRELLIS_ACCESS_TOKEN", "another")
        assert main([*order, "--api", url]) == 1
        assert not file.exists()
        monkeypatch.setenv("TRELLIS_ACCESS_TOKEN", "token")
        assert main([*order, "--api", url]) == 0
    finally:
        server.shutdown()
        server.server_close()
    assert main([*order, "--api", url]) == 2
    capsys.readouterr()
    assert run(capsys, str(file))[0] == 0


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format":"trellis-evidence","version":2}', "[" * 10_000])
def test_what_is_no_bundle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(text)
    assert run(capsys, str(file))[0] == 2
