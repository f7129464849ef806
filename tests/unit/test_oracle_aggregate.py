"""Accounts are what their meters in service measured; who has none in a window is zero by default."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle_world import DAY, account, meter

from oracle.aggregate import aggregate
from oracle.day import MISSING, OUT_OF_SERVICE, MeterDay, blank, only_in_service
from oracle.errors import OutOfRange, UnknownReading, WrongShape
from oracle.registry import MeterRegistry
from settlement.reference.posting import ACTUAL, DEFAULT, ESTIMATED

OLD, NEW, OTHER = meter(0, registers=(1,)), meter(1, registers=(1,), account=account(0)), meter(2)
REGISTRY = MeterRegistry([OLD, NEW, OTHER])
ROWS = {each.meter_id: REGISTRY.series.index((each.meter_id, 1)) for each in (OLD, NEW)}


def measured(flag: int = ACTUAL, wh: int = 10) -> MeterDay:
    """10 Wh in every window of every register."""
    empty = blank(DAY, REGISTRY.series)
    return empty.replace(np.full_like(empty.wh, wh), np.full_like(empty.flags, flag))


def replaced(after: int) -> np.ndarray:
    """In service: the old meter before that column, the new one from there on, the others always."""
    serving = np.ones((len(REGISTRY.series), DAY.windows), np.bool_)
    serving[ROWS[OLD.meter_id], after:] = False
    serving[ROWS[NEW.meter_id], :after] = False
    return serving


def test_a_replaced_meter_counts_until_the_new_one_does() -> None:
    readings = only_in_service(measured(), replaced(after=2))
    metered, flags = aggregate(readings, REGISTRY).of(account(0))
    assert metered.tolist() == [-10] * DAY.windows
    assert flags.tolist() == [ACTUAL] * DAY.windows


def test_only_meters_in_service_tell_how_good_a_window_is() -> None:
    readings = measured()
    flags = readings.flags.copy()
    flags[ROWS[OLD.meter_id]], flags[ROWS[NEW.meter_id]] = ESTIMATED, ACTUAL
    readings = only_in_service(readings.replace(readings.wh, flags), replaced(after=2))
    assert aggregate(readings, REGISTRY).of(account(0))[1].tolist() == [1, 1, 0, 0, 0, 0]


def test_a_window_without_any_meter_in_service_is_zero_by_default() -> None:
    serving = replaced(after=2)
    serving[ROWS[NEW.meter_id], 2:4] = False
    metered, flags = aggregate(only_in_service(measured(), serving), REGISTRY).of(account(0))
    assert metered.tolist() == [-10, -10, 0, 0, -10, -10]
    assert flags.tolist() == [0, 0, DEFAULT, DEFAULT, 0, 0]


def test_a_missing_window_is_refused_even_beside_one_out_of_service() -> None:
    readings = measured()
    flags = readings.flags.copy()
    flags[ROWS[OLD.meter_id], 1], flags[ROWS[NEW.meter_id], 1] = MISSING, OUT_OF_SERVICE
    wh = np.where(flags == OUT_OF_SERVICE, 0, readings.wh)
    with pytest.raises(UnknownReading, match="not estimated"):
        aggregate(readings.replace(wh, flags), REGISTRY)


def test_a_register_out_of_service_measures_nothing() -> None:
    with pytest.raises(OutOfRange):
        measured(OUT_OF_SERVICE)
    with pytest.raises(WrongShape):
        only_in_service(measured(), np.ones((1, 1), np.bool_))


@given(
    hnp.arrays(np.int64, (4, DAY.windows), elements=st.integers(0, 2**28)),
    hnp.arrays(np.uint8, (4, DAY.windows), elements=st.sampled_from([0, 1, 2, OUT_OF_SERVICE])),
)
def test_accounts_are_the_plain_sums_of_their_registers(wh, flags) -> None:
    readings = blank(DAY, REGISTRY.series).replace(np.where(flags == OUT_OF_SERVICE, 0, wh), flags)
    accounts = aggregate(readings, REGISTRY)
    for holder in REGISTRY.accounts:
        for column in range(DAY.windows):
            mine = [
                (readings.wh[row, column] * (1 if register == 2 else -1), flags[row, column])
                for row, (meter_id, register) in enumerate(REGISTRY.series)
                if REGISTRY[meter_id].account == holder and flags[row, column] != OUT_OF_SERVICE
            ]
            metered, worst = accounts.of(holder)
            assert metered[column] == sum(wh for wh, _ in mine)
            assert worst[column] == max((flag for _, flag in mine), default=DEFAULT)
