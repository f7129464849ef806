"""`trellis api run`: the API as a process of its own. One process: the intake of orders is one writer."""

from __future__ import annotations

import argparse
import logging
from typing import Any

HOST, PORT = "127.0.0.1", 8000


def register(subparsers: Any) -> None:
    """Adds `trellis api`."""
    parser = subparsers.add_parser("api", help="serve the HTTP API")
    nested = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run_ = nested.add_parser(
        "run",
        help="answer HTTP until SIGTERM or Ctrl-C",
        description="Serves the API of one deployment; everything else is a setting (docs/settings.md). TLS "
        "is for a proxy in front. It logs JSON lines on standard error.",
    )
    run_.add_argument("--host", default=HOST, help="(default: %(default)s)")
    run_.add_argument("--port", type=int, default=PORT, metavar="P", help="(default: %(default)s)")
    run_.add_argument("--json", action="store_true", help="changes nothing: its log is JSON already")
    run_.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import uvicorn

    from api import logs
    from api.app import create_app
    from api.settings import Settings

    given: dict[str, Any] = {}  # all from the environment
    settings = Settings(**given)
    logs.configure(settings.log_level)
    server = logging.getLogger("uvicorn")
    server.handlers, server.propagate = logging.getLogger("trellis").handlers, False
    server.setLevel(logging.WARNING)
    app = create_app(settings)
    uvicorn.run(app, host=arguments.host, port=arguments.port, log_config=None, access_log=False)
    return 0
