"""Keys come from keystore files or external signers, and from nowhere else."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chain_world import World
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st
from key_files import keystore_file

from settlement import cli
from settlement.chain.errors import SignerError
from settlement.chain.keystore import create_keystore, open_signer, write_secret
from settlement.chain.remote_signer import RemoteSigner
from settlement.chain.sign import Signer
from settlement.chain.transaction import Transaction
from settlement.errors import InputError
from settlement.reference import eip712

KEY, OTHER = Signer(b"\x11" * 32), Signer(b"\x22" * 32)
DIGEST = eip712.keccak(b"anything")
TYPED: dict[str, Any] = {
    "types": {
        "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "chainId", "type": "uint256"}],
        "Cancel": [{"name": "orderHash", "type": "bytes32"}, {"name": "session", "type": "bytes32"}],
    },
    "primaryType": "Cancel",
    "domain": {"name": "Trellis", "chainId": 31337},
    "message": {"orderHash": "0x" + "aa" * 32, "session": "0x" + "bb" * 32},
}


@contextmanager
def signer_server(folder: Path, *options: str, keys: tuple[Signer, ...] = (KEY,)) -> Iterator[str]:
    """A signer in a process of its own; where it listens."""
    files = [keystore_file(folder, one) for one in keys]
    command = [sys.executable, str(Path(__file__).with_name("signer_server.py")), *options, *files]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


# Transactions -------------------------------------------------------------------------------------------


@given(
    chain_id=st.integers(1, 2**32),
    nonce=st.integers(0, 2**40),
    gas=st.integers(21_000, 2**24),
    price=st.integers(0, 2**64),
    to=st.none() | st.binary(min_size=20, max_size=20),
    value=st.integers(0, 2**80),
    data=st.binary(max_size=80),
    eip1559=st.booleans(),
)
def test_a_transaction_is_signed_as_eth_account_signs_it(
    chain_id: int,
    nonce: int,
    gas: int,
    price: int,
    to: bytes | None,
    value: int,
    data: bytes,
    eip1559: bool,
) -> None:
    mine = Transaction(chain_id, nonce, gas, price, to, value, data, eip1559)
    fields: dict[str, Any] = {name: one for name, one in mine.as_json(KEY.address).items() if name != "from"}
    fields |= {"type": 2} if eip1559 else {}
    fields |= {} if to is None else {"to": to}  # in hex it would have to be mixed case (EIP-55)
    assert KEY.sign_transaction(mine) == Account.sign_transaction(fields, KEY.secret).raw_transaction


def test_typed_data_are_signed_as_eth_account_signs_them() -> None:
    theirs = Account.sign_message(encode_typed_data(full_message=TYPED), KEY.secret)
    assert KEY.sign_typed_data(TYPED) == theirs.signature


# Keystore files -----------------------------------------------------------------------------------------


def test_a_new_keystore_is_its_owners_alone_and_opens_again(tmp_path: Path) -> None:
    made = create_keystore(tmp_path / "keys" / "one.json")
    files = sorted((tmp_path / "keys").iterdir())
    assert [file.name for file in files] == ["one.json", "one.json.password"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert open_signer(tmp_path / "keys" / "one.json").address == made.address
    assert made.secret.hex() not in "".join(file.read_text() for file in files)


def test_a_keystore_is_what_other_wallets_read_and_write(tmp_path: Path) -> None:
    create_keystore(tmp_path / "ours", KEY.secret)
    password = (tmp_path / "ours.password").read_text().strip()
    assert Account.decrypt((tmp_path / "ours").read_text(), password) == KEY.secret
    theirs = Account.encrypt(OTHER.secret, "chosen", kdf="pbkdf2", iterations=2)
    write_secret(tmp_path / "theirs", json.dumps(theirs).encode())
    write_secret(tmp_path / "password", b"chosen\n")
    assert open_signer(tmp_path / "theirs", tmp_path / "password").address == OTHER.address


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    made = create_keystore(tmp_path / "one")
    with pytest.raises(InputError, match="never overwritten"):
        create_keystore(tmp_path / "one")
    (tmp_path / "two.password").write_text("kept")
    with pytest.raises(InputError, match="never overwritten"):
        create_keystore(tmp_path / "two")
    assert not (tmp_path / "two").exists()
    assert open_signer(tmp_path / "one").address == made.address


@pytest.mark.parametrize("readable", ["one", "one.password"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, readable: str, mode: int) -> None:
    create_keystore(tmp_path / "one")
    os.chmod(tmp_path / readable, mode)
    with pytest.raises(InputError, match=f"{readable} can be read by others .*: chmod 600 it"):
        open_signer(tmp_path / "one")


def refused(source: str | Path, password: Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_signer(source, password)
    return caught.value.message


def test_what_is_no_keystore_is_refused_without_showing_it(tmp_path: Path) -> None:
    plain, wrong, password = tmp_path / "plain", tmp_path / "wrong", tmp_path / "password"
    write_secret(plain, KEY.secret.hex().encode())
    assert "trellis keys import" in refused(plain)
    assert KEY.secret.hex() not in refused(plain)
    create_keystore(tmp_path / "one")
    write_secret(password, b"guessed")
    assert f"the password in {password} does not open it" in refused(tmp_path / "one", password)
    assert "cannot be read: No such file" in refused(tmp_path / "none")
    for index, text in enumerate(["[]", "{}", "not JSON", '{"version": 3}', '{"version": 3, "crypto": {}}']):
        wrong = tmp_path / f"wrong-{index}"
        write_secret(wrong, text.encode())
        assert "is no keystore of version 3" in refused(wrong, password)


def test_a_keystore_under_another_keys_address_is_refused(tmp_path: Path) -> None:
    create_keystore(tmp_path / "one", KEY.secret)
    fields = json.loads((tmp_path / "one").read_text()) | {"address": OTHER.address.hex()}
    write_secret(tmp_path / "swapped", json.dumps(fields).encode())
    os.link(tmp_path / "one.password", tmp_path / "swapped.password")
    assert "its key is another's" in refused(tmp_path / "swapped")


# Commands -----------------------------------------------------------------------------------------------


def test_keys_are_made_imported_and_told_by_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, imported, plain = tmp_path / "made", tmp_path / "imported", tmp_path / "plain"
    plain.write_text("0x" + KEY.secret.hex() + "\n")
    assert cli.main(["keys", "new", str(made)]) == 0
    address = capsys.readouterr().out.strip()
    assert cli.main(["keys", "address", str(made), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == address
    assert cli.main(["keys", "import", str(imported), "--from", str(plain)]) == 0
    assert capsys.readouterr().out.strip() == "0x" + KEY.address.hex()
    assert cli.main(["keys", "new", str(made)]) == 2
    plain.write_text("0x" + "00" * 32)
    assert cli.main(["keys", "import", str(tmp_path / "zero"), "--from", str(plain)]) == 2
    assert not (tmp_path / "zero").exists()
    assert "private key is not 0" in capsys.readouterr().err


# External signers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--nested",)])
@pytest.mark.parametrize("over", ["http", "unix"])
def test_an_external_signer_signs_what_a_key_here_would(
    turned_back: World, tmp_path: Path, over: str, options: tuple[str, ...]
) -> None:
    place = ("--socket", str(tmp_path / "s")) if over == "unix" else ()
    with signer_server(tmp_path, "--digests", "--transactions", *place, *options) as where:
        signer = open_signer(where)
        assert signer.address == KEY.address
        assert signer.sign_digest(DIGEST) == KEY.sign_digest(DIGEST)
        assert signer.sign_typed_data(TYPED) == KEY.sign_typed_data(TYPED)
        receipt = turned_back.chain.send(signer, b"\x07" * 20, b"\x01", gas=50_000)
        sent = turned_back.chain.rpc("eth_getTransactionByHash", "0x" + receipt.tx_hash.hex())
        assert sent["from"] == "0x" + KEY.address.hex()
        with pytest.raises(InputError, match="stays there"):
            _ = signer.secret


def test_one_of_several_keys_is_named_by_its_address(tmp_path: Path) -> None:
    with signer_server(tmp_path, "--digests", keys=(KEY, OTHER)) as where:
        assert "name one, as" in refused(where)
        assert open_signer(f"{where}#0x{OTHER.address.hex()}").address == OTHER.address
        assert open_signer(Path(f"{where}#0x{OTHER.address.hex()}")).address == OTHER.address
        assert "has no key of" in refused(f"{where}#0x{'00' * 20}")
        assert "after # stands an address" in refused(f"{where}#1")


def test_a_key_signs_only_what_its_signer_allows(tmp_path: Path) -> None:
    with signer_server(tmp_path, "--transactions") as where:
        signer = open_signer(where)
        with pytest.raises(SignerError, match="trellis_signDigest is not allowed"):
            signer.sign_digest(DIGEST)


@pytest.mark.parametrize("lie", ["digest", "value"])
def test_a_signer_that_signs_something_else_is_not_believed(tmp_path: Path, lie: str) -> None:
    with signer_server(tmp_path, "--digests", "--transactions", "--lie", lie) as where:
        signer = open_signer(where)
        transaction = Transaction(1, 0, 21_000, 0, None, 0, b"")
        sign = partial(signer.sign_digest, DIGEST)
        with pytest.raises(SignerError, match="do not trust it"):
            (sign if lie == "digest" else partial(signer.sign_transaction, transaction))()


def test_a_signer_that_is_gone_or_elsewhere_unencrypted_is_an_error(tmp_path: Path) -> None:
    with signer_server(tmp_path, "--digests") as where:
        signer = open_signer(where)
    with pytest.raises(SignerError, match="does not answer trellis_signDigest"):
        signer.sign_digest(DIGEST)
    assert "is not on this host" in refused("http://192.0.2.1:9000")
    with pytest.raises(SignerError, match="does not answer eth_accounts"):
        RemoteSigner(f"unix:{tmp_path}/none")
