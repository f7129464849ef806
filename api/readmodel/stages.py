"""How far a session is at a moment. What makes one void is no event: deadlines, pauses and the time do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Stage = Literal["open", "committed", "posted", "proved", "void"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A pause, Unix seconds."""

    began: int
    ended: int


def stage_of(session: Mapping[str, Any], pauses: Iterable[Interval], max_pause: int, now: int) -> Stage:
    """The stage of a row of `sessions`, as the Exchange would say it at `now`."""
    if session["proved_at"] is not None:
        return "proved"
    if now > deadline_of(session, pauses, max_pause, now):
        return "void"
    if session["committed_at"] is None:
        return "open"
    return "posted" if session["header_posted"] else "committed"


def deadline_of(session: Mapping[str, Any], pauses: Iterable[Interval], max_pause: int, now: int) -> int:
    """Of the commitment, then of the proof, with what pauses add: `max_pause` at most, all together.

    A pause adds how long it lasted, if it found the deadline of its time ahead and the gate came before its
    end.
    """
    extension = 0
    for pause in sorted(pauses, key=lambda one: one.began):
        if pause.began > now:
            continue
        ended = min(pause.ended, now)
        plain = _plain(session, ended)
        if plain + extension >= pause.began and session["gate"] <= ended:
            extension = min(extension + ended - pause.began, max_pause)
    return _plain(session, now) + extension


def _plain(session: Mapping[str, Any], at: int) -> int:
    committed = session["committed_at"]
    early = committed is None or committed > at
    return int(session["commit_by"] if early else session["prove_by"])
