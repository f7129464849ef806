"""What a user can be told. One tree:

    TrellisError               exit 2   base; raise one of its children
    ├── InputError             exit 2   a file, an argument or a message is wrong
    ├── MissingPrerequisite    exit 2   the machine lacks something: say how to get it
    └── CheckFailed            exit 1   everything ran, and what was checked does not hold

A message is one sentence: what is wrong and what to do about it. The command line prints it as it is.
Anything else that reaches the top is a bug and shows its traceback.
"""

from __future__ import annotations


class TrellisError(Exception):
    """A mistake that the user can mend."""

    exit_code = 2

    @property
    def message(self) -> str:
        return " ".join(str(self).split())


class InputError(TrellisError):
    """A file, an argument or a message is wrong."""


class MissingPrerequisite(TrellisError):
    """The machine lacks something that the command needs."""


class CheckFailed(TrellisError):
    """What was checked does not hold."""

    exit_code = 1
