"""Whose meter, which key, and when: rotation, replacement, revocation, one owner; the registry as a file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_world import DAY, account, batch, inputs, meter, reading, registry, true_wh

from oracle import registry_file
from oracle.day import OUT_OF_SERVICE
from oracle.errors import BadMeterKey, BadRegistry, OutOfRange, RevokedKey, UnknownMeter
from oracle.estimation import no_history
from oracle.intake import Reason, take
from oracle.messages import Reading, SignedReading, encode, private_key, public_point, sign
from oracle.node import compute
from oracle.registry import FOREVER, MeterRegistry, Span, authenticate

START_S = DAY.first_window * DAY.window_length_s
NOON_S = START_S + 3 * DAY.window_length_s
"""Windows 0 to 2 of the day start before it."""
OLD, NEW = private_key(1), private_key(101)


def at(column: int, wh: int = 5, sequence: int = 1) -> Reading:
    return reading(0, 1, column, wh, sequence)


def outcome(messages: list[SignedReading], meters: MeterRegistry) -> tuple[list[int], list[Reason]]:
    intake = take(messages, meters, DAY)
    return [r.wh for r, _ in intake.accepted], [r.reason for r in intake.rejected]


ROTATED = MeterRegistry([meter(0).rotated(*public_point(NEW), NOON_S)])


@pytest.mark.parametrize(
    ("column", "key", "counts"), [(2, OLD, True), (2, NEW, False), (3, OLD, False), (3, NEW, True)]
)
def test_a_rotated_key_signs_the_windows_from_its_start_on_and_the_old_one_those_before(
    column, key, counts
) -> None:
    message = sign(at(column), key)
    assert outcome([message], ROTATED) == (([5], []) if counts else ([], [Reason.BAD_SIGNATURE]))


def test_of_a_rotated_meter_a_presented_reading_is_authenticated_by_the_key_of_its_window() -> None:
    assert authenticate(sign(at(0), OLD), ROTATED) == at(0)
    assert authenticate(sign(at(5), NEW), ROTATED) == at(5)


def test_a_meter_may_rotate_many_times() -> None:
    keys = [private_key(n) for n in (1, 50, 51, 52)]
    rotating = meter(0)
    for n, key in enumerate(keys[1:], start=1):
        rotating = rotating.rotated(*public_point(key), START_S + n * DAY.window_length_s)
    messages = [sign(at(n), key) for n, key in enumerate(keys)]
    assert outcome(messages, MeterRegistry([rotating])) == ([5] * 4, [])


def test_no_reading_of_a_revoked_key_counts_even_of_windows_before_the_revocation() -> None:
    rotated = ROTATED[meter(0).meter_id]
    compromised = MeterRegistry([rotated.without_key(*public_point(OLD))])
    messages = [sign(at(2), OLD), sign(at(3, 7), NEW)]
    assert outcome(messages, compromised) == ([7], [Reason.REVOKED_KEY])
    with pytest.raises(RevokedKey, match="0x"):
        authenticate(messages[0], compromised)


def test_a_meter_whose_only_key_is_revoked_is_estimated_and_flagged_not_dropped() -> None:
    point = public_point(private_key(1))
    meters = MeterRegistry([meter(0).without_key(*point), meter(1), meter(2)])
    computed = compute(inputs(registry=meters))
    assert computed.accounts.of(account(0))[1].tolist() == [2] * DAY.windows
    assert computed.accounts.of(account(1))[1].tolist() == [0] * DAY.windows


def test_a_key_that_a_meter_does_not_have_cannot_be_revoked() -> None:
    with pytest.raises(BadMeterKey):
        meter(0).without_key(1, 2)


def test_a_window_without_a_valid_key_has_no_reading() -> None:
    late = MeterRegistry([meter(0, key_valid=Span(NOON_S))])
    assert outcome([sign(at(2), OLD), sign(at(3), OLD)], late) == ([5], [Reason.NOT_IN_SERVICE])
    with pytest.raises(BadMeterKey, match="none is valid"):
        late.key_of(at(2))
    with pytest.raises(UnknownMeter):
        late.key_of(reading(9, 1, 0, 0))


def test_a_meter_replaced_during_the_day_serves_until_then_and_its_successor_from_then_on() -> None:
    first, second = meter(0).replaced_by(meter(5, account=account(0)), NOON_S)
    meters = MeterRegistry([first, second, meter(1), meter(2)])
    mask = meters.in_service(DAY)
    assert mask.shape == (8, DAY.windows)
    assert mask[meters.series.index((first.meter_id, 1))].tolist() == [True] * 3 + [False] * 3
    assert mask[meters.series.index((second.meter_id, 2))].tolist() == [False] * 3 + [True] * 3
    everything = (
        *batch(),
        *(sign(replace(at(w, 40), meter_id=second.meter_id), private_key(6)) for w in range(6)),
    )
    computed = compute(inputs(everything, registry=meters, history=no_history(len(meters.series), DAY)))
    assert sorted(r.reason.name for r in computed.intake.rejected) == ["NOT_IN_SERVICE"] * 9
    metered, _ = computed.accounts.of(account(0))
    before = [true_wh(0, 2, w) - true_wh(0, 1, w) for w in range(3)]
    assert metered.tolist() == before + [-40] * 3
    row = meters.series.index((first.meter_id, 1))
    assert computed.readings.flags[row, 3:].tolist() == [OUT_OF_SERVICE] * 3


def test_every_window_of_a_replaced_meter_has_exactly_one_in_service() -> None:
    first, second = meter(0).replaced_by(meter(5, account=account(0)), NOON_S)
    mask = MeterRegistry([first, second]).in_service(DAY)
    assert (mask.sum(axis=0) == 2).all()
    assert MeterRegistry([]).in_service(DAY).shape == (0, DAY.windows)
    assert registry().in_service(DAY).dtype == np.bool_


SHARED = public_point(private_key(1))
OTHER = meter(5, public_x=SHARED[0], public_y=SHARED[1])


@pytest.mark.parametrize(
    "meters",
    [
        [meter(0), OTHER],  # another account
        [*meter(0).replaced_by(OTHER, NOON_S)],  # another account, later
        [meter(0), replace(OTHER, account=account(0))],  # one account, two meters at once
        [meter(0).rotated(*public_point(NEW), NOON_S), OTHER],  # a former key
        [meter(0, former_keys=(*meter(1).keys,))],  # two keys at once
    ],
)
def test_a_key_has_one_account_and_at_any_time_one_meter(meters) -> None:
    with pytest.raises(BadMeterKey):
        MeterRegistry(meters)


def test_a_key_may_move_to_the_next_meter_of_its_account() -> None:
    moved = meter(0).replaced_by(replace(OTHER, account=account(0)), NOON_S)
    assert len(MeterRegistry(moved)) == 2


@pytest.mark.parametrize(
    "span", [Span(300, 300), Span(600, 300), Span(1, 300), Span(-300, 300), Span(0, FOREVER + 300)]
)
def test_a_span_that_is_none_is_refused(span) -> None:
    for field in ("service", "key_valid"):
        with pytest.raises(OutOfRange):
            MeterRegistry([meter(0, **{field: span})])


SPANS = st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda t: Span(t[0] * 300, (t[0] + t[1]) * 300))


@settings(deadline=None, max_examples=30)
@given(SPANS, st.booleans(), st.sampled_from([(1,), (2,), (1, 2)]), st.none() | st.integers(1, 1 << 40))
def test_a_registry_survives_its_file(service, revoked, registers, capacity) -> None:
    one = replace(meter(0), service=service, registers=registers, capacity_w=capacity, key_revoked=revoked)
    meters = MeterRegistry([one.rotated(*public_point(NEW), 300 * 7), meter(1)], members=[account(8)])
    again = registry_file.parse(registry_file.dump(meters))
    assert dict(again) == dict(meters)
    assert (again.accounts, again.members) == (meters.accounts, meters.members)


def test_a_file_may_name_meters_by_serial_and_keys_as_compressed_points() -> None:
    x, y = public_point(private_key(1))
    key = {"public_key": f"{2 + y % 2:02x}{x:064x}"}
    entry = {"serial": "TEST-0", "account": account(0).hex(), "keys": [key]}
    text = json.dumps({"format": "trellis-meters-1", "meters": [entry]})
    assert dict(registry_file.parse(text)) == {meter(0).meter_id: meter(0)}


GOOD = registry_file.dump(MeterRegistry([meter(0), meter(1)], members=[account(4)]))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("trellis-meters-1", "trellis-meters-2", "format: "),
        ('"capacity_w": null', '"capacity_w": "much"', "meters[0].capacity_w: "),
        ('"capacity_w": null', '"capacity_w": 0', "meters[0].capacity_w: "),
        ('"capacity_w": null', '"power": 5', "meters[0].power: "),
        ("0x" + meter(0).account.hex(), "ab", "account: 'ab' is not 20 bytes"),
        (f"04{meter(0).public_x:064x}", "04" + "11" * 32, ".keys[0].public_key: no P-256 point"),
        ('"from": null', '"from": "yesterday"', "meters[0].in_service.from: 'yesterday' is no time"),
        ('"from": null', '"from": "2026-01-01T00:01:00Z"', "not at a multiple of 300 s"),
        ('"until": null', '"until": "1970-01-01T00:00:00Z"', "meters[0].in_service: until is not after from"),
        ('"keys"', '"key"', "meters[0].keys: "),
        (account(4).hex(), "", "members[0]: "),
        ('"format"', '"format', ""),
    ],
)  # fmt: skip
def test_an_error_in_a_file_names_the_file_the_entry_and_the_field(tmp_path: Path, old, new, told) -> None:
    file = tmp_path / "meters.json"
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BadRegistry) as caught:
        registry_file.read(file)
    assert str(file) in caught.value.message
    assert told in caught.value.message


def test_a_meter_registered_twice_is_named_by_its_entry(tmp_path: Path) -> None:
    file = tmp_path / "meters.json"
    first, second = (m.meter_id.hex() for m in sorted((meter(0), meter(1)), key=lambda m: m.meter_id))
    file.write_text(GOOD.replace(second, first))
    with pytest.raises(BadRegistry, match=r"meters\[1\]: meter 0x.* is registered twice"):
        registry_file.read(file)
    with pytest.raises(BadRegistry, match="cannot be read"):
        registry_file.read(tmp_path / "none.json")


def test_a_message_of_no_registered_meter_is_not_sound() -> None:
    stranger = SignedReading(encode(reading(9, 1, 0, 1)), bytes(64))
    assert outcome([stranger], registry()) == ([], [Reason.UNKNOWN_METER])
