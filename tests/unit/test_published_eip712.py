"""EIP-712 as it is published: the example message of the standard, hashed and signed by our own functions.

Facts are those of the standard's text and of its Example.js: hashes, the digest, the signature of the key
keccak256("cow").
"""

from __future__ import annotations

import pytest
from eth_account.messages import encode_typed_data

from settlement.chain.sign import Signer
from settlement.reference import eip712
from settlement.reference.eip712 import keccak
from settlement.reference.errors import InvalidSignature
from settlement.reference.words import address_word, word

PERSON = b"Person(string name,address wallet)"
MAIL = b"Mail(Person from,Person to,string contents)" + PERSON
DOMAIN_TYPE_HASH = "8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f"
PERSON_TYPE_HASH = "b9d8c78acf9b987311de6c7b45bb6a9c8e1bf361fa7fd3467a2163f994c79500"
MAIL_TYPE_HASH = "a0cedeb2dc280ba39b857546d74f5549c3a1d7bdc2dd96bf881f76108e23dac2"
FROM_HASH = "fc71e5fa27ff56c350aa531bc129ebdf613b772b6604664f5d8dbe21b85eb0c8"
TO_HASH = "cd54f074a4af31b4411ff6a60c9719dbd559c221c8ac3492d9d872b041d703d1"
CONTENTS_HASH = "b5aadf3154a261abdd9086fc627b61efca26ae5702701d05cd2305f7c52a2fc8"
MESSAGE_HASH = "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e"
SEPARATOR = "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
DIGEST = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
R = "4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
S = "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562"
V = 28
SIGNER = "cd2a3d9f938e13cd947ec05abc7fe734df8dd826"

COW = ("Cow", bytes.fromhex(SIGNER))
BOB = ("Bob", b"\xbb" * 20)
CONTRACT = b"\xcc" * 20


def hash_person(name: str, wallet: bytes) -> bytes:
    return keccak(keccak(PERSON) + keccak(name.encode()) + address_word(wallet))


def hash_mail() -> bytes:
    contents = keccak(b"Hello, Bob!")
    return keccak(keccak(MAIL) + hash_person(*COW) + hash_person(*BOB) + contents)


def separator() -> bytes:
    """Of another name than ours, by the type hash that ours has."""
    names = keccak(b"Ether Mail") + keccak(b"1")
    return keccak(eip712.DOMAIN_TYPE_HASH + names + word(1) + address_word(CONTRACT))


def test_published_eip712_type_hashes() -> None:
    assert eip712.DOMAIN_TYPE_HASH.hex() == DOMAIN_TYPE_HASH
    assert keccak(PERSON).hex() == PERSON_TYPE_HASH
    assert keccak(MAIL).hex() == MAIL_TYPE_HASH


def test_published_eip712_struct_hashes() -> None:
    assert hash_person(*COW).hex() == FROM_HASH
    assert hash_person(*BOB).hex() == TO_HASH
    assert keccak(b"Hello, Bob!").hex() == CONTENTS_HASH
    assert hash_mail().hex() == MESSAGE_HASH


def test_published_eip712_domain_separator_and_digest() -> None:
    assert separator().hex() == SEPARATOR
    assert eip712.digest(separator(), hash_mail()).hex() == DIGEST


def test_published_eip712_signature_is_made_and_recovered() -> None:
    signature = bytes.fromhex(R + S) + bytes([V])
    signer = Signer(keccak(b"cow"))
    assert signer.address.hex() == SIGNER
    assert signer.sign_digest(bytes.fromhex(DIGEST)) == signature
    assert eip712.recover(bytes.fromhex(DIGEST), signature).hex() == SIGNER


@pytest.mark.parametrize("place", ["digest", "r", "s", "v"])
def test_published_eip712_signature_with_anything_changed_is_another_s_or_none(place: str) -> None:
    digest, r, s = bytes.fromhex(DIGEST), bytes.fromhex(R), bytes.fromhex(S)
    changed = {"digest": digest, "r": r, "s": s, "v": bytes([V])}
    changed[place] = bytes([changed[place][0] ^ 1]) + changed[place][1:] if place != "v" else b"\x1b"
    try:
        found = eip712.recover(changed["digest"], changed["r"] + changed["s"] + changed["v"])
    except InvalidSignature:
        return
    assert found.hex() != SIGNER


def test_published_eip712_signature_has_no_second_form() -> None:
    """The same signature with high s is refused (EIP-2)."""
    high = (eip712.CURVE_ORDER - int(S, 16)).to_bytes(32, "big")
    with pytest.raises(InvalidSignature):
        eip712.recover(bytes.fromhex(DIGEST), bytes.fromhex(R) + high + b"\x1b")


def test_published_eip712_message_is_what_a_wallet_hashes() -> None:
    """A second implementation over the JSON of the example."""
    person = [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}]
    mail = [
        {"name": "from", "type": "Person"},
        {"name": "to", "type": "Person"},
        {"name": "contents", "type": "string"},
    ]
    domain = {"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0x" + CONTRACT.hex()}
    parties = {
        "from": {"name": COW[0], "wallet": "0x" + SIGNER},
        "to": {"name": BOB[0], "wallet": "0x" + BOB[1].hex()},
    }
    signable = encode_typed_data(
        domain, {"Person": person, "Mail": mail}, {**parties, "contents": "Hello, Bob!"}
    )
    assert keccak(b"\x19" + signable.version + signable.header + signable.body).hex() == DIGEST
