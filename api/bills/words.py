"""How a bill says things: amounts exactly, energy in kWh, kinds of payment in words."""

from __future__ import annotations

from datetime import UTC, datetime

from settlement.reference import quality

NANO = 10**9

KINDS: dict[str, tuple[str, str]] = {
    "trade": ("Energy traded, less what is kept in reserve", "members of the market"),
    "reserve": ("Reserve returned", "members of the market"),
    "reserve_handed_over": ("Reserve of a claim handed over", "whoever took the claim"),
    "reserve_taken_over": ("Reserve of a claim taken over", "whoever gave the claim"),
    "donation": ("Proceeds given by a seller", "the seller"),
    "settlement": ("Imbalance, and sales as they were produced", "balancing party"),
    "undelivered": ("Bought, but not delivered", "the market's sellers"),
    "correction": ("Correction by a later run", "balancing party"),
    "challenge": ("Result of a challenged reading", "balancing party"),
    "challenge_bond": ("Bond of a challenge", "the Exchange"),
    "challenge_paid": ("Challenge that was right", "oracle's bond"),
    "network": ("Network charges and congestion rent", "members of the market"),
    "bond": ("Operator's bond of a session", "the Exchange"),
    "claim": ("Order left out of its session", "operator's bond"),
}
"""What a kind of payment is, and with whom."""


def kind_of(name: str) -> tuple[str, str]:
    return KINDS.get(name, (name.replace("_", " ").capitalize(), "the Exchange"))


def money(nano: int) -> str:
    """`-12.345678900`: to the last nano, no digit is lost."""
    whole, rest = divmod(abs(nano), NANO)
    return f"{'-' if nano < 0 else ''}{whole:,}.{rest:09d}"


def rounded(nano: int) -> str:
    """`12.35`, halves away from zero, of the amount without its sign."""
    whole, cents = divmod((abs(nano) + NANO // 200) // (NANO // 100), 100)
    return f"{whole:,}.{cents:02d}"


def kwh(wh: int) -> str:
    """`-1.250`"""
    whole, rest = divmod(abs(wh), 1000)
    return f"{'-' if wh < 0 else ''}{whole:,}.{rest:03d}"


def quality_of(code: int | None) -> str:
    """What was promised of the energy."""
    if code is None:
        return "any"
    cap = quality.CAPS_G_PER_KWH[quality.band(code)]
    carbon = "any source" if cap is None else f"at most {cap} g CO2e/kWh"
    return f"{carbon}, {'firm' if quality.firm(code) else 'as produced'}"


def date(unix_s: int) -> str:
    """`Monday, 1 June 2026`"""
    moment = datetime.fromtimestamp(unix_s, UTC)
    return f"{moment:%A}, {moment.day} {moment:%B %Y}"


def clock(unix_s: int) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%H:%M}"
