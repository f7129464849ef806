"""XML of strangers: no document types, no entities, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, DTDForbidden
from defusedxml.ElementTree import fromstring

from oracle.errors import BadFormat

MOST_ELEMENTS: Final = 1_000_000
HEAD_BYTES: Final = 4096
PROLOG = re.compile(rb"(?:<\?[^?]*\?>|<!--(?:[^-]|-[^-])*-->|\s)*")
DOCTYPE: Final = b"<!DOCTYPE"
WITH_DOCTYPE: Final = "it is XML with a document type (DOCTYPE), which is refused: take that declaration out"
NAME = re.compile(rb"<(?:[\w.-]+:)?([\w.-]+)")
BLANKS: Final = b"\xef\xbb\xbf \t\r\n"


def root_name(data: bytes) -> bytes:
    """The root's local name, from the first bytes alone; empty where they are no XML."""
    head = data[:HEAD_BYTES].lstrip(BLANKS)
    prolog = PROLOG.match(head)
    found = NAME.match(head, prolog.end() if prolog else 0)
    return found.group(1) if found else b""


def has_doctype(data: bytes) -> bool:
    """Whether XML declares a document type before its root, in the first bytes."""
    head = data[:HEAD_BYTES].lstrip(BLANKS)
    prolog = PROLOG.match(head)
    return head[prolog.end() if prolog else 0 :][: len(DOCTYPE)].upper() == DOCTYPE


def root_of(data: bytes, name: str) -> Element:
    """The root element. Raises `BadFormat` under the format's name."""
    text = data.lstrip(BLANKS)
    if text.count(b"<") > 2 * MOST_ELEMENTS:
        raise BadFormat(name, f"it holds more than {MOST_ELEMENTS} elements: split the file")
    try:
        root = fromstring(text, forbid_dtd=True)
    except DTDForbidden as fault:
        raise BadFormat(name, WITH_DOCTYPE) from fault
    except (ParseError, DefusedXmlException, ValueError, LookupError) as fault:
        raise BadFormat(name, f"it is no XML that can be read ({type(fault).__name__})") from fault
    assert isinstance(root, Element)
    return root


def local(element: Element) -> str:
    """Its name without the namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: Element, name: str) -> Iterator[Element]:
    """Those of that local name."""
    return (each for each in element if local(each) == name)


def descendants(element: Element, name: str) -> Iterator[Element]:
    return (each for each in element.iter() if local(each) == name)


def text(element: Element, name: str) -> str:
    """The stripped text of the first child of that name; empty without one."""
    found = next(children(element, name), None)
    return "".join(found.itertext()).strip() if found is not None else ""
