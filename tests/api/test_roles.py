"""The matrix, cell by cell: every route for every role, for the own account and another's."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from api_client import Api
from api_world import (
    AUDITOR,
    NEIGHBOUR,
    OPERATOR,
    ORACLE,
    PROSUMER_KEY,
    REGISTRAR,
    REGULATOR,
    STRANGER,
    SUPPLIER,
)

from api.app import served
from api.roles import MATRIX, Role
from settlement.chain import deploy
from settlement.chain.sign import Signer

pytestmark = pytest.mark.anyio

CALLERS: dict[Role | None, Signer] = {
    Role.PROSUMER: PROSUMER_KEY,
    Role.OPERATOR: OPERATOR,
    Role.ORACLE: ORACLE,
    Role.AUDITOR: AUDITOR,
    Role.REGULATOR: REGULATOR,
    Role.REGISTRAR: REGISTRAR,
    None: STRANGER,
}


VALUES = {"epoch": "1", "day": "960014", "product": "0", "zone": "0"}
"""Of what a path names besides an account; whatever else it names is a hash that nothing has."""
PROTECTED = [cell for cell, rule in MATRIX.items() if not rule.public]
SHOWS_MORE = {
    ("GET", "/v1/stream"): "test_everyone_hears_what_is_everybody_s_and_its_own",
    ("GET", "/v1/disclosures"): "test_a_disclosure_tells_and_is_logged_and_the_member_sees_it",
    ("GET", "/v1/orders/{order}"): (
        "test_a_receipt_is_shown_to_its_trader_to_who_brought_it_and_to_whom_the_role_shows_it"
    ),
    ("GET", "/v1/relays/{tx}"): "test_another_s_relay_is_invisible_and_an_auditor_sees_it",
    ("GET", "/v1/ws"): "test_a_socket_hears_what_is_everybody_s_and_its_own_and_an_auditor_everything",
}
"""Routes without an account in their path that show some roles more than their own; the test that compares
what an owner, another and such a role see.
"""


def path_of(path: str, account: bytes) -> str:
    path = path.replace("{account}", "0x" + account.hex())
    return re.sub(r"{(\w+)}", lambda found: VALUES.get(found[1], "0x" + "00" * 32), path)


def let_in(answer: httpx.Response) -> bool:
    """Whether the route itself answered, which has nothing under these names and was sent nothing. Refusals
    come before anything that was sent is looked at.
    """
    if answer.status_code in (401, 403):
        return False
    return not (answer.status_code == 404 and "no such account" in answer.json()["detail"])


def test_what_needs_no_login_is_little_and_named() -> None:
    public = {path for (_, path), rule in MATRIX.items() if rule.public}
    login = {"/v1/auth/challenge", "/v1/auth/login", "/v1/auth/refresh"}
    assert public == login | {"/healthz", "/readyz", "/metrics", "/openapi.json"}


def test_every_cell_of_own_and_foreign_is_compared() -> None:
    """By path where it names an account (below), else by a test of its own."""
    both = {cell for cell, rule in MATRIX.items() if rule.own and rule.foreign}
    assert {cell for cell in both if "{account}" not in cell[1]} == set(SHOWS_MORE)
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in SHOWS_MORE.values() if f"def {name}(" not in tests] == []


async def test_every_route_has_a_rule_and_every_rule_a_route(api: Api) -> None:
    assert served(api.app) == set(MATRIX)
    documented = {(m.upper(), p) for p, each in api.app.openapi()["paths"].items() for m in each}
    assert documented == set(MATRIX) - {("GET", "/openapi.json")}


@pytest.mark.parametrize("cell", PROTECTED, ids=" ".join)
async def test_nobody_gets_in_without_a_token(api: Api, cell: tuple[str, str]) -> None:
    answer = await api.http.request(cell[0], path_of(cell[1], PROSUMER_KEY.address))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("role", CALLERS, ids=str)
@pytest.mark.parametrize("cell", PROTECTED, ids=" ".join)
async def test_a_role_uses_what_its_cell_says(api: Api, cell: tuple[str, str], role: Role | None) -> None:
    caller, rule = CALLERS[role], MATRIX[cell]
    cases = {caller.address: role in rule.own or role in rule.foreign or None in rule.own}
    if "{account}" in cell[1]:
        cases[NEIGHBOUR.address] = role in rule.foreign
    for account, allowed in cases.items():
        headers = await api.as_(caller)
        answer = await api.http.request(cell[0], path_of(cell[1], account), headers=headers)
        assert let_in(answer) is allowed, (account.hex(), answer.text)
        assert answer.status_code < 500 or answer.status_code == 503
        assert allowed or answer.status_code in (403, 404)


async def test_another_s_account_and_one_that_nobody_has_look_alike(api: Api) -> None:
    headers, answers = await api.as_(PROSUMER_KEY), []
    for account in (NEIGHBOUR.address, bytes(20)):
        answer = (await api.http.get(path_of("/v1/accounts/{account}", account), headers=headers)).json()
        answers.append({name: value for name, value in answer.items() if name != "request_id"})
    assert answers[0] == answers[1]
    assert answers[0]["status"] == 404


@pytest.mark.parametrize(
    ("signer", "roles"), [(SUPPLIER, ["prosumer"]), (OPERATOR, ["operator"]), (STRANGER, [])]
)
async def test_roles_are_what_the_chain_says(api: Api, signer: Signer, roles: list[str]) -> None:
    answer = await api.http.get("/v1/auth/me", headers=await api.as_(signer))
    assert answer.json()["roles"] == roles


async def test_a_role_granted_or_revoked_on_chain_counts_at_once_for_a_token_given_out_before(
    api: Api,
) -> None:
    world, headers = api.world, await api.as_(STRANGER)
    path = path_of("/v1/accounts/{account}", NEIGHBOUR.address)
    assert (await api.http.get(path, headers=headers)).status_code == 404
    deploy.grant(world.chain, world.admin, world.deployment, deploy.AUDITOR, [STRANGER.address])
    assert (await api.http.get(path, headers=headers)).status_code == 200
    deploy.revoke(world.chain, world.admin, world.deployment, deploy.AUDITOR, STRANGER.address)
    assert (await api.http.get(path, headers=headers)).status_code == 404
