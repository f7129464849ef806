"""A line between a zone and its parent: what may flow, and what potentials at its ends must be.

Each constraint reads `y_head <= y_tail + cost`. A line that could carry more from one end to the other says
that energy is worth at the far end at most what it is worth here plus the charge; one that carries something,
at least that.
"""

from dataclasses import dataclass

from settlement.reference.potential import Potential
from settlement.reference.session import UNLIMITED_WH
from settlement.reference.slackness import Flags


@dataclass(frozen=True)
class Arc:
    """One constraint of a line."""

    to_parent: bool
    """Whether the parent is the head; else the child is."""
    cost: int

    def ends(self, child: Potential, parent: Potential) -> tuple[Potential, Potential]:
        """Tail and head."""
        return (child, parent) if self.to_parent else (parent, child)

    def holds(self, child: Potential, parent: Potential) -> bool:
        """Whether both values keep it."""
        tail, head = self.ends(child, parent)
        return head.lo <= tail.lo + self.cost and head.hi <= tail.hi + self.cost

    def supports(self, child: Potential, parent: Potential) -> tuple[Flags, Flags]:
        """What it holds of the child and of the parent: the head's highest value, the tail's lowest."""
        tail, head = self.ends(child, parent)
        hi = head.hi == tail.hi + self.cost and tail.rank_hi < head.rank_hi
        lo = head.lo == tail.lo + self.cost and head.rank_lo < tail.rank_lo
        of_tail, of_head = (lo, False), (False, hi)
        return (of_tail, of_head) if self.to_parent else (of_head, of_tail)


def within(capacity: int, imported: int) -> bool:
    """Whether a line of this capacity carries the child's net import, Wh."""
    return capacity == UNLIMITED_WH or abs(imported) <= capacity


def arcs(charge: int, capacity: int, imported: int) -> list[Arc]:
    """The constraints of a line over which the child imports so much, Wh; the charge is micro/kWh."""
    unlimited, found = capacity == UNLIMITED_WH, []
    if unlimited or imported > -capacity:
        found.append(Arc(to_parent=True, cost=charge))
    if imported < 0:
        found.append(Arc(to_parent=False, cost=-charge))
    if unlimited or imported < capacity:
        found.append(Arc(to_parent=False, cost=charge))
    if imported > 0:
        found.append(Arc(to_parent=True, cost=-charge))
    return found


def rent(child: Potential, parent: Potential, imported: int) -> int:
    """Charge and congestion rent of what the child imports, nano: never negative where the arcs hold."""
    return (child.mid - parent.mid) * imported
