"""Sharing keys: how a community's metered generation is divided among its members.

Within each window a key allocates what there is; a member consumes of its allocation at most what it drew,
and at most its cap. Keys of a cascade follow one another on what is left, of generation and of draws. What no
key could place is the surplus; what a member drew beyond is its residual, bought elsewhere.

Everything is Wh. Splits are by cumulative rounding in the order of the members (ascending by address, so
that nobody chooses it): parts sum exactly, and none is more than 1 Wh from its exact share.

Shapes: M members, W windows, all independent of one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from settlement.errors import InputError
from settlement.rules.configuration import KNOWN_KEYS_ONLY, PPM, check_ppm, from_json
from settlement.units import Ints, floor_div

INT64_LIMIT = 2**63
WH_SUM_LIMIT = 2**60
"""Any sum of energy in a window lies below: a billion members of 1 GWh."""


class Rule(StrEnum):
    """How a key weighs its members."""

    STATIC = "static"
    """By fixed shares, whatever they draw."""
    PRO_RATA = "pro_rata"
    """By what each still draws in the window."""


@dataclass(frozen=True)
class Key:
    """One step of a cascade."""

    rule: Rule
    shares_ppm: tuple[int, ...] | None = None
    """(M) of a static key, at most 1,000,000 in all; what they leave is not allocated."""
    members: tuple[int, ...] | None = None
    """Places of those whom a pro-rata key serves; None: everyone."""
    part_ppm: int = PPM
    """Of the generation that is left, how much this key divides; rounded down."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        check_ppm("part_ppm", self.part_ppm)
        if (self.rule is Rule.STATIC) != (self.shares_ppm is not None):
            raise InputError("a key has shares_ppm if its rule is static, and only then")
        if self.rule is Rule.STATIC and self.members is not None:
            raise InputError("a static key names its members by their shares: leave members out")
        if self.shares_ppm is not None:
            for place, share in enumerate(self.shares_ppm):
                check_ppm(f"shares_ppm[{place}]", share)
            check_ppm("the sum of shares_ppm", sum(self.shares_ppm))


@dataclass(frozen=True)
class Cascade:
    """Keys in the order in which they apply, as a community brings them."""

    keys: tuple[Key, ...]
    caps_wh: tuple[int | None, ...] | None = None
    """(M): what each member may consume in a window over all keys; None: as much as it draws."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        for place, cap in enumerate(self.caps_wh or ()):
            if cap is not None and not 0 <= cap < WH_SUM_LIMIT:
                raise InputError(f"caps_wh[{place}] is {cap}: 0 to 2^60 - 1 Wh, or null")

    def share(self, generation_wh: Ints, draws_wh: Ints) -> Sharing:
        """Generation (W) shared over draws (M, W); as `share`. InputError too for caps of other members."""
        if self.caps_wh is None:
            return share(generation_wh, draws_wh, self.keys)
        if len(self.caps_wh) != len(draws_wh):
            raise InputError(f"caps_wh has {len(self.caps_wh)} caps for {len(draws_wh)} members: one each")
        caps = np.array([WH_SUM_LIMIT if cap is None else cap for cap in self.caps_wh], np.int64)
        return share(generation_wh, draws_wh, self.keys, caps)


def cascade_from_json(document: bytes, name: str) -> Cascade:
    """A cascade, or the bare list of its keys. InputError."""
    if document.lstrip().startswith(b"["):
        return Cascade(from_json(tuple[Key, ...], document, name))
    return from_json(Cascade, document, name)


def static(*shares_ppm: int) -> Key:
    """A key of fixed shares, parts per million."""
    return Key(Rule.STATIC, shares_ppm)


def pro_rata(*members: int) -> Key:
    """A key by draws, over these members or all."""
    return Key(Rule.PRO_RATA, members=members or None)


@dataclass(frozen=True, eq=False)
class Sharing:
    """A community's day, shared."""

    allocated_wh: tuple[Ints, ...]
    """(M, W) of each key, before draws and caps."""
    consumed_wh: Ints
    """(M, W) over all keys: at most the draw, at most the cap."""
    residual_wh: Ints
    """(M, W): draw less consumed."""
    surplus_wh: Ints
    """(W): generation less all that was consumed."""


def share(generation_wh: Ints, draws_wh: Ints, keys: tuple[Key, ...], caps_wh: Ints | None = None) -> Sharing:
    """Generation (W) shared over draws (M, W) by keys in their order; caps (M) or (M, W) bound what a member
    may consume in a window over all keys.

    InputError for negative energy, shapes that do not fit, or a key for other members.
    """
    _check(generation_wh, draws_wh, keys, caps_wh)
    left = generation_wh.copy()
    open_wh = draws_wh.copy() if caps_wh is None else np.minimum(draws_wh, _as_rows(caps_wh))
    consumed = np.zeros_like(draws_wh)
    allocated = []
    for key in keys:
        offered = _share_of(left, key.part_ppm)
        allocation = _split(offered, _weights(key, open_wh), _whole(key, open_wh))
        taken = np.minimum(allocation, open_wh)
        consumed, open_wh, left = consumed + taken, open_wh - taken, left - taken.sum(axis=0)
        allocated.append(allocation)
    return Sharing(tuple(allocated), consumed, draws_wh - consumed, left)


def _as_rows(caps: Ints) -> Ints:
    return caps[:, None] if caps.ndim == 1 else caps


def _weights(key: Key, open_wh: Ints) -> Ints:
    """(M, W)."""
    if key.shares_ppm is not None:
        return np.broadcast_to(np.array(key.shares_ppm, np.int64)[:, None], open_wh.shape)
    if key.members is None:
        return open_wh
    served = np.zeros(len(open_wh), bool)
    served[list(key.members)] = True
    return open_wh * served[:, None]


def _whole(key: Key, open_wh: Ints) -> Ints:
    """(W): what the weights are parts of."""
    if key.rule is Rule.STATIC:
        return np.full(open_wh.shape[1], PPM, np.int64)
    drawn: Ints = _weights(key, open_wh).sum(axis=0)
    return drawn


def _share_of(wh: Ints, ppm: int) -> Ints:
    """Floor of wh x ppm / 1,000,000, without a product beyond 64 bits."""
    whole = floor_div(wh, PPM)
    return whole * ppm + floor_div((wh - whole * PPM) * ppm, PPM)


def _split(offered: Ints, weights: Ints, whole: Ints) -> Ints:
    """(M, W): each member's part of `offered` (W), by cumulative rounding; nothing falls on nothing."""
    passed: Any = weights.cumsum(axis=0)
    if int(passed.max(initial=0)) * int(offered.max(initial=0)) >= INT64_LIMIT:
        passed = passed.astype(object)  # plain integers: slower, and of any size
    shared = floor_div(passed * offered, np.maximum(whole, 1))
    parts: Ints = np.diff(shared, axis=0, prepend=np.zeros((1, len(offered)), np.int64)).astype(np.int64)
    return parts


def _check(generation: Ints, draws: Ints, keys: tuple[Key, ...], caps: Ints | None) -> None:
    if draws.ndim != 2 or generation.shape != draws.shape[1:]:
        raise InputError(f"generation {generation.shape} and draws {draws.shape}: give (W) and (M, W)")
    if caps is not None and caps.shape not in {draws.shape, draws.shape[:1]}:
        raise InputError(f"caps {caps.shape} of draws {draws.shape}: give (M) or (M, W)")
    given = {"generation": generation, "draws": draws} | ({} if caps is None else {"caps": caps})
    for name, array in given.items():
        if array.dtype != np.int64 or array.min(initial=0) < 0:
            raise InputError(f"{name} must be int64 and not negative (metered injection or draw, Wh)")
    for name, total in {"generation": generation, "draws": draws.max(axis=1, initial=0)}.items():
        if int(total.max(initial=0)) * max(1, len(draws)) >= WH_SUM_LIMIT:
            raise InputError(f"{name} of a window sum to 2^60 Wh or more: check its unit")
    for place, key in enumerate(keys):
        _check_key(f"key {place}", key, len(draws))


def _check_key(name: str, key: Key, members: int) -> None:
    if key.shares_ppm is not None and len(key.shares_ppm) != members:
        raise InputError(f"{name} has {len(key.shares_ppm)} shares for {members} members: give one each")
    for member in key.members or ():
        if not 0 <= member < members:
            raise InputError(f"{name} names member {member}: places run from 0 to {members - 1}")
