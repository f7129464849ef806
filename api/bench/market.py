"""A chain with a session that is open for orders of many wallets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import numpy as np

from settlement.chain import deploy, operator
from settlement.chain.anvil import Anvil
from settlement.chain.books import Session
from settlement.chain.client import Chain
from settlement.chain.exchange import Exchange, Token
from settlement.chain.sign import Signer, sign_schedule
from settlement.reference.accounts import OPERATOR, PROSUMER, Member
from settlement.reference.schedule import BUY, SELL, Schedule, SignedSchedule
from settlement.reference.session import SessionParams, single_zone
from settlement.units import PRICE_CAP, PRICE_FLOOR

WINDOWS, WINDOW_LENGTH_S, DAY_S, HOUR_S = 48, 1_800, 86_400, 3_600
MOST_ORDERS = 500_000
QUALITIES = (0, 5)
IN_FLIGHT = 64
MOST_WH = 60


@dataclass(frozen=True)
class Market:
    """What orders are signed for."""

    rpc: str
    exchange: Exchange
    session: Session
    wallets: Sequence[Signer]
    receipts: Signer
    """Signs receipts."""

    def signed(self, each: int, seed: int = 1, first_nonce: int = 0) -> Iterator[list[SignedSchedule]]:
        """So many orders of every wallet, over all windows, small enough to be taken together."""
        draw = np.random.default_rng(seed)
        params, separator = self.session.params, self.exchange.separator
        for wallet in self.wallets:
            wh = draw.integers(1, MOST_WH, (each, params.windows)).tolist()
            limits = draw.integers(50_000, 350_000, (each, params.windows)).tolist()
            found = []
            for nonce in range(each):
                order = Schedule(
                    trader=wallet.address,
                    session=self.session.id,
                    zone=0,
                    side=SELL if nonce % 2 else BUY,
                    kind=params.kind,
                    quality=0,
                    first_window=params.first_window,
                    nonce=first_nonce + nonce,
                    quantity_wh=tuple(wh[nonce]),
                    limit_micro_per_kwh=tuple(limits[nonce]),
                )
                found.append(sign_schedule(wallet, separator, order))
            yield found


@contextmanager
def running_market(wallets: int, gate_in_s: int = HOUR_S) -> Iterator[Market]:
    """A chain of its own, gone afterwards; so many wallets are members, and the gate closes in so long."""
    with Anvil() as anvil:
        chain = Chain(anvil.rpc_url)
        admin, sender = (Signer(one) for one in anvil.private_keys[:2])
        found = deploy.deploy(chain, admin)
        exchange, token = Exchange(chain, found), Token(chain, found)
        for role, signer in (
            (deploy.REGISTRAR, admin),
            (deploy.MINTER, admin),
            (deploy.OPERATOR, sender),
        ):
            deploy.grant(chain, admin, found, role, [signer.address])
        signers = [_wallet(number) for number in range(wallets)]
        _register(exchange, admin, sender, signers)
        _fund(exchange, token, admin, sender)
        receipts = _wallet(wallets)
        session = _open(exchange, admin, sender, receipts, gate_in_s)
        yield Market(anvil.rpc_url, exchange, session, signers, receipts)


def _wallet(number: int) -> Signer:
    return Signer((0xBE_0000_0000 + number).to_bytes(32, "big"))


def _register(exchange: Exchange, admin: Signer, sender: Signer, wallets: Sequence[Signer]) -> None:
    exchange.register(admin, sender.address, Member(OPERATOR))
    waiting = []
    for wallet in wallets:
        data = exchange.abi.encode("registerMember", wallet.address, 0, PROSUMER, 5, 8_000, False)
        waiting.append(exchange.chain.submit(admin, exchange.address, data, gas=500_000))
        if len(waiting) == IN_FLIGHT:
            for one in waiting:
                exchange.chain.wait(one)
            waiting.clear()
    for one in waiting:
        exchange.chain.wait(one)


def _fund(exchange: Exchange, token: Token, admin: Signer, sender: Signer) -> None:
    """A nano of bond for each order."""
    amount = 10 * MOST_ORDERS
    token.mint(admin, admin.address, amount)
    token.approve(admin, exchange.address, amount)
    exchange.send(admin, "deposit", sender.address, amount)


def _open(exchange: Exchange, admin: Signer, sender: Signer, receipts: Signer, gate_in_s: int) -> Session:
    version = exchange.set_grid(admin, single_zone(QUALITIES, [(1, 0)]))
    now = max(int(time.time()), exchange.chain.now())
    day = next(one for one in count(now // DAY_S) if one * DAY_S > now + gate_in_s + 2 * HOUR_S)
    first, gate = day * DAY_S // WINDOW_LENGTH_S, now + gate_in_s
    exchange.open_day(sender, first, WINDOWS, version)
    params = SessionParams(
        kind=0,
        round=0,
        windows=WINDOWS,
        grid_version=version,
        day=first,
        first_window=first,
        gate=gate,
        commit_by=gate + 600,
        prove_by=gate + HOUR_S,
        floor=PRICE_FLOOR,
        cap=PRICE_CAP,
        buy_reserve=0,
        sell_reserve=0,
        imbalance_min=0,
        imbalance_max=0,
        max_orders=MOST_ORDERS,
        max_submitted=10,
        bond_nano=1,
        claim_by=gate + HOUR_S + 2 * deploy.MAX_PAUSE_S + 7 * DAY_S,
        receipt_signer=receipts.address,
        certificate_run=0,
    )
    return operator.open_session(exchange, sender, params)
