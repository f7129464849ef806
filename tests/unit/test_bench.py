"""`trellis bench`: which benches there are, what they print, and that a community is the same every time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pkgutil import resolve_name

import pytest

from settlement import cli
from settlement.bench import chain, community, machine, registry, trees
from settlement.bench import cli as bench_cli
from settlement.bench.chain import Repetition
from settlement.bench.community import GRIDS, Shape, quality_of
from settlement.bench.gas import DayGas
from settlement.bench.registry import Bench, Figures, Tell
from settlement.chain.steps import Step
from settlement.errors import InputError
from settlement.reference import session
from settlement.reference.schedule import BUY, SELL

GAS = {
    "commitBooks": 100,
    "postHeader": 200,
    "clear": 9_000,
    "closeZone": 700,
    "postMetering": 300,
    "settle": 4_000,
    "certify": 1_200,
}


def probe(arguments: argparse.Namespace, tell: Tell) -> Figures:
    """Stands for a measurement."""
    tell("halfway")
    return {"orders_per_s": 1234 * arguments.times, "share": 0.5, "detail_bytes": 7}


def add_times(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=1)


PROBE = Bench("probe", "how long a probe takes", f"{__name__}:probe", add_times, details="detail_")


class Registered:
    """An entry point."""

    def __init__(self, name: str, value: object) -> None:
        self.name, self.value = name, value

    def load(self) -> object:
        return self.value


@pytest.fixture
def bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `trellis bench` with two probes registered; exit code, output, errors."""
    probes = [Registered("probe", PROBE), Registered("again", Bench("again", "the same", PROBE.target))]
    monkeypatch.setattr(cli, "entry_points", lambda group: [Registered("bench", bench_cli.register)])
    monkeypatch.setattr(registry, "entry_points", lambda group: probes)

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(["bench", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


Run = Callable[..., tuple[int, str, str]]


def test_the_command_and_its_benches_are_registered_and_can_be_found() -> None:
    assert "bench" in entry_points(group=cli.GROUP).names
    found = registry.find_benches()
    assert {"gas", "chain", "match", "meter"} <= set(found)
    for name, bench in found.items():
        assert bench.name == name
        assert "\n" not in bench.summary
        assert callable(resolve_name(bench.target))


def test_two_benches_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [Registered("a", PROBE), Registered("b", PROBE)]
    monkeypatch.setattr(registry, "entry_points", lambda group: both)
    with pytest.raises(InputError, match="two benches are named probe"):
        registry.find_benches()


def test_without_a_name_the_benches_are_listed_a_line_each(bench: Run) -> None:
    code, out, err = bench()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "trellis bench again   the same",
        "trellis bench probe   how long a probe takes",
    ]


def test_the_list_is_there_for_programs_too(bench: Run) -> None:
    _, out, _ = bench("--json")
    assert [one["name"] for one in json.loads(out)["benches"]] == ["again", "probe"]


def test_help_lists_the_benches(bench: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        bench("--help")
    assert left.value.code == 0
    assert "how long a probe takes" in capsys.readouterr().out


def test_output_is_one_json_object_and_the_rest_goes_to_standard_error(bench: Run) -> None:
    code, out, err = bench("probe", "--times", "2")
    told = json.loads(out)
    assert code == 0
    assert list(told) == ["bench", "machine", "figures"]
    assert told["bench"] == "probe"
    assert told["machine"] == machine.describe()
    assert told["figures"] == {"orders_per_s": 2468, "share": 0.5, "detail_bytes": 7}
    assert err == "halfway\n  orders_per_s  2,468\n  share           0.5\n"


def test_with_json_no_table_is_shown(bench: Run) -> None:
    _, out, err = bench("probe", "--json")
    assert json.loads(out)["figures"]["orders_per_s"] == 1234
    assert err == "halfway\n"


def test_an_unknown_bench_is_a_usage_error(bench: Run) -> None:
    with pytest.raises(SystemExit) as left:
        bench("nonsense")
    assert left.value.code == 2


@pytest.mark.parametrize("words", [["--homes", "0"], ["--homes", "many"], ["--repetitions", "-1"]])
def test_options_of_the_chain_bench_are_checked(words: Sequence[str]) -> None:
    assert cli.main(["bench", "chain", *words]) == 2


def test_the_machine_is_described_by_numbers_and_names() -> None:
    found = machine.describe()
    assert {"cpu", "cores", "memory_mb", "system", "python", "anvil"} <= set(found)
    assert int(found["cores"]) >= 1
    assert "unknown" not in str(found["python"])


def test_gas_is_counted_by_window_order_and_by_home_and_window() -> None:
    day = DayGas(Shape(homes=2), GAS, transactions=8, filled=90)
    assert day.per_window_order() == round(10_000 / 96, 1)
    assert day.per_window("settle") == round(4_000 / 96, 1)
    both = DayGas(Shape(homes=2, both_sides=True), GAS, transactions=8, filled=90)
    assert both.per_window_order() == round(10_000 / 192, 1)
    assert both.per_window("settle") == round(4_000 / 96, 1)


def test_throughput_is_of_the_median_repetition() -> None:
    shape = Shape(homes=10)
    each = [Repetition(whole, 4, 2_000_000, {"match": 0.1, "chain": 0.5}) for whole in (1.0, 4.0, 2.0)]
    found = chain.figures(shape, each)
    assert found["window_orders_per_s"] == 240
    assert found["window_orders_per_s_least"] == 120
    assert found["gas_per_s"] == 4_000_000
    assert found["blocks_per_s"] == 8.0
    assert found["match_s"] == 0.1


@pytest.mark.parametrize("qualities", GRIDS)
def test_every_quality_is_traded_and_every_grid_is_one(qualities: tuple[int, ...]) -> None:
    session.check_grid(GRIDS[qualities])
    shape = Shape(qualities=qualities)
    sold = {quality_of(shape, number, SELL) for number in range(1, 100, 2)}
    bought = [quality_of(shape, number, BUY) for number in range(0, 100, 2)]
    assert sold == set(qualities)
    assert set(bought) == set(qualities)


def test_days_begin_where_slots_begin_and_follow_each_other() -> None:
    for day in range(3):
        assert community.first_window(day) % 16 == 0
        assert community.midnight_of(day) < community.gate_of(day + 1) < community.midnight_of(day + 1)
    assert community.first_window(1) - community.first_window(0) == community.WINDOWS


def test_a_tree_of_zones_counts_each_level_by_its_last_zone() -> None:
    assert trees.sample() == [0, 4, 34, 434]
    grid = trees.grid_of(Shape())
    session.check_grid(grid)
    assert (grid.zones, len(grid.children(0)), len(grid.children(4))) == (435, 4, 7)
    step = operator_step("closeZone", 1_000)
    each = {zone: [operator_step("clear", 9_000), step] for zone in trees.sample()}
    shown, more = trees.figures(10.0, [operator_step("commitBooks", 435)], each)
    assert more["gas_clear_435_zones"] == 435 * 9_000
    assert shown["clear_gas_per_window_order_435_zones"] == round(435 * 10_001 / (435 * 4800), 1)
    assert shown["clear_gas_435_zones_to_one"] == 0.21


def operator_step(name: str, gas: int) -> Step:
    return Step(name, bytes(32), 1, gas)
