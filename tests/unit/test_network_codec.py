"""What the P-chain reads: ids, addresses, keys, genesis, transactions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import coincurve
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from settlement.errors import InputError
from settlement.network import genesis, identity, pchain
from settlement.network.codec import (
    bech32_address,
    cb58,
    from_cb58,
    node_bytes,
    node_id,
    sha256,
    short_address,
    u32,
    u64,
    with_check,
)
from settlement.network.engine import VM_ID
from settlement.network.errors import Refused
from settlement.network.identity import Identity
from settlement.network.pchain import PChain

PUBLIC_KEY_OF_TEST_NETWORKS = "56289e99c94b6912bfc12adc093c9b51124f0dc54ac7a766b2bc5ccf558d8027"
"""That every local Avalanche network knows; never for value."""
SUBNET = bytes(range(32))
ASSET = bytes(31) + b"\x09"


@given(st.binary(min_size=20, max_size=32))
def test_an_id_is_read_back_as_it_was_written(data: bytes) -> None:
    assert from_cb58(cb58(data), len(data)) == data


def test_the_virtual_machine_is_the_one_called_subnetevm() -> None:
    assert from_cb58(VM_ID, 32) == b"subnetevm".ljust(32, b"\0")


@pytest.mark.parametrize("text", ["", "0", VM_ID[:-1], VM_ID[:-1] + "z", VM_ID + "1", "1" + VM_ID])
def test_an_id_with_a_wrong_letter_length_or_check_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        from_cb58(text, 32)


def test_a_validator_is_named_with_its_prefix() -> None:
    with pytest.raises(InputError, match="NodeID-"):
        node_bytes(cb58(bytes(20)))


def test_an_address_is_the_one_other_software_finds() -> None:
    secret = bytes.fromhex(PUBLIC_KEY_OF_TEST_NETWORKS)
    assert bech32_address("P", short_address(secret)) == "P-custom18jma8ppw3nhx5r4ap8clazz0dps7rv5u9xde7p"


# Keys ---------------------------------------------------------------------------------------------------


def test_a_validator_is_known_by_its_certificate_and_proves_its_key(tmp_path: Path) -> None:
    from py_ecc.bls import G2ProofOfPossession

    found = identity.create(tmp_path / "1")
    certificate = x509.load_pem_x509_certificate((tmp_path / "1" / identity.CERTIFICATE).read_bytes())
    assert found.node_id == node_id(certificate.public_bytes(Encoding.DER))
    assert G2ProofOfPossession.PopVerify(found.public_key, found.proof)
    assert Identity.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_keys_are_for_their_owner_alone_and_are_never_overwritten(tmp_path: Path) -> None:
    identity.create(tmp_path)
    for name in (identity.CERTIFICATE_KEY, identity.SIGNER_KEY):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="already"):
        identity.create(tmp_path)


# Genesis ------------------------------------------------------------------------------------------------


def someone(byte: int) -> Identity:
    return Identity(node_id(bytes([byte])), bytes([byte]) * 48, bytes([byte]) * 96)


def test_what_is_staked_is_locked_at_another_address_than_what_is_spent() -> None:
    found = genesis.primary(1_000_001, [someone(1), someone(2)], b"\x01" * 32, b"\x02" * 32, 1_700_000_000)
    staked, spent = found["allocations"]
    assert staked["avaxAddr"] != spent["avaxAddr"]
    assert found["initialStakedFunds"] == [staked["avaxAddr"]]
    assert staked["unlockSchedule"][0]["amount"] == 2 * pchain.STAKE_NANO
    assert [one["nodeID"] for one in found["initialStakers"]] == [someone(1).node_id, someone(2).node_id]


def test_the_chain_begins_with_one_administrator_who_is_not_the_operator() -> None:
    administrator, operator = b"\xaa" * 20, b"\xbb" * 20
    found = genesis.evm(20_265, administrator, [operator], 1_700_000_000)
    for name in ("txAllowListConfig", "contractDeployerAllowListConfig"):
        assert found["config"][name]["adminAddresses"] == ["0x" + administrator.hex()]
        assert found["config"][name]["enabledAddresses"] == ["0x" + operator.hex()]
    assert found["config"]["feeConfig"]["minBaseFee"] == 1
    assert int(found["gasLimit"], 16) == found["config"]["feeConfig"]["gasLimit"] <= 120_000_000


# Transactions -------------------------------------------------------------------------------------------


class RecordedChain(PChain):
    """A P-chain whose node is a table of answers: what would be sent is kept instead."""

    def __init__(self, unspent: list[bytes], status: str = "Committed") -> None:
        super().__init__("http://node", 1_000_001, bytes.fromhex(PUBLIC_KEY_OF_TEST_NETWORKS))
        self.unspent, self.status, self.sent = unspent, status, b""

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        if method == "getUTXOs":
            return {"utxos": ["0x" + one.hex() for one in self.unspent]}
        if method == "issueTx":
            self.sent = bytes.fromhex(parameters["tx"][2:])
            return {"txID": cb58(sha256(self.sent[:-4]))}
        if method == "getCurrentValidators":
            return {"validators": [{"nodeID": someone(1).node_id, "endTime": "1800000000", "weight": "5"}]}
        return {"status": self.status, "reason": "for a test"}


def unspent(amount: int, address: bytes, lock: int = 0, kind: int = pchain.TRANSFER_OUTPUT) -> bytes:
    owners = u64(lock) + u32(1) + u32(1) + address
    return b"\0\0" + b"\x07" * 32 + u32(3) + ASSET + u32(kind) + u64(amount) + owners + bytes(4)


def funded(amount: int = 10**15, **changes: Any) -> RecordedChain:
    return RecordedChain([unspent(amount, bytes(20), **changes)])


def test_a_transaction_spends_one_output_and_returns_all_but_the_fee() -> None:
    chain = funded()
    assert chain.create_subnet() == cb58(sha256(chain.sent[:-4]))
    raw = chain.sent[:-4]
    assert with_check(raw) == chain.sent
    assert raw[:6] == b"\0\0" + u32(pchain.CREATE_SUBNET)
    assert raw[6:42] == u32(1_000_001) + bytes(32)
    assert raw[42:78] == u32(1) + ASSET
    assert raw[78:90] == u32(7) + u64(10**15 - pchain.FEE_NANO)
    assert u64(10**15) in raw[122:]


def test_every_signature_is_the_administrators_over_what_is_signed() -> None:
    chain = funded()
    chain.add_validator(cb58(SUBNET), someone(1).node_id, 5)
    raw = chain.sent[:-4]
    unsigned, credentials = raw[: -2 * 73 - 4], raw[-2 * 73 - 4 :]
    assert credentials[:4] == u32(2)
    for start in (4, 77):
        signature = credentials[start + 8 : start + 73]
        key = coincurve.PublicKey.from_signature_and_message(signature, sha256(unsigned), hasher=None)
        assert key == coincurve.PrivateKey(bytes.fromhex(PUBLIC_KEY_OF_TEST_NETWORKS)).public_key
    assert unsigned.endswith(u64(5) + SUBNET + u32(10) + u32(1) + u32(0))


def test_a_further_validators_stake_is_not_returned() -> None:
    chain = funded()
    chain.join(someone(2), 1_800_000_000)
    raw = chain.sent[:-4]
    assert raw[78:90] == u32(7) + u64(10**15 - pchain.FEE_NANO - pchain.STAKE_NANO)
    assert u32(pchain.PROOF_OF_POSSESSION) + someone(2).public_key + someone(2).proof in raw


def test_funds_that_are_locked_or_of_another_kind_are_not_spent() -> None:
    for chain in (RecordedChain([]), funded(lock=1), funded(kind=22), funded(amount=pchain.FEE_NANO)):
        with pytest.raises(Refused, match="funds"):
            chain.create_subnet()


def test_a_dropped_transaction_is_told_with_its_reason() -> None:
    chain = RecordedChain([unspent(10**15, bytes(20))], status="Dropped")
    with pytest.raises(Refused, match="for a test"):
        chain.remove_validator(cb58(SUBNET), someone(1).node_id)
