"""Proofs of membership, checked before they are believed."""

from __future__ import annotations

from api.client.errors import BadProof
from api.schemas.proofs import ProofAnswer
from settlement.reference import membership
from settlement.reference.membership import Absence, Inclusion, Neighbour


def checked_proof(answer: ProofAnswer, order: bytes) -> ProofAnswer:
    """The answer, if its proof holds for the order under the root that it names. BadProof if not.

    Whether the chain has that root is for whoever reads the chain: `tx_hash` says where.
    """
    found, missing = answer.inclusion, answer.absence
    if found is not None and missing is None:
        proof = Inclusion(found.index, tuple(found.siblings))
        holds = membership.includes(answer.count, answer.root, order, proof)
    elif missing is not None and found is None:
        left, right = (Neighbour(one.hash, tuple(one.siblings)) for one in (missing.left, missing.right))
        holds = membership.lacks(answer.count, answer.root, order, Absence(missing.index, left, right))
    else:
        holds = False
    if not holds or answer.order != order:
        raise BadProof(order)
    return answer
