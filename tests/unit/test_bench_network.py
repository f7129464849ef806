"""`trellis bench network`: what a paced run comes to. The run itself is in tests/network."""

from __future__ import annotations

from pathlib import Path

import pytest

from settlement import cli
from settlement.bench import network
from settlement.bench.community import Shape
from settlement.bench.network import Burdens, Paced, Watch
from settlement.bench.on_validators import free_ports

BEFORE, AFTER = Burdens(10.0, 1.0, 1_000), Burdens(25.0, 2.0, 49_000)


class Blocks:
    """A node that has accepted two blocks after the first look."""

    def __init__(self) -> None:
        self.heads = iter([7, 9, 9, 9])

    def block_number(self) -> int:
        return next(self.heads)

    def rpc(self, method: str, number: str, whole: bool) -> object:
        assert (method, whole) == ("eth_getBlockByNumber", False)
        return {"transactions": ["0x" + number[2:] * 64] if number == "0x8" else [], "gasUsed": "0x5208"}


def test_rates_are_over_the_time_from_the_first_sent_to_the_last_receipt() -> None:
    paced = Paced(10.0, (0.5, 1.0, 1.5, 4.0), 2_000_000, 24_000, 12, BEFORE, AFTER)
    found = network.figures(Shape(homes=50), paced, 5)
    assert (found["window_orders"], found["window_orders_per_s"]) == (2_400, 240)
    assert (found["gas_per_s"], found["gas_per_window_order"]) == (200_000, 833.3)
    assert (found["validators"], found["transactions"], found["blocks"]) == (5, 4, 12)
    assert found["blocks_per_s"] == 1.2
    assert (found["validators_cores"], found["client_cores"]) == (1.5, 0.1)
    assert (found["calldata_bytes_per_window_order"], found["disk_bytes_per_window_order"]) == (10.0, 20.0)


def test_percentiles_are_latencies_that_were_measured() -> None:
    paced = Paced(1.0, tuple(float(n) for n in range(100)), 1, 1, 1, BEFORE, AFTER)
    assert [paced.latency_s(share) for share in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]


def test_each_block_is_seen_once_and_empty_ones_are_not_counted() -> None:
    watch = Watch(Blocks())  # type: ignore[arg-type]
    for _ in range(2):
        watch.look()
    assert [number for number, _, _ in watch.blocks] == [8]
    assert list(watch.seen) == [bytes.fromhex("8" * 64)]


def test_steps_make_a_home_sign_so_many_schedules() -> None:
    assert Shape(homes=10, steps=3).window_orders == 3 * Shape(homes=10).window_orders


def test_disk_counts_what_files_take(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(10_000))
    assert 10_000 <= network.disk_bytes(tmp_path) <= 10_000 + 2 * 4_096


def test_ports_are_neighbours_that_nobody_uses() -> None:
    assert free_ports(10) >= 22_000


@pytest.mark.parametrize("words", [["--mgas", "0"], ["--seconds", "-1"], ["--validators", "3"]])
def test_options_are_checked(words: list[str]) -> None:
    assert cli.main(["bench", "network", *words]) == 2
