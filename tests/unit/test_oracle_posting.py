"""From registers to a posting: sums, packed bytes, digest, quorum."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle_world import DAY, NODE_KEYS, NODES, SEPARATOR, account, meter, registry

from oracle.aggregate import AccountDay, aggregate
from oracle.day import Day, blank
from oracle.errors import (
    BadNodeSignature,
    OutOfRange,
    TooFewSigners,
    UnknownAccount,
    UnknownReading,
    UnknownSigner,
    WrongShape,
)
from oracle.posting import (
    accounts_of_a_part,
    build,
    collect,
    node_address,
    pack_parts,
    posting_digest,
    sign_posting,
    signer_of,
)
from oracle.registry import MeterRegistry
from settlement.reference.eip712 import CURVE_ORDER
from settlement.reference.posting import Entry, Posting, pack_part, part_hash, unpack_part

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "meter.json").read_text())
DIGEST = bytes(range(32))


@st.composite
def account_days(draw: st.DrawFn) -> AccountDay:
    windows = draw(st.integers(1, 9))
    accounts = tuple(sorted(draw(st.sets(st.binary(min_size=20, max_size=20), max_size=5))))
    shape = (len(accounts), windows)
    metered = draw(hnp.arrays(np.int64, shape, elements=st.integers(1 - 2**30, 2**30 - 1)))
    flags = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 2)))
    return AccountDay(Day(1800, 100, windows), accounts, metered, flags)


def entries(day: AccountDay) -> list[Entry]:
    rows = zip(day.accounts, day.flags.tolist(), day.metered.tolist(), strict=True)
    return [Entry(address, tuple(flags), tuple(metered)) for address, flags, metered in rows]


def posted(day: AccountDay, **fields):
    prices = {"surplus": [1] * day.day.windows, "deficit": [2] * day.day.windows}
    return build(day, **{"zone": 1, "sequence": 1, "commitments": bytes(32), **prices, **fields})


def small_day() -> AccountDay:
    accounts = tuple(sorted(account(n) for n in range(3)))
    metered = np.arange(3 * DAY.windows, dtype=np.int64).reshape(3, -1) - 7
    return AccountDay(DAY, accounts, metered, (np.abs(metered) % 3).astype(np.uint8))


@given(account_days(), st.integers(1, 6))
def test_packed_parts_are_the_references_bytes(day: AccountDay, size: int) -> None:
    expected = [entries(day)[start : start + size] for start in range(0, len(day.accounts), size)]
    parts = pack_parts(day, size)
    assert list(parts) == [pack_part(part) for part in expected]
    assert [entry for part in parts for entry in unpack_part(part, day.day.windows)] == entries(day)


@given(account_days(), st.integers(1, 6))
def test_a_posting_names_its_parts_and_counts_their_entries(day: AccountDay, size: int) -> None:
    result = posted(day, accounts_per_part=size)
    assert result.is_whole()
    assert result.posting.parts == tuple(part_hash(part) for part in result.parts)
    assert result.posting.accounts == len(day.accounts)
    if result.parts:
        assert not replace(result, parts=result.parts[1:]).is_whole()


@pytest.mark.parametrize(
    ("windows", "rounds", "accounts"), [(48, 1, 50), (48, 4, 12), (96, 0, 25), (128, 127, 1)]
)
def test_a_part_has_as_many_accounts_as_can_be_certified_at_once(
    windows: int, rounds: int, accounts: int
) -> None:
    assert accounts_of_a_part(windows, rounds) == accounts
    with pytest.raises(OutOfRange):
        accounts_of_a_part(0, 1)
    with pytest.raises(OutOfRange):
        accounts_of_a_part(windows, -1)


@given(st.data(), st.integers(1, 4), st.integers(1, 5))
def test_aggregation_preserves_energy_and_takes_the_worse_flag(data, meters: int, owners: int) -> None:
    known = MeterRegistry(meter(n, account=account(n % owners)) for n in range(meters))
    empty = blank(DAY, known.series)
    wh = data.draw(hnp.arrays(np.int64, empty.wh.shape, elements=st.integers(0, 2**27)))
    flags = data.draw(hnp.arrays(np.uint8, empty.wh.shape, elements=st.integers(0, 2)))
    day = aggregate(empty.replace(wh, flags), known)
    export = np.array([register == 2 for _, register in known.series])
    assert (day.metered.sum(axis=0) == wh[export].sum(axis=0) - wh[~export].sum(axis=0)).all()
    assert day.accounts == known.accounts
    for row, address in enumerate(day.accounts):
        mine = np.array([known[meter_id].account == address for meter_id, _ in known.series])
        assert (day.flags[row] == flags[mine].max(axis=0)).all()
        assert (day.metered[row] == wh[mine & export].sum(axis=0) - wh[mine & ~export].sum(axis=0)).all()


def test_a_member_without_a_meter_is_posted_as_zero_by_default() -> None:
    known = MeterRegistry([meter(0)], members=[account(0), account(1)])
    empty = blank(DAY, known.series)
    day = aggregate(empty.replace(empty.wh + 5, np.zeros(empty.flags.shape, np.uint8)), known)
    assert day.accounts == tuple(sorted((account(0), account(1))))
    assert [values.tolist() for values in day.of(account(1))] == [[0] * DAY.windows, [2] * DAY.windows]
    assert not day.of(account(0))[1].any()
    none = aggregate(blank(DAY, ()), MeterRegistry([], members=[account(1)]))
    assert none.of(account(1))[1].tolist() == [2] * DAY.windows


def test_what_is_still_missing_cannot_be_aggregated() -> None:
    with pytest.raises(UnknownReading):
        aggregate(blank(DAY, registry().series), registry())


def test_an_account_day_refuses_what_is_none() -> None:
    day = small_day()
    assert day.of(day.accounts[1])[0].tolist() == day.metered[1].tolist()
    with pytest.raises(UnknownAccount):
        day.of(bytes(20))
    with pytest.raises(WrongShape):
        replace(day, accounts=day.accounts[::-1])
    with pytest.raises(WrongShape):
        replace(day, metered=day.metered[:, :1])
    with pytest.raises(OutOfRange) as caught:
        replace(day, metered=np.where(np.arange(3)[:, None] == 1, -(2**30), day.metered))
    assert caught.value.offender == day.accounts[1]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"surplus": [1] * (DAY.windows - 1)}, WrongShape),
        ({"deficit": [2] * (DAY.windows + 1)}, WrongShape),
        ({"surplus": [3] * DAY.windows}, OutOfRange),
        ({"deficit": [2**31] * DAY.windows}, OutOfRange),
        ({"surplus": [-(2**31) - 1] * DAY.windows}, OutOfRange),
        ({"commitments": bytes(31)}, OutOfRange),
        ({"zone": 2**32}, OutOfRange),
        ({"sequence": -1}, OutOfRange),
        ({"accounts_per_part": 0}, OutOfRange),
    ],
)
def test_a_posting_that_makes_no_sense_is_refused(fields: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        posted(small_day(), **fields)


def test_the_digest_changes_with_the_domain_and_the_posting() -> None:
    first, second = posted(small_day()), posted(small_day(), sequence=2)
    assert len({first.digest(SEPARATOR), second.digest(SEPARATOR), first.digest(bytes(32))}) == 3


def test_a_node_signs_as_a_wallet_would() -> None:
    for key, address in zip(NODE_KEYS, NODES, strict=True):
        wallet = Account.from_key(key)
        assert bytes.fromhex(wallet.address[2:]) == address == node_address(key)
        assert sign_posting(DIGEST, key) == bytes(wallet.unsafe_sign_hash(DIGEST).signature)
        assert signer_of(DIGEST, sign_posting(DIGEST, key)) == address


def test_signatures_are_collected_ascending_by_signer_each_once() -> None:
    signatures = [sign_posting(DIGEST, key) for key in NODE_KEYS]
    for order in (signatures, signatures[::-1], signatures * 2):
        collected = collect(DIGEST, order, NODES, 2)
        assert [signer_of(DIGEST, signature) for signature in collected] == sorted(NODES)


def test_too_few_or_unknown_signers_are_refused_with_their_id() -> None:
    signatures = [sign_posting(DIGEST, key) for key in NODE_KEYS]
    with pytest.raises(TooFewSigners) as few:
        collect(DIGEST, signatures[:1] * 3, NODES, 2)
    assert few.value.offender == 1
    with pytest.raises(UnknownSigner) as unknown:
        collect(DIGEST, signatures, NODES[:2], 2)
    assert unknown.value.offender == NODES[2]
    with pytest.raises(UnknownSigner):  # a signature over another digest recovers to a stranger
        collect(bytes(32), signatures, NODES, 2)
    for quorum in (0, 4):
        with pytest.raises(OutOfRange):
            collect(DIGEST, signatures, NODES, quorum)


def malleable(signature: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes((55 - signature[64],))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s[:64],
        lambda s: s + b"\x00",
        lambda s: s[:64] + bytes((s[64] - 27,)),
        malleable,
        lambda s: bytes(64) + b"\x1b",
        lambda s: b"\xff" * 64 + b"\x1b",
    ],
)
def test_a_malformed_or_malleable_signature_is_refused(spoil) -> None:
    with pytest.raises(BadNodeSignature):
        collect(DIGEST, [spoil(sign_posting(DIGEST, NODE_KEYS[0]))], NODES, 1)


@given(st.binary(max_size=70))
def test_random_bytes_are_no_quorum(data: bytes) -> None:
    with pytest.raises((BadNodeSignature, UnknownSigner)):
        collect(DIGEST, [data], NODES, 1)


def test_the_shared_vector_holds() -> None:
    vector = VECTORS["posting"]
    raw = {name: bytes.fromhex(vector[name][2:]) for name in ("commitments", "separator", "digest")}
    accounts = tuple(bytes.fromhex(entry["account"][2:]) for entry in vector["entries"])
    metered = np.array([entry["metered"] for entry in vector["entries"]], np.int64)
    flags = np.array([entry["flags"] for entry in vector["entries"]], np.uint8)
    day = AccountDay(Day(3600, vector["firstWindow"], vector["windows"]), accounts, metered, flags)
    result = posted(
        day,
        zone=vector["zone"],
        sequence=vector["sequence"],
        commitments=raw["commitments"],
        surplus=vector["surplusMicroPerKWh"],
        deficit=vector["deficitMicroPerKWh"],
        accounts_per_part=vector["accountsPerPart"],
    )
    assert ["0x" + part.hex() for part in result.parts] == vector["parts"]
    assert ["0x" + part.hex() for part in result.posting.parts] == vector["partHashes"]
    assert isinstance(result.posting, Posting)
    assert posting_digest(result.posting, raw["separator"]) == raw["digest"]
    signatures = [sign_posting(raw["digest"], bytes.fromhex(key[2:])) for key in vector["nodeKeys"]]
    collected = collect(
        raw["digest"], signatures, [node_address(bytes.fromhex(k[2:])) for k in vector["nodeKeys"]], 2
    )
    assert ["0x" + signature.hex() for signature in collected] == vector["signatures"]
