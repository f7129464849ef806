"""Gas of clearing 435 zones in a tree of four levels, beside that of one zone.

All zones trade, and the operator does everything for all of them. Homes are many, as in the figures of one
zone, only in the last zone of each level; the others have a buyer and a seller. What a zone takes to clear,
to close and to join those below it counts as that of its level's last, times the zones of the level;
commitment and header are measured as they are. As elsewhere it is the second day of the same accounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from settlement.bench.community import WINDOWS, Community, Shape, key
from settlement.bench.registry import Tell
from settlement.chain import closer, operator
from settlement.chain.anvil import Anvil
from settlement.chain.progress import Progress
from settlement.chain.steps import Step
from settlement.reference.accounts import NETWORK_OPERATOR, Member
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid

LEVELS = (1, 4, 30, 400)
"""Zones of each level: a substation, its feeders, their branches, transformers."""
ZONES = sum(LEVELS)
HOMES, FEW = 100, 2
"""Of a zone with many homes, and of any other."""
CHARGES, CAPACITY_WH = (800, 1_500, 3_000), 400_000
NETWORK = key(5)

Figures = dict[str, float]


def grid_of(shape: Shape) -> Grid:
    """The tree, numbered breadth first, children spread evenly."""
    parents, charges, above = [NO_PARENT], [0], 0
    for level, (before, count) in enumerate(pairwise(LEVELS)):
        parents += [above + number * before // count for number in range(count)]
        charges += [CHARGES[level]] * count
        above += before
    capacities = (UNLIMITED_WH, *(CAPACITY_WH for _ in range(1, ZONES)))
    return Grid(shape.grid.qualities, shape.grid.substitutions, tuple(parents), tuple(charges), capacities)


def sample() -> list[int]:
    """The zones with many homes: the last of each level."""
    return [sum(LEVELS[: level + 1]) - 1 for level in range(len(LEVELS))]


class Forest(Community):
    """A community over the tree."""

    def __init__(self, anvil: Anvil) -> None:
        many = set(sample())
        self._zones = [z for z in range(ZONES) for _ in range(HOMES if z in many else FEW)]
        super().__init__(anvil, Shape(homes=len(self._zones)))

    @property
    def grid(self) -> Grid:
        return grid_of(self.shape)

    def zone_of(self, number: int) -> int:
        return self._zones[number]

    def _others(self) -> dict[bytes, Member]:
        return {**super()._others(), NETWORK.address: Member(NETWORK_OPERATOR)}

    def clear_day(self, day: int) -> tuple[list[Step], dict[int, list[Step]]]:
        """A day from its closed gate to its proof: what is of all zones, and what is of each."""
        session, orders = self.open(day)
        exchange, sender = self.exchange, self.operator
        sealed = operator.seal(exchange, session, orders)
        common = operator.commit(exchange, sender, session, sealed)
        ready = operator.prepare(exchange, session, sealed)
        common.append(operator.post_header(exchange, sender, ready))
        places, each = [], {}
        for zone in range(ZONES):
            place, each[zone] = operator.clear_all(exchange, sender, ready, Progress(zone))
            places.append(place)
        for zone in reversed(range(ZONES)):
            places[zone], closing = closer.close_zone(exchange, sender, ready, places, zone)
            each[zone] += closing
        return common, each


def measure(one_zone: float, tell: Tell) -> tuple[Figures, Figures]:
    """Figures beside the gas of a window-order in one zone; then the details."""
    tell(f"trees: {ZONES} zones clear two days, {len(LEVELS)} of them with {HOMES} homes ...")
    with Anvil(timestamp=Community.starts_at()) as anvil:
        forest = Forest(anvil)
        forest.clear_day(1)
        common, each = forest.clear_day(2)
    return figures(one_zone, common, each)


def figures(one_zone: float, common: Sequence[Step], each: dict[int, list[Step]]) -> tuple[Figures, Figures]:
    """All zones as if each had as many homes as the last of its level."""
    gas: Counter[str] = Counter()
    for step in common:
        gas[step.name] += step.gas_used
    for zone, count in zip(sample(), LEVELS, strict=True):
        for step in each[zone]:
            gas[step.name] += step.gas_used * count
    per_order = round(sum(gas.values()) / (ZONES * HOMES * WINDOWS), 1)
    headline = {
        f"clear_gas_per_window_order_{ZONES}_zones": per_order,
        f"clear_gas_{ZONES}_zones_to_one": round(per_order / one_zone, 4),
    }
    return headline, {f"gas_{name}_{ZONES}_zones": float(used) for name, used in gas.items()}
