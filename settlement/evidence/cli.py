"""`trellis evidence`: fetches a bundle, checks one, and tells what it found."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from settlement.evidence.bundle import Bundle
    from settlement.evidence.report import Report

TOKEN = "TRELLIS_ACCESS_TOKEN"
TIMEOUT_S = 60


def register(subparsers: Any) -> None:
    """Adds `trellis evidence`."""
    parser = subparsers.add_parser(
        "evidence",
        help="fetch and verify the evidence of one order",
        description="A bundle has an order with its receipt, clearing, fills, readings and settlement, and "
        "the transactions that prove them. Verifying needs no network: docs/evidence.md.",
    )
    nested = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_verify(nested)
    _add_fetch(nested)


def _add_verify(nested: Any) -> None:
    parser = nested.add_parser(
        "verify",
        help="check a bundle; exit 1 if anything in it fails",
        description="Lists every check: it holds, fails, or cannot be made offline and why. Exit code 0: "
        "nothing fails; 1: something does, or with --strict is not checked; 2: it is no bundle.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the bundle, JSON")
    parser.add_argument(
        "--rpc",
        action="append",
        default=[],
        metavar="URL",
        help="of a node that you trust: all must have the blocks; the first is asked for what is only named",
    )
    parser.add_argument(
        "--trusted-block", action="append", default=[], metavar="HASH", help="of a block that you know"
    )
    parser.add_argument("--address", metavar="A", help="of the Exchange that the evidence should be of")
    parser.add_argument(
        "--opening",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a reading that an oracle disclosed (trellis oracle opening), checked as well",
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 if a check could not be made")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=_verify)


def _add_fetch(nested: Any) -> None:
    parser = nested.add_parser(
        "fetch",
        help="write the bundle that an API has",
        description=f"The access token is read from the environment variable {TOKEN}.",
    )
    parser.add_argument("order", metavar="ORDER", help="hash of the order")
    parser.add_argument("--api", required=True, metavar="URL", help="of the API, http(s)")
    parser.add_argument("--account", required=True, metavar="A", help="whose order it is")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="where the bundle is written")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_fetch)


# Verifying ----------------------------------------------------------------------------------------------


def _verify(arguments: argparse.Namespace) -> int:
    from settlement.audit.node import Node
    from settlement.evidence.bundle import pointers, read
    from settlement.evidence.completing import complete
    from settlement.evidence.verify import verify

    bundle = _with_openings(read(arguments.file), arguments.opening)
    nodes = [Node(url) for url in arguments.rpc]
    if nodes and bundle.withheld:
        bundle = complete(bundle, nodes[0])
    report = verify(
        bundle,
        trusted={_bytes(one, 32, "--trusted-block") for one in arguments.trusted_block},
        nodes=nodes,
        exchange=_bytes(arguments.address, 20, "--address") if arguments.address else None,
    )
    if arguments.json:
        fields = pointers(bundle.model_dump(mode="json"))
        print(json.dumps(report.as_json(fields), indent=2))
    else:
        _show(report)
    return 0 if report.complete or (report.ok and not arguments.strict) else 1


def _with_openings(bundle: Bundle, files: list[Path]) -> Bundle:
    """The bundle with readings that its account has of its oracle."""
    from pydantic import ValidationError

    from settlement.evidence.bundle import OpeningPart

    found = list(bundle.openings)
    for file in files:
        try:
            told = json.loads(file.read_text())
            fields = {name: told["opening"][name] for name in OpeningPart.model_fields}
            found.append(OpeningPart.model_validate(fields))
        except OSError as cause:
            raise InputError(f"--opening {file} cannot be read: {cause.strerror}") from cause
        except (ValueError, KeyError, TypeError, ValidationError) as cause:
            raise InputError(
                f"--opening {file} is no opening: write one with trellis oracle opening"
            ) from cause
    return bundle.model_copy(update={"openings": found})


def _bytes(text: str, length: int, option: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != length:
        raise InputError(f"{option} {text}: give 0x and {2 * length} hex digits")
    return found


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_column(overflow="fold")
    for one in report.checks:
        sign = {"fails": "FAILS", "unchecked": "-"}.get(one.status, "ok")
        table.add_row(one.name, sign, escape(one.why))
    console = Console()
    console.print(table)
    unchecked = sum(one.status == "unchecked" for one in report.checks)
    failed = sum(one.status == "fails" for one in report.checks)
    if failed:
        console.print(f"{failed} checks fail: this is no evidence of what it tells")
    elif unchecked:
        console.print(f"nothing fails; {unchecked} things could not be checked here")
    else:
        console.print("everything holds")


# Fetching -----------------------------------------------------------------------------------------------


def _fetch(arguments: argparse.Namespace) -> int:
    import httpx

    from settlement.evidence.bundle import parse

    token = os.environ.get(TOKEN)
    if not token:
        raise InputError(f"set {TOKEN} to an access token of the API")
    account, order = _bytes(arguments.account, 20, "--account"), _bytes(arguments.order, 32, "ORDER")
    path = f"/v1/accounts/0x{account.hex()}/orders/0x{order.hex()}/evidence"
    try:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(arguments.api.rstrip("/") + path, headers=headers, timeout=TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as cause:
        raise InputError(f"no API answers at {arguments.api} ({type(cause).__name__})") from cause
    if answer.status_code != 200:
        raise CheckFailed(f"the API answers {answer.status_code}: {_detail(answer)}")
    bundle = parse(answer.content, "the API's answer")
    arguments.out.write_bytes(answer.content)
    told = {
        "file": str(arguments.out),
        "transactions": len(bundle.transactions),
        "withheld": len(bundle.withheld),
    }
    text = f"{arguments.out}: {told['transactions']} transactions proved, {told['withheld']} withheld"
    print(json.dumps(told) if arguments.json else text)
    return 0


def _detail(answer: Any) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"
