"""A reading that a challenge upheld is actual for good, whatever comes in or is checked afterwards."""

from __future__ import annotations

import pytest
from oracle_world import DAY, account, batch, inputs, meter, reading, registry, signed, true_wh

from oracle.errors import UnknownReading, WrongWindow
from oracle.intake import Reason
from oracle.messages import EXPORT, IMPORT, Reading, SignedReading
from oracle.node import Computed, compute
from oracle.registry import MeterRegistry
from settlement.reference.posting import ACTUAL

LARGE = 90_000
"""More than the meter's connection carries."""
SMALL = MeterRegistry(meter(n, capacity_w=10_000) for n in range(3))
UPHELD = reading(0, EXPORT, 2, LARGE, sequence=5)


def computed(
    *late: SignedReading, upheld: tuple[Reading, ...] = (UPHELD,), without: bool = False
) -> Computed:
    given = batch(without=lambda n, register, column: without and (n, register, column) == (0, EXPORT, 2))
    return compute(inputs((*given, *late), registry=SMALL, upheld=upheld))


def value(found: Computed) -> tuple[int, int, int]:
    """Wh, flag and sequence of the reading in question."""
    row, column = found.readings.row(meter(0).meter_id, EXPORT), 2
    at = row, column
    return int(found.readings.wh[at]), int(found.readings.flags[at]), int(found.readings.sequence[at])


@pytest.mark.parametrize("without", [False, True])
def test_it_replaces_what_had_come_or_not_come(without: bool) -> None:
    found = computed(without=without)
    assert value(found) == (LARGE, ACTUAL, 5)
    assert found.accounts.of(account(0))[0][2] == LARGE - true_wh(0, IMPORT, 2)


def test_no_check_takes_it_out_and_what_fails_is_reported() -> None:
    found = computed()
    assert found.failures == ()
    assert (UPHELD, Reason.OVER_CAPACITY) in [(one.reading, one.reason) for one in found.warnings]


def test_an_older_or_contradicting_word_does_not_change_it() -> None:
    assert value(computed(signed(0, EXPORT, 2, 7, 4))) == (LARGE, ACTUAL, 5)
    assert value(computed(signed(0, EXPORT, 2, 7, 5))) == (LARGE, ACTUAL, 5)


def test_a_later_word_of_the_meter_counts_while_it_passes_the_checks() -> None:
    assert value(computed(signed(0, EXPORT, 2, 800, 6))) == (800, ACTUAL, 6)
    found = computed(signed(0, EXPORT, 2, LARGE + 1, 6))
    assert value(found) == (LARGE, ACTUAL, 5)
    assert [one.reading.sequence for one in found.failures] == [6]


def test_a_meter_that_is_revoked_afterwards_keeps_it() -> None:
    revoked = MeterRegistry(meter(n, key_revoked=n == 0) for n in range(3))
    assert value(compute(inputs(registry=revoked, upheld=(UPHELD,)))) == (LARGE, ACTUAL, 5)


def test_of_two_the_last_stands_and_strangers_are_refused() -> None:
    later = reading(0, EXPORT, 2, 900, sequence=6)
    assert value(computed(upheld=(UPHELD, later))) == (900, ACTUAL, 6)
    with pytest.raises(UnknownReading):
        computed(upheld=(reading(9, EXPORT, 2, 1),))
    with pytest.raises(WrongWindow):
        computed(upheld=(reading(0, EXPORT, DAY.windows, 1),))


def test_without_any_nothing_is_another() -> None:
    assert compute(inputs()).posted == compute(inputs(registry=registry(), upheld=())).posted
