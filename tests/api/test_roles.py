"""The matrix, cell by cell: every route for every role, for the own account and another's."""

from __future__ import annotations

import httpx
import pytest
from api_client import Api
from api_world import (
    AUDITOR,
    NEIGHBOUR,
    OPERATOR,
    ORACLE,
    PROSUMER_KEY,
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
    None: STRANGER,
}


OTHERS = {"{epoch}": "1", "{day}": "960014", "{product}": "0", "{zone}": "0", "{order}": "0x" + "00" * 32}


def path_of(path: str, account: bytes) -> str:
    for name, value in OTHERS.items():
        path = path.replace(name, value)
    return path.replace("{account}", "0x" + account.hex())


def let_in(cell: tuple[str, str], answer: httpx.Response) -> bool:
    """Whether the route itself answered: it may have nothing under the names that are asked for."""
    names_others = any(name in cell[1] for name in OTHERS)
    nothing_there = answer.status_code == 404 and "no such account" not in answer.text
    return answer.status_code < 300 or (names_others and (nothing_there or answer.status_code == 422))


async def test_every_route_has_a_rule_and_every_rule_a_route(api: Api) -> None:
    assert served(api.app) == set(MATRIX)
    documented = {(m.upper(), p) for p, each in api.app.openapi()["paths"].items() for m in each}
    assert documented == set(MATRIX) - {("GET", "/openapi.json")}


@pytest.mark.parametrize("cell", [c for c, rule in MATRIX.items() if not rule.public], ids=" ".join)
async def test_nobody_gets_in_without_a_token(api: Api, cell: tuple[str, str]) -> None:
    answer = await api.http.request(cell[0], path_of(cell[1], PROSUMER_KEY.address))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("role", CALLERS, ids=str)
@pytest.mark.parametrize("cell", [c for c, rule in MATRIX.items() if not rule.public], ids=" ".join)
async def test_a_role_uses_what_its_cell_says(api: Api, cell: tuple[str, str], role: Role | None) -> None:
    caller, rule = CALLERS[role], MATRIX[cell]
    cases = {caller.address: role in rule.own or role in rule.foreign or None in rule.own}
    if "{account}" in cell[1]:
        cases[NEIGHBOUR.address] = role in rule.foreign
    for account, allowed in cases.items():
        headers = await api.as_(caller)
        answer = await api.http.request(cell[0], path_of(cell[1], account), headers=headers)
        assert let_in(cell, answer) is allowed, (account.hex(), answer.text)
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
