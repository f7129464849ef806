"""Wallets log in, stay logged in, and are thrown out: the routes under /v1/auth."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from api_client import START, Api, bearer, running_api
from api_world import NEIGHBOUR, PROSUMER_KEY, STRANGER, World
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import text

from api import logs
from api.auth import siwe
from api.auth.siwe import digest
from api.auth.tokens import load_key
from settlement.errors import InputError

pytestmark = pytest.mark.anyio


async def signed(api: Api) -> tuple[str, bytes]:
    message = await api.challenge(PROSUMER_KEY.address)
    return message, PROSUMER_KEY.sign_digest(digest(message))


async def me(api: Api, token: str) -> int:
    return (await api.http.get("/v1/auth/me", headers=bearer(token))).status_code


# Login --------------------------------------------------------------------------------------------------


async def test_a_wallet_logs_in_with_the_message_it_was_given(api: Api) -> None:
    tokens = await api.login(PROSUMER_KEY)
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 600
    assert tokens["account"] == "0x" + PROSUMER_KEY.address.hex()
    assert tokens["refresh_expires_at"] == "2026-06-15T12:00:00Z"
    answer = (await api.http.get("/v1/auth/me", headers=bearer(tokens["access_token"]))).json()
    assert answer["roles"] == ["prosumer"]
    assert answer["member"]["capacity_wh"] == "8000"
    assert int(answer["block_number"]) > 0


async def test_the_message_says_what_eip_4361_asks_for(api: Api) -> None:
    message = siwe.parse(await api.challenge(PROSUMER_KEY.address, request_id="home-17"))
    assert (message.domain, message.uri) == ("market.example", "https://market.example")
    assert message.chain_id == "31337"
    assert message.account == PROSUMER_KEY.address
    assert (message.issued_at, message.expiration_time) == ("2026-06-01T12:00:00Z", "2026-06-01T12:05:00Z")
    assert message.request_id == "home-17"
    assert len(message.nonce) == 22


async def test_nonces_differ(api: Api) -> None:
    texts = [await api.challenge(PROSUMER_KEY.address) for _ in range(20)]
    assert len({siwe.parse(each).nonce for each in texts}) == 20


async def test_a_signed_message_logs_in_once(api: Api) -> None:
    message, signature = await signed(api)
    assert (await api.send_login(message, signature)).status_code == 200
    again = await api.send_login(message, signature)
    assert again.status_code == 401
    assert again.json()["type"] == "urn:trellis:problem:login-refused"


async def test_of_logins_at_the_same_moment_one_gets_in(api: Api) -> None:
    message, signature = await signed(api)
    answers = await asyncio.gather(*(api.send_login(message, signature) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [200] + [401] * 7


async def test_a_failed_attempt_uses_the_nonce_up(api: Api) -> None:
    message, signature = await signed(api)
    assert (await api.send_login(message, NEIGHBOUR.sign_digest(digest(message)))).status_code == 401
    assert (await api.send_login(message, signature)).status_code == 401


async def test_a_challenge_expires(api: Api) -> None:
    message, signature = await signed(api)
    api.clock.now += 300
    answer = await api.send_login(message, signature)
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


CHANGES: dict[str, Callable[[str], str]] = {
    "another domain": lambda text: text.replace("market.example wants", "evil.example wants"),
    "another uri": lambda text: text.replace("URI: https://market.example", "URI: https://evil.example"),
    "http": lambda text: "http://" + text,
    "another chain": lambda text: text.replace("Chain ID: 31337", "Chain ID: 1"),
    "another statement": lambda text: text.replace("Sign in to", "Give all to"),
    "an earlier issue": lambda text: text.replace(
        "Issued At: 2026-06-01T12:00", "Issued At: 2026-06-01T11:00"
    ),
    "a request id that was not asked for": lambda text: text + "\nRequest ID: x",
    "a resource": lambda text: text + "\nResources:\n- https://evil.example/",
    "not before later": lambda text: text + "\nNot Before: 2026-06-01T13:00:00Z",
    "an own nonce": lambda text: text.replace(siwe.parse(text).nonce, "0123456789abcdef"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_message_changed_before_it_was_signed_is_refused(api: Api, name: str) -> None:
    message = CHANGES[name](await api.challenge(PROSUMER_KEY.address))
    answer = await api.send_login(message, PROSUMER_KEY.sign_digest(digest(message)))
    assert answer.status_code == 401, answer.text


async def test_a_nonce_is_of_the_account_that_asked(api: Api) -> None:
    message = siwe.parse(await api.challenge(PROSUMER_KEY.address))
    other = siwe.parse(await api.challenge(NEIGHBOUR.address))
    stolen = siwe.build(siwe.Message(**{**_fields(message), "address": other.address}))
    answer = await api.send_login(stolen, NEIGHBOUR.sign_digest(digest(stolen)))
    assert answer.status_code == 401


def _fields(message: siwe.Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in siwe.Message.__slots__}


async def test_text_that_is_no_message_is_told_by_its_line(api: Api) -> None:
    answer = await api.send_login("log me in", bytes(65))
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "/message", "detail": answer.json()["errors"][0]["detail"]}
    ]
    assert "line 1" in answer.json()["errors"][0]["detail"]


async def test_a_contract_wallet_logs_in(api: Api) -> None:
    wallet = api.world.create("KeyWallet", ["address"], [PROSUMER_KEY.address])
    message = await api.challenge(wallet)
    answer = await api.send_login(message, PROSUMER_KEY.sign_digest(digest(message)))
    assert answer.json()["account"] == "0x" + wallet.hex()


# Access tokens ------------------------------------------------------------------------------------------


async def test_an_access_token_expires(api: Api) -> None:
    token = (await api.login(PROSUMER_KEY))["access_token"]
    api.clock.now += 599
    assert await me(api, token) == 200
    api.clock.now += 1
    answer = await api.http.get("/v1/auth/me", headers=bearer(token))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def forged(token: str, **options: Any) -> list[str]:
    """Tokens with the same claims under other keys, algorithms and types."""
    claims = jwt.decode(token, options={"verify_signature": False})
    head, body, signature = token.split(".")
    none = jwt.encode(claims, None, "none", headers={"typ": "at+jwt"})
    return [
        none,
        jwt.encode(claims, "k" * 32, "HS256", headers={"typ": "at+jwt"}),
        jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers={"typ": "at+jwt"}),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}",
        "x",
    ]


async def test_tokens_of_other_keys_and_algorithms_are_refused(api: Api) -> None:
    """Among them `none` and a MAC with a key of the forger's: no downgrade."""
    token = (await api.login(PROSUMER_KEY))["access_token"]
    for each in forged(token):
        assert await me(api, each) == 401, each


async def test_our_own_signature_under_other_claims_is_refused(world: World, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    async with running_api(world, tmp_path, token_key_file=path) as api:
        token = (await api.login(PROSUMER_KEY))["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        same = jwt.encode(claims, key, "EdDSA", headers={"typ": "at+jwt"})
        assert await me(api, same) == 200
        wrong: list[dict[str, Any]] = [
            {"iss": "x"},
            {"aud": "x"},
            {"sub": "0x12"},
            {"sub": 5},
            {"exp": START},
        ]
        for change in wrong:
            assert (
                await me(api, jwt.encode(claims | change, key, "EdDSA", headers={"typ": "at+jwt"})) == 401
            ), change
        for name in claims:
            less = {other: value for other, value in claims.items() if other != name}
            assert await me(api, jwt.encode(less, key, "EdDSA", headers={"typ": "at+jwt"})) == 401, name
        assert await me(api, jwt.encode(claims, key, "EdDSA")) == 401  # another type of token


async def test_a_restart_keeps_logins_and_what_was_ended(world: World, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    async with running_api(world, tmp_path, token_key_file=path) as api:
        kept, ended = await api.login(PROSUMER_KEY), await api.login(PROSUMER_KEY)
        await api.http.post("/v1/auth/logout", headers=bearer(ended["access_token"]))
    async with running_api(world, tmp_path, token_key_file=path) as api:
        assert await me(api, kept["access_token"]) == 200
        assert await me(api, ended["access_token"]) == 401


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Basic {token}")],
        [("Authorization", "{token}")],
        [("Authorization", "Bearer {token}"), ("Authorization", "Bearer {token}")],
        [("Cookie", "Authorization=Bearer {token}; access_token={token}; token={token}")],
        [("X-Access-Token", "{token}")],
    ],
)
async def test_a_token_counts_in_the_authorization_header_only(
    api: Api, headers: list[tuple[str, str]]
) -> None:
    """A cookie is ignored, so no other site can act for a wallet through its browser."""
    token = (await api.login(PROSUMER_KEY))["access_token"]
    sent = [(name, value.replace("{token}", token)) for name, value in headers]
    answer = await api.http.get("/v1/auth/me", params={"access_token": token}, headers=sent)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_no_answer_sets_a_cookie(api: Api) -> None:
    tokens = await api.login(PROSUMER_KEY)
    answer = await api.http.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


# Refresh ------------------------------------------------------------------------------------------------


async def refresh(api: Api, token: str) -> Any:
    return await api.http.post("/v1/auth/refresh", json={"refresh_token": token})


async def test_a_refresh_token_is_exchanged_for_the_next(api: Api) -> None:
    tokens = await api.login(PROSUMER_KEY)
    for _ in range(3):
        api.clock.now += 3600
        answer = await refresh(api, tokens["refresh_token"])
        assert answer.status_code == 200
        assert answer.json()["refresh_expires_at"] == tokens["refresh_expires_at"]
        tokens = answer.json()
        assert await me(api, tokens["access_token"]) == 200


async def test_a_refresh_token_that_comes_twice_ends_the_login(api: Api) -> None:
    first, other = await api.login(PROSUMER_KEY), await api.login(PROSUMER_KEY)
    second = (await refresh(api, first["refresh_token"])).json()
    assert (await refresh(api, first["refresh_token"])).status_code == 401
    assert (await refresh(api, second["refresh_token"])).status_code == 401
    assert await me(api, second["access_token"]) == 401
    assert await me(api, other["access_token"]) == 200  # another login of the same wallet stays


async def test_of_exchanges_at_the_same_moment_at_most_one_succeeds(api: Api) -> None:
    tokens = await api.login(PROSUMER_KEY)
    answers = await asyncio.gather(*(refresh(api, tokens["refresh_token"]) for _ in range(8)))
    assert [each.status_code for each in answers].count(200) <= 1


async def test_a_login_has_an_end_that_refreshing_does_not_move(api: Api) -> None:
    tokens = await api.login(PROSUMER_KEY)
    api.clock.now += 14 * 86_400
    assert (await refresh(api, tokens["refresh_token"])).status_code == 401


async def test_after_a_logout_no_token_of_the_login_counts(api: Api) -> None:
    tokens = await api.login(PROSUMER_KEY)
    assert (await api.http.post("/v1/auth/logout", headers=bearer(tokens["access_token"]))).status_code == 204
    assert await me(api, tokens["access_token"]) == 401
    assert (await refresh(api, tokens["refresh_token"])).status_code == 401


@pytest.mark.parametrize("token", ["x", "' OR 1=1 --", "é" * 50])
async def test_an_unknown_refresh_token_is_refused(api: Api, token: str) -> None:
    assert (await refresh(api, token)).status_code == 401


# What is kept -------------------------------------------------------------------------------------------


async def test_no_token_or_signature_is_in_the_database_or_the_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("trellis").addHandler(caplog.handler)
    message, signature = await signed(api)
    tokens = (await api.send_login(message, signature)).json()
    next_ = (await refresh(api, tokens["refresh_token"])).json()
    await refresh(api, tokens["refresh_token"])
    await me(api, next_["access_token"])
    secrets = [
        signature.hex(),
        *(pair[name] for pair in (tokens, next_) for name in ("access_token", "refresh_token")),
    ]
    written = "\n".join(logs.JsonLines().format(record) for record in caplog.records)
    assert "/v1/auth/login" in written
    kept = ""
    async with api.services.sessions() as session:
        for table in ("login_nonces", "logins", "refresh_tokens", "idempotency_records"):
            kept += str((await session.execute(text(f"SELECT * FROM {table}"))).all())
    assert "0x" + PROSUMER_KEY.address.hex() in kept
    for secret in secrets:
        assert secret not in written
        assert secret not in kept


async def test_expired_challenges_and_logins_are_forgotten(api: Api) -> None:
    for _ in range(3):
        await api.login(STRANGER)
    api.clock.now += 14 * 86_400 + 1
    await api.login(STRANGER)
    async with api.services.sessions() as session:
        for table in ("login_nonces", "logins", "refresh_tokens"):
            assert (await session.execute(text(f"SELECT COUNT(*) FROM {table}"))).scalar() == 1, table


def test_a_token_key_is_an_ed25519_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(InputError, match="no PEM file"):
        load_key(path)
    path.write_text("secret")
    with pytest.raises(InputError, match="no PEM file"):
        load_key(path)
