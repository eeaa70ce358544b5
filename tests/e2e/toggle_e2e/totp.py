"""One-time passwords of RFC 6238 as Keycloak makes them by default: SHA-1, six digits, 30 seconds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time

PERIOD = 30


def code(secret: str, at: float | None = None) -> str:
    """The password of a moment."""
    step = int((time.time() if at is None else at) // PERIOD)
    digest = hmac.new(secret.encode(), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 0xF
    (number,) = struct.unpack_from(">I", digest, offset)
    return f"{(number & 0x7FFFFFFF) % 10**6:06}"


def shown(secret: str) -> str:
    """The secret as Keycloak shows it to a person: base32, in groups of four."""
    text = base64.b32encode(secret.encode()).decode().rstrip("=")
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))
