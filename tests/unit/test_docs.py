"""The documentation names what there is, and only that."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from settlement.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SOURCE = re.compile(r"(?:contracts|settlement|oracle|api|tests|docs|tools)/[\w./-]*\w")
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:work|tmp|root|home|Users)\b")
ERROR = re.compile(r"^ *error (\w+)\(", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def everything() -> str:
    return "\n".join(page.read_text() for page in PAGES)


def subcommands(parser: argparse.ArgumentParser, name: str = "trellis") -> Iterator[str]:
    """`trellis bench gas` and every other command that runs something."""
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if name != "trellis":
        yield name
    for action in nested:
        for word, each in action.choices.items():
            yield from subcommands(each, f"{name} {word}")


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_link(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    if not place.exists():
        return True
    return bool(anchor) and anchor not in anchors(place)


def contract_errors() -> Iterator[str]:
    """Names of all custom errors."""
    for file in sorted((ROOT / "contracts").rglob("*.sol")):
        yield from ERROR.findall(file.read_text())


@cache
def defined_tests() -> frozenset[str]:
    """Names of Python and forge tests."""
    files = [f for suffix in ("*.py", "*.t.sol") for f in (ROOT / "tests").rglob(suffix)]
    found = (re.findall(r"(?:def|function) ((?:test|invariant)_\w+)", file.read_text()) for file in files)
    return frozenset(name for names in found for name in names)


def test_every_command_is_documented() -> None:
    commands = list(subcommands(build_parser()))
    assert commands
    assert [command for command in commands if f"`{command}" not in everything()] == []


def test_every_command_of_the_readme_exists() -> None:
    commands = set(subcommands(build_parser()))
    named = re.findall(r"^\| `trellis (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert named
    assert [name for name in named if f"trellis {name}" not in commands] == []


def test_every_verb_of_make_is_documented() -> None:
    listed = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed
    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in listed[1].split() if f"`{verb}`" not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    targets = [t for t in LINK.findall(text) if not t.startswith(("http://", "https://", "mailto:"))]
    assert [target for target in targets if missing_link(page, target)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_source_that_is_named_exists(page: Path) -> None:
    spans = CODE.findall(FENCE.sub("", page.read_text()))
    named = {found[0] for span in spans if (found := SOURCE.match(span))}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"(?<![\w/])(?:test|invariant)_\w+\b(?!\.py)", page.read_text()))
    assert sorted(named - defined_tests()) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_a_place_on_somebodys_machine(page: Path) -> None:
    assert MACHINE_PATH.findall(page.read_text()) == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = (target.partition("#")[0] for target in LINK.findall(page.read_text()))
        places = ((page.parent / target).resolve() for target in targets if target.endswith(".md"))
        waiting += [place for place in places if place.exists()]
    assert [name_of(page) for page in PAGES if page not in reached] == []


def test_every_contract_error_is_explained() -> None:
    errors = set(contract_errors())
    page = set(re.findall(r"`([A-Z]\w+)`", (ROOT / "docs" / "errors.md").read_text()))
    assert errors
    assert sorted(errors - page) == []
    assert sorted(page - errors - {"ScheduleIneligible"}) == []
