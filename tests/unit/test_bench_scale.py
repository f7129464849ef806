"""`trellis bench scale`: the table follows from its constants, and the documentation shows the table."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from settlement.bench import scale
from settlement.bench.scale import PLACES, SOURCES, Constants, Place
from settlement.bench.scale_measured import event_bytes
from settlement.cli import main
from settlement.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
STREET, CITY, COUNTRY = PLACES


@pytest.fixture(scope="module")
def constants() -> Constants:
    return scale.constants_of(scale.read_figures([scale.DEFAULTS]))


def test_every_constant_has_a_source_and_comes_along(constants: Constants) -> None:
    assert set(SOURCES) == {one.name for one in fields(Constants)}
    assert all(getattr(constants, name) > 0 for name in SOURCES)


def test_twice_the_homes_take_twice_of_everything_but_chains(constants: Constants) -> None:
    once, twice = (scale.figures(constants, Place("", homes, 1)) for homes in (1_000, 2_000))
    same = {"zones", "chains"}
    assert {name for name in once if once[name] == twice[name]} == same
    for name in set(once) - same:
        assert twice[name] == pytest.approx(2 * once[name], rel=0.01), name


def test_gas_of_a_day_is_of_clearing_settling_and_later_runs(constants: Constants) -> None:
    plain = replace(constants, clear_gas=100, post_gas=1, settle_gas=2, certify_gas=3, correct_gas=10)
    assert scale.figures(plain, Place("", 10, 1))["gas_per_day"] == 10 * 48 * (100 + 6 + 4)


def test_chains_are_as_many_as_keep_homes_and_zones_within_one(constants: Constants) -> None:
    limits = scale.limits_of(constants)
    most = min(limits[name] for name in scale.OF_A_CHAIN)
    assert scale.chains_for(constants, Place("", most, 1)) == 1
    assert scale.chains_for(constants, Place("", most + 1, 1)) == 2
    zones = scale.zones_of_a_grid(constants)
    assert scale.chains_for(constants, Place("", 1, zones + 1)) == 2
    assert scale.chains_for(constants, CITY) == 1


def test_each_limit_is_where_its_resource_is_used_up(constants: Constants) -> None:
    limits = scale.limits_of(constants)
    at = {name: scale.figures(constants, Place("", homes, 1)) for name, homes in limits.items()}
    chains = at["disk"]["chains"]
    assert at["disk"]["disk_gb_per_year_and_chain"] * chains == pytest.approx(1_000, rel=0.01)
    assert at["audit"]["audit_core_s"] == pytest.approx(86_400, rel=0.01)
    assert at["clearing"]["clear_s"] * at["clearing"]["chains"] == pytest.approx(3_600, rel=0.01)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, float]:
    assert main(["bench", "scale", "--json", *words]) == 0
    figures: dict[str, float] = json.loads(capsys.readouterr().out)["figures"]
    return figures


def test_figures_that_another_bench_printed_take_the_place_of_constants(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = run(capsys)
    file = tmp_path / "network.json"
    twice = 2 * scale.read_figures([scale.DEFAULTS])["network"]["gas_per_s"]
    file.write_text(json.dumps({"bench": "network", "machine": {}, "figures": {"gas_per_s": twice}}))
    after = run(capsys, "--figures", str(file))
    assert after["city_clear_s"] == pytest.approx(before["city_clear_s"] / 2, rel=0.01)
    assert after["city_audit_core_s"] == before["city_audit_core_s"]


@pytest.mark.parametrize("text", ["", "[]x", '{"bench": "gas"}', '{"bench": "gas", "figures": {"a": "b"}}'])
def test_a_file_that_no_bench_printed_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(InputError, match="not what a bench prints"):
        scale.read_figures([tmp_path / "file"])


@pytest.mark.parametrize("number", ["0", "-1", "NaN", "Infinity"])
def test_a_constant_that_cannot_be_is_refused(number: str, tmp_path: Path) -> None:
    file = tmp_path / "gas.json"
    file.write_text(f'{{"bench": "gas", "figures": {{"settle_gas_per_window": {number}}}}}')
    given = scale.read_figures([scale.DEFAULTS, file])
    with pytest.raises(InputError, match="settle_gas_per_window of `trellis bench gas`"):
        scale.constants_of(given)


def test_an_event_counts_address_topics_and_data() -> None:
    assert event_bytes({"topics": ["0x", "0x"], "data": "0x" + 5 * "00"}) == 20 + 64 + 5


def test_the_documentation_shows_the_table_of_the_constants_that_come_along(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, page = run(capsys), (ROOT / "docs" / "scale.md").read_text()
    for name in ("chains", "clear_s", "settle_s", "audit_core_s", "disk_gb_per_year_and_chain"):
        for place in PLACES:
            assert f"{found[f'{place.name}_{name}']:,g}" in page, (place.name, name)
    for name, homes in found.items():
        if name.startswith("limit_"):
            assert f"{int(homes):,}" in page, name
