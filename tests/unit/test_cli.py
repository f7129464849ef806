"""The shell of the command line: what it prints and what it exits with."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from settlement import cli
from settlement.errors import CheckFailed, InputError, MissingPrerequisite, TrellisError

Run = Callable[[argparse.Namespace], int | None]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], int]:
    """Run a function as `trellis probe`, registered as packages register theirs."""

    def invoke(run: Run) -> int:
        def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
            subparsers.add_parser("probe").set_defaults(run=run)

        class Registered:
            name = "probe"

            def load(self) -> Callable[..., None]:
                return register

        monkeypatch.setattr(cli, "entry_points", lambda group: [Registered()])
        return cli.main(["probe"])

    return invoke


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_chooses_its_exit_code(
    command: Callable[[Run], int], result: int | None, code: int
) -> None:
    assert command(lambda _: result) == code


@pytest.mark.parametrize(("error", "code"), [(InputError, 2), (MissingPrerequisite, 2), (CheckFailed, 1)])
def test_a_mistake_is_one_line_on_stderr(
    command: Callable[[Run], int], capsys: pytest.CaptureFixture[str], error: type[TrellisError], code: int
) -> None:
    def fail(_: argparse.Namespace) -> None:
        raise error("the book\n  is not there")

    assert command(fail) == code
    assert capsys.readouterr().err == "trellis: error: the book is not there\n"


def test_a_bug_keeps_its_traceback(command: Callable[[Run], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        command(lambda _: 1 // 0)


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("--version", 0), ("no-such-command", 2)])
def test_help_version_and_usage_exit_as_promised(argument: str, code: int) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([argument])
    assert left.value.code == code


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert "start here" in shown
    assert "exit codes" in shown
