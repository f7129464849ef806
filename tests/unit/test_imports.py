"""The architecture, enforced on the syntax tree.

Imports run one way: `api` and `oracle` use `settlement`, never the reverse. The pure modules of `settlement`
know no chain, database, network, clock or randomness, directly or through a module of ours. Settled
arithmetic is integer, and says how it rounds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PURE = ("units", "products", "orders", "grid", "formats", "matching", "rules", "reference")
PURE_MAY_ALSO_USE = ("errors",)
SETTLED = ("rules", "reference")

IMPURE = {
    *("asyncio", "http", "random", "secrets", "socket", "sqlite3", "subprocess", "time", "urllib", "uuid"),
    *("aiohttp", "aiomqtt", "eth_account", "fastapi", "httpx", "requests", "solcx", "sqlalchemy", "web3"),
}
IMPURE_USES = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "np.random", "numpy.random"}


def modules(*names: str, package: str = "settlement") -> Iterator[Path]:
    """The files of modules or packages, by name inside `package`; all of it without a name."""
    for name in names or ("",):
        place = ROOT / package / name
        yield from sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def syntax(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, wherever in the file it stands."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(syntax(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join((*base, *([node.module] if node.module else ())))
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def within(name: str, parents: tuple[str, ...]) -> bool:
    """`settlement.units.WH_LIMIT` lies within `units`."""
    return any(f"{name}.".startswith(f"settlement.{parent}.") for parent in parents)


def impure(name: str) -> bool:
    if name.split(".")[0] == "settlement":
        return not within(name, PURE + PURE_MAY_ALSO_USE)
    return name.split(".")[0] in IMPURE or name.startswith("numpy.random")


def existing(files: Iterator[Path]) -> list[Path]:
    return [file for file in files if file.exists()]


def at(file: Path, line: int, what: str) -> str:
    return f"{file.relative_to(ROOT)}:{line}: {what}"


def arithmetic_faults(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What may not stand in settled arithmetic."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"the float {node.value}"
        elif isinstance(node, ast.Name) and node.id in {"float", "Decimal"}:
            yield node.lineno, f"{node.id}: settled numbers are int"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "a bare /: it gives a float"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.FloorDiv):
            yield node.lineno, "a bare //: say floor_div or trunc_div (settlement/units.py)"


def test_pure_modules_import_nothing_of_the_world() -> None:
    files = existing(modules(*PURE))
    assert files
    faults = [at(file, line, name) for file in files for line, name in imported(file) if impure(name)]
    assert not faults, "\n".join(faults)


def test_pure_modules_read_no_clock_and_draw_no_numbers() -> None:
    faults = [
        at(file, node.lineno, ast.unparse(node))
        for file in existing(modules(*PURE))
        for node in ast.walk(syntax(file))
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in IMPURE_USES
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("package", "others"), [("settlement", {"oracle", "api"}), ("oracle", {"api"})])
def test_imports_run_one_way(package: str, others: set[str]) -> None:
    files = existing(modules(package=package))
    faults = [at(f, line, name) for f in files for line, name in imported(f) if name.split(".")[0] in others]
    assert not faults, "\n".join(faults)


def test_settled_arithmetic_is_integer_and_names_its_rounding() -> None:
    files = existing(modules(*SETTLED))
    assert files
    faults = [at(file, line, what) for file in files for line, what in arithmetic_faults(syntax(file))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("source", ["x = 0.5", "x = a / b", "x /= b", "x = a // b", "x = float(a)"])
def test_the_rule_sees_each_fault(source: str) -> None:
    assert list(arithmetic_faults(ast.parse(source)))
