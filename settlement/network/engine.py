"""The programs of a validator: avalanchego, and Subnet-EVM as its plugin, built here from pinned sources.

`engine/go.mod` and `engine/go.sum` name every source by its hash. The first build downloads them and takes
minutes; afterwards nothing is done until one of these files changes. They are programs of their own licences
(BSD-3, LGPL-3) that are run, not linked: nothing of theirs is in this package.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from settlement.chain.anvil import ROOT
from settlement.network.errors import NoEngine

SOURCES = Path(__file__).resolve().parent / "engine"
BUILT = ROOT / "build" / "network"
VM_ID = "srEXiWaHuhNyGwPUi444Tu47ZEDwxTWrbQiuD7FmgSAQ6X7Dy"
"""Subnet-EVM's; a plugin's file has its name."""
AVALANCHEGO = "github.com/ava-labs/avalanchego"
CLOCK = "utils/timer/mockable/clock.go"
"""The one file that the engine with a movable clock has otherwise."""
OLDEST_GO = (1, 23)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Engine:
    """Where the programs are."""

    node: Path
    """avalanchego."""
    plugins: Path
    """Folder with the one plugin."""


def find_engine(*, movable: bool = False) -> Engine:
    """The built engine. NoEngine if it is not, or what it is built from has changed since."""
    found = Engine(BUILT / "avalanchego", BUILT / _folder(movable))
    for target, stamp in ((found.node, "avalanchego"), (found.plugins / VM_ID, _folder(movable))):
        if not target.is_file() or not _is_current(stamp):
            raise NoEngine(
                "the validators' engine is not built, or of older sources: run `make network-engine`"
            )
    return found


def build_engine(tell: Tell, *, movable: bool = False) -> Engine:
    """Builds what is missing. NoEngine if there is no Go, or the build fails."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with _alone():
        steps = [("avalanchego", BUILT / "avalanchego", f"{AVALANCHEGO}/main")]
        steps.append((_folder(movable), BUILT / _folder(movable) / VM_ID, "./plugin"))
        for name, target, package in steps:
            if not (target.is_file() and _is_current(name)):
                tell(f"building {name} from {package}: minutes the first time")
                _build(target, package, movable=movable and name != "avalanchego")
                _stamp(name).write_text(_digest() + "\n")
    return find_engine(movable=movable)


def find_go() -> str:
    """The Go compiler. NoEngine if there is none, or one too old."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise NoEngine("go is not on PATH: install Go 1.23 or later (https://go.dev/dl) and a C compiler")
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    parts = said.strip().removeprefix("go").split(".")
    if len(parts) < 2 or not all(part.isdigit() for part in parts[:2]):
        raise NoEngine(f"{go} does not tell its version: install Go 1.23 or later")
    if (int(parts[0]), int(parts[1])) < OLDEST_GO:
        raise NoEngine(f"{go} is Go {said.strip().removeprefix('go')}: install 1.23 or later")
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        raise NoEngine("no C compiler is on PATH, which the BLS library needs: install gcc")
    return go


def _folder(movable: bool) -> str:
    return "plugins-movable" if movable else "plugins"


def _build(target: Path, package: str, *, movable: bool) -> None:
    go = find_go()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        made = Path(folder) / "made"
        command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(made)]
        if movable:
            command.append(f"-modfile={_with_movable_clock(go, Path(folder))}")
        _run([*command, package], f"{package} could not be built")
        os.replace(made, target)


def _with_movable_clock(go: str, folder: Path) -> Path:
    """A go.mod that takes avalanchego from a copy in which one file is ours."""
    told = json.loads(_run([go, "mod", "download", "-json", AVALANCHEGO], f"no {AVALANCHEGO} is to be had"))
    copy = folder / "avalanchego"
    shutil.copytree(
        told["Dir"], copy, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("*_test.go")
    )
    (copy / CLOCK).write_bytes((SOURCES / "movable" / "clock.go").read_bytes())
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(SOURCES / name, folder / name)
    _run([go, "mod", "edit", f"-replace={AVALANCHEGO}={copy}", str(folder / "go.mod")], "go.mod is not ours")
    return folder / "go.mod"


def _run(command: list[str], otherwise: str) -> str:
    """What it prints. NoEngine with the last of what it complains about."""
    ran = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    if ran.returncode:
        last = ran.stderr.strip().splitlines()[-3:]
        raise NoEngine(f"{otherwise}: {' '.join(last) or 'go said nothing'}")
    return ran.stdout


def _digest() -> str:
    """Of all that the programs are built from."""
    found = hashlib.sha256()
    for path in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _stamp(name: str) -> Path:
    return BUILT / f"{name}.sha256"


def _is_current(name: str) -> bool:
    return _stamp(name).is_file() and _stamp(name).read_text().strip() == _digest()


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time; whoever comes second finds it done."""
    with (BUILT / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """`make network-engine`."""
    from settlement.errors import TrellisError

    try:
        built = build_engine(lambda line: print(line, file=sys.stderr, flush=True))
        if "--movable" in sys.argv[1:]:
            build_engine(lambda line: print(line, file=sys.stderr, flush=True), movable=True)
    except TrellisError as error:
        print(f"trellis: error: {error.message}", file=sys.stderr)
        return error.exit_code
    print(f"the validators' engine is in {built.node.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
