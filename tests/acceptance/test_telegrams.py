"""Telegrams, frames and interval files of real meters, against the verdicts and totals known otherwise.

They run where the measurements are: in the folder that `TRELLIS_DATA` names, or in `shared/data` beside the
checkout. Nothing of them is copied here but names, counts and totals.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oracle.formats import dsmr, espi, homewizard, iec62056, nem12, sml
from oracle.formats.registers import Increment, increments, on_grid

DATA = Path(os.environ.get("TRELLIS_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
FORMATS = (dsmr, iec62056, sml, espi, nem12, homewizard)

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no measurements in {DATA}: set TRELLIS_DATA")


def content(name: str) -> bytes:
    data = (DATA / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


def read(name: str):
    """Records of a file by the one format that recognises it."""
    data = content(name)
    (module,) = [each for each in FORMATS if each.recognises(data)]
    return module.NAME, module.parse(data)


def tidy(home: str, channel: str) -> pd.DataFrame:
    rows = pd.read_parquet(DATA / "tidy" / "readings.parquet", filters=[("home_id", "==", home)])
    return rows[rows["channel"] == channel].sort_values("ts_start_utc")


TELEGRAMS = [
    # file, format, verdict, registers, active energy imported over all tariffs (kWh)
    ("telegram_esy5q3da1004_v304", "iec62056", "unsigned", 1, "32549.5061662"),
    ("telegram_esy5q3db1024_v304", "iec62056", "unsigned", 2, "52185.7825309"),
    ("telegram_fluvius_v171", "dsmr", "valid", 6, "15.792"),
    ("telegram_iskra_ie", "dsmr", "valid", 4, "20.363"),
    ("telegram_unpadded_crc", "dsmr", "valid", 1, "0"),
    ("telegram_v2_2", "dsmr", "unsigned", 5, "2.002"),
    ("telegram_v3", "dsmr", "unsigned", 5, "24691.356"),
    ("telegram_v4_2", "dsmr", "valid", 5, "3016.829"),
    ("telegram_v5", "dsmr", "valid", 5, "6.825"),
    ("telegram_v5_eon_hu", "dsmr", "valid", 17, "173.640"),
]


@pytest.mark.parametrize(
    ("name", "form", "verdict", "count", "kwh"), TELEGRAMS, ids=[t[0] for t in TELEGRAMS]
)
def test_every_telegram_has_its_verdict_and_its_registers(name, form, verdict, count, kwh) -> None:
    found, (record,) = read(f"raw/dsmr_p1/{name}.txt")
    assert (found, record.verdict, record.billable, record.problems) == (form, verdict, True, ())
    assert len(record.readings) == count
    by_code = {r.register: r.value for r in record.readings}
    tariffs = sum((v for code, v in by_code.items() if re.fullmatch(r"1-0:1\.8\.[1-9]", code)), Decimal(0))
    assert by_code.get("1-0:1.8.0", tariffs) == Decimal(kwh)
    assert tariffs in (0, Decimal(kwh))


@pytest.mark.parametrize("name", [t[0] for t in TELEGRAMS if t[2] == "valid"])
def test_a_telegram_with_any_digit_changed_is_invalid(name) -> None:
    data = bytearray(content(f"raw/dsmr_p1/{name}.txt"))
    for place in (place for place, byte in enumerate(data) if chr(byte).isdigit()):
        kept, data[place] = data[place], (data[place] - 0x30 + 1) % 10 + 0x30
        assert [r.verdict for r in dsmr.parse(bytes(data))] == ["invalid"], place
        data[place] = kept


def test_the_shared_check_sum_vectors_are_valid() -> None:
    vectors = json.loads(content("vectors/dsmr.json"))
    assert len(vectors) == 4
    for text in vectors.values():
        assert [r.verdict for r in dsmr.parse(text.encode())] == ["valid"]


def test_all_telegrams_in_one_capture_are_found() -> None:
    names = [f"raw/dsmr_p1/{t[0]}.txt" for t in TELEGRAMS]
    records = dsmr.parse(b"\x00".join(content(name) for name in names))
    assert [r.verdict for r in records] == [t[2] for t in TELEGRAMS]


CAPTURES = ["ttyUSB0_first.sml.bin", "ttyUSB0-3_first.sml.bin"]
FRAME_BYTES, FRAMES = 324, 124


@pytest.mark.parametrize("name", CAPTURES)
def test_every_frame_of_a_serial_capture_is_valid(name) -> None:
    form, records = read(f"raw/sml/{name}")
    assert (form, len(records)) == ("sml", FRAMES)
    assert {(r.verdict, r.billable, r.problems) for r in records} == {("valid", True, ())}
    exported = {r.readings[0].value for r in records}
    assert {r.readings[0].register for r in records} == {"1-0:2.8.0"}
    assert exported == {Decimal("4373.0")}  # Wh: 0xaad2 tenths


def test_a_capture_that_starts_and_ends_inside_a_frame_loses_only_those() -> None:
    data = content(f"raw/sml/{CAPTURES[0]}")[: 4 * FRAME_BYTES]
    for cut in range(1, FRAME_BYTES, 7):
        records = sml.parse(data[cut : len(data) - cut])
        whole = [r.verdict for r in records].count("valid")
        assert whole == 2
        assert [r.reason.rpartition(": ")[2][:26] for r in records[2:]] in (
            [],
            ["the frame is cut short aft"],
        )


FEEDS = [
    # file, blocks, readings, billable
    ("Coastal_Multi_Family_Jan_1_2011_to_Jan_1_2012_RetailCustomer_5.xml.gz", 12, 8760, True),
    ("TestGBDataHourlyNineDaysBinnedDaily.xml", 9, 216, True),
    ("TestGBDataOneYearDailyBinnedMonthly.xml", 15, 444, True),
    ("electric_containerized.xml", 2, 8, True),
    ("verdigris_BulkSCEIntervalBlock.xml", 1, 97, True),
    ("verdigris_ESPIIntervalBlock.xml", 15, 0, False),
    ("verdigris_ESPIReadingType.xml", 1, 0, False),
    ("verdigris_PGEUsagePoint.xml", 1, 0, False),
]
VALUE = re.compile(rb"<IntervalReading>.*?<value>(\d+)</value>", re.DOTALL)


@pytest.mark.parametrize(("name", "blocks", "count", "billable"), FEEDS, ids=[f[0] for f in FEEDS])
def test_every_green_button_feed_is_read_to_the_watt_hour(name, blocks, count, billable) -> None:
    form, records = read(f"raw/green_button/{name}")
    assert (form, len(records)) == ("espi", blocks)
    assert {(r.verdict, r.billable) for r in records} == {("unsigned", billable)}
    readings = [reading for r in records for reading in r.readings]
    assert len(readings) == count
    written = sum(int(value) for value in VALUE.findall(content(f"raw/green_button/{name}")))
    assert not billable or sum(r.wh for r in readings) == written > 0


def test_readings_without_their_type_are_said_to_have_none() -> None:
    _, records = read("raw/green_button/verdigris_ESPIIntervalBlock.xml")
    assert {r.problems for r in records} == {(espi.UNLINKED,)}


INVALID = [
    ("15min_200_30min_300", "line 3: after 96 values of 15 min a quality is expected"),
    ("15min_200_30min_400", "line 3: of 96 intervals of quality V the 400 records cover 48"),
    ("30min_200_15min_300", "line 3: after 48 values of 30 min a quality is expected; '480' is there"),
    ("30min_200_15min_400", "line 3: after 48 values of 30 min a quality is expected; '480' is there"),
    ("empty", "there is no 200 record"),
    ("incomplete_interval", "line 3: after 48 values of 30 min a quality is expected"),
    ("missing_header", "line 2: there is no 100 record before this 200"),
    ("powercor", "line 2: there is no 100 record before this 200"),
    ("powercor_missing_fields", "line 2: there is no 100 record before this 200"),
]


@pytest.mark.parametrize(("name", "reason"), INVALID, ids=[i[0] for i in INVALID])
def test_every_malformed_nem12_file_is_named_by_line(name, reason) -> None:
    _, records = read(f"raw/nem12/invalid/Example_NEM12_{name}.csv")
    assert records[0].verdict == "invalid"
    assert records[0].reason.startswith(reason)
    assert not any(form.recognises(content("raw/nem12/invalid/Example_empty_file.csv")) for form in FORMATS)


@pytest.mark.parametrize(("name", "days"), [("month_solar", (31, 31)), ("partialchannel", (1, 31))])
def test_nem12_files_are_read_to_the_watt_hour(name, days) -> None:
    file = f"raw/nem12/Example_NEM12_{name}.csv"
    _, records = read(file)
    assert [(r.verdict, r.billable) for r in records] == [("unsigned", True)] * 2
    assert [(r.readings[0].register, len(r.readings)) for r in records] == [
        ("export", 288 * days[0]),
        ("import", 288 * days[1]),
    ]
    rows = [line.split(",") for line in content(file).decode().splitlines() if line.startswith("300,")]
    written = sum(Decimal(cell) for row in rows for cell in row[2:290])
    assert sum(reading.wh for r in records for reading in r.readings) == 1000 * written > 0


@pytest.mark.parametrize(("channel", "register"), [("import", "import"), ("export", "export")])
def test_a_homes_nem12_is_its_readings_interval_by_interval(channel, register) -> None:
    """The contributor's export has no header, so that its records are invalid, and readable."""
    _, records = read("homes/ha_nem12_au/power-redacted.nem12.csv.gz")
    assert {r.reason for r in records} == {"line 1: there is no 100 record before this 200"}
    found = {x.start_utc_s: x for r in records for x in r.readings if x.register == register}
    rows = tidy("AU1", channel)
    assert len(found) == len(rows) == 74 * 288
    starts = rows["ts_start_utc"].astype("int64") // 10**6
    for start, kwh, minutes in zip(starts, rows["kwh"], rows["minutes"], strict=True):
        assert found[start].length_s == 60 * minutes
        assert found[start].wh == Decimal(str(round(kwh, 6))) * 1000


MEASUREMENTS = {
    # billable, registers: others are valid with four registers at least
    "v1_HWE-P1_measurement_invalid_ean": (False, 5),
    "v2_HWE-P1_measurement_invalid_ean": (False, 5),
    "v1_HWE-P1_measurement_invalid_external": (False, 0),
    "v2_HWE-P1_measurement_invalid_external": (False, 0),
    "v1_exceptions_data_invalid_external_data": (False, 1),
    "v1_exceptions_data_invalid_external_ean": (False, 6),
    "v1_HWE-KWH1_data": (True, 4),
    "v1_HWE-KWH1_measurement": (True, 2),
    "v1_HWE-KWH3_data": (True, 4),
    "v1_HWE-KWH3_measurement": (True, 2),
    "v1_HWE-P1_data": (True, 12),
    "v1_HWE-P1_data_minimal": (True, 5),
    "v1_HWE-P1_data_no_gas": (True, 4),
    "v1_HWE-P1_data_single_phase": (True, 5),
    "v1_HWE-P1_measurement_1_phase_no_gas": (True, 4),
    "v1_HWE-P1_measurement_3_phase_with_gas_with_watermeter": (True, 8),
    "v1_SDM230-wifi_data": (True, 4),
    "v1_SDM630-wifi_data": (True, 4),
    "v2_HWE-BAT_measurement": (True, 2),
    "v2_HWE-KWH1_measurement": (True, 2),
    "v2_HWE-KWH3_measurement": (True, 2),
    "v2_HWE-P1_measurement_1_phase_no_gas": (True, 4),
    "v2_HWE-P1_measurement_3_phase_with_gas_with_watermeter": (True, 8),
}


def test_every_homewizard_measurement_is_read() -> None:
    names = {path.stem for path in (DATA / "raw" / "homewizard_json").glob("*.json")}
    assert names == set(MEASUREMENTS)
    for name in sorted(names):
        form, (record,) = read(f"raw/homewizard_json/{name}.json")
        assert (form, record.verdict) == ("homewizard", "unsigned"), name
        assert (record.billable, len(record.readings)) == MEASUREMENTS[name], name


REGISTERS = [
    # home, file, column, channel, months held out of the file
    ("KN1", 1, "grid_import", "import", 5),
    ("KN1", 1, "pv", "pv", 5),
    ("KN2", 2, "grid_import", "import", 5),
    ("KN3", 3, "grid_import", "import", 4),
    ("KN3", 3, "grid_export", "export", 8),
    ("KN3", 3, "pv", "pv", 8),
    ("KN4", 4, "grid_import", "import", 7),
    ("KN4", 4, "grid_export", "export", 7),
    ("KN5", 5, "grid_import", "import", 11),
]
MOST_WH = 20_000
"""What no connection or roof of these homes carries in an hour; its greatest measured hour has 8,785 Wh."""


def hourly(file: int, column: str) -> tuple[int, np.ndarray, np.ndarray]:
    """First hour, reads (Wh) and which exist, of a register in a file that leaves hours out."""
    table = pd.read_csv(DATA / f"homes/cossmic_konstanz_de/residential{file}_registers.csv.gz")
    kwh = table[f"DE_KN_residential{file}_{column}"]
    table, kwh = table[kwh.notna()], kwh[kwh.notna()]
    times = pd.to_datetime(table["utc_timestamp"]).astype("datetime64[s, UTC]").astype("int64").to_numpy()
    first, count = int(times[0]), int(times[-1] - times[0]) // 3600 + 1
    reads = (kwh * 1000).round().astype("int64").to_numpy()
    return first // 3600, *on_grid(times, reads, first_s=first, length_s=3600, count=count)


@pytest.mark.parametrize(
    ("home", "file", "column", "channel", "months"), REGISTERS, ids=[f"{r[0]}-{r[3]}" for r in REGISTERS]
)
def test_register_increments_are_a_homes_readings_and_jumps_are_gaps(
    home, file, column, channel, months
) -> None:
    """The file leaves whole months out, the readings were made before: their hour before such a month has no
    read at its end here, and what the month adds is caught up."""
    first, reads, present = hourly(file, column)
    found = increments(reads, present, digits=9, most=MOST_WH)
    rows = tidy(home, channel)
    places = (rows["ts_start_utc"].astype("int64") // 10**6 // 3600).to_numpy() - first
    ends = np.append(present, False)[np.minimum(places + 1, len(present))]
    plain = (rows["flag"] == "").to_numpy()
    energy = (rows["kwh"] * 1000).round().astype("int64").to_numpy()
    assert np.flatnonzero(found.known).tolist() == places[plain & ends].tolist()
    assert found.energy[found.known].tolist() == energy[plain & ends].tolist()
    assert np.flatnonzero(found.flag == Increment.RESET).tolist() == places[~plain].tolist()
    assert (found.flag == Increment.CATCH_UP).sum() == months
    assert found.total + energy[~plain].sum() == reads[-1] - reads[0]
    assert found.rolls == 0


def test_the_seven_jumps_of_one_roof_are_no_energy() -> None:
    assert (tidy("KN3", "pv")["flag"] == "gap_catchup").sum() == 7


@pytest.mark.parametrize("channel", ["import", "export"])
def test_a_p1_meters_two_tariffs_add_up_to_a_homes_readings(channel) -> None:
    table = pd.read_csv(DATA / "homes/ha_homewizard_nl/homewizard_p1_registers_15min.csv.gz")
    both = []
    for tariff in ("T1", "T2"):
        reads = (table[f"{channel.title()} {tariff} kWh"] * 1000).round().astype("int64").to_numpy()
        both.append(increments(reads, np.ones(len(reads), np.bool_), digits=9, most=MOST_WH).energy)
    rows = (tidy("NL4", channel)["kwh"] * 1000).round().astype("int64").to_numpy()
    assert sum(both).tolist() == rows[: len(table) - 1].tolist()
