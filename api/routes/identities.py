"""Identities, kept by the registrar; and their disclosures to regulators, each with an entry in the log."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import select

from api.db.identity_models import Disclosure
from api.deps import CallerDep, CursorsDep, OnceDep, PageDep, QueriesDep, ServicesDep
from api.errors import KeyReused, NotFound, Unavailable, WriteInProgress, documented
from api.etag import cacheable
from api.identity.seal import Person
from api.identity.store import Identities
from api.identity.store import Request as Asked
from api.routes.sessions import HAS_IT
from api.schemas.common import Account, to_hex
from api.schemas.identities import (
    DisclosedAnswer,
    DisclosureAnswer,
    DisclosurePage,
    DisclosureRequest,
    IdentityBody,
)

router = APIRouter(prefix="/v1", tags=["identities"])


def _identities(parts: ServicesDep) -> Identities:
    if parts.identities is None:
        raise Unavailable("no identities are kept here: the operator sets TRELLIS_IDENTITY_KEY_FILE")
    return parts.identities


IdentitiesDep = Annotated[Identities, Depends(_identities)]
PRIVATE = {"Cache-Control": "no-store"}


@router.put("/accounts/{account}/identity", status_code=204, summary="Keep an identity")
async def keep(
    account: Account, body: IdentityBody, caller: CallerDep, parts: ServicesDep, kept: IdentitiesDep
) -> Response:
    """Seals it in place of the one before. Sent twice it is the same."""
    person = Person(body.legal_name, body.contact, tuple(body.metering_points))
    await kept.keep(to_hex(account), person, to_hex(caller.account), int(parts.now()))
    return Response(status_code=204)


@router.get("/accounts/{account}/identity", summary="One's own identity", responses=documented(NotFound))
async def own(account: Account, caller: CallerDep, kept: IdentitiesDep) -> IdentityBody:
    """What the registrar keeps of the caller."""
    person = await kept.find(to_hex(account))
    if person is None:
        raise NotFound("no identity is kept of this account")
    return _body(person)


@router.delete(
    "/accounts/{account}/identity",
    status_code=204,
    summary="Erase an identity",
    responses=documented(NotFound),
)
async def erase(account: Account, caller: CallerDep, parts: ServicesDep, kept: IdentitiesDep) -> Response:
    """Forgets it for good. The log of its disclosures stays, and stays verifiable."""
    if not await kept.erase(to_hex(account), to_hex(caller.account), int(parts.now())):
        raise NotFound("no identity is kept of this account")
    return Response(status_code=204)


def _body(person: Person) -> IdentityBody:
    return IdentityBody(
        legal_name=person.legal_name,
        contact=person.contact,
        metering_points=list(person.metering_points),
    )


# Disclosures --------------------------------------------------------------------------------------------


@router.post(
    "/disclosures",
    status_code=201,
    summary="Have an identity disclosed",
    response_model=DisclosedAnswer,
    responses=documented(NotFound, WriteInProgress, KeyReused),
)
async def disclose(
    body: DisclosureRequest, caller: CallerDep, parts: ServicesDep, kept: IdentitiesDep, once: OnceDep
) -> Response:
    """Logs who asked, for what and by what right, and then tells. With an Idempotency-Key what is kept is the
    entry's number, never the identity.
    """
    asked = Asked(to_hex(body.account), to_hex(caller.account), body.legal_basis, body.reason)

    async def write() -> Response:
        number = await kept.disclose(asked, int(parts.now()))
        if number is None:
            raise NotFound("no identity is kept of this account")
        return JSONResponse({"number": number}, 201)

    logged = await once(write)
    if logged.status_code != 201:
        return logged
    row, person = await kept.told(json.loads(bytes(logged.body))["number"])
    identity = None if person is None else _body(person)
    answer = DisclosedAnswer.model_validate({**_fields(row), "identity": identity})
    replayed = {name: value for name, value in logged.headers.items() if name == "idempotency-replayed"}
    return Response(answer.model_dump_json(), 201, {**PRIVATE, **replayed}, "application/json")


def _fields(row: Disclosure) -> dict[str, Any]:
    return {name: getattr(row, name) for name in DisclosureAnswer.model_fields}


@router.get("/disclosures", summary="Disclosures", response_model=DisclosurePage, responses=HAS_IT)
async def disclosures(
    request: Request, caller: CallerDep, queries: QueriesDep, cursors: CursorsDep, page: PageDep
) -> Response:
    """The log, without what was told: all of it for auditors and regulators, for a member those about it."""
    query, scope = select(Disclosure), "disclosures"
    if not caller.sees_all:
        query = query.where(Disclosure.account == to_hex(caller.account))
        scope = f"disclosures {to_hex(caller.account)}"
    after = cursors.read(scope, page.cursor)
    rows = await queries.page(query, (Disclosure.number,), after, page.limit)
    items, cursor = cursors.page(scope, rows, page.limit, lambda row: (row.number,))
    answers = [DisclosureAnswer.model_validate(_fields(row)) for row in items]
    return cacheable(request, DisclosurePage(items=answers, next_cursor=cursor))
