"""GRID.json: zones as a tree of lines, substitutions of qualities, floor and cap."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn

from settlement.errors import InputError
from settlement.formats.source import shown
from settlement.matching.market import CHARGE_LIMIT, ROOT, UNLIMITED_WH
from settlement.units import POTENTIAL_LIMIT, PRICE_CAP, PRICE_FLOOR, floor_div, furthest_potential

ZONE_KEYS = ("id", "parent", "charge_micro_per_kwh", "capacity_wh")
GRID_KEYS = ("zones", "substitution", "price_floor_micro_per_kwh", "price_cap_micro_per_kwh")


@dataclass(frozen=True)
class Grid:
    """Zones in ascending order of their ids' bytes; `parent` names places in it, `ROOT` for the root's."""

    name: str
    zones: tuple[str, ...]
    parent: tuple[int, ...] = (ROOT,)
    charge: tuple[int, ...] = (0,)
    capacity_wh: tuple[int, ...] = (UNLIMITED_WH,)
    substitution: tuple[tuple[int, int], ...] | None = None
    floor: int = PRICE_FLOOR
    cap: int = PRICE_CAP


def read_grid(data: bytes, name: str) -> Grid:
    """A grid; `InputError` naming the file and the place in it where something is wrong."""
    found = _parsed(data, name)
    if not isinstance(found, dict):
        _refuse(name, "the file", "must be one JSON object")
    _refuse_keys(found, GRID_KEYS, name, "the file", required=("zones",))
    zones = found["zones"]
    if not isinstance(zones, list) or not zones:
        _refuse(name, "zones", "must be a list of at least one zone")
    lines = [_zone(zone, name, f"zones[{place}]") for place, zone in enumerate(zones)]
    floor = _integer(found, GRID_KEYS[2], name, GRID_KEYS[2], -POTENTIAL_LIMIT, POTENTIAL_LIMIT, PRICE_FLOOR)
    cap = _integer(found, GRID_KEYS[3], name, GRID_KEYS[3], floor, POTENTIAL_LIMIT, PRICE_CAP)
    return _tree(
        lines, name, _substitution(found.get("substitution"), "substitution" in found, name), floor, cap
    )


def told_too_wide(grid: Grid, qualities: int) -> str:
    """What is wrong with a grid under which a book has no potentials within the outer bounds, and the fix."""
    deepest, stops = _deepest_charge(grid), min(qualities, len(grid.zones))
    left = POTENTIAL_LIMIT - furthest_potential(0, 0, qualities, len(grid.zones), deepest)
    if left <= 0:
        return (
            f"{grid.name}, zones: charge_micro_per_kwh, up to {deepest} from a zone to the root, are so high "
            f"that this book has no prices within 2^29; below {floor_div(POTENTIAL_LIMIT, 2 * stops)} it may"
        )
    widest = floor_div(left, 2 * stops - 1)
    return (
        f"{grid.name}, {GRID_KEYS[2]} and {GRID_KEYS[3]}: {grid.floor} and {grid.cap} lie so far apart that "
        f"this book has no prices within 2^29; around 0 and at most {widest} apart every book has"
    )


def _deepest_charge(grid: Grid) -> int:
    """The most that the lines from a zone up to the root charge together, micro/kWh."""
    charge, above = list(grid.charge), list(grid.parent)
    charge[above.index(ROOT)] = 0
    for _ in range(len(above).bit_length()):  # each step doubles how many lines are summed
        charge = [own + (0 if at == ROOT else charge[at]) for own, at in zip(charge, above, strict=True)]
        above = [ROOT if at == ROOT else above[at] for at in above]
    return max(charge)


@dataclass(frozen=True)
class _Line:
    at: str
    zone: str
    parent: str | None
    charge: int
    capacity_wh: int


def _zone(zone: Any, name: str, at: str) -> _Line:
    if not isinstance(zone, dict):
        _refuse(name, at, "must be an object")
    root = zone.get("parent") is None
    _refuse_keys(zone, ZONE_KEYS, name, at, required=("id", "parent"))
    if not isinstance(zone["id"], str) or not zone["id"] or not _encodes(zone["id"]):
        _refuse(name, f"{at}.id", "must be a text that is not empty")
    if not root and not isinstance(zone["parent"], str):
        _refuse(name, f"{at}.parent", "must be another zone's id, or null for the root")
    charge_at, capacity_at = f"{at}.charge_micro_per_kwh", f"{at}.capacity_wh"
    if not root and "charge_micro_per_kwh" not in zone:
        _refuse(name, charge_at, "is missing")
    given = {key: value for key, value in zone.items() if value is not None}
    least = 0 if root else 1
    if not root and zone["charge_micro_per_kwh"] is None:
        _refuse(name, charge_at, "must be a whole number")
    charge = _integer(given, ZONE_KEYS[2], name, charge_at, least, CHARGE_LIMIT - 1, 0)
    capacity = _integer(given, ZONE_KEYS[3], name, capacity_at, 0, 2**63 - 1, UNLIMITED_WH)
    return _Line(at, zone["id"], zone["parent"], charge, min(capacity, UNLIMITED_WH))


def _tree(
    lines: list[_Line], name: str, substitution: tuple[tuple[int, int], ...] | None, floor: int, cap: int
) -> Grid:
    """The zones sorted, each parent found, one root, no ring."""
    lines = sorted(lines, key=lambda line: line.zone.encode())
    for one, two in pairwise(lines):
        if one.zone == two.zone:
            _refuse(name, f"{max(one.at, two.at)}.id", f"{shown(one.zone)} is another zone's id too")
    place = {line.zone: index for index, line in enumerate(lines)}
    for line in lines:
        if line.parent is not None and line.parent not in place:
            _refuse(name, f"{line.at}.parent", f"{shown(line.parent)} is no zone of the grid")
    parent = tuple(ROOT if line.parent is None else place[line.parent] for line in lines)
    roots = [line.zone for line in lines if line.parent is None]
    if len(roots) != 1:
        _refuse(name, "zones", f"must have one root (a zone whose parent is null), not {len(roots)}")
    _refuse_ring(lines, parent, name)
    return Grid(
        name=name,
        zones=tuple(line.zone for line in lines),
        parent=parent,
        charge=tuple(line.charge for line in lines),
        capacity_wh=tuple(line.capacity_wh for line in lines),
        substitution=substitution,
        floor=floor,
        cap=cap,
    )


def _refuse_ring(lines: list[_Line], parent: tuple[int, ...], name: str) -> None:
    """Walk up from each zone until one that is known to reach the root."""
    reaches = {ROOT}
    for start in range(len(lines)):
        zone, walked = start, list[int]()
        while zone not in reaches:
            if len(walked) > len(lines):
                _refuse(name, f"{lines[zone].at}.parent", "leads round in a ring, not to the root")
            walked.append(zone)
            zone = parent[zone]
        reaches.update(walked)


def _substitution(pairs: Any, given: bool, name: str) -> tuple[tuple[int, int], ...] | None:
    if not given:
        return None
    if not isinstance(pairs, list):
        _refuse(name, "substitution", "must be a list of [from, to]")
    for place, pair in enumerate(pairs):
        at = f"substitution[{place}]"
        if not isinstance(pair, list) or len(pair) != 2 or not all(_is_quality(one) for one in pair):
            _refuse(name, at, "must be [from, to], two qualities")
        if pair[0] == pair[1]:
            _refuse(name, at, "names one quality twice")
        if pair in pairs[:place]:
            _refuse(name, at, "is listed twice")
    return tuple((pair[0], pair[1]) for pair in pairs)


def _is_quality(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _integer(found: dict[str, Any], key: str, name: str, at: str, least: int, most: int, default: int) -> int:
    value = found.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(name, at, f"must be a whole number, not {json.dumps(value)[:40]}")
    if not least <= value <= most:
        _refuse(name, at, f"{value} lies outside {least} to {most}")
    return value


def _refuse_keys(
    found: dict[str, Any], known: tuple[str, ...], name: str, at: str, required: tuple[str, ...]
) -> None:
    for key in found:
        if key not in known:
            _refuse(name, at, f"has the unknown key {shown(key)}; the keys are {list(known)}")
    for key in required:
        if key not in found:
            _refuse(name, at, f"lacks the key {key!r}")


def _parsed(data: bytes, name: str) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_distinct, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise InputError(f"{name}: not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{name}, line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: {error}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key is given twice in the object with the keys {[key for key, _ in pairs]}")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _encodes(text: str) -> bool:
    """False for half a surrogate pair, which no file could hold."""
    return text.encode(errors="ignore").decode() == text


def _refuse(name: str, at: str, what: str) -> NoReturn:
    raise InputError(f"{name}, {at}: {what}")
