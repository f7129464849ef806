"""Proofs of whether an order is in a committed book."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Answer, Hash, Integer
from api.schemas.sessions import FromChain


class NeighbourAnswer(Answer):
    """An order of the book and its way to the root; zeros where there is none."""

    hash: Hash
    siblings: list[Hash]


class InclusionAnswer(Answer):
    """Where the order is: `leaf(hash)` at that position leads to the root."""

    index: Integer
    siblings: list[Hash] = Field(description="Of the way to the root, the lowest first.")


class AbsenceAnswer(Answer):
    """Between which orders it would be: they are next to each other."""

    index: Integer = Field(description="How many orders of the book have lower hashes.")
    left: NeighbourAnswer
    right: NeighbourAnswer


class ProofAnswer(FromChain):
    """Of one hash in one zone's book, against the root that the operator committed to."""

    epoch: Integer
    zone: Integer
    order: Hash
    count: Integer
    root: Hash = Field(description="As committed on chain (`bookOf`).")
    inclusion: InclusionAnswer | None = Field(description="Null if the book lacks the order.")
    absence: AbsenceAnswer | None = Field(description="Null if the order is in the book.")
