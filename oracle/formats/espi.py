"""Green Button: the Atom feeds of ESPI (NAESB REQ.21, schema `espi.xsd`).

A feed's entries hold MeterReading, ReadingType and IntervalBlock, tied by links: a block's `up` is among the
`related` of its MeterReading, and so is the `self` of the ReadingType, which says what the numbers mean:

    energy = value x 10^powerOfTenMultiplier, in Wh if uom is 72
    flowDirection 1 is delivered to the customer (import), 19 received from the customer (export)
    accumulationBehaviour 4 (or none) is energy of the interval; registers and averages are not

    unsigned   a block whose readings can be read: ESPI has no signature in the file
    invalid    a value or a time is missing or no whole number (the reason names block and reading)

One record a block. It is billable unless no ReadingType is linked or the type is no interval energy (then
there are no readings either: a number without its type has no unit), intervals overlap, or a reading's own
quality is 10 (questionable) or 12 (projected).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from oracle.errors import BadFormat
from oracle.formats.record import IntervalReading, PublicKeySource, Record
from oracle.formats.spans import EARLIEST_S, LATEST_S, Twice, listed, overlaps

NAME = "espi"

ESPI, ATOM = "{http://naesb.org/espi}", "{http://www.w3.org/2005/Atom}"
MARK = b"http://naesb.org/espi"
WATT_HOURS: Final = 72
DIRECTIONS: Final = {1: "import", 19: "export"}
DELTA: Final = (0, 4)
MOST_DIGITS: Final = 18
MOST_LENGTH_S: Final = 400 * 86_400
MULTIPLIERS: Final = range(-12, 13)
QUALITY: Final = {
    0: "valid",
    7: "manually edited",
    8: "estimated from a reference day",
    9: "estimated by interpolation",
    10: "questionable",
    11: "derived",
    12: "projected",
    13: "mixed",
    14: "raw",
    15: "normalised for weather",
    16: "other",
    17: "validated",
    18: "verified",
    19: "revenue quality",
}
"""QualityOfReading of espi.xsd."""
NOT_MEASURED: Final = (10, 12)
UNLINKED: Final = "no ReadingType is linked to it: unit and direction are unknown"


class _Fault(ValueError):
    """A sentence: what is wrong with an element."""


@dataclass(frozen=True, slots=True)
class ReadingType:
    """What the numbers of a block mean."""

    uom: int
    """Unit: 72 is Wh."""
    exponent: int
    """powerOfTenMultiplier."""
    direction: int
    """flowDirection."""
    behaviour: int
    """accumulationBehaviour, 0 where it is not stated."""
    length_s: int
    """intervalLength, 0 where it is not stated."""

    def problem(self) -> str:
        """Why this is no interval energy of one direction; empty if it is."""
        if self.uom != WATT_HOURS:
            return f"the unit (uom) is {self.uom}, not {WATT_HOURS} (Wh)"
        if self.direction not in DIRECTIONS:
            return f"flowDirection {self.direction} is neither 1 (delivered) nor 19 (received)"
        if self.behaviour not in DELTA:
            return f"accumulationBehaviour {self.behaviour} is not 4 (energy of the interval)"
        return ""


@dataclass(slots=True)
class _Feed:
    """What is linked in a feed. Addresses stand in the order of the feed: sets would have none."""

    types: dict[str, ReadingType | str] = field(default_factory=dict)
    """ReadingType, or what is wrong with it, by its entry's own address."""
    related: list[list[str]] = field(default_factory=list)
    """Of each MeterReading, with its own address and that of its blocks, which some feeds leave out."""
    blocks: list[tuple[list[str], list[Element]]] = field(default_factory=list)
    """Of each entry that has any: its `up` and its IntervalBlocks."""

    def meanings(self) -> dict[str, ReadingType | str]:
        """The type, or why there is none, by every address that a MeterReading relates to."""
        found: dict[str, ReadingType | str] = {}
        for related in self.related:
            types = {address: self.types[address] for address in related if address in self.types}
            meaning = _only(list(types.values()))
            for address in related:
                found.setdefault(address, meaning)
        return found


def _only(types: list[ReadingType | str]) -> ReadingType | str:
    """The one type of a MeterReading, or why there is none to use."""
    if len(types) != 1:
        return "several ReadingTypes are linked to it" if types else UNLINKED
    only = types[0]
    return only if isinstance(only, str) else only.problem() or only


def recognises(data: bytes) -> bool:
    """XML that names ESPI's namespace in its beginning (licences come first in many)."""
    return data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and MARK in data[: 1 << 16]


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record an IntervalBlock; a single one that says so if there is none. `key` is not used. Raises
    `BadFormat`; document types and entities are refused."""
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:
        raise BadFormat(NAME, f"the XML cannot be read: {error}") from None
    if not any(element.tag.startswith(ESPI) for element in root.iter()):
        raise BadFormat(NAME, "no element is of its namespace")
    feed = _read_feed(root)
    if not feed.blocks:
        return [Record(0, NAME, "unsigned", "no readings", False, ("there is no IntervalBlock",))]
    return list(_records(feed))


def _records(feed: _Feed) -> Iterator[Record]:
    meanings, seen, count = feed.meanings(), Twice(), 0
    for up, blocks in feed.blocks:
        meaning = next((meanings[address] for address in up if address in meanings), UNLINKED)
        stream = up[0] if up else ""
        for block in blocks:
            yield _record(count, stream, block, meaning, seen)
            count += 1


def _read_feed(root: Element) -> _Feed:
    """An entry's links are gone through once, however much it contains."""
    feed = _Feed()
    for entry in root.findall(ATOM + "entry") or [root]:
        links: dict[str, list[str]] = {}
        for link in entry.findall(ATOM + "link"):
            links.setdefault(link.get("rel", ""), []).append(link.get("href", "").rstrip("/"))
        own, found = links.get("self", []), _contents(entry)
        if found["ReadingType"]:
            feed.types |= dict.fromkeys(own, _reading_type(found["ReadingType"][0]))
        if found["MeterReading"]:
            blocks = [f"{address}/IntervalBlock" for address in own]
            feed.related.append([*links.get("related", []), *own, *blocks])
        if found["IntervalBlock"]:
            feed.blocks.append((links.get("up", []), found["IntervalBlock"]))
    return feed


def _contents(entry: Element) -> dict[str, list[Element]]:
    """The elements of an entry that matter, by name."""
    found: dict[str, list[Element]] = {name: [] for name in ("ReadingType", "MeterReading", "IntervalBlock")}
    for element in entry.iter():
        space, _, name = element.tag.rpartition("}")
        if space + "}" == ESPI and name in found:
            found[name].append(element)
    return found


def _reading_type(element: Element) -> ReadingType | str:
    try:
        found = ReadingType(
            uom=_whole(element, "uom", 0),
            exponent=_whole(element, "powerOfTenMultiplier", 0),
            direction=_whole(element, "flowDirection", 0),
            behaviour=_whole(element, "accumulationBehaviour", 0),
            length_s=_whole(element, "intervalLength", 0),
        )
    except _Fault as fault:
        return f"its ReadingType is wrong: {fault}"
    if found.exponent not in MULTIPLIERS or not 0 <= found.length_s <= MOST_LENGTH_S:
        return "its ReadingType is wrong: powerOfTenMultiplier or intervalLength is out of range"
    return found


def _record(index: int, stream: str, block: Element, meaning: ReadingType | str, seen: Twice) -> Record:
    known = meaning if isinstance(meaning, ReadingType) else None
    problems = [] if isinstance(meaning, ReadingType) else [meaning]
    readings = []
    try:
        for reading, quality in _readings(block, known):
            if quality in NOT_MEASURED:
                problems.append(f"a reading's quality is {quality} ({QUALITY[quality]})")
            readings.append(reading)
    except _Fault as fault:
        return Record(index, NAME, "invalid", f"IntervalBlock {index}: {fault}", False, listed(problems))
    problems.extend(overlaps(readings))
    problems.extend(seen.problems(stream, readings, index))
    shown = tuple(readings) if known else ()
    return Record(
        index, NAME, "unsigned", "ESPI has no signature", not problems, listed(problems), shown, stream
    )


def _readings(block: Element, meaning: ReadingType | None) -> Iterator[tuple[IntervalReading, int]]:
    """The readings and their quality. Without a meaning they are read all the same, for their faults."""
    factor = Decimal((0, (1,), meaning.exponent if meaning else 0))
    register = DIRECTIONS[meaning.direction] if meaning else ""
    default_s = meaning.length_s if meaning else 0
    following = _whole(block, f"{ESPI}interval/{ESPI}start", -1)
    for count, element in enumerate(block.findall(ESPI + "IntervalReading"), 1):
        try:
            start = _whole(element, f"{ESPI}timePeriod/{ESPI}start", following)
            length = _whole(element, f"{ESPI}timePeriod/{ESPI}duration", default_s)
            value, quality = _whole(element, "value", None), _quality(element)
            if not (EARLIEST_S <= start < LATEST_S and 1 <= length <= MOST_LENGTH_S):
                raise _Fault(f"the time is missing or out of range: start {start}, duration {length}")
        except _Fault as fault:
            raise _Fault(f"reading {count}: {fault}") from None
        following = start + length
        yield IntervalReading(start, length, register, value * factor, QUALITY.get(quality, "")), quality


def _quality(element: Element) -> int:
    """Of a reading: the worst news first, if it has several. -1 if it has none."""
    found = [_whole(each, "quality", -1) for each in element.findall(ESPI + "ReadingQuality")]
    return next((quality for quality in found if quality in NOT_MEASURED), found[0] if found else -1)


def _whole(parent: Element, name: str, default: int | None) -> int:
    """The whole number in a child, or the default if there is no child; no default: it must be there."""
    path = name if name.startswith("{") else ESPI + name
    text = parent.findtext(path)
    if text is None:
        if default is None:
            raise _Fault(f"there is no {name}")
        return default
    digits = text.strip()
    body = digits[1:] if digits[:1] in ("-", "+") else digits
    if not (body.isascii() and body.isdigit() and len(body) <= MOST_DIGITS):
        raise _Fault(f"{path.rpartition('}')[2]} is no whole number: {digits[:24]!r}")
    return int(digits)
