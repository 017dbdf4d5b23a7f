"""One byte string for one value: canonical JSON (RFC 8785) and the digests of it.

Integers beyond 2^53 do not survive JSON and cannot be written; write them as decimal text.
"""

import json
from hashlib import sha256
from typing import Any

import rfc8785

from protocols.errors import PeerError


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value: sorted keys, no white space, shortest round-trip numbers, UTF-8."""
    return rfc8785.dumps(value)


def _whole(text: str) -> int | float:
    """A large float may be written without point or exponent (1e16 is 10000000000000000): beyond 2^53 it is read as the float it was."""
    return int(text) if abs(float(text)) < 2**53 else float(text)


def digest(content: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return "sha256:" + sha256(content).hexdigest()


def digest_bytes(name: str) -> bytes:
    """The 32 bytes that a `sha256:…` name stands for. Pre-condition: `name` was made by `digest`."""
    return bytes.fromhex(name.removeprefix("sha256:"))


def parse_canonical(content: bytes, what: str) -> Any:
    """The value of bytes that must be canonical already: parsing and encoding again gives the same bytes.

    Refuses duplicate keys, white space, other spellings of a number, invalid UTF-8. Errors: `PeerError NOT_CANONICAL`.
    """
    try:
        value = json.loads(content.decode("utf-8", "strict"), parse_int=_whole)
        again = canonical(value)
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        raise PeerError("NOT_CANONICAL", what=what) from None
    if again != content:
        raise PeerError("NOT_CANONICAL", what=what)
    return value
