"""Who signed: keys, contract wallets, and wallets that do not exist yet; on a real chain."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from api_world import NEIGHBOUR, PROSUMER_KEY, World, key

from api.auth.signatures import MAGIC_6492, MOST_BYTES, BadSignature, SignedBy, recovered, verify
from api.auth.siwe import digest
from api.chain import ChainReader
from settlement.chain.abi import CODEC
from settlement.chain.errors import NodeError
from settlement.errors import InputError
from settlement.reference.eip712 import CURVE_ORDER, keccak

pytestmark = pytest.mark.anyio

DIGEST = digest("a login message")
SIGNED = PROSUMER_KEY.sign_digest(DIGEST)
GAS = 3_000_000
DEPLOY = keccak(b"deploy(address)")[:4]
WALLET_OF = keccak(b"walletOf(address)")[:4]


def wrap(factory: bytes, call: bytes, inner: bytes) -> bytes:
    return CODEC.encode(["address", "bytes", "bytes"], [factory, call, inner]) + MAGIC_6492


def padded(address: bytes) -> bytes:
    return address.rjust(32, b"\0")


async def refused(reader: ChainReader, account: bytes, signature: bytes, gas: int = GAS) -> bool:
    try:
        await verify(reader, account, DIGEST, signature, gas)
    except BadSignature:
        return True
    return False


# Keys ---------------------------------------------------------------------------------------------------


async def test_a_key_signs_for_its_own_account_only(reader: ChainReader) -> None:
    assert await verify(reader, PROSUMER_KEY.address, DIGEST, SIGNED, GAS) is SignedBy.KEY
    assert await refused(reader, NEIGHBOUR.address, SIGNED)
    assert await refused(reader, PROSUMER_KEY.address, PROSUMER_KEY.sign_digest(digest("another message")))
    assert await refused(reader, bytes(20), SIGNED)


def test_v_may_count_from_0_as_from_27() -> None:
    assert recovered(DIGEST, SIGNED[:64] + bytes([SIGNED[64] - 27])) == PROSUMER_KEY.address


async def test_a_key_s_signature_has_one_form(reader: ChainReader) -> None:
    """High s, other v, zeros, compact and padded forms: none of them is another valid signature."""
    r, s, v = SIGNED[:32], int.from_bytes(SIGNED[32:64], "big"), SIGNED[64]
    high = r + (CURVE_ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    forms = [
        high,
        SIGNED[:64],
        SIGNED + b"\0",
        SIGNED[:64] + bytes([v + 8]),
        bytes(65),
        b"\xff" * 65,
        b"",
        b"\0",
    ]
    for each in forms:
        assert await refused(reader, PROSUMER_KEY.address, each), each.hex()


# Contract wallets ---------------------------------------------------------------------------------------


async def test_a_deployed_wallet_judges_its_owner_s_signature(world: World, reader: ChainReader) -> None:
    wallet = world.create("KeyWallet", ["address"], [PROSUMER_KEY.address])
    assert await verify(reader, wallet, DIGEST, SIGNED, GAS) is SignedBy.CONTRACT
    assert await refused(reader, wallet, NEIGHBOUR.sign_digest(DIGEST))
    assert await refused(reader, wallet, SIGNED[:64])
    assert await refused(reader, wallet, PROSUMER_KEY.sign_digest(digest("another message")))


async def test_a_wallet_that_does_not_exist_yet_is_asked_as_if_it_did(
    world: World, reader: ChainReader
) -> None:
    factory, owner = world.create("WalletFactory"), key(30)
    answer = world.chain.call(factory, WALLET_OF + padded(owner.address))
    wallet, call = answer[12:], DEPLOY + padded(owner.address)
    wrapped = wrap(factory, call, owner.sign_digest(DIGEST))
    assert await verify(reader, wallet, DIGEST, wrapped, GAS) is SignedBy.COUNTERFACTUAL
    assert world.chain.code(wallet) == b""  # asking changed nothing
    assert await refused(reader, wallet, wrap(factory, call, SIGNED))
    assert await refused(
        reader, wallet, wrap(factory, DEPLOY + padded(NEIGHBOUR.address), owner.sign_digest(DIGEST))
    )
    assert await refused(reader, owner.address, wrapped)
    world.chain.send(world.admin, factory, call)
    assert await verify(reader, wallet, DIGEST, wrapped, GAS) is SignedBy.COUNTERFACTUAL
    assert await verify(reader, wallet, DIGEST, owner.sign_digest(DIGEST), GAS) is SignedBy.CONTRACT


async def test_a_wrapper_never_speaks_for_an_account_without_a_wallet(
    world: World, reader: ChainReader
) -> None:
    """Not for a key, not even with that key's own signature inside, whatever the factory is."""
    for factory in (
        bytes(20),
        world.deployment.exchange,
        world.create("WalletFactory"),
        PROSUMER_KEY.address,
    ):
        assert await refused(reader, PROSUMER_KEY.address, wrap(factory, b"", SIGNED))


@pytest.mark.parametrize("inside", [b"", b"\0" * 31, b"\xff" * 96, bytes(64), bytes(96)])
async def test_a_wrapper_with_nothing_readable_inside_is_refused(reader: ChainReader, inside: bytes) -> None:
    assert await refused(reader, PROSUMER_KEY.address, inside + MAGIC_6492)


@pytest.mark.parametrize("kind", range(8))
async def test_only_the_magic_value_is_an_acceptance(world: World, reader: ChainReader, kind: int) -> None:
    """Endless loops, a 1, nothing, short and padded answers, reverts, gateways and huge answers are none."""
    wallet = world.create("BadWallet", ["uint8", "string"], [kind, ""])
    assert await refused(reader, wallet, SIGNED)
    assert await refused(reader, wallet, wrap(wallet, b"\x01", SIGNED))


async def test_gas_bounds_what_a_wallet_may_do(world: World, reader: ChainReader) -> None:
    wallet = world.create("KeyWallet", ["address"], [PROSUMER_KEY.address])
    assert await refused(reader, wallet, SIGNED, gas=22_000)


async def test_a_signature_has_a_greatest_length(reader: ChainReader) -> None:
    assert await refused(reader, PROSUMER_KEY.address, bytes(MOST_BYTES) + MAGIC_6492)


# The edge -----------------------------------------------------------------------------------------------


@contextmanager
def listening(answer: bytes | None) -> Iterator[tuple[str, list[str]]]:
    """A web server that notes what it is asked and answers, or with None never does."""
    asked: list[str] = []
    quiet = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            if answer is None:
                quiet.wait(20)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        quiet.set()
        server.shutdown()
        thread.join()
        server.server_close()


async def test_no_wallet_makes_the_service_call_elsewhere(world: World, reader: ChainReader) -> None:
    """EIP-3668 would have us ask the gateway that a wallet names."""
    with listening(b"{}") as (url, asked):
        wallet = world.create("BadWallet", ["uint8", "string"], [6, url + "/{sender}/{data}"])
        assert await refused(reader, wallet, SIGNED)
        assert asked == []


@pytest.mark.parametrize("answer", [b"no json", b"[]", b"{}x"])
async def test_a_node_that_talks_nonsense_accepts_nobody(world: World, answer: bytes) -> None:
    with listening(answer) as (url, _):
        broken = ChainReader(url, world.deployment.exchange, timeout_s=5)
        with pytest.raises(NodeError):
            await verify(broken, PROSUMER_KEY.address, DIGEST, SIGNED, GAS)
        await broken.close()


async def test_a_node_that_does_not_answer_is_given_up(world: World) -> None:
    with listening(None) as (url, _):
        slow = ChainReader(url, world.deployment.exchange, timeout_s=0.2)
        with pytest.raises(NodeError, match="does not answer"):
            await verify(slow, PROSUMER_KEY.address, DIGEST, SIGNED, GAS)
        await slow.close()


def test_a_chain_is_read_over_http() -> None:
    with pytest.raises(InputError, match="TRELLIS_RPC"):
        ChainReader("file:///etc/hosts", bytes(20), 1)
