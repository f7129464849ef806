"""The matcher: pure functions from a book of orders to the one clearing that the price rule allows.

market   windows, grid tree, qualities, substitutions, floor and cap
book     orders as arrays; aggregation to price levels
flexible orders over a range of windows, as arrays
network  the circulation whose optimum is the clearing
flow     its exact solution: welfare, then most energy, then least substitution
prices   lowest and highest potentials with their ranks, and the prices between
fills    marginal volumes and each row's fill
clear    all of these in turn
check    what a clearing must satisfy, judged independently
"""

from settlement.matching.book import BUY, SELL, Book, empty_book, make_book
from settlement.matching.case import Violation
from settlement.matching.check import check
from settlement.matching.clear import Clearing, Extremes, clear
from settlement.matching.fills import traded_wh
from settlement.matching.flexible import FlexibleOrders, make_flexible, no_flexible
from settlement.matching.market import ROOT, UNLIMITED_WH, Market, make_market
from settlement.matching.prices import OutOfRange

__all__ = [
    "BUY",
    "ROOT",
    "SELL",
    "UNLIMITED_WH",
    "Book",
    "Clearing",
    "Extremes",
    "FlexibleOrders",
    "Market",
    "OutOfRange",
    "Violation",
    "check",
    "clear",
    "empty_book",
    "make_book",
    "make_flexible",
    "make_market",
    "no_flexible",
    "traded_wh",
]
