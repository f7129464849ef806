"""What the oracle refuses, under the tree of `settlement.errors`.

    InputError
    ├── BadFormat          bytes that are not of a format at all
    ├── UnknownFormat      a file that no format recognises
    ├── TooLarge           a file beyond what is read of one
    ├── BadPublicKey       text or a file that is no public key
    ├── BadMessage         a meter message whose bytes or fields are out of range
    ├── BadMeterKey        a public or private key that is none, or serves two accounts
    ├── RevokedKey         a key that was revoked, asked for to verify with
    ├── DuplicateMeter     one meter id registered twice
    ├── UnknownMeter       a meter id that is not registered
    ├── UnknownAccount     an account that is not in the zone
    ├── UnknownReading     no reading or commitment under that meter, register and window
    ├── ErasedSalt         the salt of a reading was erased: it can no longer be opened
    ├── WrongShape         an array that does not have the day's windows or series
    ├── WrongLength        windows of another length, or of one that does not fill the day's
    ├── MisalignedDay      a local day that is not made of whole windows
    ├── UnknownTimeZone    a name that the time zone database does not have
    ├── OutOfRange         an energy, price or count beyond its type
    ├── BadNodeSignature   a node's signature that is malformed or recovers to nobody
    ├── UnknownSigner      a signature by somebody who is no oracle node
    ├── BadBallot          what is no ballot of an oracle node
    ├── BadRegistry        a registry file, with the entry and field that is wrong
    ├── BadStore           a store of readings that cannot be used
    └── BadBroker          an address, credential or folder of a broker that cannot be used
    CheckFailed
    ├── BadSignature       a meter signature that does not verify
    ├── NotYet             a run that cannot be made now: it says what it waits for
    ├── UnprovenTotal      a proof of an account's window that does not hold
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


class BadFormat(_Offending, InputError):
    template = "this is not {}"


class UnknownFormat(_Offending, InputError):
    template = "no format recognises {}"


class TooLarge(_Offending, InputError):
    template = "{} is too large"


class BadPublicKey(_Offending, InputError):
    template = "{} is no public key"


class BadMessage(_Offending, InputError):
    template = "{} is not a meter message"


class BadMeterKey(_Offending, InputError):
    template = "the key of meter {} cannot be used"


class RevokedKey(_Offending, InputError):
    template = "the key of meter {} was revoked"


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


class WrongLength(_Offending, InputError):
    template = "a window of {} s does not fit"


class MisalignedDay(_Offending, InputError):
    template = "the local day {} has no whole windows"


class UnknownTimeZone(_Offending, InputError):
    template = "there is no time zone {}"


class OutOfRange(_Offending, InputError):
    template = "{} is out of range"


class BadNodeSignature(_Offending, InputError):
    template = "{} is no signature of an oracle node"


class UnknownSigner(_Offending, InputError):
    template = "{} is no oracle node"


class BadBallot(_Offending, InputError):
    template = "{} is no ballot"


class BadRegistry(_Offending, InputError):
    template = "{}"


class BadStore(_Offending, InputError):
    template = "the store {} cannot be used"


class BadBroker(_Offending, InputError):
    template = "the broker {} cannot be used"


class BadSignature(_Offending, CheckFailed):
    template = "the signature of meter {} does not verify"


class NotYet(_Offending, CheckFailed):
    template = "no run of day {} can be made now"


class UnprovenTotal(_Offending, CheckFailed):
    template = "the total of account {} is not proved"


class WrongWindow(_Offending, CheckFailed):
    template = "window {} does not belong to the day"


class TooFewSigners(_Offending, CheckFailed):
    template = "only {} distinct oracle nodes signed"


class SplitQuorum(_Offending, CheckFailed):
    template = "more than one posting reached the quorum: {}"
