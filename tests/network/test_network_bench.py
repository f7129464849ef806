"""`trellis bench network`, small: a network of its own, cleared at a pace, gone afterwards."""

from __future__ import annotations

import json

import pytest
from network_world import command


@pytest.mark.smoke
def test_the_bench_clears_at_the_pace_it_is_given_and_leaves_nothing_behind() -> None:
    done = command("bench", "network", "--validators", "4", "--mgas", "5", "--seconds", "4")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert (figures["validators"], figures["offered_gas_per_s"]) == (4, 5_000_000)
    assert figures["transactions"] > 1
    assert figures["gas_per_s"] * figures["seconds"] == pytest.approx(figures["gas"], rel=0.01)
    assert 0 < figures["p50_s"] <= figures["p95_s"] <= figures["p99_s"]
    assert figures["disk_bytes_per_window_order"] > 0
