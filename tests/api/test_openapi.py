"""The OpenAPI document: what it says is kept in git, and is true of whatever is sent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import schemathesis
from api_client import Clock, settings_for
from api_world import OPERATOR, PROSUMER_KEY, World
from hypothesis import HealthCheck, settings
from key_files import keystore_file
from relay_world import RELAY
from starlette.testclient import TestClient

from api.app import create_app
from api.roles import MATRIX
from api.settings import Settings

SNAPSHOT = Path(__file__).parent / "openapi.json"


def test_the_document_is_the_one_in_git() -> None:
    found = json.dumps(create_app(Settings(_env_file=None)).openapi(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(found)
    assert SNAPSHOT.read_text() == found, "review the difference, then `make snap`"


def test_each_operation_says_who_may(tmp_path: Path) -> None:
    paths = json.loads(SNAPSHOT.read_text())["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert ("security" in operation) is not MATRIX[(method.upper(), path)].public


@pytest.mark.parametrize("logged_in", [False, True])
def test_nothing_that_is_sent_makes_a_5xx(world: World, tmp_path: Path, logged_in: bool) -> None:
    wide = {"reads_burst": 10**6, "writes_burst": 10**6, "logins_burst": 10**6}
    signing = {
        "receipt_key_file": keystore_file(tmp_path, OPERATOR),
        "relay_key_file": keystore_file(tmp_path, RELAY),
    }
    app = create_app(settings_for(world, tmp_path, **wide, **signing), Clock())
    with TestClient(app, raise_server_exceptions=False) as client:
        headers = {}
        schema = schemathesis.openapi.from_dict(app.openapi())
        for found in schema.get_all_operations():
            if logged_in:  # each time: one of the operations ends the login
                start, account = app.state.services.tokens.start, PROSUMER_KEY.address
                pair = client.portal.call(start, account)  # type: ignore[union-attr]
                headers = {"Authorization": f"Bearer {pair.access}"}
            _fuzz(found.ok(), client, headers)


def _fuzz(operation: object, client: TestClient, headers: dict[str, str]) -> None:
    from hypothesis import given

    @given(case=operation.as_strategy())  # type: ignore[attr-defined]
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def one(case: object) -> None:
        sent = case.as_transport_kwargs(base_url="http://testserver")  # type: ignore[attr-defined]
        sent.pop("cookies", None)
        sent["headers"] = {**dict(sent.get("headers") or {}), **headers}
        answer = client.request(**sent)
        assert answer.status_code < 500, answer.text

    one()
