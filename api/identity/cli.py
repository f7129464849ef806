"""`trellis disclosures`: verifies the log of disclosures in the API's database."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError

if TYPE_CHECKING:
    from api.identity.log import Verdict

_HASH = re.compile(r"[0-9a-f]{64}")


def register(subparsers: Any) -> None:
    """Adds `trellis disclosures`."""
    parser = subparsers.add_parser(
        "disclosures",
        help="verify the log of identities that were disclosed",
        description="The log is of the API's database. What is not given comes from the settings "
        "(docs/settings.md).",
    )
    nested = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    verify = nested.add_parser(
        "verify",
        help="check that each entry follows the one before; exit 1 if not",
        description="Exit code 0: every entry follows the one before, and the head that was given is one of "
        "them; 1: not. Keep the head that is printed: a log that was cut or rewritten later lacks it.",
    )
    verify.add_argument("--database", metavar="URL", help="of the API")
    verify.add_argument("--head", metavar="HASH", help="that was printed before, 64 hex digits")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    from api.settings import Settings

    if arguments.head is not None and not _HASH.fullmatch(arguments.head):
        raise InputError(f"--head {arguments.head}: give 64 hex digits in lower case")
    settings = Settings(**({"database_url": arguments.database} if arguments.database else {}))
    verdict = asyncio.run(_verdict(settings.database_url, arguments.head))
    if arguments.json:
        print(json.dumps({**vars(verdict), "ok": verdict.ok}))
    else:
        print(_text(verdict))
    return 0 if verdict.ok else 1


async def _verdict(url: str, head: str | None) -> Verdict:
    from api.db.engine import open_engine, sessions_of
    from api.db.migrate import upgrade
    from api.identity.log import verify
    from api.identity.store import log_of

    engine = open_engine(url)
    try:
        await upgrade(engine)
        return verify(await log_of(sessions_of(engine)), head)
    finally:
        await engine.dispose()


def _text(verdict: Verdict) -> str:
    if verdict.broken is not None:
        return f"entry {verdict.broken} does not follow the {verdict.entries} before it: the log was changed"
    if not verdict.has_expected:
        return f"{verdict.entries} entries follow each other, but the head that was given is none of them"
    return f"{verdict.entries} entries follow each other; keep the head {verdict.head}"
