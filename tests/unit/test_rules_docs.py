"""Every JSON example of docs/rules.md is one that its loader takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from settlement.rules.baselines import BL01
from settlement.rules.calendar import RunCalendar
from settlement.rules.configuration import from_json
from settlement.rules.flexibility import Service
from settlement.rules.methods import service_from_json
from settlement.rules.sharing import Cascade, Key

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rules.md").read_text()
FENCED = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
INLINE = re.findall(r"`(\[\{.*?\}\])`", PAGE)


@pytest.mark.parametrize(
    ("kind", "document"),
    list(zip([RunCalendar, Service, Cascade, tuple[Key, ...]], [*FENCED, *INLINE], strict=True)),
    ids=["calendar", "service", "cascade", "keys"],
)
def test_an_example_is_read(kind: type[object], document: str) -> None:
    if kind is Service:
        assert service_from_json(document.encode(), "docs/rules.md").method == BL01
    else:
        assert from_json(kind, document, "docs/rules.md")
