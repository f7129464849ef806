"""`trellis oracle`: what it is asked. What runs is imported only when it does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

WINDOW_S = 1800


def register(subparsers: Any) -> None:
    """Adds `trellis oracle` and its subcommands."""
    parser = subparsers.add_parser(
        "oracle",
        help="take signed readings from a broker, durably, and see what came",
        description="A node of the metering oracle: the broker's configuration, the service that stores "
        "signed readings, and what is there of a day.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_broker_config(commands)
    _add_run(commands)
    _add_day(commands)
    _add_opening(commands)
    _add_erase(commands)
    _add_serve(commands)
    _add_vote(commands)
    _add_post(commands)
    _add_secret(commands)


def _add_broker_config(commands: Any) -> None:
    parser = commands.add_parser(
        "broker-config",
        help="write the configuration of a Mosquitto for a registry's meters",
        description="Writes mosquitto.conf, passwords, acl and credentials.json (and certificates, with "
        "--tls-host) to a folder. A meter may publish on its own topic only, an oracle its receipts only. "
        "Written again, passwords and authority stay as they are.",
    )
    parser.add_argument("--dir", type=Path, required=True, metavar="DIR", help="the broker's folder")
    _add_registry(parser)
    parser.add_argument(
        "--tls-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name or address that meters call the broker by; with one or more, only TLS is spoken. Without, "
        "it listens on this machine's loopback alone",
    )
    parser.add_argument(
        "--oracle",
        action="append",
        metavar="NAME",
        help="name of an oracle node, for each one (default: oracle-1)",
    )
    parser.add_argument("--port", type=int, metavar="N", help="(default: 8883 with TLS, else 1883)")
    parser.add_argument(
        "--user",
        metavar="NAME",
        help="system user that root's Mosquitto becomes (default: whoever writes this)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=lambda arguments: _shell().broker_config(arguments))


def _add_run(commands: Any) -> None:
    parser = commands.add_parser(
        "run",
        help="store what meters publish, until SIGTERM or Ctrl-C",
        description="Takes signed readings from a broker. What is acknowledged is on disk. SIGHUP reads the "
        "registry again.",
    )
    parser.add_argument(
        "--broker", required=True, metavar="URL", help="mqtts://host:port, or mqtt:// locally"
    )
    _add_registry(parser)
    _add_data(parser)
    parser.add_argument(
        "--tls-ca", type=Path, metavar="FILE", help="certificates to trust (default: the machine's)"
    )
    parser.add_argument(
        "--username",
        default="oracle-1",
        metavar="NAME",
        help="the node's name, at the broker and in receipts (default: %(default)s)",
    )
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="its password, or the broker's credentials.json",
    )
    parser.add_argument(
        "--plaintext", action="store_true", help="allow mqtt:// to another machine: everything is readable"
    )
    _add_workers(parser)
    parser.add_argument(
        "--status-every", type=float, default=30, metavar="S", help="seconds between reports (default: 30)"
    )
    parser.add_argument("--json", action="store_true", help="report in JSON, one object a line")
    parser.set_defaults(run=lambda arguments: _shell().run(arguments))


def _add_day(commands: Any) -> None:
    parser = commands.add_parser(
        "day",
        help="what is stored of a delivery day",
        description="Chooses the readings that count among those stored, validates them and estimates the "
        "rest by the default rules, as a posting would, and counts. Nothing is posted.",
    )
    _add_data(parser)
    _add_registry(parser)
    _add_local_day(parser)
    parser.add_argument(
        "--past",
        type=int,
        default=7,
        metavar="N",
        help="days before it that estimates may be made from, as stored (default: %(default)s)",
    )
    _add_workers(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=lambda arguments: _shell().day(arguments))


def _add_opening(commands: Any) -> None:
    parser = commands.add_parser(
        "opening",
        help="write what opens a committed reading, for `trellis meter challenge --opening`",
        description="Of a run that was kept in the node's folder, the latest: the reading that it committed "
        "to, its salt and its proof. Give it to the account alone: it discloses the reading.",
    )
    _add_whose(parser)
    parser.add_argument("--window", type=int, required=True, metavar="N", help="index of the window")
    parser.add_argument(
        "--register", choices=("import", "export"), default="import", help="(default: %(default)s)"
    )
    parser.add_argument("--zone", type=int, metavar="Z", help="if runs of several zones have it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="(default: standard output)")
    parser.set_defaults(run=lambda arguments: _run_shell().opening(arguments))


def _add_erase(commands: Any) -> None:
    parser = commands.add_parser(
        "erase",
        help="forget the readings of a meter or account on a day",
        description="Overwrites the salts and reads of a meter, or of all meters of an account, in every run "
        "that was kept in the node's folder: each run has salts of its own. Nothing brings them back. Says "
        "what stays provable.",
    )
    _add_whose(parser)
    _add_local_day(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=lambda arguments: _run_shell().erase(arguments))


def _add_serve(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="an oracle node: store readings, compute runs, vote, post, answer challenges",
        description="Does what `run` does, and computes each run of each delivery day on its date from the "
        "node's own store, signs it once a quorum of nodes gets the same, posts it in turn, and answers "
        "challenges. Until SIGTERM or Ctrl-C; killed anywhere, it goes on.",
    )
    _add_config(parser)
    parser.add_argument(
        "--status-every", type=float, default=30, metavar="S", help="seconds between reports (default: 30)"
    )
    parser.add_argument("--json", action="store_true", help="report in JSON, one object a line")
    parser.set_defaults(run=lambda arguments: _voting().serve(arguments))


def _add_vote(commands: Any) -> None:
    parser = commands.add_parser(
        "vote",
        help="compute one run of a zone and day and sign it, without the other nodes",
        description="For when the broker is away: computes the run from the node's store, signs it unless "
        "this node signed another of it before, and writes the ballot for `trellis oracle post`.",
    )
    _add_one_run(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the ballot goes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=lambda arguments: _voting().vote(arguments))


def _add_post(commands: Any) -> None:
    parser = commands.add_parser(
        "post",
        help="post one run of a zone and day with the votes of other nodes",
        description="Posts what a quorum signed, this node among them, at once and not in its turn. Votes "
        "are those that the node heard, and the files that `trellis oracle vote` wrote at others.",
    )
    _add_one_run(parser)
    parser.add_argument("votes", nargs="*", type=Path, metavar="FILE", help="ballots of other nodes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=lambda arguments: _voting().post(arguments))


def _add_secret(commands: Any) -> None:
    parser = commands.add_parser(
        "secret",
        help="draw the secret that the day keys of all nodes begin from",
        description="Written once, for its owner only; bring it to every node.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="must not be there yet")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--date", metavar="YYYY-MM-DD", help="runs that are due before it get no key (default: today)"
    )
    source.add_argument(
        "--from", dest="data", type=Path, metavar="DIR", help="what the node of this folder has now instead"
    )
    parser.set_defaults(run=lambda arguments: _voting().secret(arguments))


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the node's file, TOML or JSON"
    )


def _add_one_run(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    parser.add_argument("--day", required=True, metavar="YYYY-MM-DD", help="the delivery day")
    parser.add_argument("--zone", type=int, required=True, metavar="Z", help="of the grid")
    parser.add_argument(
        "--run",
        dest="run_number",
        type=int,
        default=0,
        metavar="N",
        help="0 is the first, later ones are corrections (default: %(default)s)",
    )


def _add_whose(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--meter", metavar="ID", help="0x and 64 hex digits")
    whose.add_argument("--account", metavar="A", help="all its meters; 0x and 40 hex digits")


def _add_local_day(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--day", required=True, metavar="YYYY-MM-DD", help="local midnight to midnight")
    parser.add_argument("--tz", default="UTC", metavar="ZONE", help="such as Europe/London (default: UTC)")
    parser.add_argument(
        "--window",
        type=int,
        default=WINDOW_S,
        metavar="S",
        help="length of a window: 300, 900, 1800 or 3600 (default: %(default)s)",
    )


def _add_registry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--registry", type=Path, required=True, metavar="FILE", help="the meters, JSON")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the node's folder")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that verify signatures (default: 1, its own)",
    )


def _shell() -> Any:
    from oracle.live import shell

    return shell


def _run_shell() -> Any:
    from oracle import run_shell

    return run_shell


def _voting() -> Any:
    from oracle.voting import shell

    return shell
