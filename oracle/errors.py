"""What the oracle refuses, under the tree of `settlement.errors`.

    InputError
    ├── BadMessage         a meter message whose bytes or fields are out of range
    ├── BadMeterKey        a public or private key that is none, or serves two accounts
    ├── DuplicateMeter     one meter id registered twice
    ├── UnknownMeter       a meter id that is not registered
    ├── UnknownAccount     an account that is not in the zone
    ├── UnknownReading     no reading or commitment under that meter, register and window
    ├── ErasedSalt         the salt of a reading was erased: it can no longer be opened
    ├── WrongShape         an array that does not have the day's windows or series
    ├── OutOfRange         an energy, price or count beyond its type
    ├── BadNodeSignature   a node's signature that is malformed or recovers to nobody
    └── UnknownSigner      a signature by somebody who is no oracle node
    CheckFailed
    ├── BadSignature       a meter signature that does not verify
    ├── WrongWindow        a reading outside the day, or of another window length
    ├── TooFewSigners      fewer distinct nodes signed than the quorum
    └── SplitQuorum        two different postings each reached the quorum

A bad *reading* in a batch is not raised but collected (`oracle.intake.Rejected`); these are raised where one
thing was asked for and cannot be had. Every error keeps the offending id in `offender`.
"""

from __future__ import annotations

from settlement.errors import CheckFailed, InputError


def _show(offender: object) -> str:
    return "0x" + offender.hex() if isinstance(offender, bytes) else str(offender)


class _Offending(Exception):
    """Keeps the offending id beside the sentence. `template` has one `{}` for it."""

    template = "{}"

    def __init__(self, offender: object, detail: str = "") -> None:
        self.offender = offender
        self.detail = detail
        super().__init__(self.template.format(_show(offender)) + (f": {detail}" if detail else ""))


class BadMessage(_Offending, InputError):
    template = "{} is not a meter message"


class BadMeterKey(_Offending, InputError):
    template = "the key of meter {} cannot be used"


class DuplicateMeter(_Offending, InputError):
    template = "meter {} is registered twice"


class UnknownMeter(_Offending, InputError):
    template = "meter {} is not registered"


class UnknownAccount(_Offending, InputError):
    template = "account {} is not in this zone"


class UnknownReading(_Offending, InputError):
    template = "there is no reading {}"


class ErasedSalt(_Offending, InputError):
    template = "the salt of reading {} was erased"


class WrongShape(_Offending, InputError):
    template = "{} has the wrong shape"


class OutOfRange(_Offending, InputError):
    template = "{} is out of range"


class BadNodeSignature(_Offending, InputError):
    template = "{} is no signature of an oracle node"


class UnknownSigner(_Offending, InputError):
    template = "{} is no oracle node"


class BadSignature(_Offending, CheckFailed):
    template = "the signature of meter {} does not verify"


class WrongWindow(_Offending, CheckFailed):
    template = "window {} does not belong to the day"


class TooFewSigners(_Offending, CheckFailed):
    template = "only {} distinct oracle nodes signed"


class SplitQuorum(_Offending, CheckFailed):
    template = "more than one posting reached the quorum: {}"
