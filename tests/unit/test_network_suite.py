"""Every test of the chain runs on validators too, or it is said why not."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "network"))

from chain_suite import ALONE, EMBEDDED, SHARED

TESTS = Path(__file__).resolve().parents[1]


def test_every_module_of_the_chain_is_in_one_list() -> None:
    listed = [*SHARED, *ALONE, *EMBEDDED, "test_day.py"]
    assert sorted(listed) == sorted(path.name for path in (TESTS / "chain").glob("test_*.py"))


def test_every_test_that_is_chosen_exists() -> None:
    for module, names in ALONE.items():
        text = (TESTS / "chain" / module).read_text()
        for name in names:
            assert re.search(rf"def test_{re.escape(name.partition('[')[0])}\(", text), (module, name)


def test_shared_worlds_are_not_turned_back() -> None:
    for module in SHARED:
        assert "turned_back" not in (TESTS / "chain" / module).read_text(), module
