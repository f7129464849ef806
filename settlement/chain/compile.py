"""Contract artifacts, compiled through py-solc-x with the settings of foundry.toml.

Forge compiles the same sources with the same settings, so both give the same bytes. Artifacts are kept in
build/artifacts, named by the hash of everything they depend on; node is needed only when that changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import solcx
from solcx.exceptions import SolcError

from settlement.errors import InputError, MissingPrerequisite

ROOT = Path(__file__).resolve().parents[2]

Json = dict[str, Any]

OUTPUTS = [
    "abi",
    "evm.bytecode.object",
    "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object",
    "storageLayout",
]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract; bytecode is hex without 0x, with placeholders where a library is linked."""

    abi: list[Json]
    bytecode: str
    deployed_bytecode: str
    link_references: dict[str, dict[str, list[dict[str, int]]]]  # file, library: {start, length} in bytes
    storage_layout: Json  # variables and their types, as solc tells them

    def linked(self, libraries: Mapping[str, str] | None = None) -> bytes:
        """The creation bytecode, with the addresses of its libraries filled in by name."""
        code = self.bytecode
        for names in self.link_references.values():
            for name, places in names.items():
                if name not in (libraries or {}):
                    raise InputError(f"the contract is linked to the library {name}: give its address")
                address = (libraries or {})[name].removeprefix("0x").lower()
                for place in places:
                    start, end = 2 * place["start"], 2 * (place["start"] + place["length"])
                    code = code[:start] + address + code[end:]
        return bytes.fromhex(code)


def compiler_settings(root: Path = ROOT) -> Json:
    """The `settings` of solc's standard JSON, as forge derives them from foundry.toml."""
    profile = tomllib.loads((root / "foundry.toml").read_text())["profile"]["default"]
    return {
        "remappings": profile["remappings"],
        "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
        "evmVersion": profile["evm_version"],
        "viaIR": profile["via_ir"],
        "metadata": {"bytecodeHash": profile["bytecode_hash"], "appendCBOR": profile["cbor_metadata"]},
        "libraries": {},
        "outputSelection": {"*": {"*": OUTPUTS}},
    }


def read_sources(root: Path = ROOT) -> dict[str, str]:
    """Every Solidity file under contracts/, by its path from the root."""
    files = sorted((root / "contracts").rglob("*.sol"))
    if not files:
        raise MissingPrerequisite(f"no contracts in {root / 'contracts'}: run trellis from a checkout")
    return {file.relative_to(root).as_posix(): file.read_text() for file in files}


def compile_contracts(root: Path = ROOT) -> dict[str, Artifact]:
    """Artifacts by contract name: all of contracts/, and what it imports from libraries."""
    job = {
        "language": "Solidity",
        "sources": {name: {"content": content} for name, content in read_sources(root).items()},
        "settings": compiler_settings(root),
    }
    libraries = (root / "package-lock.json").read_bytes()  # pins the compiler and OpenZeppelin
    key = hashlib.sha256(json.dumps(job, sort_keys=True).encode() + libraries).hexdigest()
    cache = root / "build" / "artifacts" / f"{key[:32]}.json"
    with _locked(cache.parent):
        if not cache.exists():
            _store(cache, _artifacts(_run_solc(job, root)))
        return {name: Artifact(**fields) for name, fields in json.loads(cache.read_text()).items()}


def _run_solc(job: Json, root: Path) -> Json:
    if shutil.which("node") is None:
        raise MissingPrerequisite("node is not on PATH: install Node.js 20 or later to compile the contracts")
    if not (root / "node_modules" / "solc").is_dir():
        raise MissingPrerequisite("the Solidity compiler is not installed: run `make setup` in the checkout")
    try:
        output = solcx.compile_standard(job, base_path=root, solc_binary=root / "tools" / "solc")
    except SolcError as error:
        raise InputError(f"the contracts do not compile: {error.message}") from error
    return dict(output["contracts"])


def _artifacts(contracts: Json) -> dict[str, Artifact]:
    """Flatten solc's file -> name -> contract; a name of ours wins over a library's."""
    found: dict[str, Artifact] = {}
    files = sorted(contracts, key=lambda file: file.startswith("contracts/"))
    origin: dict[str, str] = {}
    for file in files:
        for name, contract in contracts[file].items():
            if origin.get(name, "").startswith("contracts/"):
                raise InputError(f"{file} and {origin[name]} both define {name}: rename one")
            origin[name] = file
            code = contract["evm"]
            found[name] = Artifact(
                abi=contract["abi"],
                bytecode=code["bytecode"]["object"],
                deployed_bytecode=code["deployedBytecode"]["object"],
                link_references=code["bytecode"]["linkReferences"],
                storage_layout=contract["storageLayout"],
            )
    return found


def _store(cache: Path, artifacts: Mapping[str, Artifact]) -> None:
    for stale in cache.parent.glob("*.json"):
        stale.unlink()
    partial = cache.with_suffix(".partial")
    partial.write_text(json.dumps({name: asdict(artifact) for name, artifact in artifacts.items()}))
    os.replace(partial, cache)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process compile while the others wait for its result."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
