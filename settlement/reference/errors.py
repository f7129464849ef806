"""Every way the reference refuses something, named as the contract's custom error.

All are direct children of `Refused`, in three groups: of encodings, of signed messages, of the state machine.
"""


class Refused(Exception):
    """What the contract would revert with; `args` are the error's arguments."""


# Encodings ------------------------------------------------------------------------------------------


class ValueOutOfRange(Refused):
    """A value does not fit its field: (field, value)."""


class TreeFull(Refused):
    """A Merkle tree holds at most 2^20 - 1 leaves: (count)."""


class InvalidProof(Refused):
    """A Merkle proof has not exactly 20 siblings, or its index is beyond the tree: (index)."""


class MalformedPosting(Refused):
    """A posting or its entries do not have the form of docs/formats.md: (reason)."""


# Signed messages ------------------------------------------------------------------------------------


class InvalidSignature(Refused):
    """Not 65 bytes `r ‖ s ‖ v` with low s, v 27 or 28 and a point that recovers."""
