"""SVG figures of a day. They take their ink from the page (`currentColor`), so they read on light and dark.

The same day gives the same bytes: no date, ids from the figure's name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from settlement.reports.economics import DayEconomics, Hour
from settlement.reports.facts import SELL, OrderFact, Role
from settlement.reports.text import quality_name, window_label

INK = "#010203"
"""Stands for the page's text colour."""
SUN, LOCAL, GRID, LOSS = "#eda100", "#1a9d78", "#7b8794", "#d6504c"
SUPPLY, DEMAND = "#eda100", "#3b7dd8"
QUALITY_COLOURS = {0: GRID, 5: LOCAL, 7: SUN, 8: "#8f6cc4"}

WIDTH_IN = 9.6
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 10.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 10,
}


def figures(day: DayEconomics) -> dict[str, str]:
    """SVG elements by name, to be put into a page."""
    makers = {
        "curves": curves,
        "prices": prices,
        "energy": energy,
        "gains": gains,
        "imbalance": imbalance,
        "gas": gas,
    }
    if day.streets:
        makers["streets"] = streets
    if day.cars:
        makers["cars"] = cars
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        return {name: _svg(name, make(day)) for name, make in makers.items()}


def _svg(name: str, figure: Figure) -> str:
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return re.sub(
        r'id="(axes|figure|patch|text|line2d|xtick|ytick|matplotlib\.axis)_', rf'id="{name}-\1_', svg
    )


def _hours(day: DayEconomics, axes: Axes) -> None:
    """Hours along the x axis, a tick every third."""
    windows = day.facts.market.windows
    step = max(1, windows // 8)
    ticks = list(range(0, windows, step))
    axes.set_xticks(ticks, [window_label(day.facts.market, window) for window in ticks])
    axes.set_xlim(-0.6, windows - 0.4)
    axes.grid(False, axis="x")


# Supply and demand --------------------------------------------------------------------------------------


def telling_windows(hours: Sequence[Hour]) -> list[int]:
    """Up to three of the hours with a good deal of local trade: the cheapest, the middle and the dearest."""
    most = max(hour.local_wh for hour in hours)
    local = sorted((h for h in hours if 10 * h.local_wh >= most), key=lambda h: (h.price, h.window))
    return sorted({local[0].window, local[len(local) // 2].window, local[-1].window})


def curves(day: DayEconomics) -> Figure:
    windows = telling_windows(day.hours)
    figure = Figure(figsize=(WIDTH_IN, 3.7), layout="constrained")
    for place, window in enumerate(windows, start=1):
        axes = figure.add_subplot(1, len(windows), place)
        _curve(day, axes, window)
        if place == 1:
            axes.set_ylabel(f"{day.facts.currency}/kWh")
            handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper right", ncols=3, handlelength=1.6)
    return figure


def _curve(day: DayEconomics, axes: Axes, window: int) -> None:
    market, hour = day.facts.market, day.hours[window]
    homes = {member.account for member in day.facts.homes}
    orders = [order for order in day.facts.orders if order.trader in homes and order.asked_wh[window]]
    end = 1.3 * max(hour.asked_wh, min(hour.offered_wh, 3 * hour.asked_wh), 1) / 1000
    buys = [order for order in orders if order.side != SELL]
    sells = [order for order in orders if order.side == SELL]
    retail, feed_in = market.retail[window] / 1e6, market.feed_in[window] / 1e6
    axes.plot(*_steps(sells, window, retail, end, 1), color=SUPPLY, lw=2, label="offered")
    axes.plot(*_steps(buys, window, feed_in, end, -1), color=DEMAND, lw=2, label="asked")
    cleared = hour.price / 1e6
    volume = max(hour.bought_wh, hour.sold_wh) / 1000
    axes.axhline(cleared, color=INK, lw=0.8, ls=(0, (4, 3)))
    axes.plot([volume], [cleared], "o", color=LOCAL, ms=8, mec=INK, mew=0.8, label="cleared", zorder=5)
    axes.set_xlim(0, end)
    axes.set_ylim(0, retail * 1.22)
    axes.set_title(f"{window_label(market, window)}  ·  {cleared:.3f}")
    axes.set_xlabel("kWh in the hour" if market.window_length_s == 3600 else "kWh in the window")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    for level, name in ((retail, "retail"), (feed_in, "feed-in")):
        axes.axhline(level, color=GRID, lw=0.8, ls=":")
        below = name == "feed-in"
        axes.annotate(
            name,
            (end, level),
            (-2, -3 if below else 3),
            textcoords="offset points",
            ha="right",
            va="top" if below else "bottom",
            color=GRID,
            size=9,
        )


def _steps(
    orders: Sequence[OrderFact], window: int, last: float, end: float, sign: int
) -> tuple[list[float], list[float]]:
    """A curve of cumulative kWh against limits, best first, continued by the supplier's own offer."""
    levels = sorted((sign * o.limit_micro_per_kwh[window], o.asked_wh[window]) for o in orders)
    x, y, total = [0.0], [], 0
    for level, wh in levels:
        y += [sign * level / 1e6] * 2
        total += wh
        x += [total / 1000] * 2
    return [*x, max(end, total / 1000)], [*y, last, last]


# Prices -------------------------------------------------------------------------------------------------


def prices(day: DayEconomics) -> Figure:
    market = day.facts.market
    figure = Figure(figsize=(WIDTH_IN, 3.6), layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(market.windows + 1) - 0.5
    low, high = (np.array([*row, row[-1]]) / 1e6 for row in (market.feed_in, market.retail))
    axes.fill_between(at, low, high, step="post", color=GRID, alpha=0.16, lw=0, label="feed-in to retail")
    sizes = {code: 11.5 - 2.6 * rank for rank, code in enumerate(_traded_codes(day))}
    for code, size in sizes.items():
        windows = [w for w in range(market.windows) if day.traded_wh(code, w)]
        values = [market.price(code, w) / 1e6 for w in windows]
        colour = QUALITY_COLOURS.get(code, INK)
        name = f"{quality_name(code)} ({code})"
        axes.plot(windows, values, "o", color=colour, ms=size, mec=INK, mew=0.4, label=name)
    axes.set_ylabel(f"{day.facts.currency}/kWh")
    axes.set_ylim(0, max(market.retail) / 1e6 * 1.12)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.2f}"))
    _hours(day, axes)
    axes.legend(loc="upper left", ncols=1)
    return figure


def _traded_codes(day: DayEconomics) -> list[int]:
    market = day.facts.market
    return [c for c in market.qualities if any(day.traded_wh(c, w) for w in range(market.windows))]


STREET_COLOURS = (SUN, LOCAL, DEMAND, "#8f6cc4", LOSS)


def streets(day: DayEconomics) -> Figure:
    """What energy cost in each street, where any of it was traded there."""
    figure = Figure(figsize=(WIDTH_IN, 3.6), layout="constrained")
    axes = figure.add_subplot()
    market, count = day.facts.market, len(day.streets)
    for place, street in enumerate(day.streets):
        at = [w for w in range(market.windows) if street.bought_wh[w] or street.sold_wh[w]]
        values = [street.energy_prices[w] / 1e6 for w in at]
        aside = [w + 0.7 * ((place + 0.5) / count - 0.5) for w in at]  # so that equal prices all show
        colour = STREET_COLOURS[place % len(STREET_COLOURS)]
        axes.plot(aside, values, "o", color=colour, ms=6, mec=INK, mew=0.4, label=street.fact.name)
    edges = np.arange(market.windows + 1) - 0.5
    axes.step(edges, _stepped(market.retail), where="post", color=GRID, lw=1, label="retail, at a home")
    axes.step(edges, _stepped(market.feed_in), where="post", color=GRID, lw=1, ls=":", label="feed-in")
    axes.set_ylabel(f"{day.facts.currency}/kWh")
    axes.set_ylim(0, max(market.retail) / 1e6 * 1.12)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.2f}"))
    _hours(day, axes)
    axes.legend(loc="upper left", ncols=2)
    return figure


def _stepped(prices: Sequence[int]) -> list[float]:
    """Currency a kWh, the last once more to end its step."""
    return [price / 1e6 for price in (*prices, prices[-1])]


def cars(day: DayEconomics) -> Figure:
    """What all cars charged by hour, and what they would have at once."""
    figure = Figure(figsize=(WIDTH_IN, 3.2), layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(day.facts.market.windows)
    charged = np.array([car.charged_wh for car in day.cars]).sum(axis=0) / 1000
    at_once = np.array([car.at_once_wh for car in day.cars]).sum(axis=0) / 1000
    axes.bar(at - 0.21, charged, width=0.42, color=LOCAL, lw=0, label="charged, as the market filled it")
    axes.bar(at + 0.21, at_once, width=0.42, color=GRID, lw=0, label="the same energy at once")
    axes.set_ylabel("kWh, all cars (assumed)")
    _hours(day, axes)
    axes.legend(loc="upper right")
    return figure


# Energy -------------------------------------------------------------------------------------------------


def energy(day: DayEconomics) -> Figure:
    market = day.facts.market
    figure = Figure(figsize=(WIDTH_IN, 3.8), layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(market.windows)
    own = np.array(market.own_solar_wh or (0,) * market.windows) / 1000
    local = np.array([hour.delivered_wh for hour in day.hours]) / 1000
    drawn = np.array([hour.import_wh for hour in day.hours]) / 1000 - local
    spilled = np.array([hour.export_wh for hour in day.hours]) / 1000 - local
    bars: dict[str, Any] = {"width": 0.84, "lw": 0}
    if market.own_solar_wh:
        axes.bar(at, own, color=SUN, label="own solar, behind the meter", **bars)
    axes.bar(at, local, bottom=own, color=LOCAL, label="neighbours' solar, bought in the market", **bars)
    axes.bar(at, drawn, bottom=own + local, color=GRID, label="from the supplier", **bars)
    axes.bar(at, -spilled, color=SUN, alpha=0.4, label="surplus to the supplier", **bars)
    axes.axhline(0, color=INK, lw=0.8)
    axes.set_ylabel("kWh, all homes")
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    top = float((own + local + drawn).max(initial=1))
    axes.set_ylim(-1.15 * float(spilled.max(initial=0)) - 0.02 * top, 1.3 * top)
    _hours(day, axes)
    axes.legend(loc="upper left", ncols=2)
    return figure


# Homes --------------------------------------------------------------------------------------------------


def gains(day: DayEconomics) -> Figure:
    homes = day.homes
    figure = Figure(figsize=(WIDTH_IN, 1.3 + 0.27 * len(homes)), layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(len(homes))
    made = np.array([bill.market_gain_nano for bill in homes]) / 1e9
    lost = np.array([-bill.error_cost_nano for bill in homes]) / 1e9
    net = np.array([bill.gain_nano for bill in homes]) / 1e9
    axes.barh(at, made, height=0.66, color=LOCAL, label="gained in the market")
    axes.barh(at, lost, height=0.66, color=LOSS, label="lost to forecast errors")
    axes.plot(net, at, "D", color=INK, ms=4.5, label="net gain", zorder=5)
    axes.axvline(0, color=INK, lw=0.8)
    names = [bill.member.name + (" *" if bill.member.low_carbon else "") for bill in homes]
    axes.set_yticks(at, names)
    axes.set_ylim(len(homes) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.set_xlabel(f"{day.facts.currency} against the retail-only bill")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def imbalance(day: DayEconomics) -> Figure:
    """Homes by hours: what is out of balance; a dot where the reading was estimated."""
    values, flags = imbalance_matrix(day)
    figure = Figure(figsize=(WIDTH_IN, 1.3 + 0.27 * len(values)), layout="constrained")
    axes = figure.add_subplot()
    most = max(0.1, float(np.abs(values).max(initial=0)) / 1000)
    colours = LinearSegmentedColormap.from_list(
        "signed", [(*_rgb(LOSS), 1), (0.5, 0.5, 0.5, 0.06), (*_rgb(DEMAND), 1)]
    )
    at = np.arange(day.facts.market.windows + 1) - 0.5
    mesh = axes.pcolormesh(
        at, np.arange(len(values) + 1) - 0.5, values / 1000, cmap=colours, norm=Normalize(-most, most), lw=0
    )
    rows, columns = np.nonzero(flags)
    if len(rows):
        axes.plot(columns, rows, "o", color=INK, ms=3.5, label="estimated")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", handletextpad=0)
    axes.set_yticks(range(len(values)), [bill.member.name for bill in day.homes])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.grid(False)
    _hours(day, axes)
    axes.set_xlim(-0.5, day.facts.market.windows - 0.5)
    bar = figure.colorbar(mesh, ax=axes, pad=0.015, aspect=30)
    bar.set_label("kWh above or below what was contracted and delivered")
    bar.outline.set_visible(False)
    return figure


def imbalance_matrix(day: DayEconomics) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(homes, windows) imbalances in Wh, and flags."""
    facts = day.facts
    homes = [member.account for member in facts.members if member.role is Role.HOME]
    accounts = {fact.account: fact for fact in facts.accounts}
    values = np.array([accounts[home].imbalance_wh for home in homes], np.int64)
    flags = np.array([accounts[home].flags for home in homes], np.int64)
    return values, flags


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


# Gas ----------------------------------------------------------------------------------------------------


def gas(day: DayEconomics) -> Figure:
    phases = day.facts.phases
    figure = Figure(figsize=(WIDTH_IN, 0.9 + 0.42 * max(1, len(phases))), layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(len(phases))
    millions = np.array([phase.gas for phase in phases]) / 1e6
    axes.barh(at, millions, height=0.62, color=DEMAND, alpha=0.85)
    for place, phase in enumerate(phases):
        plural = "" if phase.transactions == 1 else "s"
        note = f"  {phase.gas / 1e6:.2f} M in {phase.transactions} transaction{plural}"
        axes.annotate(note, (millions[place], place), va="center", size=9.5)
    axes.set_yticks(at, [phase.name for phase in phases])
    axes.set_ylim(len(phases) - 0.4, -0.6)
    axes.set_xlim(0, 1.35 * max(0.1, float(millions.max(initial=0))))
    axes.grid(False, axis="y")
    axes.set_xlabel("million gas")
    return figure
