"""The rules of RFC 3986 (appendix A) that EIP-4361 refers to, as regular expressions of the same names.

Every alternative begins with another letter than its neighbour can, so matching is linear in the text.
"""

from __future__ import annotations

import ipaddress
import re

UNRESERVED = r"A-Za-z0-9\-._~"
SUB_DELIMS = r"!$&'()*+,;="
GEN_DELIMS = r":/?#\[\]@"
PCT_ENCODED = r"%[0-9A-Fa-f]{2}"

SCHEME = r"[A-Za-z][A-Za-z0-9+\-.]*"
PCHAR = rf"(?:[{UNRESERVED}{SUB_DELIMS}:@]|{PCT_ENCODED})"
QUERY = FRAGMENT = rf"(?:[{UNRESERVED}{SUB_DELIMS}:@/?]|{PCT_ENCODED})*"

_USERINFO = rf"(?:[{UNRESERVED}{SUB_DELIMS}:]|{PCT_ENCODED})*"
_IP_FUTURE = rf"[vV][0-9A-Fa-f]+\.[{UNRESERVED}{SUB_DELIMS}:]+"
_REG_NAME = rf"(?:[{UNRESERVED}{SUB_DELIMS}]|{PCT_ENCODED})*"
_SEGMENTS = rf"(?:/{PCHAR}*)*"

_AUTHORITY = re.compile(
    rf"(?:(?P<userinfo>{_USERINFO})@)?"
    rf"(?P<host>\[(?:{_IP_FUTURE}|(?P<ipv6>[0-9A-Fa-f:.]+))\]|{_REG_NAME})"
    r"(?::(?P<port>[0-9]*))?",
    re.ASCII,
)
_URI = re.compile(
    rf"(?P<scheme>{SCHEME}):"
    rf"(?://(?P<authority>[^/?#]*)(?P<abempty>{_SEGMENTS})|/(?:{PCHAR}+{_SEGMENTS})?|{PCHAR}+{_SEGMENTS}|)"
    rf"(?:\?{QUERY})?(?:\#{FRAGMENT})?",
    re.ASCII,
)


def is_authority(text: str) -> bool:
    """Whether `text` is an `authority`; it may be empty, as the rule allows."""
    found = _AUTHORITY.fullmatch(text)
    return found is not None and (found["ipv6"] is None or _is_ipv6(found["ipv6"]))


def is_uri(text: str) -> bool:
    """Whether `text` is a `URI`: absolute, with its scheme."""
    found = _URI.fullmatch(text)
    return found is not None and (found["authority"] is None or is_authority(found["authority"]))


def _is_ipv6(text: str) -> bool:
    """`IPv6address`; the library follows the same rule once zones (`%`) are ruled out by its letters."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
