"""Certificates product by product.

The chain tells one total an account and part. Of which products it is follows from the call: it brings what
all claims and deliveries of the day came to, and every account's share by cumulative rounding is
`settlement.reference.delivery`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from api.db.market_models import Certificate, Day, GridVersion, Position, Session
from api.readmodel.project.context import Context
from api.readmodel.project.places import lanes_of, name_of, slot_of
from settlement.chain import events as told
from settlement.chain.rpc import to_hex
from settlement.reference import delivery, product_id, quality
from settlement.reference.product_id import CERTIFICATE, ProductId
from settlement.reference.settlement import Day as Terms
from settlement.reference.settlement import Key, Round, RunCarry, Tally


@dataclass(frozen=True)
class Shares:
    """What the claims of a day share."""

    day: Terms
    short: dict[Key, int]
    """Wh that were not produced."""
    backed: dict[Key, int]
    """Wh of the rest that green delivery backs."""

    @property
    def green(self) -> list[Key]:
        """Cells whose claims may become certificates."""
        return [key for key in self.day.keys if quality.band(key[1]) > 0]


def minted(c: Context, event: told.PartCertified) -> None:
    """What each account of a part got; nothing where the call is not to be had."""
    statement, carry = c.telling.argument("statement", "certify"), c.telling.argument("carry", "certify")
    if statement is None or carry is None:
        return
    shares = _shares(c, event.day, carry)
    tallies: list[Tally] = list(carry.tallies)
    for account in statement.accounts:
        claims = _claims(c, event, account, shares.green)
        for key, claim in claims:
            at = shares.day.index(key)
            mine = delivery.share(tallies[at], claim, shares.short[key], shares.backed[key])
            tallies[at] = replace(tallies[at], gone_over=tallies[at].gone_over + claim)
            if mine.certified:
                _mint(c, event, account, key, mine.certified)


def _shares(c: Context, day: int, carry: RunCarry) -> Shares:
    terms = _terms(c, day)
    assert len(carry.tallies) == len(terms.keys), "a run has a tally for each of its day's cells"
    short, backed = {}, {}
    for number in terms.rounds:
        for window in range(terms.windows):
            place = (number.round, window)
            lacking = delivery.shortfalls(terms, carry, *place)
            found = delivery.certified(terms, carry, *place)
            for code in terms.qualities:
                key = (number.round, code, window)
                short[key], backed[key] = lacking[code].short, found.get(code, 0)
    return Shares(terms, short, backed)


def _terms(c: Context, day: int) -> Terms:
    """The day's cells; prices and reserves have no part in certificates."""
    row = c.rows.get(Day, day)
    c.rows.want(Session, [(epoch,) for epoch in row["sessions"]])
    sessions = [c.rows.get(Session, epoch) for epoch in row["sessions"]]
    rounds = sorted(one["round"] for one in sessions if one["proved_at"] is not None)
    codes = c.rows.get(GridVersion, row["grid_version"])["terms"]["qualities"]
    return Terms(row["windows"], tuple(codes), tuple(Round(one, 0, 0) for one in rounds), (), ())


def _claims(
    c: Context, event: told.PartCertified, account: bytes, keys: Sequence[Key]
) -> Iterator[tuple[Key, int]]:
    """The account's claims that are not zero, Wh."""
    lanes = lanes_of(c, account)
    slots = {key: slot_of(_product(c, event.zone, event.day, key), lanes) for key in keys}
    c.rows.want(Position, [(to_hex(account), slot) for slot in slots.values()])
    for key, slot in slots.items():
        found = c.rows.find(Position, to_hex(account), slot)
        wh = 0 if found is None else found["wh"][lanes.of(event.day + key[2])]
        if wh:
            yield key, wh


def _product(c: Context, zone: int, day: int, key: Key) -> ProductId:
    number, code, window = key
    return ProductId(day + window, c.watched.window_length, zone, code, round=number)


def _mint(c: Context, event: told.PartCertified, account: bytes, key: Key, wh: int) -> None:
    product = replace(_product(c, event.zone, event.day, key), kind=CERTIFICATE)
    _move(c, account, product, event.day, wh, minted=wh)


def handed_over(c: Context, event: told.Transfer) -> None:
    """To another account; of certificates whose product was never seen nothing is known."""
    product = product_id.decode(event.id)
    sender = c.rows.find(Certificate, to_hex(event.sender), name_of(product))
    if sender is None or event.amount_wh == 0:
        return
    _move(c, event.sender, product, sender["day"], -event.amount_wh)
    _move(c, event.receiver, product, sender["day"], event.amount_wh)


def _move(c: Context, account: bytes, product: ProductId, day: int, wh: int, minted: int = 0) -> None:
    found = c.rows.find(Certificate, to_hex(account), name_of(product))
    held, made = (0, 0) if found is None else (found["wh"], found["minted_wh"])
    c.put(
        Certificate,
        account=to_hex(account),
        product=name_of(product),
        zone=product.zone,
        day=day,
        window=product.window_index,
        quality=product.quality,
        round=product.round,
        minted_wh=made + minted,
        wh=held + wh,
    )
