"""By which errors each kind of dishonesty is refused: by one of these, and by no other."""

from __future__ import annotations

CALLS_REFUSED: dict[str, tuple[str, ...]] = {
    "WrongCarry": (
        "the carried support",
        "the carried count of submitted orders",
        "a carried cell",
        "the carried last hash",
        "the carried count",
        "the carried tree",
        "support before the first chunk",
        "cells before the first chunk",
        "the carry of the chunk before",
        "the carry of another zone",
        "another posting than the chunk before",
        "a zone closed again",
        "a closed zone cleared",
    ),
    "WrongLength": (
        "a carried cell less",
        "a header too short",
        "energy too long",
        "marginals too short",
        "flows where nothing is proved",
        "a flow less than there are",
        "no flows where it is proved",
    ),
    "BadSignature": (
        "a bit of a signature",
        "the other v",
        "a high s",
        "another side",
        "an order of another session",
    ),
    "MalformedRecord": ("an unknown flag", "a record cut short", "a byte behind the records"),
    "NotSubmitted": ("an order that was not submitted",),
    "UnregisteredTrader": ("a stranger's order",),
    "OperatorMayNotTrade": ("the network operator's order",),
    "LimitOutOfRange": ("a limit beyond the cap",),
    "WindowOutOfSession": ("a window beyond the session",),
    "QuantityOverflow": ("a quantity beyond the lanes",),
    "UnknownQuality": ("a quality that the grid has not",),
    "WrongHeader": ("another header",),
    "NotCanonical": ("a bit above a quality's potential", "a bit above an energy potential"),
    "WrongStage": (
        "the header again",
        "the header before the books",
        "a chunk before the header",
        "a close before the header",
        "the books again",
    ),
    "BadCommitment": ("a book too many", "books too large"),
    "WrongClosedZone": (
        "children swapped",
        "a child left out",
        "a child's nets",
        "a child's rent",
        "a child's support",
        "a child's potentials",
        "a child's count of joined",
        "a child's quality support",
        "a child's word with more bits",
        "the joining zone's rent",
        "the joining zone's nets",
        "the joining zone's count of joined",
        "the joining zone's support",
        "a zone joined before it is closed",
    ),
    "TooManyChildren": ("a child twice", "a child too many"),
    "BookMismatch": ("the root closed at once",),
    "ZoneClosed": ("a zone beyond the grid",),
}
"""Kinds that one error alone refuses, by the error."""

BROKEN = frozenset({"CellViolated", "LineViolated", "SplitNotOptimal"})
"""A constraint does not hold."""
COUNTED = frozenset({"MarginalExceeded", "MarginalMismatch"})
"""At the price is not what was posted."""
RANGE = frozenset({"PotentialOutOfRange"})
ENERGY, QUALITY = frozenset({"EnergyUnsupported"}), frozenset({"QualityUnsupported"})
HELD = ENERGY | QUALITY
"""All constraints hold, and the entry could be another."""
FLOWS = frozenset({"EnergyUnbalanced", "LineOverCapacity"})
"""Fills are no flow of the network."""

A_PRICE = BROKEN | COUNTED | RANGE | HELD
FILLS = FLOWS | BROKEN | ENERGY

PLANS_REFUSED: dict[str, frozenset[str]] = {
    **dict.fromkeys(("a zone's lowest up", "a zone's lowest down"), A_PRICE - QUALITY),
    **dict.fromkeys(("a zone's highest up", "a zone's highest down"), A_PRICE - QUALITY),
    "a zone's lowest and highest": A_PRICE - HELD,
    **dict.fromkeys(("a zone's lowest far off", "a zone's highest far off"), RANGE | {"SplitNotOptimal"}),
    **dict.fromkeys(("a zone's rank of the lowest", "a zone's rank of the highest"), ENERGY),
    **dict.fromkeys(("a zone's ranks all big", "a zone's ranks all zero", "a window's ranks zero"), HELD),
    **dict.fromkeys(("a quality's lowest up", "a quality's highest up"), A_PRICE - ENERGY),
    **dict.fromkeys(("a quality's lowest down", "a quality's highest down"), A_PRICE - ENERGY),
    "a quality's ranks": QUALITY,
    "a quality's potential positive": RANGE,
    "a zone's prices moved": BROKEN,
    "a zone's lowest made its highest": BROKEN | ENERGY | {"LineOverCapacity"},
    "a zone's highest made its lowest": BROKEN | ENERGY | {"LineOverCapacity"},
    **dict.fromkeys(("a window's lowest moved", "a window's prices moved"), BROKEN | RANGE | HELD),
    "a window's lowest made the highest": HELD | {"LineOverCapacity"},
    "a window's highest made the lowest": HELD | {"LineOverCapacity"},
    "a window's middle made both": HELD,
    "a lower highest, ranks recomputed": HELD,
    "a higher lowest, ranks recomputed": HELD,
    "an entry of the highest lower, ranks flat over lines": HELD,
    "an entry of the lowest higher, ranks flat over lines": HELD,
    "an entry of the highest lower, ranks all alike": HELD,
    "an entry of the lowest higher, ranks all alike": HELD,
    "more at the price": frozenset({"MarginalMismatch"}),
    "less at the price": frozenset({"MarginalExceeded", "MarginalOutOfRange"}),
    "more of it fills": FILLS | {"MarginalOutOfRange"},
    "less of it fills": FILLS,
    "more substituted": frozenset({"QualityUnbalanced", "SubstitutionViolated"}),
    "less substituted": frozenset({"QualityUnbalanced"}),
    "a share moved": BROKEN | {"SplitOutOfRange", "LineOverCapacity"},
    **dict.fromkeys(("a share over the cap", "shares over the energy"), frozenset({"SplitOutOfRange"})),
    **dict.fromkeys(("a share less", "no share at all"), FILLS),
    **dict.fromkeys(
        ("lines taken for unlimited", "lines taken for one Wh wider"), ENERGY | {"LineOverCapacity"}
    ),
    "lines taken for closed": frozenset({"LineViolated"}),
    **dict.fromkeys(("lines taken for dearer", "lines taken for cheap"), frozenset({"LineViolated"})),
    **dict.fromkeys(("another count", "another root", "an order left out"), frozenset({"BookMismatch"})),
    **dict.fromkeys(("an order twice", "orders unsorted"), frozenset({"NotAscending"})),
    "an order of another zone": frozenset({"BadSignature"}),
    "a submitted order like any other": frozenset({"SubmissionOmitted"}),
    "a submitted order left out": frozenset({"SubmissionOmitted"}),
    "a zone joined before its own children": frozenset({"WrongClosedZone"}),
}

REFUSED_BY: dict[str, frozenset[str]] = {
    **{kind: frozenset({error}) for error, kinds in CALLS_REFUSED.items() for kind in kinds},
    "a schedule read as a flexible order": frozenset({"BadSignature", "MalformedRecord"}),
    **PLANS_REFUSED,
}
