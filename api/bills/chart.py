"""The day as a small chart: what was contracted and what was metered, window by window."""

from __future__ import annotations

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import Color, HexColor

from api.bills.facts import Bill
from api.bills.words import clock, kwh

INK, FAINT, GRID = HexColor("#1f2a37"), HexColor("#6b7280"), HexColor("#e5e7eb")
CONTRACTED, METERED = HexColor("#9dc3e6"), HexColor("#0f766e")
LEFT, BOTTOM, TOP = 44.0, 16.0, 16.0
MOST_LABELS = 8


def draw(bill: Bill, width: float, height: float) -> Drawing:
    """Bars of what was contracted with the metered energy on them; above zero flows out of the home."""
    drawing = Drawing(width, height)
    metered = bill.metered_wh or ()
    values = [0, *bill.contracted_wh, *metered]
    high, low = max(values), min(values)
    span = max(high - low, 1)
    scale = (height - BOTTOM - TOP) / span

    def y(wh: int) -> float:
        return BOTTOM + (wh - low) * scale

    step = (width - LEFT) / max(len(bill.contracted_wh), 1)
    for wh in sorted({high, 0, low}):
        _level(drawing, y(wh), width, wh)
    for at, wh in enumerate(bill.contracted_wh):
        _bar(drawing, LEFT + at * step + 0.1 * step, 0.8 * step, y(0), y(wh), CONTRACTED)
    for at, wh in enumerate(metered):
        _bar(drawing, LEFT + at * step + 0.35 * step, 0.3 * step, y(0), y(wh), METERED)
    _times(drawing, bill, step)
    _legend(drawing, width, height)
    return drawing


def _level(drawing: Drawing, y: float, width: float, wh: int) -> None:
    drawing.add(Line(LEFT, y, width, y, strokeColor=FAINT if wh == 0 else GRID, strokeWidth=0.5))
    label = String(LEFT - 5, y - 2.5, kwh(wh), fontName="Helvetica", fontSize=7, fillColor=FAINT)
    label.textAnchor = "end"
    drawing.add(label)


def _bar(drawing: Drawing, x: float, width: float, zero: float, top: float, color: Color) -> None:
    height = abs(top - zero)
    if height:
        drawing.add(Rect(x, min(zero, top), width, height, fillColor=color, strokeColor=None))


def _times(drawing: Drawing, bill: Bill, step: float) -> None:
    windows = len(bill.contracted_wh)
    every = max(1, -(-windows // MOST_LABELS))
    for at in range(0, windows, every):
        text = clock(bill.starts_at + at * bill.window_s)
        drawing.add(String(LEFT + at * step, 2, text, fontName="Helvetica", fontSize=7, fillColor=FAINT))


def _legend(drawing: Drawing, width: float, height: float) -> None:
    y = height - 8
    for x, color, text in ((width - 130, CONTRACTED, "contracted"), (width - 62, METERED, "metered")):
        drawing.add(Rect(x, y, 7, 7, fillColor=color, strokeColor=None))
        drawing.add(String(x + 11, y + 0.5, text, fontName="Helvetica", fontSize=7.5, fillColor=INK))
