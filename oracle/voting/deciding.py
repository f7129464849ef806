"""Which digest a node signs, and which has a quorum. Pure.

A node signs what it computed itself, and only once a quorum of nodes, itself among them, offers the same:
nodes that read their stores a moment apart get other digests, and whoever had signed the first could sign no
second. Who signed counts for nothing else any more.

    offers     own: A     other: A, B     third: B      quorum 2: the first two sign A
    votes      A A                                      A is posted; the third is told that it differs
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from oracle.voting.ballots import Offer, Signature


@dataclass(frozen=True)
class Said:
    """All that a node has said of a slot, as far as it was heard."""

    offers: tuple[Offer, ...] = ()
    votes: tuple[Signature, ...] = ()
    """More than one is a breach: then none counts."""

    @property
    def vote(self) -> Signature | None:
        """The one that counts."""
        return self.votes[0] if len(self.votes) == 1 else None

    def supports(self, digest: bytes) -> bool:
        """Whether it signed that, or still may."""
        if self.votes:
            return self.vote is not None and self.vote.digest == digest
        return any(one.digest == digest for one in self.offers)


@dataclass(frozen=True)
class Tally:
    """What the admitted nodes said of a slot."""

    said: Mapping[bytes, Said]
    """By node; nothing of others."""
    nodes: tuple[bytes, ...]
    """Ascending."""
    quorum: int

    def to_sign(self, own: bytes, able: Collection[bytes]) -> bytes | None:
        """What the node `own` should sign, of what it is `able` to, having it at hand; None while no quorum
        offers the same, or if it has signed. Of several what most have signed, then what it offered first.
        """
        mine = self.said.get(own, Said())
        if mine.votes or own not in self.nodes:
            return None
        offered = [one.digest for one in mine.offers if one.digest in able]
        ready = [digest for digest in offered if self._support(digest) >= self.quorum]
        votes = self._votes()
        return max(ready, key=lambda digest: votes[digest], default=None)

    def agreed(self) -> bytes | None:
        """What a quorum signed."""
        votes = self._votes()
        return next((one for one in sorted(votes) if votes[one] >= max(1, self.quorum)), None)

    def signatures(self, digest: bytes) -> tuple[bytes, ...]:
        """Of all nodes that signed it, ascending by node, as the contract reads them."""
        votes = ((node, self.said[node].vote) for node in self.nodes if node in self.said)
        return tuple(one.signature for _, one in votes if one is not None and one.digest == digest)

    def voted(self) -> list[bytes]:
        """Every digest that a node signed, ascending."""
        return sorted(self._votes())

    def is_dead(self) -> bool:
        """Whether no digest can have a quorum any more."""
        votes = self._votes()
        left = sum(1 for node in self.nodes if not self.said.get(node, Said()).votes)
        return max(votes.values(), default=0) + left < self.quorum

    def breaches(self) -> list[bytes]:
        """Nodes that signed two digests, ascending."""
        return [node for node in self.nodes if len(self.said.get(node, Said()).votes) > 1]

    def offer_of(self, digest: bytes) -> Offer | None:
        """What anyone told of a digest."""
        offers = (one for node in self.nodes for one in self.said.get(node, Said()).offers)
        return next((one for one in offers if one.digest == digest), None)

    def differing(self, digest: bytes) -> list[tuple[bytes, Offer]]:
        """Nodes whose word is another than a digest that has a quorum: their vote, or latest offer."""
        found = []
        for node in self.nodes:
            said = self.said.get(node, Said())
            if said.offers and not said.supports(digest):
                last = said.vote.digest if said.vote else said.offers[-1].digest
                found.append((node, next((o for o in said.offers if o.digest == last), said.offers[-1])))
        return found

    def _support(self, digest: bytes) -> int:
        return sum(self.said[node].supports(digest) for node in self.nodes if node in self.said)

    def _votes(self) -> Counter[bytes]:
        votes = (self.said[node].vote for node in self.nodes if node in self.said)
        return Counter(one.digest for one in votes if one is not None)


def turn(nodes: Sequence[bytes], own: bytes, digest: bytes) -> int:
    """How many others are to post before `own`: another one begins for every digest. The last for who is no
    node.
    """
    if own not in nodes:
        return len(nodes)
    first = int.from_bytes(digest, "big") % len(nodes)
    return (nodes.index(own) - first) % len(nodes)
