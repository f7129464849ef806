"""What can go wrong with a network of validators:

NetworkError       exit 2   base; a TrellisError
├── NoEngine       exit 2   the validators' programs are not built, and cannot be
├── NotStarted     exit 2   the network did not come up: which validator, and where its log is
├── Busy           exit 2   another command works on the same folder
└── Refused        exit 2   the network refused a transaction about its validators
"""

from __future__ import annotations

from settlement.errors import TrellisError


class NetworkError(TrellisError):
    """Something about a network of validators."""


class NoEngine(NetworkError):
    """The programs of the validators are missing."""


class NotStarted(NetworkError):
    """A validator, or all of them, did not come up."""


class Busy(NetworkError):
    """The folder is in use by another command."""


class Refused(NetworkError):
    """The P-chain refused, or dropped, a transaction."""
