"""Oracle nodes as services: from each node's own store to what a quorum signed, on chain.

    config    one node's file                     duties    which runs are due, by the calendar
    feed      imbalance prices from a file        keys      day keys that can be forgotten
    ballots   what nodes tell each other: bytes   deciding  which digest a node signs, and what a quorum has
    book      ballots, keys and marks on disk     work      a zone's day computed from store and chain
    engine    all of it, again and again          answers   challenges answered from the store
    side      ballots over the broker             shell     `trellis oracle serve`, `vote`, `post`, `secret`

    store ─ compute ─ offer a digest ─ (a quorum offers the same) ─ sign ─ (a quorum signed) ─ post, in turn

Only digests, counts of flags and signatures travel; readings and entries stay with each node. A node signs
once for each zone, day and run that the contract could still accept: the choice is on its disk before the
signature exists. `ballots`, `deciding`, `duties` and `keys` are pure.
"""
