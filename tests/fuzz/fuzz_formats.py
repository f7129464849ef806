"""Coverage-guided fuzzing of every format: `make fuzz`, or `python tests/fuzz/fuzz_formats.py NAME [RUNS]`.

A format may answer any bytes with records or with `BadFormat`. Anything else is a finding, and so is an input
of 4 KiB that takes 10 s or a process of 2 GiB. New formats of `oracle.formats.FORMATS` are included by
themselves; the samples of the unit tests are what it starts from. A finding is written to
`build/fuzz/NAME/`, to be turned into a unit test.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]

with atheris.instrument_imports(include=["oracle.formats"]):
    from oracle.errors import BadFormat
    from oracle.formats import FORMATS

RUNS = 20_000
MOST_BYTES, MOST_SECONDS, MOST_MEGABYTES = 4096, 10, 2048


def samples(module: ModuleType) -> list[tuple[bytes, bytes | None]]:
    """Right files of a format, with the keys to them."""
    import test_formats_charges_hostile as signed
    import test_formats_hostile as framed

    found = [(data, key) for each, data, key in signed.SAMPLES if each is module]
    return found + [(data, None) for each, data in framed.SAMPLES if each is module]


def fuzz(module: ModuleType, runs: int) -> None:
    """Runs until the number is reached or something is found; ends the process either way."""
    seeds = samples(module)
    key = next((key for _, key in seeds if key), None)
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{module.NAME}-"))
    for number, (data, _) in enumerate(seeds):
        (corpus / str(number)).write_bytes(data)
    findings = ROOT / "build" / "fuzz" / module.NAME
    findings.mkdir(parents=True, exist_ok=True)

    def judge(data: bytes) -> None:
        module.recognises(data)
        try:
            records = module.parse(data, key)
        except BadFormat:
            return
        assert [record.index for record in records] == list(range(len(records)))
        assert all(record.reason for record in records)

    limits = [f"-runs={runs}", f"-max_len={MOST_BYTES}", f"-timeout={MOST_SECONDS}"]
    limits += [f"-rss_limit_mb={MOST_MEGABYTES}", f"-artifact_prefix={findings}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], judge)
    atheris.Fuzz()


def main() -> None:
    names = {module.NAME: module for module in FORMATS}
    if len(sys.argv) < 2:
        print(" ".join(names))
    elif sys.argv[1] not in names:
        sys.exit(f"no format {sys.argv[1]}: there are {', '.join(names)}")
    else:
        fuzz(names[sys.argv[1]], int(sys.argv[2]) if len(sys.argv) > 2 else RUNS)


if __name__ == "__main__":
    main()
