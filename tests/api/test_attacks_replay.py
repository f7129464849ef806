"""Replay and downgrade: what was used counts no more, and nothing weaker counts instead."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from api_client import Api, bearer, running_api
from api_world import NEIGHBOUR, PROSUMER_KEY, World
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from relay_world import HOME, cash_world, post, relaying, signed, to_sign, withdrawal

from api.auth import siwe
from api.auth.siwe import digest

pytestmark = pytest.mark.anyio

RELAYS = "/v1/relays"


@pytest.fixture
def rich(world: World) -> Iterator[World]:
    with cash_world(world) as found:
        yield found


@pytest.fixture
async def cash(rich: World, tmp_path: Path) -> AsyncIterator[Api]:
    async with relaying(rich, tmp_path) as found:
        yield found


# Replay -------------------------------------------------------------------------------------------------


async def test_a_login_message_is_of_no_use_to_another_deployment(world: World, tmp_path: Path) -> None:
    """One service's message, handed on by it, opens no other, though both ask for the same chain."""
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    other = {"siwe_domain": "other.example", "siwe_uri": "https://other.example"}
    async with (
        running_api(world, tmp_path / "a") as first,
        running_api(world, tmp_path / "b", **other) as second,
    ):
        message = await first.challenge(PROSUMER_KEY.address)
        signature = PROSUMER_KEY.sign_digest(digest(message))
        assert (await second.send_login(message, signature)).status_code == 401
        # Even with a nonce of its own, the text must name it.
        theirs = siwe.parse(await second.challenge(PROSUMER_KEY.address)).nonce
        mixed = message.replace(siwe.parse(message).nonce, theirs)
        assert (await second.send_login(mixed, PROSUMER_KEY.sign_digest(digest(mixed)))).status_code == 401


async def test_a_token_is_of_no_use_to_another_deployment(world: World, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    async with running_api(world, tmp_path / "a") as first, running_api(world, tmp_path / "b") as second:
        tokens = await first.login(PROSUMER_KEY)
        headers = bearer(tokens["access_token"])
        assert (await second.http.get("/v1/auth/me", headers=headers)).status_code == 401
        answer = await second.http.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert answer.status_code == 401


async def test_a_refresh_token_is_no_access_token_and_the_reverse(api: Api) -> None:
    tokens = await api.login(PROSUMER_KEY)
    headers = bearer(tokens["refresh_token"])
    assert (await api.http.get("/v1/auth/me", headers=headers)).status_code == 401
    answer = await api.http.post("/v1/auth/refresh", json={"refresh_token": tokens["access_token"]})
    assert answer.status_code in (401, 422)


async def test_a_relayed_message_sent_again_moves_nothing_again(cash: Api) -> None:
    body = await withdrawal(cash, 700)
    first = (await post(cash, RELAYS, PROSUMER_KEY, body)).json()
    for _ in range(3):
        again = await post(cash, RELAYS, PROSUMER_KEY, body)
        assert again.json()["tx_hash"] == first["tx_hash"]
    assert cash.world.exchange.view("nonces", PROSUMER_KEY.address) == (1,)


async def test_a_message_that_was_used_on_chain_is_refused_by_name(cash: Api) -> None:
    body = await withdrawal(cash, 700)
    cash.world.exchange.send(
        cash.world.admin,
        "relayWithdrawal",
        tuple(
            bytes.fromhex(value[2:]) if value.startswith("0x") else int(value)
            for value in body["message"].values()
        ),
        bytes.fromhex(body["signature"][2:]),
    )
    answer = await post(cash, RELAYS, PROSUMER_KEY, body)
    assert answer.json()["error"] == "InvalidAccountNonce"


async def test_a_message_for_another_exchange_or_chain_is_not_ours(cash: Api) -> None:
    data = await to_sign(cash, "withdrawals", {"amount_nano": "1"})
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    for change in ({"chainId": "1"}, {"verifyingContract": "0x" + "11" * 20}, {"version": "2"}):
        typed = {**data["typed_data"], "domain": {**data["typed_data"]["domain"], **change}}
        signature = Account.sign_message(encode_typed_data(full_message=typed), PROSUMER_KEY.secret)
        body = {**signed(data), "signature": "0x" + bytes(signature.signature).hex()}
        answer = await post(cash, RELAYS, PROSUMER_KEY, body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/signature")


async def test_an_idempotency_key_of_another_wallet_gives_nothing_of_it(cash: Api) -> None:
    key = {"Idempotency-Key": "the-same"}
    mine, theirs = await withdrawal(cash, 10), await withdrawal(cash, 20, NEIGHBOUR)
    first = await cash.http.post(RELAYS, json=mine, headers=await cash.as_(PROSUMER_KEY) | key)
    other = await cash.http.post(RELAYS, json=theirs, headers=await cash.as_(NEIGHBOUR) | key)
    assert (first.status_code, other.status_code) == (202, 202)
    assert other.json()["tx_hash"] != first.json()["tx_hash"]
    assert "idempotency-replayed" not in other.headers
    copied = await cash.http.post(RELAYS, json=mine, headers=await cash.as_(NEIGHBOUR) | key)
    assert copied.status_code == 422
    assert HOME not in copied.text


# Downgrade: tokens --------------------------------------------------------------------------------------


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def weaker(token: str, public: bytes, pem: bytes) -> dict[str, str]:
    """Tokens whose signature says less than ours."""
    head, body, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    typ = {"typ": "at+jwt"}
    macs = {}
    for name, secret in (("raw", public), ("PEM", pem)):
        for algorithm in ("HS256", "HS512"):
            import hashlib
            import hmac

            first = segment({"alg": algorithm, **typ}) + "." + body
            kind = hashlib.sha256 if algorithm == "HS256" else hashlib.sha512
            mac = base64.urlsafe_b64encode(hmac.digest(secret, first.encode(), kind)).rstrip(b"=").decode()
            macs[f"{algorithm} with the public key, {name}"] = f"{first}.{mac}"
    other = Ed25519PrivateKey.generate()

    def ours(**header: Any) -> str:
        return jwt.encode(claims, other, "EdDSA", headers={**typ, **header})

    def plain(**header: Any) -> str:
        return f"{segment({'alg': 'EdDSA', **typ, **header})}.{body}.{signature}"

    jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(public).decode()}
    return {
        **macs,
        "alg none": f"{segment({'alg': 'none', **typ})}.{body}.",
        "alg None": f"{segment({'alg': 'None', **typ})}.{body}.",
        "no alg": f"{segment(typ)}.{body}.{signature}",
        "alg a list": f"{segment({'alg': ['EdDSA'], **typ})}.{body}.{signature}",
        "typ JWT": plain(typ="JWT"),
        "a key of its own in the header": ours(jwk=jwk),
        "a key by URL": ours(jku="http://127.0.0.1:1/keys", kid="x"),
        "a certificate by URL": ours(x5u="http://127.0.0.1:1/cert"),
        "a kid that is a path": ours(kid="../../dev/null"),
        "a kid that is SQL": ours(kid="' OR '1'='1"),
        "a critical extension": plain(crit=["b64"], b64=False),
        "a signature of nothing": f"{head}.{body}.",
        "a body of nothing": f"{head}..{signature}",
        "five parts": f"{head}.{body}.{signature}.x.y",
        "a header that is a list": f"{segment([])}.{body}.{signature}",
        "a header of great depth": f"{'W1tb' * 900}.{body}.{signature}",
        "letters beyond ASCII": f"{head}.{body}.é",
    }


async def test_no_weaker_token_is_accepted(api: Api) -> None:
    token = (await api.login(PROSUMER_KEY))["access_token"]
    key = api.services.tokens._public
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, each in weaker(token, raw, pem).items():
        headers = {b"Authorization": b"Bearer " + each.encode()}
        answer = await api.http.get("/v1/auth/me", headers=headers)
        assert answer.status_code == 401, name
    assert (await api.http.get("/v1/auth/me", headers=bearer(token))).status_code == 200


# Downgrade: messages ------------------------------------------------------------------------------------

DOWNGRADES: dict[str, Callable[[str], str]] = {
    "another version": lambda text: text.replace("Version: 1", "Version: 2"),
    "no version": lambda text: text.replace("Version: 1\n", ""),
    "chain 0": lambda text: text.replace("Chain ID: 31337", "Chain ID: 0"),
    "the chain with a zero before it": lambda text: text.replace("Chain ID: 31337", "Chain ID: 031338"),
    "http in front": lambda text: "http://" + text,
    "a port": lambda text: text.replace("market.example wants", "market.example:80 wants"),
    "a user": lambda text: text.replace("market.example wants", "market.example@evil.example wants"),
    "a subdomain": lambda text: text.replace("market.example wants", "market.example.evil.example wants"),
    "another case": lambda text: text.replace("market.example wants", "MARKET.example wants"),
    "http in the URI": lambda text: text.replace("URI: https", "URI: http"),
    "a path in the URI": lambda text: text.replace(
        "URI: https://market.example", "URI: https://market.example/x"
    ),
    "no expiration": lambda text: "\n".join(
        line for line in text.split("\n") if not line.startswith("Expiration")
    ).replace("2026-06-01T12:00", "2026-06-01T11:00"),
    "two texts": lambda text: text + "\n" + text,
    "another account's letters": lambda text: text.replace("0x", "0\u0445"),
}


@pytest.mark.parametrize("name", DOWNGRADES)
async def test_a_message_that_says_less_or_elsewhere_logs_nobody_in(api: Api, name: str) -> None:
    text = await api.challenge(PROSUMER_KEY.address)
    message = DOWNGRADES[name](text)
    assert message != text
    answer = await api.send_login(message, PROSUMER_KEY.sign_digest(digest(message)))
    assert answer.status_code in (401, 422), answer.text
    assert "access_token" not in answer.text
