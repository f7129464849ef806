"""Identities: sealed, one's own, disclosed to regulators with an entry in a log, and erased."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_client import Api, running_api
from api_world import AUDITOR, NEIGHBOUR, PROSUMER_KEY, REGISTRAR, REGULATOR, STRANGER, World
from databases import KINDS, create_database
from sqlalchemy import delete, select, text, update

from api.db.identity_models import Disclosure, Identity
from api.db.models import IdempotencyRecord
from api.identity.log import FIRST, Entry, hash_of, verify
from api.identity.seal import CannotOpen, Person, Seals, load, new
from api.identity.store import log_of
from settlement.chain.rpc import to_hex
from settlement.chain.sign import Signer
from settlement.cli import main
from settlement.errors import InputError

pytestmark = pytest.mark.anyio

NAME = "Registered name of a member"
BODY = {"legal_name": NAME, "contact": "a postal address", "metering_points": ["MP-0001", "MP-0002"]}
PERSON = Person(NAME, "a postal address", ("MP-0001", "MP-0002"))
SECOND = f"second {base64.b64encode(b'k' * 32).decode()}\n"


@pytest.fixture(params=KINDS)
async def api(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Any:
    changes = {}
    if request.param == "postgresql":
        changes = {"database_url": await create_database(request.getfixturevalue("postgres"))}
    async with running_api(world, tmp_path, **changes) as found:
        yield found


def place(signer: Signer) -> str:
    return f"/v1/accounts/{to_hex(signer.address)}/identity"


async def keep(api: Api, of: Signer = PROSUMER_KEY, **changes: Any) -> None:
    answer = await api.http.put(place(of), headers=await api.as_(REGISTRAR), json={**BODY, **changes})
    assert answer.status_code == 204, answer.text


async def disclose(api: Api, of: Signer = PROSUMER_KEY, **headers: str) -> httpx.Response:
    asked = {"account": to_hex(of.address), "legal_basis": "an article", "reason": "a case"}
    headers = await api.as_(REGULATOR) | headers
    return await api.http.post("/v1/disclosures", headers=headers, json=asked)


async def seen_by(api: Api, signer: Signer) -> list[dict[str, Any]]:
    answer = await api.http.get("/v1/disclosures", headers=await api.as_(signer))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


# Whose it is --------------------------------------------------------------------------------------------


async def test_a_member_reads_its_own_identity_and_nobody_another_s(api: Api) -> None:
    await keep(api)
    own = await api.http.get(place(PROSUMER_KEY), headers=await api.as_(PROSUMER_KEY))
    assert own.json() == BODY
    for signer, status in (
        (NEIGHBOUR, 404),
        (AUDITOR, 403),
        (REGULATOR, 403),
        (STRANGER, 403),
        (REGISTRAR, 403),
    ):
        answer = await api.http.get(place(PROSUMER_KEY), headers=await api.as_(signer))
        assert answer.status_code == status
        assert NAME not in answer.text


async def test_identities_are_sealed_in_the_database(api: Api) -> None:
    await keep(api)
    async with api.services.sessions() as db:
        row = await db.get_one(Identity, to_hex(PROSUMER_KEY.address))
    assert row.sealed is not None
    assert (row.version, row.key_id) == (1, "first")
    assert NAME.encode() not in row.sealed


async def test_a_disclosure_tells_and_is_logged_and_the_member_sees_it(api: Api) -> None:
    await keep(api)
    answer = await disclose(api)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    told = answer.json()
    assert told.pop("identity") == BODY
    assert (told["number"], told["previous"]) == ("1", FIRST)
    for signer in (AUDITOR, REGULATOR, PROSUMER_KEY):
        assert await seen_by(api, signer) == [told]
    assert await seen_by(api, NEIGHBOUR) == []
    assert NAME not in json.dumps(told)


async def test_nothing_is_disclosed_without_an_entry_nor_logged_without_an_identity(api: Api) -> None:
    assert (await disclose(api)).status_code == 404
    assert await seen_by(api, AUDITOR) == []
    await keep(api)
    async with api.services.sessions.begin() as db:  # as if the disk were full
        await db.execute(text("ALTER TABLE disclosures RENAME TO elsewhere"))
    answer = await disclose(api)
    assert answer.status_code >= 500
    assert NAME not in answer.text


@pytest.mark.parametrize("missing", ["legal_basis", "reason"])
async def test_a_disclosure_needs_its_legal_basis_and_reason(api: Api, missing: str) -> None:
    await keep(api)
    asked = {"account": to_hex(PROSUMER_KEY.address), "legal_basis": "an article", "reason": "a case"}
    for changed in ({**asked, missing: "  "}, {k: v for k, v in asked.items() if k != missing}):
        answer = await api.http.post("/v1/disclosures", headers=await api.as_(REGULATOR), json=changed)
        assert answer.status_code == 422
    assert await seen_by(api, AUDITOR) == []


async def test_the_same_request_again_is_one_entry_and_its_identity_is_not_kept_with_it(api: Api) -> None:
    await keep(api)
    answers = [await disclose(api, **{"Idempotency-Key": "once"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert len(await seen_by(api, AUDITOR)) == 1
    async with api.services.sessions() as db:
        kept = await db.scalars(select(IdempotencyRecord.body))
        assert all(NAME.encode() not in (body or b"") for body in kept)


async def test_an_erased_identity_is_gone_and_the_log_stays_verifiable(api: Api) -> None:
    await keep(api)
    await disclose(api, **{"Idempotency-Key": "once"})
    await keep(api, NEIGHBOUR)
    await disclose(api, NEIGHBOUR)
    headers = await api.as_(REGISTRAR)
    assert (await api.http.delete(place(PROSUMER_KEY), headers=headers)).status_code == 204
    assert (await api.http.delete(place(PROSUMER_KEY), headers=headers)).status_code == 404
    assert (await api.http.get(place(PROSUMER_KEY), headers=await api.as_(PROSUMER_KEY))).status_code == 404
    assert (await disclose(api)).status_code == 404
    again = await disclose(api, **{"Idempotency-Key": "once"})
    assert again.json()["identity"] is None
    found = verify(await log_of(api.services.sessions))
    assert (found.ok, found.entries) == (True, 2)
    await keep(api)
    async with api.services.sessions() as db:
        assert (await db.get_one(Identity, to_hex(PROSUMER_KEY.address))).version == 3


async def test_disclosures_that_come_together_follow_each_other(api: Api) -> None:
    import asyncio

    await keep(api)
    headers = await api.as_(REGULATOR)
    asked = {"account": to_hex(PROSUMER_KEY.address), "legal_basis": "an article", "reason": "a case"}
    sent = [api.http.post("/v1/disclosures", headers=headers, json=asked) for _ in range(8)]
    answers = await asyncio.gather(*sent)
    assert sorted(int(one.json()["number"]) for one in answers) == list(range(1, 9))
    assert verify(await log_of(api.services.sessions)).ok


# The log ------------------------------------------------------------------------------------------------


def chain_of(count: int) -> list[tuple[Entry, str]]:
    found: list[tuple[Entry, str]] = []
    for number in range(1, count + 1):
        previous = found[-1][1] if found else FIRST
        entry = Entry(number, "0xaa", "0xbb", "an article", f"case {number}", 1, "cc", 5, previous)
        found.append((entry, hash_of(entry)))
    return found


def test_a_log_that_was_changed_cut_or_rewritten_is_found_out() -> None:
    log = chain_of(4)
    assert verify(log).ok
    for at in range(4):
        for changes in ({"reason": "another"}, {"account": "0xdd"}, {"at": 6}, {"commitment": "dd"}):
            entry = replace(log[at][0], **changes)  # type: ignore[arg-type]
            assert verify([*log[:at], (entry, log[at][1]), *log[at + 1 :]]).broken == at + 1
            rewritten = [*log[:at], (entry, hash_of(entry)), *log[at + 1 :]]
            assert verify(rewritten, log[3][1]).ok is False
        if at < 3:
            assert verify([*log[:at], *log[at + 1 :]]).broken == at + 1
    assert verify(log[:3]).ok
    assert not verify(log[:3], log[3][1]).ok
    assert verify(log, log[1][1]).ok


async def test_the_command_verifies_the_log(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_api(world, tmp_path) as api:
        await keep(api)
        for _ in range(3):
            await disclose(api)
    url = f"sqlite+aiosqlite:///{tmp_path / 'api.db'}"

    async def run(*arguments: str) -> tuple[int, Any]:
        import asyncio

        command = ["disclosures", "verify", "--database", url, "--json", *arguments]
        code = await asyncio.to_thread(main, command)
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    code, found = await run()
    assert (code, found["entries"], found["ok"]) == (0, 3, True)
    assert (await run("--head", found["head"]))[0] == 0
    async with running_api(world, tmp_path) as api, api.services.sessions.begin() as db:
        await db.execute(delete(Disclosure).where(Disclosure.number == 3))
    assert (await run())[0] == 0
    assert (await run("--head", found["head"]))[0] == 1
    async with running_api(world, tmp_path) as api, api.services.sessions.begin() as db:
        await db.execute(update(Disclosure).where(Disclosure.number == 1).values(reason="another"))
    code, found = await run()
    assert (code, found["broken"]) == (1, 1)


# Seals --------------------------------------------------------------------------------------------------


def test_a_seal_opens_for_its_account_and_version_only(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"first {base64.b64encode(bytes(32)).decode()}\n")
    old = load(file)
    assert old is not None
    opened, account = new(PERSON), bytes(20)
    sealed = old.seal(account, 3, opened)
    file.write_text(file.read_text() + SECOND)
    seals = load(file)
    assert seals is not None
    assert seals.open(account, 3, "first", sealed) == opened
    assert seals.current == "second"
    for args in (
        (b"\x01" * 20, 3, "first", sealed),
        (account, 4, "first", sealed),
        (account, 3, "second", sealed),
    ):
        with pytest.raises(CannotOpen):
            seals.open(*args)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(CannotOpen):
            seals.open(account, 3, "first", bytes(changed))
    with pytest.raises(CannotOpen, match="not in the file"):
        Seals({"other": bytes(32)}).open(account, 3, "first", sealed)


@pytest.mark.parametrize("text_", ["", "first", "first c2hvcnQ=", "FIRST " + SECOND[7:], SECOND + SECOND])
def test_a_key_file_that_is_wrong_is_refused_without_repeating_it(tmp_path: Path, text_: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text_)
    with pytest.raises(InputError) as found:
        load(file)
    assert not text_ or SECOND.split()[1] not in str(found.value)


async def test_without_a_key_file_nothing_is_kept(world: World, tmp_path: Path) -> None:
    async with running_api(world, tmp_path, identity_key_file=None) as api:
        answer = await api.http.put(place(PROSUMER_KEY), headers=await api.as_(REGISTRAR), json=BODY)
        assert answer.status_code == 503
