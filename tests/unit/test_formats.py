"""BOOK, FLEX and GRID files: what is read, and that what is wrong is named by file, line and column."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from settlement.errors import InputError
from settlement.formats import source
from settlement.formats.case import make_case
from settlement.formats.grid import read_grid
from settlement.formats.orders import BOOK_COLUMNS, FLEX_COLUMNS, TEXTS, read_book, read_flexible
from settlement.formats.source import Column, Rows
from settlement.matching import ROOT, UNLIMITED_WH

HEADER = ",".join(BOOK_COLUMNS)
FLEX_HEADER = ",".join(FLEX_COLUMNS)
COLUMNS = [Column(name, name not in TEXTS) for name in BOOK_COLUMNS]
ROW = "a,buy,z,0,1,10,5"
GRID = {"zones": [{"id": "z", "parent": None}]}


def book(*rows: str, header: str = HEADER, end: str = "\n") -> Rows:
    return read_book((end.join([header, *rows]) + end).encode(), "BOOK.csv")


def flexible(*rows: str) -> Rows:
    return read_flexible("\n".join([FLEX_HEADER, *rows]).encode(), "FLEX.csv")


def grid_of(**changed: Any) -> bytes:
    return json.dumps({**GRID, **changed}).encode()


def columns_of(rows: Rows) -> dict[str, list[Any]]:
    texts = {name: values.to_pylist() for name, values in rows.texts.items()}
    return {**texts, **{name: values.tolist() for name, values in rows.numbers.items()}}


@pytest.mark.parametrize(
    "data",
    [
        f"{HEADER}\n{ROW}\n",
        f"{HEADER}\n{ROW}",
        f"{HEADER}\r\n{ROW}\r\n",
        f"\ufeff{HEADER}\n{ROW}\n",
        f"{HEADER}\n\n{ROW}\n\n",
        '"order_id","side","zone","quality","window","quantity_wh","limit_micro_per_kwh"\n"a","buy","z","0","1","10","5"\n',
        "limit_micro_per_kwh,order_id,side,zone,quality,window,quantity_wh\n5,a,buy,z,0,1,10\n",
    ],
)
def test_a_book_is_read_however_its_lines_end_and_its_values_are_quoted(data: str) -> None:
    read = columns_of(read_book(data.encode(), "BOOK.csv"))
    assert read["order_id"] == ["a"]
    assert read["limit_micro_per_kwh"] == [5]
    assert read["quantity_wh"] == [10]


def test_a_header_alone_is_an_empty_book() -> None:
    assert len(read_book(HEADER.encode(), "BOOK.csv")) == 0
    assert make_case(book(), None, None) is None


def test_texts_may_hold_commas_quotes_line_ends_and_any_script() -> None:
    rows = book('"a,b",buy,z,0,1,10,5', '"c""d",buy,z,0,1,10,5', '"e\nf",buy,z,0,1,10,5', "ж,buy,z,0,1,1,-5")
    assert rows.texts["order_id"].to_pylist() == ["a,b", 'c"d', "e\nf", "ж"]
    assert rows.numbers["limit_micro_per_kwh"].tolist() == [5, 5, 5, -5]


@pytest.mark.parametrize(
    ("row", "column", "told"),
    [
        ("a,buy,z,0,1,ten,5", "quantity_wh", "'ten' is not a whole number"),
        ("a,buy,z,0,1,1.5,5", "quantity_wh", "'1.5' is not a whole number"),
        ("a,buy,z,0,1,1e3,5", "quantity_wh", "'1e3' is not a whole number"),
        ("a,buy,z,0,1,0x1F,5", "quantity_wh", "'0x1F' is not a whole number"),
        ("a,buy,z,0,1, 7,5", "quantity_wh", "' 7' is not a whole number"),
        ("a,buy,z,0,1,+7,5", "quantity_wh", "'\\+7' is not a whole number"),
        ("a,buy,z,0,1,٣,5", "quantity_wh", "'٣' is not a whole number"),
        ("a,buy,z,0,1,10,5 ", "limit_micro_per_kwh", "'5 ' is not a whole number"),
        ("a,buy,z,0,1,,5", "quantity_wh", "'' is not a whole number"),
        ("a,buy,z,0,1,-1,5", "quantity_wh", "-1 is negative"),
        ("a,buy,z,0,1,1073741824,5", "quantity_wh", "1073741824 is not below 2\\^30"),
        ("a,buy,z,-1,1,10,5", "quality", "-1 is negative"),
        ("a,buy,z,0,-1,10,5", "window", "-1 is negative"),
        ("a,buy,z,0,99999999999999999999,10,5", "window", "'99999999999999999999' is out of range"),
        ("a,BUY,z,0,1,10,5", "side", "'BUY' is neither 'buy' nor 'sell'"),
        (",buy,z,0,1,10,5", "order_id", "empty"),
        ("a,buy,,0,1,10,5", "zone", "empty"),
        ("a,buy,z,0,1,10", "limit_micro_per_kwh", "missing: 6 values, not 7"),
        ("a,buy,z,0,1,10,5,6", "limit_micro_per_kwh", "8 values, not 7"),
    ],
)
def test_a_bad_value_is_named_by_file_line_and_column(row: str, column: str, told: str) -> None:
    with pytest.raises(InputError, match=rf"^BOOK.csv, line 3, column {column}: {told}"):
        book(ROW, row)


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    with pytest.raises(InputError, match="line 6, column side"):
        book('"a\n\nb",buy,z,0,1,10,5', "", "c,bid,z,0,1,10,5")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (HEADER + ",colour", "column 'colour': unknown"),
        (HEADER.replace("zone", "side"), "column side: named twice"),
        (HEADER.replace(",zone", ""), "column zone: missing"),
        ("side", "column order_id: missing"),
    ],
)
def test_a_header_that_is_not_a_books_is_refused(header: str, told: str) -> None:
    with pytest.raises(InputError, match=rf"^BOOK.csv, line 1, {told}"):
        book(ROW, header=header)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", HEADER.encode() + b'\n"a,buy', b"PAR1garbage", b"\x00"])
def test_what_is_no_book_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^BOOK\.csv"):
        read_book(data, "BOOK.csv")


def test_a_value_that_is_no_text_is_named_by_its_line() -> None:
    with pytest.raises(InputError, match=r"^BOOK.csv, line 2: not UTF-8"):
        read_book(HEADER.encode() + b"\n\xff,buy,z,0,1,10,5\n", "BOOK.csv")


def test_an_order_with_two_rows_in_a_window_is_refused_at_the_second() -> None:
    with pytest.raises(
        InputError, match=r"^BOOK.csv, line 4, column window: order 'a' has another row in window 1"
    ):
        make_case(book(ROW, "b,buy,z,0,1,10,5", "a,sell,z,0,1,3,4"), None, None)


def test_a_zone_that_the_grid_lacks_is_refused() -> None:
    grid = read_grid(grid_of(), "GRID.json")
    with pytest.raises(InputError, match=r"^BOOK.csv, line 3, column zone: 'y' is no zone of GRID.json"):
        make_case(book(ROW, "b,buy,y,0,1,10,5"), None, grid)


def test_without_a_grid_all_rows_name_one_zone() -> None:
    with pytest.raises(InputError, match=r"^BOOK.csv, line 3, column zone: 'y' is not 'z'"):
        make_case(book(ROW, "b,buy,y,0,1,10,5"), None, None)
    with pytest.raises(InputError, match=r"^FLEX.csv, line 2, column zone: 'y' is not 'z'"):
        make_case(book(ROW), flexible("f,buy,y,0,1,10,5,5"), None)


@pytest.mark.parametrize("limit", [-2_000_001, 6_000_001])
def test_a_limit_beyond_floor_or_cap_is_refused(limit: int) -> None:
    with pytest.raises(
        InputError, match=f"column limit_micro_per_kwh: {limit} lies outside -2000000 to 6000000"
    ):
        make_case(book(f"a,buy,z,0,1,10,{limit}"), None, None)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a,buy,z,0,1,10,5,5", "line 2, column order_id: 'a' is an order of the book too"),
        ("f,buy,z,2,1,10,5,5", "line 2, column last_window: 1 comes before first_window"),
        (f"f,buy,z,2,{2**63 - 1},10,5,5", f"line 2, column last_window: {2**63 - 1} is not below"),
        ("f,buy,z,0,1,1073741824,5,5", "line 2, column energy_wh: 1073741824 is not below"),
        ("f,buy,z,0,1,10,x,5", "line 2, column max_wh_per_window: 'x' is not a whole number"),
        ("g,buy,z,0,1,10,5,5\ng,buy,z,0,1,10,5,5", "line 3, column order_id: 'g' has another row"),
    ],
)
def test_a_bad_flexible_order_is_named_by_file_line_and_column(row: str, told: str) -> None:
    with pytest.raises(InputError, match=rf"^FLEX.csv, {told}"):
        make_case(book(ROW), flexible(row), None)


def test_windows_are_those_of_the_book_and_those_in_which_flexible_orders_can_meet() -> None:
    rows = ["f,buy,z,0,5,10,5,5", "g,sell,z,4,9,10,5,5", "h,buy,z,20,1000000000,10,5,5"]
    case = make_case(book(ROW), flexible(*rows), None)
    assert case is not None
    assert case.windows.tolist() == [1, 4, 5]
    assert case.flexible.first_window.tolist() == [0, 1]
    assert case.flexible.last_window.tolist() == [2, 2]


def test_more_shared_windows_than_a_market_can_have_are_refused() -> None:
    rows = ["f,buy,z,0,1000000000,10,5,5", "g,sell,z,0,1000000000,10,5,5"]
    with pytest.raises(
        InputError, match=r"FLEX.csv: ranges of buys and of sells share 1,000,000,001 windows"
    ):
        make_case(book(ROW), flexible(*rows), None)


def test_missing_substitutions_lead_from_each_quality_in_use_down_to_the_least() -> None:
    case = make_case(book("a,buy,z,3,1,10,5"), None, read_grid(grid_of(), "GRID.json"))
    assert case is not None
    assert case.qualities.tolist() == [0, 1, 2, 3]
    assert case.market.substitutions.tolist() == [[1, 0], [2, 1], [3, 2]]


def test_qualities_may_have_any_number_where_substitutions_are_given() -> None:
    grid = read_grid(grid_of(substitution=[[700, 0], [9, 700]]), "GRID.json")
    case = make_case(book("a,buy,z,9,1,10,5"), None, grid)
    assert case is not None
    assert case.qualities.tolist() == [0, 9, 700]
    assert case.market.substitutions.tolist() == [[1, 2], [2, 0]]


def test_a_quality_that_cannot_serve_quality_0_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"^BOOK.csv, line 2, column quality: quality 2 can serve quality 0 by no"
    ):
        make_case(book("a,buy,z,2,1,10,5"), None, read_grid(grid_of(substitution=[[1, 0]]), "GRID.json"))
    with pytest.raises(InputError, match=r"^GRID.json, substitution: quality 1"):
        make_case(book(ROW), None, read_grid(grid_of(substitution=[[2, 0], [0, 1]]), "GRID.json"))


def test_a_quality_beyond_what_a_chain_could_reach_is_refused() -> None:
    with pytest.raises(InputError, match="column quality: 999999999999 needs a grid"):
        make_case(book("a,buy,z,999999999999,1,10,5"), None, None)


def line(zone: str, parent: str | None, **changed: Any) -> dict[str, Any]:
    return {"id": zone, "parent": parent, "charge_micro_per_kwh": 1, "capacity_wh": None} | changed


def test_a_grid_is_read_with_its_zones_sorted_as_bytes() -> None:
    zones = [line("é", "Z", capacity_wh=0), line("Z", None), line("a", "é", charge_micro_per_kwh=2**32 - 1)]
    grid = read_grid(json.dumps({"zones": zones, "price_floor_micro_per_kwh": 0}).encode(), "GRID.json")
    assert grid.zones == ("Z", "a", "é")
    assert grid.parent == (ROOT, 2, 0)
    assert grid.charge == (1, 2**32 - 1, 1)
    assert grid.capacity_wh == (UNLIMITED_WH, UNLIMITED_WH, 0)
    assert (grid.floor, grid.cap, grid.substitution) == (0, 6_000_000, None)


@pytest.mark.parametrize(
    ("zones", "told"),
    [
        ([], "zones: must be a list of at least one zone"),
        ("z", "zones: must be a list"),
        ([line("z", None), line("y", None)], "zones: must have one root"),
        ([line("z", "y"), line("y", "z")], "zones: must have one root"),
        ([line("r", None), line("a", "b"), line("b", "a")], r"zones\[\d\].parent: leads round in a ring"),
        ([line("r", None), line("a", "a")], r"zones\[1\].parent: leads round in a ring"),
        ([line("r", None), line("a", "x")], r"zones\[1\].parent: 'x' is no zone of the grid"),
        ([line("r", None), line("r", "r")], r"zones\[1\].id: 'r' is another zone's id too"),
        ([line("r", None), line("", "r")], r"zones\[1\].id: must be a text"),
        ([line("r", None), line("a", 1)], r"zones\[1\].parent: must be another zone's id"),  # type: ignore[arg-type]
        (
            [line("r", None), line("a", "r", charge_micro_per_kwh=0)],
            "charge_micro_per_kwh: 0 lies outside 1 to",
        ),
        (
            [line("r", None), line("a", "r", charge_micro_per_kwh=None)],
            "charge_micro_per_kwh: must be a whole",
        ),
        ([line("r", None), line("a", "r", charge_micro_per_kwh=1.0)], "must be a whole number, not 1.0"),
        ([line("r", None), line("a", "r", charge_micro_per_kwh=True)], "must be a whole number, not true"),
        ([line("r", None), line("a", "r", capacity_wh=-1)], r"zones\[1\].capacity_wh: -1 lies outside 0 to"),
        ([line("r", None), {"id": "a", "parent": "r"}], r"zones\[1\].charge_micro_per_kwh: is missing"),
        ([line("r", None, colour=1)], r"zones\[0\]: has the unknown key 'colour'"),
        ([{"id": "r"}], r"zones\[0\]: lacks the key 'parent'"),
        (["r"], r"zones\[0\]: must be an object"),
    ],
)
def test_a_bad_zone_is_named_by_its_place(zones: Any, told: str) -> None:
    with pytest.raises(InputError, match=rf"^GRID.json, .*{told}"):
        read_grid(grid_of(zones=zones), "GRID.json")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"substitution": {}}, "substitution: must be a list"),
        ({"substitution": None}, "substitution: must be a list"),
        ({"substitution": [[1]]}, r"substitution\[0\]: must be \[from, to\]"),
        ({"substitution": [[1, 0], [1, -1]]}, r"substitution\[1\]: must be"),
        ({"substitution": [[1, 1]]}, r"substitution\[0\]: names one quality twice"),
        ({"substitution": [[1, 0], [1, 0]]}, r"substitution\[1\]: is listed twice"),
        (
            {"price_floor_micro_per_kwh": 7, "price_cap_micro_per_kwh": 6},
            "price_cap_micro_per_kwh: 6 lies outside",
        ),
        ({"price_floor_micro_per_kwh": -(2**29) - 1}, "price_floor_micro_per_kwh: .* lies outside"),
        ({"price_cap_micro_per_kwh": "6"}, "price_cap_micro_per_kwh: must be a whole number"),
        ({"losses": 1}, "has the unknown key 'losses'"),
    ],
)
def test_a_bad_grid_is_named_by_its_key(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=rf"^GRID.json, .*{told}"):
        read_grid(grid_of(**changed), "GRID.json")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"zones": [\n}', "GRID.json, line 2, column 1"),
        (b"", "GRID.json, line 1, column 1"),
        (b"\xff", "GRID.json: not UTF-8"),
        (b"[]", "must be one JSON object"),
        (b'{"zones": NaN}', "NaN is not a number"),
        (b'{"zones": [], "zones": []}', "a key is given twice"),
        (b"[" * 100_000, "GRID.json"),
    ],
)
def test_what_is_no_grid_at_all_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        read_grid(data, "GRID.json")


def parquet_of(**changed: pa.Array) -> bytes:
    columns: dict[str, pa.Array] = {
        "order_id": pa.array(["a", "b"]),
        "side": pa.array(["buy", "sell"]).dictionary_encode(),
        "zone": pa.array(["z", "z"], pa.large_string()),
        "quality": pa.array([0, 1], pa.uint8()),
        "window": pa.array([1, 1], pa.int32()),
        "quantity_wh": pa.array([10, 20], pa.uint64()),
        "limit_micro_per_kwh": pa.array([5, -5]),
    }
    out = io.BytesIO()
    parquet.write_table(pa.table(columns | changed), out)
    return out.getvalue()


def test_parquet_is_read_with_whole_numbers_of_any_width() -> None:
    rows = read_book(parquet_of(), "BOOK.parquet")
    assert rows.numbers["limit_micro_per_kwh"].tolist() == [5, -5]
    assert rows.numbers["quality"].tolist() == [0, 1]
    assert rows.texts["side"].to_pylist() == ["buy", "sell"]
    assert rows.texts["zone"].to_pylist() == ["z", "z"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"window": pa.array([1.0, 2.0])}, "row 1, column window: holds double, not whole numbers"),
        ({"window": pa.array([True, False])}, "row 1, column window: holds bool, not whole numbers"),
        ({"order_id": pa.array([1, 2])}, "row 1, column order_id: holds int64, not text"),
        ({"window": pa.array([1, None])}, "row 2, column window: no value"),
        ({"order_id": pa.array([None, "a"])}, "row 1, column order_id: no value"),
        ({"quantity_wh": pa.array([2**64 - 1, 0], pa.uint64())}, "row 1, column quantity_wh"),
        ({"quantity_wh": pa.array([0, 2**63], pa.uint64())}, "row 2, column quantity_wh"),
        ({"quantity_wh": pa.array([1, -2])}, "row 2, column quantity_wh: -2 is negative"),
        ({"colour": pa.array([1, 2])}, "column 'colour': unknown"),
    ],
)
def test_bad_parquet_is_named_by_row_and_column(changed: dict[str, pa.Array], told: str) -> None:
    with pytest.raises(InputError, match=rf"^BOOK.parquet, {told}"):
        read_book(parquet_of(**changed), "BOOK.parquet")


CELLS = st.one_of(
    st.sampled_from(
        ["a", "buy", "sell", "z", "0", "1", "-1", "007", " 1", "1 ", "0x1", '"1"', '"', "", "+1"]
    ),
    st.text(max_size=3),
    st.integers(-(2**70), 2**70).map(str),
)
LINES = st.lists(st.lists(CELLS, min_size=6, max_size=8).map(",".join), max_size=4)


@settings(max_examples=300, deadline=None)
@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_any_text_is_read_or_refused_and_both_readers_agree(lines: list[str], end: str, last: bool) -> None:
    data = (end.join([HEADER, *lines]) + end * last).encode()
    fast = source._fast(data, COLUMNS)
    try:
        slow = source._slow(data, "BOOK.csv", COLUMNS)
    except InputError:
        assert fast is None, "Arrow forgave what is wrong"
        with pytest.raises(InputError):
            read_book(data, "BOOK.csv")
        return
    if fast is not None:
        assert fast.select(BOOK_COLUMNS).to_pydict() == {
            name: columns_of(slow)[name] for name in BOOK_COLUMNS
        }


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, headed: bool) -> None:
    for reader, header in ((read_book, HEADER), (read_flexible, FLEX_HEADER)):
        assert (refusal(reader, header.encode() * headed + data) or "FILE").startswith("FILE")


def refusal(reader: Callable[[bytes, str], object], data: bytes) -> str:
    """What a reader says of a file, nothing if it takes it; whatever else it raises is a bug."""
    try:
        reader(data, "FILE")
    except InputError as error:
        return error.message
    return ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["zones", "substitution", "id", "parent", "charge_micro_per_kwh", "capacity_wh", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=30)))
def test_any_json_is_a_grid_or_refused(data: bytes) -> None:
    assert (refusal(read_grid, data) or "FILE").startswith("FILE")
