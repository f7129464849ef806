"""The examples of docs/client.md run as they are, against a market that is open for orders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chain_world import PROSUMERS, World, key
from claims_world import RECEIPTS, fund_operator, open_bonded
from client_world import Market, running_market

from api.client import Service
from settlement.chain.keystore import write_throwaway

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACE = 'Service("http://127.0.0.1:8000", chain_id=31337, exchange=EXCHANGE)'


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    def prepare(world: World) -> None:
        fund_operator(world)
        open_bonded(world)

    keystore = write_throwaway(tmp_path, RECEIPTS)
    relay = write_throwaway(tmp_path, key(301))
    files = {"receipt_key_file": keystore, "relay_key_file": relay}
    with running_market(tmp_path, prepare, **files) as found:
        yield found


def test_every_example_of_the_client_s_page_runs(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(BLOCK.findall((ROOT / "docs" / "client.md").read_text()))
    assert PLACE in text
    known = market.api.service
    text = text.replace("Client(service, wallet)", "Client(service, wallet, now=clock)")
    text = text.replace("Client(service, agent_key)", "Client(service, agent_key, now=clock)")
    text = text.replace(PLACE, "place(chain_id=31337, exchange=EXCHANGE)")

    def place(chain_id: int, exchange: bytes) -> Service:
        return Service(known.url, chain_id, exchange)

    names: dict[str, Any] = {
        "EXCHANGE": known.exchange,
        "wallet": PROSUMERS[0],
        "agent_key": key(302),
        "place": place,
    }
    names["clock"] = market.api.time
    exec(compile(text, "docs/client.md", "exec"), names)
    names["client"].close()
    shown = capsys.readouterr().out
    assert "neither its trader nor a session key" in shown or "InvalidSignature" in shown
    assert "GridSet" in shown, "the first event of the topic"
    assert "mined 5000000" in shown
    assert names["taken"].hash != names["accepted"].hash
    assert names["keep"]["record"].startswith("0x")
