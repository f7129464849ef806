"""Everything that a dishonest operator can bring is refused, by the reference and the contract alike.

Each kind takes a valid clearing of a random tree and breaks it in one way. Where one call is replaced, its
refusal must change nothing: the honest call goes through after it, and the session is proved with the same
cash. Where everything that is posted is dishonest, it ends at the same error on both sides, or it is a
clearing that changes nobody's cash and fills (a rank that is as good as the honest one, for instance).

Every kind must occur, and be refused by what `tree_refusals` says. Kinds that the first tree has nothing of
are tried on the others. TREE_SEEDS=all tries all kinds on all trees; `-s` prints by which errors they are
refused.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chain"))

from tree_calls import CALLS
from tree_chain import TreeChain, running_tree_chain
from tree_plans import PLANS
from tree_refusals import REFUSED_BY
from tree_script import ACCEPTED, Pair, Plan, drive, open_pair

TREES = {11: (6, 40), 12: (5, 36), 14: (4, 30)}
"""Zones and orders drawn, by seed."""

KINDS = (*CALLS, *PLANS)


@pytest.fixture(scope="module")
def trees() -> Iterator[TreeChain]:
    with running_tree_chain() as found:
        yield found


Cash = dict[bytes, object]


class Case:
    """An open session on both sides, turned back after each use."""

    def __init__(self, trees: TreeChain, pair: Pair, plan: Plan) -> None:
        self.trees, self.pair, self.plan = trees, pair, plan
        self.state = pair.twin.exchange.state

    def run(self, plan: Plan | None = None, **hook: object) -> tuple[str, Cash]:
        self.pair.twin.exchange.state = self.state.copy()
        with self.trees.turned_back():
            name = drive(self.pair, plan or self.plan, **hook)  # type: ignore[arg-type]
            return name, self.pair.cash() if self.pair.proved() else {}


def test_every_kind_of_dishonesty_is_refused_by_the_error_that_says_so(trees: TreeChain) -> None:
    told: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for seed in TREES:
        every = os.environ.get("TREE_SEEDS") == "all"
        kinds = [kind for kind in KINDS if every or not told[kind]]
        for kind, names in found_on(trees, seed, kinds).items():
            told[kind] |= names
    for kind, names in told.items():
        print(f"{kind}: {', '.join(sorted(names)) or 'never'}")
    assert [kind for kind, names in told.items() if not names] == []
    assert {kind: names - REFUSED_BY[kind] for kind, names in told.items() if names - REFUSED_BY[kind]} == {}


def test_every_kind_says_what_refuses_it() -> None:
    assert set(REFUSED_BY) == set(KINDS)


def found_on(trees: TreeChain, seed: int, kinds: Sequence[str]) -> dict[str, set[str]]:
    """By which errors each kind is refused on one tree."""
    if not kinds:
        return {}
    with trees.turned_back():
        case = Case(trees, *open_pair(trees, random.Random(seed), *TREES[seed]))
        name, honest = case.run()
        assert (name, bool(honest)) == ("", True), f"seed {seed}"
        return {kind: refusals(case, kind, honest) for kind in kinds}


def refusals(case: Case, kind: str, honest: Cash) -> set[str]:
    """By which errors a kind is refused; none where this tree has nothing of the kind."""
    if kind in CALLS:
        return replaced_call(case, kind, honest)
    names = set()
    for plan in PLANS[kind](random.Random(kind), case.plan):
        if plan != case.plan:
            name, cash = case.run(plan)
            assert name or cash == honest, kind
            names.add(name)
    return names - {""}


def replaced_call(case: Case, kind: str, honest: Cash) -> set[str]:
    """Its refusal changes nothing: the session is proved all the same."""
    hook = CALLS[kind](random.Random(kind), case.plan)
    if hook is None:
        return set()
    name, cash = case.run(hook=hook)
    assert name != ACCEPTED, kind
    assert cash == honest, kind
    return {name} - {""}
