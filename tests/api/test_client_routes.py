"""The client has all of the API and nothing else; what it reads cannot be changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter

from api import errors as served
from api.client import AsyncClient, Client, Service
from api.client import errors as told
from api.client.route import Described
from api.client.routes import Routes
from api.roles import MATRIX
from settlement.errors import InputError

DOCUMENT = json.loads((Path(__file__).parent / "openapi.json").read_text())
PAGED = {"limit", "cursor"}


def described() -> dict[str, Described[Any]]:
    """The client's routes by the name of their method."""
    found = ((name, getattr(Routes, name)) for name in dir(Routes) if not name.startswith("_"))
    return {name: one.described for name, one in found if hasattr(one, "described")}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_of_the_document_has_a_method_and_every_method_a_route() -> None:
    methods = {(one.shape.method, one.shape.path) for one in described().values()}
    documented = {(method, path) for method, path, _ in operations()}
    assert methods - {("GET", "/openapi.json")} == documented
    assert methods <= set(MATRIX)


@pytest.mark.parametrize("name", described())
def test_a_method_takes_what_its_route_takes(name: str) -> None:
    one = described()[name]
    if one.shape.path == "/openapi.json":
        return
    operation = DOCUMENT["paths"][one.shape.path][one.shape.method.lower()]
    inside = set(re.findall(r"{(\w+)}", one.shape.path))
    if one.shape.path == "/v1/ws":  # it is asked in a message, for what the stream is asked for
        operation = DOCUMENT["paths"]["/v1/stream"]["get"]
    assert {name for name, optional in one.parameters.items() if not optional} >= inside
    asked = {
        p["name"]: p.get("required", False) for p in operation.get("parameters", ()) if p["in"] != "header"
    }
    if one.shape.body is not None:
        schema = TypeAdapter(one.shape.body).json_schema()
        shapes = [schema, *schema.get("$defs", {}).values()] if "oneOf" in schema else [schema]
        (shape, *_) = [
            each for each in shapes if set(each.get("properties", ())) >= set(one.parameters) - inside
        ]
        asked |= {field: field in shape.get("required", ()) for field in shape["properties"]}
    taken = set(one.parameters)
    left_out = set(asked) - taken
    assert taken <= set(asked)
    assert left_out <= PAGED | {"format"}, "a method leaves out what its route takes"
    assert not [field for field in left_out if asked[field]]


@pytest.mark.parametrize("name", described())
def test_a_method_needs_a_login_exactly_if_its_route_does(name: str) -> None:
    shape = described()[name].shape
    assert shape.public is MATRIX[(shape.method, shape.path)].public


def test_both_clients_have_the_same_methods() -> None:
    for name in described():
        assert getattr(Client, name) is getattr(AsyncClient, name)
    own = [{name for name in dir(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)]
    assert own[0] == own[1]


def test_each_problem_of_the_service_has_an_exception_of_its_name() -> None:
    assert {one.slug for one in served.every_error()} == {one.slug for one in told.Problem.__subclasses__()}
    for one in told.Problem.__subclasses__():
        assert getattr(served, one.__name__).slug == one.slug


# Frozen -------------------------------------------------------------------------------------------------


def answers() -> set[type[BaseModel]]:
    """What the service's document says it answers with, of this package's own."""
    import api.schemas as schemas

    found: set[type[BaseModel]] = set()
    folder = Path(schemas.__file__).parent
    for file in sorted(folder.glob("*.py")):
        module = __import__(f"api.schemas.{file.stem}", fromlist=["_"])
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel:
                found.add(value)
    return {one for one in found if one.__module__.startswith("api.schemas") and not _asks(one)}


def _asks(kind: type[BaseModel]) -> bool:
    return kind.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("kind", sorted(answers(), key=lambda one: one.__name__))
def test_results_are_frozen(kind: type[BaseModel]) -> None:
    assert kind.model_config.get("frozen"), "derive it from api.schemas.common.Answer"


# Where it goes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        *("http://market.example", "http://10.0.0.1:8000", "ftp://market.example", "market.example"),
        *("https://user:word@market.example", "https://market.example?next=1", ""),
    ],
)
def test_tokens_go_nowhere_in_plain_text_and_addresses_are_addresses(url: str) -> None:
    with pytest.raises(InputError):
        Service(url, 1, bytes(20))


def test_a_service_is_logged_into_by_its_own_address() -> None:
    one = Service("https://market.example:8443/trellis", 1, bytes(20))
    assert (one.domain, one.uri) == ("market.example:8443", "https://market.example:8443")
    assert Service("http://[::1]:8000", 1, bytes(20)).domain == "[::1]:8000"


def test_topics_are_those_of_the_service() -> None:
    from api.client.events import Topic
    from api.routes.stream import Topic as served_topic

    assert get_args(Topic) == get_args(served_topic)


def test_a_socket_is_spoken_to_as_the_service_speaks() -> None:
    from api import sockets as served
    from api.client import lines, sockets

    assert lines.PROTOCOL == served.PROTOCOL
    assert sockets.UNAUTHENTICATED == served.Close.UNAUTHENTICATED
    assert {served.Close.TOO_BIG, served.Close.MALFORMED, served.Close.FORBIDDEN} == sockets.FINAL
