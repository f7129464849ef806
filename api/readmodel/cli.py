"""`trellis index`: keeps, shows, verifies and makes again the read model of a deployment."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError

if TYPE_CHECKING:
    from api.readmodel.indexer import Indexer

Told = dict[str, Any]


def register(subparsers: Any) -> None:
    """Adds `trellis index`."""
    parser = subparsers.add_parser(
        "index",
        help="keep the database that the API reads where the chain is",
        description="Reads a deployment's blocks from a node into a database: SQLite in a file, or "
        "PostgreSQL. What is not given comes from the settings (docs/settings.md).",
    )
    nested = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = _command(nested, "run", "follow the chain until SIGTERM or Ctrl-C", _run)
    run.add_argument("--once", action="store_true", help="stop where the chain is now")
    again = _command(nested, "rebuild", "read the whole chain again, in place of what is kept", _rebuild)
    again.add_argument(
        "--verify",
        action="store_true",
        help="change nothing: compare what is kept with what the chain gives now; exit 1 if they differ",
    )
    _command(nested, "status", "where the database is, and where the chain is", _status)


def _command(
    nested: Any, name: str, told: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = nested.add_parser(name, help=told, description=told)
    parser.add_argument("--rpc", metavar="URL", help="of the node, http(s)")
    parser.add_argument("--address", metavar="A", help="of the Exchange, 0x and 40 hex digits")
    parser.add_argument(
        "--database", metavar="URL", help="sqlite+aiosqlite:///FILE or postgresql+asyncpg://…"
    )
    parser.add_argument(
        "--from-block", type=int, metavar="N", help="where the deployment begins (default: found by halving)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from api.readmodel.service import follow

    poll_s = _settings(arguments).index_poll_s

    async def work(indexer: Indexer) -> Told:
        step = await indexer.catch_up() if arguments.once else await follow(indexer, poll_s)
        return {"head": step.head, "latest": step.latest}

    told = _with_indexer(arguments, work)
    return _say(arguments, told, f"read up to block {told['head']} of {told['latest']}")


def _rebuild(arguments: argparse.Namespace) -> int:
    from api.readmodel.rebuild import rebuild, verify

    async def compare(indexer: Indexer) -> Told:
        found = await verify(indexer.source, indexer.store, indexer.first_block)
        return {"block": found.block, "tables": found.tables, "different": list(found.different)}

    async def replace(indexer: Indexer) -> Told:
        return {"block": await rebuild(indexer), "different": []}

    told = _with_indexer(arguments, compare if arguments.verify else replace)
    if told["different"]:
        text = f"at block {told['block']} these tables are not what the chain gives: "
        return _say(arguments, told, text + ", ".join(told["different"])) or 1
    if arguments.verify:
        return _say(arguments, told, f"{told['tables']} tables at block {told['block']} are identical")
    return _say(arguments, told, f"read again up to block {told['block']}")


def _status(arguments: argparse.Namespace) -> int:
    async def work(indexer: Indexer) -> Told:
        head, latest = await indexer.store.head(), await indexer.source.latest()
        block = None if head is None else head.number
        found = {"block": block, "latest": latest, "from_block": indexer.first_block}
        return found | {"behind": latest - (indexer.first_block - 1 if block is None else block)}

    told = _with_indexer(arguments, work)
    return _say(arguments, told, f"at block {told['block']} of {told['latest']}, {told['behind']} behind")


def _with_indexer(arguments: argparse.Namespace, work: Callable[[Indexer], Awaitable[Told]]) -> Told:
    from api.readmodel.service import opened

    if arguments.from_block is not None and arguments.from_block < 0:
        raise InputError("--from-block is a block number, from 0")

    async def main() -> Told:
        async with opened(_settings(arguments), arguments.from_block) as indexer:
            return await work(indexer)

    return asyncio.run(main())


def _settings(arguments: argparse.Namespace) -> Any:
    from api.settings import Settings

    given = {"rpc": arguments.rpc, "exchange": arguments.address, "database_url": arguments.database}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _say(arguments: argparse.Namespace, told: Told, text: str) -> int:
    print(json.dumps(told) if arguments.json else text)
    return 0
