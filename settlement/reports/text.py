"""Numbers as a reader wants them. Floats here are for the eye only."""

from __future__ import annotations

from settlement.reference.quality import CAPS_G_PER_KWH, band, firm
from settlement.reports.facts import MarketFact

MINUS = "\N{MINUS SIGN}"


def kwh(wh: int, digits: int = 1) -> str:
    return f"{wh / 1000:,.{digits}f}"


def money(nano: int, digits: int = 2) -> str:
    """Currency units, without a minus before zero."""
    text = f"{nano / 1e9:,.{digits}f}"
    return text.replace("-", MINUS) if text.strip("-0.,") else text.removeprefix("-")


def signed_money(nano: int, digits: int = 2) -> str:
    text = money(nano, digits)
    return text if text.startswith(MINUS) or not text.strip("0.,") else "+" + text


def price(micro_per_kwh: float, digits: int = 3) -> str:
    return f"{micro_per_kwh / 1e6:,.{digits}f}".replace("-", MINUS)


def price_or_none(micro_per_kwh: float | None, unit: str) -> str:
    """Where nothing traded there is no price."""
    return "no trade" if micro_per_kwh is None else f"{price(micro_per_kwh)} {unit}"


def percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}%"


def count(number: float) -> str:
    return f"{number:,.0f}"


def grams(per_kwh: float) -> str:
    return f"{per_kwh:.0f} g/kWh"


def window_label(market: MarketFact, window: int) -> str:
    """`06:00`, the beginning of a window, counted from the start of the day."""
    minutes = window * market.window_length_s // 60
    return f"{minutes // 60:02}:{minutes % 60:02}"


def quality_name(code: int) -> str:
    """`any`, `≤ 50 g, as produced`, `0 g, firm`."""
    cap = CAPS_G_PER_KWH[band(code)]
    carbon = "any" if cap is None else f"{'≤ ' if cap else ''}{cap} g"
    if code == 0:
        return carbon
    return f"{carbon}, {'firm' if firm(code) else 'as produced'}"
