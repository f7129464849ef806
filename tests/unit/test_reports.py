"""The day's report: money adds up exactly, and everything that shows it renders."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from report_world import (
    CHARGES_NANO,
    FEED_IN,
    HOMES,
    NETWORK,
    RENT_NANO,
    SUPPLIER,
    make_facts,
    make_two_streets,
)
from rich.console import Console

from settlement.errors import InputError
from settlement.reports import export, html, tables, text
from settlement.reports.cars import at_once_wh
from settlement.reports.economics import DayEconomics, economics
from settlement.reports.facts import SELL, DayFacts, Role
from settlement.reports.plots import figures, imbalance_matrix, telling_windows


@pytest.fixture(scope="module", params=[(17, 1, 0), (4, 3, 25_000)], ids=["17 homes", "4 homes, margin"])
def day(request: pytest.FixtureRequest) -> DayEconomics:
    homes, seed, margin = request.param
    return economics(make_facts(homes, seed, margin))


# Economics ----------------------------------------------------------------------------------------------


def test_bills_of_homes_supplier_and_network_operator_sum_to_zero(day) -> None:
    assert sum(bill.bill_nano for bill in day.bills) == 0
    assert {bill.member.role for bill in day.bills} == {Role.HOME, Role.SUPPLIER, Role.NETWORK}
    assert day.total("bill_nano") != 0


def test_every_sum_that_must_be_zero_is(day) -> None:
    assert [row.total for row in day.zero_sums] == [0] * 7
    assert day.holds


def test_gain_is_what_the_market_gave_less_what_errors_cost(day) -> None:
    for bill in day.homes:
        assert bill.gain_nano == bill.market_gain_nano - bill.error_cost_nano
        assert bill.gain_nano == bill.retail_bill_nano - bill.bill_nano
        assert bill.market_gain_nano >= 0  # every price lies within the tariff
        assert bill.error_cost_nano >= 0


def test_without_a_margin_errors_cost_the_spread_on_what_was_bought_and_not_used_or_not_delivered() -> None:
    """What is short costs seller and buyer together one spread, but for what the supplier is left."""
    day = economics(make_facts())
    market, cost = day.facts.market, 0
    values, _ = imbalance_matrix(day)
    for row, bill in zip(values.tolist(), day.homes, strict=True):
        account = next(a for a in day.facts.accounts if a.account == bill.member.account)
        for window, off in enumerate(row):
            spread = market.retail[window] - FEED_IN
            unused = min(max(off, 0), max(off - account.metered_wh[window], 0))
            cost += unused * spread
    cost += sum(wh * (market.retail[w] - FEED_IN) for w, wh in enumerate(short_wh(day)))
    left = day.total("rest_nano", day.bills) + day.total("premium_nano", day.others)
    assert day.total("error_cost_nano") == cost + left
    assert any(short_wh(day))


def short_wh(day: DayEconomics) -> list[int]:
    """What homes sold and did not deliver, by window."""
    short = [0] * 24
    for account in day.facts.accounts:
        for window, wh in enumerate(account.metered_wh):
            own = [order for order in day.facts.orders if order.trader == account.account]
            sold = sum(one.filled_wh[window] for one in own if (one.side, one.quality) == (SELL, 7))
            short[window] += max(0, sold - max(0, wh))
    return short


def test_delivery_is_shown_for_everyone_it_changed_something_for(day) -> None:
    changed = [bill for bill in day.bills if bill.proceeds_nano or bill.delivery_nano]
    rows = tables.delivery_rows(day)
    assert [row[0] for row in rows] == [*(bill.member.name for bill in changed), "Everyone"]
    assert sum(bill.unpaid_nano for bill in changed) > 0
    told = printed(day).split("Delivery")[1]
    assert all(bill.member.name in told for bill in changed)
    assert "paid on delivery" in html.render(day)


def test_the_homes_gain_is_the_suppliers_loss_against_the_tariff(day) -> None:
    supplier = next(bill for bill in day.bills if bill.member.account == SUPPLIER)
    assert day.total("gain_nano") == day.total("retail_bill_nano") + supplier.bill_nano


def test_hours_add_up_to_homes(day) -> None:
    assert day.over_hours("bought_wh") == day.total("bought_wh")
    assert day.over_hours("sold_wh") == day.total("sold_wh")
    assert day.over_hours("import_wh") == day.total("import_wh")
    for hour in day.hours:
        assert hour.delivered_wh <= hour.local_wh <= min(hour.asked_wh, hour.offered_wh)
        assert hour.delivered_wh <= min(hour.import_wh, hour.export_wh)


def test_the_local_price_lies_within_the_tariff(day) -> None:
    assert FEED_IN <= day.average_price <= max(day.facts.market.retail)


def test_where_no_home_traded_with_another_there_is_no_price() -> None:
    assert text.price_or_none(None, "$/kWh") == "no trade"
    assert text.price_or_none(0, "$/kWh") == "0.000 $/kWh"


def test_carbon_counts_only_what_neighbours_delivered(day) -> None:
    assert 0 <= day.carbon.neighbours_wh <= min(day.over_hours("local_wh"), day.carbon.import_wh)
    assert day.carbon.homes_g_per_kwh <= day.carbon.grid_g_per_kwh
    intensity = day.facts.market.carbon_g_per_kwh
    assert day.carbon.neighbours_mg <= day.carbon.neighbours_wh * max(intensity)


def broken(day: DayEconomics, **changes: object) -> DayFacts:
    first, *rest = day.facts.accounts
    return replace(day.facts, accounts=(replace(first, **changes), *rest))


def test_one_nano_too_much_on_an_account_shows(day) -> None:
    found = economics(broken(day, final_nano=day.facts.accounts[0].final_nano + 1))
    assert not found.holds
    assert [row.total for row in found.zero_sums if not row.holds] == [1]


def test_one_wh_too_much_on_a_meter_shows(day) -> None:
    metered = day.facts.accounts[0].metered_wh
    found = economics(broken(day, metered_wh=(metered[0] + 1, *metered[1:])))
    assert [row.name for row in found.zero_sums if not row.holds] == [
        "metered, the supplier closing the balance"
    ]


def test_a_vault_that_holds_something_else_shows(day) -> None:
    held = sum(account.final_nano for account in day.facts.accounts)
    assert economics(replace(day.facts, vault_nano=held)).holds
    assert not economics(replace(day.facts, vault_nano=held - 1)).holds


# What shows it ------------------------------------------------------------------------------------------


def printed(day: DayEconomics) -> str:
    out = io.StringIO()
    tables.print_tables(Console(file=out, width=tables.LEAST_WIDTH, no_color=True), day)
    return out.getvalue()


def test_tables_name_every_home_and_fit_a_plain_page(day) -> None:
    told = printed(day)
    assert all(bill.member.name in told for bill in day.homes)
    assert "0 nano" in told
    assert max(map(len, told.splitlines())) <= tables.LEAST_WIDTH
    assert "…" not in told  # nothing was cut off


def test_the_page_is_self_contained(day) -> None:
    page = html.render(day)
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 6
    assert "currentColor" in page
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]+\"", page)  # only places within itself
    assert "@import" not in page
    assert all(bill.member.name in page for bill in day.homes)
    ids = re.findall(r'<(?:g|path|clipPath)[^>]* id="([^"]+)"', page)
    assert len([i for i in ids if i.startswith("axes")]) == 0  # named after their figure


def test_the_same_day_gives_the_same_page(day) -> None:
    assert figures(day) == figures(economics(day.facts))
    assert html.render(day) == html.render(economics(day.facts))


def test_what_a_name_says_is_not_markup(day) -> None:
    first, *rest = day.facts.members
    facts = replace(day.facts, members=(replace(first, name="<script>alert(1)</script>"), *rest))
    assert "<script>" not in html.render(economics(facts))


def test_telling_windows_have_local_trade(day) -> None:
    windows = telling_windows(day.hours)
    assert windows == sorted(set(windows))
    assert 1 <= len(windows) <= 3
    assert all(day.hours[window].local_wh for window in windows)


def test_a_day_without_any_trade_renders(day) -> None:
    orders = tuple(replace(order, filled_wh=(0,) * 24) for order in day.facts.orders)
    quiet = economics(replace(day.facts, orders=orders))
    assert quiet.local_share == 0
    assert "<svg" in html.render(quiet)
    printed(quiet)


def test_files_are_exact_integers(day, tmp_path) -> None:
    written = export.write_report(day, tmp_path / "new" / "out")
    assert {path.name for path in written} == {
        *("report.html", "summary.json", "homes.csv", "windows.csv", "orders.csv", "phases.csv")
    }
    told = json.loads((tmp_path / "new" / "out" / "summary.json").read_text())
    assert told["totals"]["all_bills_nano"] == 0
    assert told["holds"] is True
    assert sum(home["bill_nano"] for home in told["homes"]) == day.total("bill_nano")
    rows = list(csv.DictReader((tmp_path / "new" / "out" / "homes.csv").open()))
    assert sum(int(row["bill_nano"]) for row in rows) == 0
    orders = list(csv.DictReader((tmp_path / "new" / "out" / "orders.csv").open()))
    assert sum(int(row["filled_wh"]) for row in orders) == sum(sum(o.filled_wh) for o in day.facts.orders)


def test_prices_of_what_did_not_trade_are_left_out(day) -> None:
    rows = list(export.window_rows(day))
    at = rows[0].index("price_7")
    sold = [
        sum(o.filled_wh[w] for o in day.facts.orders if (o.side, o.quality) == (SELL, 7)) for w in range(24)
    ]
    assert [row[at] != "" for row in rows[1:]] == [wh > 0 for wh in sold]


def test_a_folder_that_cannot_be_written_is_named(day, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        export.write_report(day, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("nano", "expected"),
    [(0, "0.00"), (-1_000_000, "0.00"), (1_234_567_890_000, "1,234.57"), (-50_000_000, "−0.05")],  # noqa: RUF001
)
def test_money_reads_as_people_write_it(nano: int, expected: str) -> None:
    assert text.money(nano) == expected


def test_gains_carry_a_sign_unless_they_are_nothing() -> None:
    assert [text.signed_money(nano) for nano in (10**9, 10**6, 0)] == ["+1.00", "0.00", "0.00"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, "any"), (5, "≤ 50 g, as produced"), (8, "any, firm"), (15, "0 g, firm"), (7, "0 g, as produced")],
)
def test_a_quality_says_what_it_promises(code: int, expected: str) -> None:
    assert text.quality_name(code) == expected


def test_the_network_operator_neither_pays_nor_earns_in_one_zone(day) -> None:
    assert next(bill for bill in day.bills if bill.member.account == NETWORK).bill_nano == 0


# Streets and cars ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def streets() -> DayEconomics:
    return economics(make_two_streets())


def test_a_day_of_two_streets_adds_up(streets) -> None:
    assert [row.total for row in streets.zero_sums] == [0] * 8
    assert sum(bill.bill_nano for bill in streets.bills) == 0


def test_the_network_operator_earns_charges_and_rent(streets) -> None:
    network = next(bill for bill in streets.bills if bill.member.account == NETWORK)
    assert network.bill_nano == -(CHARGES_NANO + RENT_NANO)
    assert sum(street.charge_nano for street in streets.streets) == CHARGES_NANO
    assert [street.rent_nano for street in streets.streets] == [RENT_NANO, 0]


def test_what_stays_in_a_street_crosses_no_line(streets) -> None:
    first, second = streets.streets
    assert (first.homes, first.stayed_wh, first.inward_wh, first.outward_wh) == (2, 1_000, 500, 4_000)
    assert (second.homes, second.stayed_wh, second.inward_wh, second.outward_wh) == (1, 0, 4_700, 0)
    assert (first.full_windows, second.full_windows) == (1, 0)
    assert (first.sale_price, second.sale_price) == (80_000, None)


def test_a_network_that_was_paid_something_else_shows(streets) -> None:
    accounts = tuple(
        replace(one, lines_nano=one.lines_nano + 1) if one.account == NETWORK else one
        for one in streets.facts.accounts
    )
    found = economics(replace(streets.facts, accounts=accounts))
    names = [row.name for row in found.zero_sums if not row.holds]
    assert "the network's income less charges and rent" in names
    assert "bills: homes, supplier, network operator" in names


def test_a_car_is_compared_with_charging_at_once(streets) -> None:
    (car,) = streets.cars
    assert car.at_once_wh == (3_600, 400)
    assert car.paid_nano == 3_000 * 100_000 + 1_000 * 210_000
    assert car.saved_nano == 3_600 * 220_000 + 400 * 230_000 - car.paid_nano


def test_the_retail_only_bill_of_a_home_with_a_car_has_it_charged_at_once(streets) -> None:
    home = streets.homes[2]
    assert home.retail_bill_nano == 3_600 * 220_000 + 1_100 * 230_000
    assert home.bill_nano == 3_000 * 100_000 + 1_700 * 210_000
    assert home.error_cost_nano == 0
    assert home.market_gain_nano == home.gain_nano


def test_an_estimate_knows_nothing_of_a_car(streets) -> None:
    account = next(one for one in streets.facts.accounts if one.account == HOMES[2])
    orders = [one for one in streets.facts.orders if one.trader == HOMES[2]]
    assert at_once_wh(replace(account, flags=(1, 1)), orders) == account.metered_wh
    assert at_once_wh(replace(account, flags=(0, 1)), orders) == account.metered_wh  # 3 kWh at once already


def test_a_flexible_order_asks_where_it_is_served_and_signs_its_windows(streets) -> None:
    assert [hour.asked_wh for hour in streets.hours] == [4_000, 2_200]
    assert streets.order_windows == 12


def test_streets_and_cars_are_shown_where_there_are_any(streets, day) -> None:
    told, plain = printed(streets), printed(day)
    for word in ("Street 1 (2 homes)", "Cars, assumed", "income 0.091"):
        assert word in told
        assert word not in plain
    assert max(map(len, told.splitlines())) <= tables.LEAST_WIDTH
    assert "Street 2 (1 home)" in html.render(streets)
    assert html.render(streets).count("<svg") == 8
    assert "Cars, assumed" not in html.render(day)


def test_the_summary_has_streets_and_cars_where_there_are_any(streets, day) -> None:
    told = export.summary(streets)
    assert told["network"]["income_nano"] == CHARGES_NANO + RENT_NANO
    assert [street["imports_wh"] for street in told["streets"]] == [[-4_000, 500], [3_000, 1_700]]
    assert told["cars"]["assumed"] is True
    assert told["cars"]["each"][0]["charged_wh"] == [3_000, 1_000]
    assert not {"streets", "network", "cars"} & set(export.summary(day))
