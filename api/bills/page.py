"""The bill as PDF: the same bill gives the same bytes, so that its ETag holds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from api.bills.chart import FAINT, GRID, INK, METERED, draw
from api.bills.facts import Bill
from api.bills.words import date, kind_of, kwh, money, quality_of, rounded

MARGIN = 18 * mm
PADDING = 6
"""That every frame has inside."""
WIDTH = A4[0] - 2 * MARGIN
BAND = HexColor("#0f4c5c")
PALE = HexColor("#f3f6f8")
Row = Sequence[Any]

TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12, textColor=INK)
SMALL = ParagraphStyle("small", parent=TEXT, fontSize=7.5, leading=10, textColor=FAINT)
HEAD = ParagraphStyle(
    "head", parent=TEXT, fontName="Helvetica-Bold", fontSize=11, leading=14, spaceBefore=10, spaceAfter=4
)
TITLE = ParagraphStyle("title", parent=TEXT, fontName="Helvetica-Bold", fontSize=18, leading=22)
TITLE.textColor = white
UNDER = ParagraphStyle("under", parent=TEXT, textColor=HexColor("#d7e3e8"))
SUM = ParagraphStyle("sum", parent=TITLE, alignment=TA_RIGHT)
SUM_WORD = ParagraphStyle("sum word", parent=UNDER, alignment=TA_RIGHT)

PLAIN = TableStyle(
    [
        ("FONT", (0, 0), (-1, -1), "Helvetica", 9),
        ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 8),
        ("TEXTCOLOR", (0, 0), (-1, -1), INK),
        ("TEXTCOLOR", (0, 0), (-1, 0), FAINT),
        ("LINEBELOW", (0, 0), (-1, 0), 0.75, FAINT),
        ("LINEBELOW", (0, 1), (-1, -2), 0.25, GRID),
        ("ALIGN", (-1, 0), (-1, -1), "RIGHT"),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ("LEFTPADDING", (0, 0), (0, -1), 2),
        ("RIGHTPADDING", (-1, 0), (-1, -1), 2),
    ]
)
TOTAL = TableStyle(
    [
        ("FONT", (0, -1), (-1, -1), "Helvetica-Bold", 10),
        ("LINEABOVE", (0, -1), (-1, -1), 0.75, INK),
        ("BACKGROUND", (0, -1), (-1, -1), PALE),
    ]
)
PROOF = TableStyle([("FONT", (0, 1), (-1, -1), "Courier", 6.3), ("FONT", (0, 1), (0, -1), "Helvetica", 7.5)])


def render(bill: Bill) -> bytes:
    """The PDF."""
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN - PADDING,
        rightMargin=MARGIN - PADDING,
        topMargin=14 * mm,
        bottomMargin=16 * mm,
        title=f"Energy bill, {date(bill.starts_at)}",
        author="Trellis",
        subject=bill.account,
        invariant=1,
    )
    document.build(_story(bill), onFirstPage=_foot, onLaterPages=_foot)
    return out.getvalue()


def _foot(canvas: Any, document: Any) -> None:
    canvas.saveState()
    canvas.setFont("Helvetica", 7)
    canvas.setFillColor(FAINT)
    canvas.drawString(
        MARGIN, 9 * mm, "Amounts in units of the settlement token, energy in kWh, times in UTC."
    )
    canvas.drawRightString(A4[0] - MARGIN, 9 * mm, f"page {document.page}")
    canvas.restoreState()


def _story(bill: Bill) -> list[Any]:
    return [
        _header(bill),
        Spacer(1, 8),
        Paragraph("The day", HEAD),
        draw(bill, WIDTH, 46 * mm),
        Paragraph("Above zero: energy given to the grid; below: taken from it. kWh per window.", SMALL),
        Paragraph("Energy", HEAD),
        _energy(bill),
        Paragraph("Money, and with whom", HEAD),
        _cash(bill),
        *_orders(bill),
        *_proof(bill),
    ]


def _header(bill: Bill) -> Table:
    paid = bill.total_nano < 0
    word = "You pay" if paid else "You receive"
    state = "certified, but for later corrections" if bill.certified else "settled, not yet certified"
    state = state if bill.settled else "provisional: the day is not settled"
    left = [
        Paragraph("Energy bill", TITLE),
        Paragraph(date(bill.starts_at), UNDER),
        Paragraph(f"Account {bill.account}", UNDER),
        Paragraph(state.capitalize(), UNDER),
    ]
    right = [Paragraph(word, SUM_WORD), Paragraph(rounded(bill.total_nano), SUM)]
    style = [
        ("BACKGROUND", (0, 0), (-1, -1), BAND),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LEFTPADDING", (0, 0), (-1, -1), 10),
        ("RIGHTPADDING", (0, 0), (-1, -1), 10),
        ("TOPPADDING", (0, 0), (-1, -1), 10),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 12),
        ("LINEBELOW", (0, 0), (-1, -1), 3, METERED),
    ]
    return Table([[left, right]], colWidths=[WIDTH - 48 * mm, 48 * mm], style=TableStyle(style))


def _energy(bill: Bill) -> Table:
    metered = "not read yet" if bill.metered_wh is None else kwh(sum(bill.metered_wh))
    note = (
        f" ({bill.estimated} of {len(bill.contracted_wh)} windows not by a meter)" if bill.estimated else ""
    )
    rows: list[Row] = [
        ("", "kWh"),
        ("Sold", kwh(bill.sold_wh)),
        ("Bought", kwh(bill.bought_wh)),
        (f"Metered, given less taken{note}", metered),
        ("Imbalance, metered less traded", kwh(bill.imbalance_wh)),
        ("Of what was bought: with a certificate of its source", kwh(bill.certified_wh)),
    ]
    return Table(rows, colWidths=[WIDTH - 32 * mm, 32 * mm], style=PLAIN)


def _cash(bill: Bill) -> Table:
    """Sums by kind, in the order in which they came; then the sum of all."""
    sums: dict[str, int] = {}
    for line in bill.lines:
        sums[line.kind] = sums.get(line.kind, 0) + line.amount_nano
    rows: list[Row] = [("", "with", "amount")]
    rows += [(*kind_of(kind), money(nano)) for kind, nano in sums.items()]
    rows.append(("Sum", "", money(bill.total_nano)))
    table = Table(rows, colWidths=[84 * mm, WIDTH - 126 * mm, 42 * mm], style=PLAIN)
    table.setStyle(TOTAL)
    return table


def _orders(bill: Bill) -> list[Any]:
    if not bill.orders:
        return []
    rows: list[Row] = [("order", "", "energy", "kWh, of what was asked")]
    rows += [
        (
            f"{one.order[:10]}…{one.order[-6:]}",
            "sold" if one.sold else "bought",
            quality_of(one.quality),
            f"{kwh(one.filled_wh)} of {kwh(one.asked_wh)}",
        )
        for one in bill.orders
    ]
    widths = [40 * mm, 18 * mm, WIDTH - 104 * mm, 46 * mm]
    return [Paragraph("Orders", HEAD), Table(rows, colWidths=widths, style=PLAIN, repeatRows=1)]


def _proof(bill: Bill) -> list[Any]:
    """Each payment with the transaction that made it."""
    rows: list[Row] = [("payment", "block", "transaction", "amount")]
    rows += [
        (line.kind.replace("_", " "), str(line.block_number), line.tx_hash, money(line.amount_nano))
        for line in bill.lines
    ]
    widths = [26 * mm, 16 * mm, WIDTH - 76 * mm, 34 * mm]
    table = Table(rows, colWidths=widths, style=PLAIN, repeatRows=1)
    table.setStyle(PROOF)
    said = "Every payment is on the chain under its transaction; whoever has a node can look it up."
    return [Paragraph("To check", HEAD), Paragraph(said, SMALL), table]
