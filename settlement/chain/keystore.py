"""Where a key is: one way to name it everywhere.

    FILE                 Web3 secret storage, version 3 (scrypt or pbkdf2); its password in FILE.password
    http(s)://…[#0x…]    an external signer (`remote_signer.py`), and which of its keys
    unix:PATH[#0x…]      the same over a unix socket

No key and no password is ever an argument or an environment variable, which other processes can read. Files
that anybody but their owner can read are refused.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any

from eth_account import Account

from settlement.chain.remote_signer import RemoteSigner
from settlement.chain.sign import Signer
from settlement.errors import InputError

PASSWORD = ".password"
"""Of the file beside a keystore."""
STRONG_N, LIGHT_N = 2**18, 2**12
"""scrypt's work: for passwords that people choose, and for random ones, which nobody can try out."""
RANDOM_BYTES = 32
MOST_BYTES = 64 * 1024

_REMOTE = re.compile(r"(https?:/|unix:)")
_PLAIN = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def open_signer(
    source: str | Path, password_file: str | Path | None = None, option: str = "--key-file"
) -> Signer:
    """The signer that a source names. InputError, which shows neither key nor password."""
    text = str(source)
    if not _REMOTE.match(text):
        beside = None if password_file is None else Path(password_file)
        return Signer(read_keystore(Path(text), beside, option))
    text = re.sub(r"^(https?):/(?!/)", r"\1://", text)  # a Path has one slash
    place, _, account = text.partition("#")
    if account and not re.fullmatch(r"0x[0-9a-fA-F]{40}", account):
        raise InputError(f"{option} {text}: after # stands an address, 0x and 40 hex digits")
    return RemoteSigner(place, bytes.fromhex(account[2:]) if account else None)


def read_keystore(file: Path, password_file: Path | None = None, option: str = "--key-file") -> bytes:
    """The private key, 32 bytes. InputError."""
    text = _read(file, option)
    if _PLAIN.fullmatch(text.strip()):
        raise InputError(
            f"{option} {file} holds a private key as it is: run `trellis keys import NEW --from {file}` "
            "and name the keystore"
        )
    beside = password_file or Path(f"{file}{PASSWORD}")
    try:
        fields = json.loads(text)
        password = _read(beside, "password file").rstrip("\r\n")
        secret = bytes(Account.decrypt(fields, password))
    except InputError:
        raise
    except ValueError as cause:
        if "MAC" in str(cause):
            raise InputError(f"{option} {file}: the password in {beside} does not open it") from None
        raise _no_keystore(file, option) from None
    except (KeyError, TypeError, AttributeError, RecursionError, NotImplementedError):
        raise _no_keystore(file, option) from None
    return _checked(secret, fields, file, option)


def _checked(secret: bytes, fields: Any, file: Path, option: str) -> bytes:
    """A file whose address is another key's was put together by hand."""
    told = str(fields.get("address", "")).lower().removeprefix("0x")
    if len(secret) != 32:
        raise _no_keystore(file, option)
    if told and told != Signer(secret).address.hex():
        raise InputError(f"{option} {file}: its address is 0x{told}, but its key is another's: restore it")
    return secret


def _no_keystore(file: Path, option: str) -> InputError:
    return InputError(f"{option} {file} is no keystore of version 3: make one with `trellis keys new`")


def _read(file: Path, option: str) -> str:
    """A file that nobody but its owner can read."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise InputError(f"{option} {file} is no file")
            if mode & 0o077:
                raise InputError(
                    f"{option} {file} can be read by others (mode {stat.S_IMODE(mode):04o}): chmod 600 it"
                )
            return opened.read(MOST_BYTES).decode()
    except OSError as cause:
        raise InputError(f"{option} {file} cannot be read: {cause.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{option} {file} cannot be read: not text") from None


# Writing ------------------------------------------------------------------------------------------------


def create_keystore(file: Path, secret: bytes | None = None, password_file: Path | None = None) -> Signer:
    """A new keystore, of a new key if none is given. Without a password file a random password is written
    beside it. InputError if any of these files exists: a key is not to be lost.
    """
    signer = Signer(secret or secrets.token_bytes(32))
    if file.exists():
        raise InputError(f"{file} exists: name another file, a key is never overwritten")
    if password_file is None:
        password = secrets.token_urlsafe(RANDOM_BYTES)
        write_secret(Path(f"{file}{PASSWORD}"), password.encode() + b"\n")
    else:
        password = _read(password_file, "--password-file").rstrip("\r\n")
    write_keystore(file, signer.secret, password, LIGHT_N if password_file is None else STRONG_N)
    return signer


def write_keystore(file: Path, secret: bytes, password: str, scrypt_n: int = STRONG_N) -> None:
    """Whole, or not at all; InputError if the file exists, or without a password."""
    if not password:
        raise InputError(f"the password of {file} is empty: give one")
    fields = Account.encrypt(secret, password, kdf="scrypt", iterations=scrypt_n)
    write_secret(file, json.dumps(fields).encode() + b"\n")


def write_throwaway(folder: Path, signer: Signer) -> str:
    """A keystore of a key that is no secret, its password beside it, and what opens it: nobody who guesses is
    slowed down, so it opens quickly. Again for the same key it is the same file.
    """
    file = folder / f"{signer.address.hex()}.json"
    if not file.exists():
        write_secret(Path(f"{file}{PASSWORD}"), b"no secret\n")
        write_keystore(file, signer.secret, "no secret", 2)
    return str(file)


def write_secret(file: Path, data: bytes) -> None:
    """For the owner alone from the first byte on; on disk when this returns. InputError if it exists."""
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(partial, file)  # unlike a renaming, this never replaces
        finally:
            partial.unlink()
        _sync_folder(file.parent)
    except FileExistsError:
        raise InputError(f"{file} exists: name another file, a key is never overwritten") from None
    except OSError as cause:
        raise InputError(f"{file} cannot be written: {cause.strerror}") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
