"""`trellis bench chain`: how fast an operator clears on an embedded chain, which mines at once.

Each repetition clears a day of its own of the same homes, twice, with the chain turned back in between:

    whole    as `operator.run` does it, from the closed gate to the proof: seal, judge, match, pack, sign,
             send, wait; carries are replayed while the chain clears
    phases   the same work taken apart, one kind after the other, so that each has its own seconds

Homes' signing is not counted. What a network adds, block times above all, `trellis bench network` measures.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from settlement.bench.community import Community, Shape, running
from settlement.bench.registry import Figures, Tell
from settlement.chain import abi, books, closer, operator, prepared
from settlement.chain.books import Session
from settlement.chain.chunks import Limits, plan_chunks
from settlement.chain.client import MOST_GAS, AnvilClock
from settlement.chain.prepared import Prepared
from settlement.reference.clearing import Carry
from settlement.reference.closing import ROOT
from settlement.reference.schedule import SignedSchedule

Seconds = dict[str, float]
FIRST_MEASURED = 2
"""The day before warms up: members' first orders cost the chain more."""


@dataclass(frozen=True)
class Repetition:
    """One day, cleared twice."""

    whole_s: float
    transactions: int
    gas: int
    phases: Seconds


def measure(arguments: argparse.Namespace, tell: Tell) -> Figures:
    """Medians over the repetitions."""
    shape = Shape(homes=arguments.homes)
    tell(f"chain: {shape.homes} homes of {shape.window_orders // shape.homes} windows ...")
    done: list[Repetition] = []
    with running(shape) as community:
        community.trade(FIRST_MEASURED - 1)
        for number in range(arguments.repetitions):
            done.append(repeat(community, FIRST_MEASURED + number))
            rate = shape.window_orders / done[-1].whole_s
            tell(f"  repetition {number + 1} of {arguments.repetitions}: {rate:,.0f} window-orders a second")
    return figures(shape, done)


def figures(shape: Shape, done: Sequence[Repetition]) -> Figures:
    """What the repetitions come to."""
    whole = median(one.whole_s for one in done)
    chain = median(one.phases["chain"] for one in done)
    phases = {f"{name}_s": round(median(one.phases[name] for one in done), 4) for name in done[0].phases}
    return {
        "window_orders_per_s": round(shape.window_orders / whole),
        "window_orders_per_s_least": round(shape.window_orders / max(one.whole_s for one in done)),
        "window_orders_per_s_chain_only": round(shape.window_orders / chain),
        "gas_per_s": round(median(one.gas / one.phases["chain"] for one in done)),
        "blocks_per_s": round(median(one.transactions / one.phases["chain"] for one in done), 1),
        "whole_s": round(whole, 4),
        **phases,
        "window_orders": shape.window_orders,
        "blocks": done[0].transactions,
        "gas": done[0].gas,
        "repetitions": len(done),
    }


def repeat(community: Community, day: int) -> Repetition:
    """Clears a day whole, turns the chain back, and clears it phase by phase."""
    session, orders = community.open(day)
    clock = AnvilClock(community.chain)
    before = clock.snapshot()
    start = time.perf_counter()
    cleared = community.clear(session, orders)
    whole_s = time.perf_counter() - start
    clock.revert(before)
    phases = take_apart(community, session, orders)
    return Repetition(whole_s, len(cleared.steps), cleared.gas_used, phases)


def take_apart(community: Community, session: Session, orders: Sequence[SignedSchedule]) -> Seconds:
    """Seconds of each kind of work."""
    exchange, watch = community.exchange, Stopwatch()
    with watch.running("seal"):
        sealed = operator.seal(exchange, session, orders)
    with watch.running("chain"):
        operator.commit(exchange, community.operator, session, sealed)
    with watch.running("read"):
        accounts = exchange.accounts(sorted({order.schedule.trader for order in sealed.orders}))
    with watch.running("match"):
        ready = prepared.prepare(session, sealed, books.judge(session, sealed, accounts))
    chunks = plan_chunks(ready, ROOT, dict.fromkeys(accounts, community.lanes))
    with watch.running("replay"):
        carries = list(_carries(ready, chunks))
    with watch.running("pack"):
        calls = list(_calls(ready, chunks, carries))
    with watch.running("chain"):
        _send(community, calls)
    return dict(watch.seconds)


def plan_calls(
    ready: Prepared, lanes_of: Mapping[bytes, int], limits: Limits | None = None
) -> Iterator[bytes]:
    """Calldata of a session of one zone after its commitment: header, clearings, close."""
    chunks = plan_chunks(ready, ROOT, lanes_of, limits=limits)
    yield from _calls(ready, chunks, list(_carries(ready, chunks)))


def _carries(ready: Prepared, chunks: Sequence[range]) -> Iterator[Carry | None]:
    """What each chunk brings, then what the close brings."""
    carry: Carry | None = None
    yield carry
    for chunk in chunks:
        carry = prepared.advance(ready, ROOT, carry, chunk)
        yield carry


def _calls(ready: Prepared, chunks: Sequence[range], carries: Sequence[Carry | None]) -> Iterator[bytes]:
    yield abi.post_header(ready.session.epoch, ready.header)
    for chunk, carry in zip(chunks, carries, strict=False):
        yield operator.clear_data(ready, carry, chunk)
    yield closer.close_data(ready, carries[-1])


def _send(community: Community, calls: Sequence[bytes]) -> None:
    """Signs and sends one after the other, then waits: the chain always has work."""
    chain, target = community.chain, community.exchange.address
    sent = [chain.submit(community.operator, target, data, gas=MOST_GAS) for data in calls]
    for tx_hash in sent:
        chain.wait(tx_hash)


class Stopwatch:
    """Seconds by name."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start
