"""Whose validator is whose."""

from __future__ import annotations

import pytest

from settlement.errors import InputError
from settlement.network import boot
from settlement.network.folder import Network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    folder = tmp_path_factory.mktemp("network")
    return boot.init(folder, 5, lambda _: None).with_(chain="chain")


def test_as_many_parties_as_validators_have_one_each_and_fall_back_on_all_others(network: Network) -> None:
    parties = ["operator", "oracle-1", "oracle-2", "oracle-3", "auditor"]
    assert [network.rpcs_of(party)[0] for party in parties] == network.rpcs
    for party in parties:
        assert sorted(network.rpcs_of(party)) == sorted(network.rpcs)


def test_more_oracle_nodes_share_but_neither_the_operators_nor_the_auditors(network: Network) -> None:
    firsts = {network.rpcs_of(f"oracle-{number}")[0] for number in range(1, 10)}
    assert firsts == set(network.rpcs[1:4])


@pytest.mark.parametrize("party", ["", "oracle", "oracle-0", "oracle-x", "home"])
def test_another_party_has_none(network: Network, party: str) -> None:
    with pytest.raises(InputError, match="has no validator"):
        network.rpcs_of(party)
