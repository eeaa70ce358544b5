"""Signed tokens in their compact form (RFC 7515), put together by hand so that they can be wrong in any way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Object = dict[str, Any]


def header_of(token: str) -> Object:
    """The header of a token."""
    part = token.split(".")[0]
    found: Object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def by_rsa(key: rsa.RSAPrivateKey, header: Object, claims: Object) -> str:
    """A token that is signed by RS256, whatever its header says."""
    text = f"{packed(header)}.{packed(claims)}"
    return f"{text}.{encoded(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def by_ec(key: ec.EllipticCurvePrivateKey, header: Object, claims: Object) -> str:
    """A token that is signed by ES256, whatever its header says."""
    text = f"{packed(header)}.{packed(claims)}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def by_secret(secret: bytes, header: Object, claims: Object) -> str:
    """A token that is signed by HS256, whatever its header says."""
    text = f"{packed(header)}.{packed(claims)}"
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def packed(document: Object) -> str:
    """A part of a token."""
    return encoded(json.dumps(document, separators=(",", ":")).encode())


def number(value: int, size: int) -> str:
    """A number of so many bytes, as keys have it."""
    return encoded(value.to_bytes(size, "big"))


def encoded(content: bytes) -> str:
    """Bytes as tokens have them."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
