"""The measured homes: what day it is, what unit it is, and what is said when they are missing."""

import re
import shutil
from datetime import date

import numpy as np
import pytest

from oracle import homes as module
from oracle.errors import OutOfRange
from oracle.forecasts import forecast_load, forecast_pv, measure
from oracle.homes import FIRST_DAY, LAST_DAY, by_day, day_of, load_homes
from settlement.errors import InputError, MissingPrerequisite


@pytest.fixture(scope="module")
def community():
    return load_homes()


def test_seventeen_homes_have_a_year_of_hours(community) -> None:
    assert [home.number for home in community.homes] == list(range(1, 18))
    assert community.windows == 8760
    assert all(h.load_wh.shape == h.pv_wh.shape == (8760,) for h in community.homes)
    assert (LAST_DAY - FIRST_DAY).days == 363


def test_a_window_is_the_hour_before_its_label(community) -> None:
    day = community.on(date(2016, 8, 1))
    assert day.first_window == day_of(date(2016, 8, 1)).first_window == community.first_window + 1
    assert day.homes[0].load_wh[0] == 851  # the row labelled month 8, hour 1: 0.8511666 kWh
    assert community.homes[0].load_wh[0] == 2276  # hour 24 of 31 July: 2.2758 kWh


def test_generation_is_watts_per_kilowatt_of_nominal_power(community) -> None:
    assert {home.pv_kw for home in community.homes} == {4.0, 5.0}
    yields = [home.pv_wh.sum() / home.pv_kw / 1000 for home in community.homes]  # kWh a kW and year
    assert all(1200 < y < 1850 for n, y in enumerate(yields, 1) if n not in (14, 15))
    assert 480 < yields[13] < 510
    assert 20 < yields[14] < 40


def test_the_sun_is_highest_around_local_noon(community) -> None:
    total = sum(by_day(community.between(FIRST_DAY, LAST_DAY).homes[n].pv_wh).sum(axis=0) for n in range(17))
    assert total[:5].sum() == 0
    assert total[20:].sum() == 0
    assert int(np.argmax(total)) in (11, 12)


def test_home_15_has_next_to_no_generation_in_june(community) -> None:
    june = community.between(date(2017, 6, 1), date(2017, 6, 30))
    assert june.homes[14].pv_wh.sum() == 266
    assert all(home.pv_wh.sum() > 200_000 for home in june.homes if home.number != 15)


def test_registers_are_the_two_sides_of_load_less_generation(community) -> None:
    for home in community.on(date(2017, 6, 14)).homes:
        assert (home.export_wh - home.import_wh == home.pv_wh - home.load_wh).all()
        assert not (home.export_wh * home.import_wh).any()


def test_signals_have_plausible_units(community) -> None:
    assert (community.carbon_g_per_kwh.min(), community.carbon_g_per_kwh.max()) == (70, 282)
    assert set(community.tariff_micro_per_kwh.tolist()) == {210_000, 220_000, 400_000, 500_000, 540_000}


def test_homes_and_days_are_selected() -> None:
    assert [home.number for home in load_homes(3).homes] == [1, 2, 3]
    some = load_homes([9, 2])
    assert [home.number for home in some.homes] == [2, 9]
    week = some.before(date(2017, 6, 14), 7)
    assert week.windows == 7 * 24
    assert week.weekdays.tolist() == [2, 3, 4, 5, 6, 0, 1]
    assert some.before(date(2016, 8, 3), 7).windows == 2 * 24
    assert some.on(date(2017, 6, 14)).homes[0].load_wh.sum() == 23_782


@pytest.mark.parametrize("homes", [0, 18, [], [0], [1, 18]])
def test_a_home_that_does_not_exist_is_refused(homes) -> None:
    with pytest.raises(OutOfRange):
        load_homes(homes)


@pytest.mark.parametrize("day", [date(2016, 7, 31), date(2017, 7, 31), date(2024, 1, 1)])
def test_a_day_that_was_not_measured_whole_is_refused(community, day: date) -> None:
    with pytest.raises(OutOfRange, match="2016-08-01 to 2017-07-30"):
        community.on(day)


def test_the_first_day_has_no_past(community) -> None:
    with pytest.raises(OutOfRange):
        community.before(FIRST_DAY, 7)


def test_forecasts_of_the_community_are_better_than_none(community) -> None:
    past, day = community.before(date(2017, 6, 14), 28), community.on(date(2017, 6, 14))
    loads = [forecast_load(by_day(home.load_wh), past.weekdays, 2) for home in past.homes]
    generation = [forecast_pv(by_day(home.pv_wh)) for home in past.homes]
    load = measure(np.stack(loads), np.stack([home.load_wh for home in day.homes]))
    pv = measure(np.stack(generation), np.stack([home.pv_wh for home in day.homes]))
    assert load.share is not None
    assert pv.share is not None
    assert load.share < 0.6
    assert pv.share < 0.3


def test_missing_data_is_one_line_that_says_what_to_do(monkeypatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingPrerequisite, match="install citylearn") as caught:
        load_homes()
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("text", ["Month\n1\n", "", "\x00"])
def test_a_file_that_is_not_the_packages_is_refused(tmp_path, text: str) -> None:
    (tmp_path / "Building_1.csv").write_text(text)
    with pytest.raises(InputError, match=r"Building_1\.csv"):
        module._column(tmp_path / "Building_1.csv", "Month")


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the package's files that a test may spoil."""
    folder = shutil.copytree(module.data_folder(), tmp_path / "data")
    monkeypatch.setattr(module, "data_folder", lambda: folder)
    return folder


@pytest.mark.parametrize(
    ("given", "why"),
    [("oops", "is not a number"), ("-3", "is negative"), ("1e9", "is 1 GWh or more in an hour")],
)
def test_a_bad_value_is_named_by_file_line_and_column(copied, given: str, why: str) -> None:
    path = copied / "Building_1.csv"
    lines = path.read_text().splitlines()
    column = lines[0].split(",").index(module.LOAD)
    cells = lines[41].split(",")
    cells[column] = given
    lines[41] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=rf"Building_1\.csv:42: column '{re.escape(module.LOAD)}': .*{why}"):
        load_homes(1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{\n"buildings": }', r"schema\.json:2: no JSON"),
        ("[]", r"schema\.json: expected an object with a field 'buildings'"),
        ('{"buildings": {}}', r"schema\.json: field 'buildings\.Building_1'"),
    ],
)
def test_a_bad_description_is_named_by_file_and_place(copied, text: str, why: str) -> None:
    (copied / "schema.json").write_text(text)
    with pytest.raises(InputError, match=why):
        load_homes(1)
