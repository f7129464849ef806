"""Standard baseline methods by name, in files too.

`BL01`, `BL01_DOMESTIC`, `MID_8_OF_10` and `HIGH_4_OF_5` stand for all their terms. A file that gives one of
these names may repeat terms and change none: a method with other terms has a name of its own.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from settlement.errors import InputError
from settlement.rules.baselines import BL01, BL01_DOMESTIC, HIGH_4_OF_5, MID_8_OF_10, Method
from settlement.rules.configuration import from_json
from settlement.rules.flexibility import Service

STANDARD = {one.name: one for one in (BL01, BL01_DOMESTIC, MID_8_OF_10, HIGH_4_OF_5)}


def method_from_json(document: bytes, name: str) -> Method:
    """A method of its own terms, or a standard one. InputError."""
    given = _parsed(document)
    if given is None:
        return from_json(Method, document, name)
    return _checked(from_json(Method, json.dumps(_expanded(given)), name), name)


def service_from_json(document: bytes, name: str) -> Service:
    """A service, whose method may be a standard one's name. InputError."""
    given = _parsed(document)
    if not isinstance(given, dict) or "method" not in given:
        return from_json(Service, document, name)
    expanded = given | {"method": _expanded(given["method"])}
    service = from_json(Service, json.dumps(expanded), name)
    _checked(service.method, f"{name}, method")
    return service


def _parsed(document: bytes) -> Any:
    """None of what is no JSON, for the reader of dataclasses to say why."""
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None


def _expanded(given: Any) -> Any:
    """With all terms of the standard method that is named, unless other ones are given."""
    if isinstance(given, str):
        given = {"name": given}
    named = given.get("name") if isinstance(given, dict) else None
    standard = STANDARD.get(named) if isinstance(named, str) else None
    return given if standard is None else asdict(standard) | given


def _checked(method: Method, where: str) -> Method:
    standard = STANDARD.get(method.name, method)
    own, terms = asdict(method), asdict(standard)
    changed = sorted(term for term in own if own[term] != terms[term])
    if changed:
        raise InputError(
            f"{where}: {method.name} is a standard method, with another {', '.join(changed)}: leave that out "
            "or give the method a name of its own"
        )
    return method
