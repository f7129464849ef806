"""Brownie compiles the contracts and its chain runs them. More belongs to tests/contracts and tests/chain."""

import pytest

# By this form: Brownie reads the file of each module named in an import, and takes it for Python text.
from brownie import project


@pytest.fixture(scope="module")
def deployable(accounts):
    """Contracts of ours that need nothing to start."""
    (loaded,) = project.get_loaded_projects()
    found = [each for each in loaded if each.bytecode and "_" not in each.bytecode]
    return [each for each in found if not each.deploy.abi["inputs"]]


def test_contracts_compile_and_deploy(deployable, accounts):
    assert deployable, "no contract in contracts/ deploys without arguments"
    for container in deployable:
        contract = accounts[0].deploy(container)
        assert contract.bytecode, f"{container._name} left no code"


def test_the_chain_charges_nothing(accounts, chain):
    before = accounts[0].balance()
    accounts[0].transfer(accounts[1], 1, gas_price=0)
    assert (accounts[0].balance(), chain[-1]["baseFeePerGas"]) == (before - 1, 0)
