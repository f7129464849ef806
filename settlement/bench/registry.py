"""What a bench is, and which there are.

A bench is an entry point of the group `trellis.benches`: a `Bench` in a module that imports little, since
all are loaded to be listed. What it measures with is named by `target` and imported when it runs. So
`oracle` and `api` bring theirs along without `settlement` importing them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pkgutil import resolve_name

from settlement.errors import InputError

GROUP = "trellis.benches"

Figures = Mapping[str, int | float]
"""Number by name; units are in the names."""

Tell = Callable[[str], None]
"""Progress, a line each."""


def _no_options(_: argparse.ArgumentParser) -> None:
    pass


@dataclass(frozen=True)
class Bench:
    """One benchmark."""

    name: str
    summary: str
    """One line for the list."""
    target: str
    """`module:function`; it is called with the parsed arguments and with `Tell`, and returns figures."""
    add_options: Callable[[argparse.ArgumentParser], None] = _no_options
    details: str = ""
    """Figures whose names begin so are for programs: the table leaves them out."""

    def measure(self, arguments: argparse.Namespace, tell: Tell) -> Figures:
        figures: Figures = resolve_name(self.target)(arguments, tell)
        return figures


def find_benches() -> dict[str, Bench]:
    """Every registered bench by name, in the order of names. InputError if two have the same."""
    found: dict[str, Bench] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        bench = entry.load()
        if bench.name in found:
            raise InputError(f"two benches are named {bench.name}: rename one in pyproject.toml")
        found[bench.name] = bench
    return found
