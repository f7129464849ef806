"""Whatever bytes come in as orders, the answer is one of ours: never a 5xx, never half of something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from api_client import settings_for
from claims_world import BUYER, POOR, RECEIPTS, Bonded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from key_files import keystore_file
from orders_world import BEFORE_GATE, body_of, bonded_world, index
from starlette.testclient import TestClient

from api.app import create_app
from api.intake import wire
from api.schemas.orders import RECORDS

HOSTILE = settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
WIDE = dict.fromkeys(("writes_burst", "orders_burst", "reads_burst"), 10**6)


@dataclass(frozen=True)
class Open:
    """An app that takes orders, and somebody who has logged in."""

    client: TestClient
    bonded: Bonded
    headers: dict[str, str]

    def post(self, path: str, content: bytes, kind: str = "application/json") -> Any:
        headers = self.headers | {"Content-Type": kind}
        answer = self.client.post(path, content=content, headers=headers)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.json()["type"].startswith("urn:trellis:problem:")
        return answer


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    folder = tmp_path_factory.mktemp("hostile")
    address = f"sqlite+aiosqlite:///{folder / 'orders.db'}"
    with bonded_world() as bonded:
        asyncio.run(index(bonded.world, address))
        key = keystore_file(folder, RECEIPTS)
        signing: dict[str, Any] = {"receipt_key_file": key, "database_url": address}
        found = settings_for(bonded.world, Path(folder), **signing, **WIDE)  # type: ignore[arg-type]
        app = create_app(found, lambda: BEFORE_GATE)
        with TestClient(app, raise_server_exceptions=False) as client:
            pair = client.portal.call(app.state.services.tokens.start, BUYER.address)  # type: ignore[union-attr]
            yield Open(client, bonded, {"Authorization": f"Bearer {pair.access}"})


@given(st.binary(max_size=400), st.booleans(), st.data())
@HOSTILE
def test_records_of_any_bytes_are_answered(
    opened: Open, data: bytes, of_session: bool, draw: st.DataObject
) -> None:
    session = opened.bonded.session.id
    good = wire.encode_batch(session, [opened.bonded.order(BUYER), opened.bonded.order(POOR)])
    at = draw.draw(st.integers(0, len(good)))
    for content in (
        data,
        (session if of_session else b"") + data,
        good[:at] + data,
        good[:at] + data + good[at:],
    ):
        answer = opened.post("/v1/orders/batch", content, RECORDS)
        if answer.status_code == 200:
            found = answer.json()
            assert found["accepted"] + found["refused"] == len(found["items"])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=70)
    | st.sampled_from(["0x", "0x" + "00" * 20, "0x" + "ff" * 32, "-1", "1e9", "1_0", " 1", "٣"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data(), VALUES)
@HOSTILE
def test_a_message_with_any_value_in_any_field_is_answered(
    opened: Open, draw: st.DataObject, value: Any
) -> None:
    body = body_of(opened.bonded.order(BUYER))
    name = draw.draw(st.sampled_from([*body["message"], "signature", "primary_type", "message", "more"]))
    (body["message"] if name in body["message"] else body)[name] = value
    content = json.dumps(body).encode()
    opened.post("/v1/orders", content)
    opened.post("/v1/orders/batch", b'{"orders":[' + content + b"]}")
    del body["signature"]
    opened.post("/v1/orders/typed-data", json.dumps(body).encode())


@given(VALUES, VALUES)
@HOSTILE
def test_a_cancel_of_anything_is_answered(opened: Open, order: Any, signature: Any) -> None:
    content = json.dumps({"order": order, "signature": signature}).encode()
    assert opened.post("/v1/cancels", content).status_code in (400, 422)
    opened.post("/v1/cancels/typed-data", json.dumps({"order": order}).encode())
