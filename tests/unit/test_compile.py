"""The compiler: settings from one place, results kept, mistakes told in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from settlement.chain import compile as compiler
from settlement.chain.compile import ROOT, compile_contracts, compiler_settings
from settlement.errors import InputError, MissingPrerequisite

MATHS = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;
library Maths { function twice(uint256 x) external pure returns (uint256) { return 2 * x; } }
"""
MACHINE = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Maths} from "./Maths.sol";
contract Machine is Context { function four() external pure returns (uint256) { return Maths.twice(2); } }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with two small contracts of its own."""
    for name in ("foundry.toml", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("node_modules", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "Maths.sol").write_text(MATHS)
    (tmp_path / "contracts" / "Machine.sol").write_text(MACHINE)
    return tmp_path


def test_contracts_and_what_they_import_become_artifacts(project: Path) -> None:
    artifacts = compile_contracts(project)
    assert {"Maths", "Machine", "Context"} <= artifacts.keys()
    assert artifacts["Machine"].abi[0]["name"] == "four"
    assert bytes.fromhex(artifacts["Maths"].deployed_bytecode)


def test_a_library_is_linked_by_name(project: Path) -> None:
    machine = compile_contracts(project)["Machine"]
    address = "0x" + "ab" * 20
    assert bytes.fromhex("ab" * 20) in machine.linked({"Maths": address})
    with pytest.raises(InputError, match="Maths"):
        machine.linked()


def test_an_unchanged_source_is_not_compiled_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_contracts(project)
    monkeypatch.setattr(compiler, "_run_solc", None)
    assert compile_contracts(project) == first
    (project / "contracts" / "Maths.sol").write_text(MATHS.replace("2 * x", "x + x"))
    with pytest.raises(TypeError):
        compile_contracts(project)


def test_a_mistake_in_a_contract_is_an_input_error(project: Path) -> None:
    (project / "contracts" / "Maths.sol").write_text(MATHS.replace("2 * x", "2 * y"))
    with pytest.raises(InputError, match="Undeclared identifier"):
        compile_contracts(project)


def test_one_name_for_two_contracts_is_refused(project: Path) -> None:
    (project / "contracts" / "Other.sol").write_text(MATHS)
    with pytest.raises(InputError, match="both define Maths"):
        compile_contracts(project)


@pytest.mark.parametrize(("lacking", "advice"), [("node", "Node.js 20"), ("node_modules", "make setup")])
def test_what_is_missing_is_told_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, lacking: str, advice: str
) -> None:
    if lacking == "node":
        monkeypatch.setattr(compiler.shutil, "which", lambda _: None)
    else:
        (project / "node_modules").unlink()
    with pytest.raises(MissingPrerequisite, match=advice) as caught:
        compile_contracts(project)
    assert "\n" not in caught.value.message


def test_the_settings_are_those_of_foundry(project: Path) -> None:
    before = compiler_settings(project)
    assert before["evmVersion"] == "london"
    config = project / "foundry.toml"
    config.write_text(config.read_text().replace("optimizer_runs = 400", "optimizer_runs = 77"))
    assert compiler_settings(project)["optimizer"] == {"enabled": True, "runs": 77}
