"""Where an account's products are kept: how its slots are divided, and what each is called."""

from __future__ import annotations

from api.db.market_models import Member
from api.readmodel.project.context import Context
from settlement.chain.rpc import to_hex
from settlement.reference import product_id
from settlement.reference.packed_windows import HOME, WIDE, Lanes
from settlement.reference.product_id import ProductId

PRODUCT_BYTES = 14
"""Of a product's id."""


def lanes_of(c: Context, account: bytes) -> Lanes:
    """How the account's slots are divided."""
    return WIDE if c.rows.get(Member, to_hex(account))["wide"] else HOME


def slot_of(product: ProductId, lanes: Lanes) -> str:
    """Name of the slot that holds the product."""
    return to_hex(product_id.group_key(product, lanes.count).to_bytes(PRODUCT_BYTES, "big"))


def name_of(product: ProductId) -> str:
    """The product's id, hex."""
    return to_hex(product_id.encode(product).to_bytes(PRODUCT_BYTES, "big"))
