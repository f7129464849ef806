"""Brownie compiles the contracts and its chain runs them. More belongs to tests/contracts and tests/chain."""

import pytest

# By this form: Brownie reads the file of each module named in an import, and takes it for Python text.
from brownie import project, reverts

HALF_HOUR, A_DAY = 1800, 86_400
PROSUMER = 1


@pytest.fixture(scope="module")
def ours():
    (loaded,) = project.get_loaded_projects()
    return loaded


@pytest.fixture(scope="module")
def administrator(accounts):
    return accounts[0]


@pytest.fixture(scope="module")
def token(ours, administrator):
    authority = administrator.deploy(ours.Administration, administrator)
    return administrator.deploy(ours.SettlementToken, authority, "Test Currency", "TST")


@pytest.fixture(scope="module")
def exchange(ours, administrator, token):
    terms = (token.authority(), token, HALF_HOUR, A_DAY)
    kinds = (ours.ClearingModule, ours.ProofModule, ours.SettlementModule, ours.OmissionModule)
    return administrator.deploy(ours.Exchange, terms, *(administrator.deploy(one, terms) for one in kinds))


def test_a_member_deposits(exchange, token, administrator, accounts):
    home = accounts[1]
    exchange.registerMember(home, 0, PROSUMER, 15, 20_000, False, {"from": administrator})
    token.mint(administrator, 500, {"from": administrator})
    token.approve(exchange, 500, {"from": administrator})
    exchange.deposit(home, 500, {"from": administrator})
    assert [int(one) for one in exchange.cashOf(home)] == [500, 0, 0, 0]
    assert token.balanceOf(exchange) == 500


def test_strangers_register_nobody(exchange, accounts):
    stranger = accounts[2]
    with reverts():
        exchange.registerMember(stranger, 0, PROSUMER, 15, 20_000, False, {"from": stranger})


def test_a_module_of_other_terms_is_refused(ours, exchange, token, administrator):
    terms = (token.authority(), token, HALF_HOUR, A_DAY)
    other = administrator.deploy(ours.ClearingModule, (token.authority(), token, 2 * HALF_HOUR, A_DAY))
    with reverts():
        rest = (exchange.proofModule(), exchange.settlementModule(), exchange.omissionModule())
        administrator.deploy(ours.Exchange, terms, other, *rest)


def test_the_chain_charges_nothing(accounts, chain):
    before = accounts[0].balance()
    accounts[0].transfer(accounts[1], 1, gas_price=0)
    assert (accounts[0].balance(), chain[-1]["baseFeePerGas"]) == (before - 1, 0)
