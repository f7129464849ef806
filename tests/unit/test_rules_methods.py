"""Standard baseline methods by their names, on the command line and in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from settlement import cli
from settlement.errors import InputError
from settlement.rules import baselines
from settlement.rules.baselines import BL01, HIGH_4_OF_5, MID_8_OF_10, Method
from settlement.rules.methods import STANDARD, method_from_json, service_from_json

NAMES = ("BL01", "BL01_DOMESTIC", "MID_8_OF_10", "HIGH_4_OF_5")


def read(**given: object) -> Method:
    return method_from_json(json.dumps(given).encode(), "method.json")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_alone_has_all_terms_of_the_standard(name: str) -> None:
    assert read(name=name) == STANDARD[name] == getattr(baselines, name)


def test_terms_of_the_standard_may_be_repeated() -> None:
    assert read(name="BL01", adjusted=True, working={"of": 10, "keep": 10}) == BL01
    assert read(name="HIGH_4_OF_5", within_days=45, kept="highest") == HIGH_4_OF_5


def test_a_standard_name_with_other_terms_is_refused_and_one_of_its_own_is_not() -> None:
    with pytest.raises(InputError, match=r"BL01 is a standard method, with another adjusted, slots"):
        read(name="BL01", adjusted=False, slots=96)
    assert read(name="BL01, unadjusted", adjusted=False) == Method("BL01, unadjusted")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"{", "method.json, the document: "),
        (b"[]", "method.json, the document: "),
        (b'{"name": 3}', "method.json, name: "),
        (b'{"name": "BL01", "working": 3}', "method.json, working"),
        (b'{"name": "MID_8_OF_10", "sloths": 3}', "method.json, sloths"),
    ],
)
def test_what_is_no_method_is_told_by_its_place(document: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        method_from_json(document, "method.json")


def test_a_service_names_its_method() -> None:
    for method in ("MID_8_OF_10", {"name": "MID_8_OF_10"}):
        document = json.dumps({"name": "evening", "method": method}).encode()
        assert service_from_json(document, "service.json").method == MID_8_OF_10
    assert service_from_json(b'{"name": "evening"}', "service.json").method == BL01
    with pytest.raises(InputError, match=r"service.json, method: BL01 is a standard"):
        service_from_json(b'{"name": "x", "method": {"name": "BL01", "least_days": 3}}', "service.json")
    with pytest.raises(InputError, match=r"service.json, method\.slots"):
        service_from_json(b'{"name": "x", "method": {"name": "own", "slots": 1.5}}', "service.json")


def test_the_command_line_takes_a_name_or_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of ten working days of 1 to 10 Wh and one of 100, the middle eight of the last ten are 2 to 9."""
    use = {f"2026-06-{day:02}": -wh for wh, day in enumerate((1, 2, 3, 4, 5, 8, 9, 10, 11), start=1)}
    rows = [f"{day},{','.join([str(wh)] * 48)}" for day, wh in (use | {"2026-06-12": -100}).items()]
    table, file = tmp_path / "metered.csv", tmp_path / "method.json"
    table.write_text("\n".join(["date," + ",".join(map(str, range(1, 49))), *rows]) + "\n")
    file.write_text('{"name": "MID_8_OF_10"}')
    for method in ("MID_8_OF_10", str(file)):
        dispatch = ["--day", "2026-06-15", "--slots", "35", "--method", method, "--json"]
        assert cli.main(["settlement", "baseline", str(table), *dispatch]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["wh"], len(told["days"])) == ([-5], 8)
    dispatch = ["--day", "2026-06-15", "--slots", "35", "--method", "MID_9"]
    assert cli.main(["settlement", "baseline", str(table), *dispatch]) == 2
    assert "'MID_9' is no file and none of BL01, BL01_DOMESTIC" in capsys.readouterr().err
