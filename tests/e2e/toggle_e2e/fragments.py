"""The pieces of Synapse's configuration that docs/keycloak.md prints, filled in for a test.

The files are loaded as they are; only what stands in them for a person's own
host names and secrets is replaced. An example that is not there, or one that
nobody replaced, is an error: then the test would run on something else than
what people copy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .keycloak import REPOSITORY, Realm

FOLDER = REPOSITORY / "deploy" / "synapse"

KEYCLOAK = "https://keycloak.example.com"
ISSUER = f"{KEYCLOAK}/realms/matrix"
JWKS = f"{ISSUER}/protocol/openid-connect/certs"
SHARED_SECRET = "REPLACE-WITH-THE-SHARED-SECRET"
CLIENT_SECRET = "REPLACE-WITH-THE-CLIENT-SECRET"
KEYFILE = "/data/keycloak-matrix.pem"
PUBLIC_KEY = "REPLACE-WITH-THE-REALM'S-PUBLIC-KEY"

_EXAMPLE = re.compile(r"REPLACE-\S*|[\w.-]*example\.com\S*")

Fragment = dict[str, Any]


def fragment(name: str, replaced: Mapping[str, str]) -> Fragment:
    """A file of `deploy/synapse` with its examples replaced, the longest first."""
    text = (FOLDER / name).read_text()
    for example in sorted(replaced, key=len, reverse=True):
        if example not in text:
            raise ValueError(f"{name} has no {example!r} to replace")
        text = text.replace(example, replaced[example])
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    if left := _EXAMPLE.search(body):
        raise ValueError(f"{left[0]!r} of {name} was not replaced")
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def token_oauth(realm: Realm, jwks: str | None = None) -> Fragment:
    """Keycloak's tokens; `jwks` where its keys are fetched from another address."""
    return fragment("token-oauth.yaml", _oauth(realm, jwks))


def token_jwt(secret: str) -> Fragment:
    """Tokens of the bot's own."""
    return fragment("token-jwt-hs512.yaml", {SHARED_SECRET: secret})


def token_jwt_rs256(keyfile: Path, realm: Realm) -> Fragment:
    """Keycloak's tokens by a key in a file, which is written here."""
    keyfile.write_text(f"-----BEGIN PUBLIC KEY-----\n{realm.public_key()}\n-----END PUBLIC KEY-----\n")
    return fragment("token-jwt-rs256.yaml", {KEYFILE: str(keyfile)})


def combined(realm: Realm, secret: str) -> Fragment:
    """Both."""
    return fragment("combined.yaml", {**_oauth(realm), SHARED_SECRET: secret})


def jwt_config(realm: Realm) -> Fragment:
    """Synapse without the module."""
    return fragment("jwt-config.yaml", {ISSUER: realm.issuer, PUBLIC_KEY: realm.public_key()})


def oidc_providers(realm: Realm) -> Fragment:
    """Keycloak's page."""
    secret = realm.client_secret("synapse-sso")
    return fragment("oidc-providers.yaml", {ISSUER: realm.issuer, CLIENT_SECRET: secret})


def _oauth(realm: Realm, jwks: str | None = None) -> dict[str, str]:
    return {JWKS: jwks or f"{realm.issuer}/protocol/openid-connect/certs", ISSUER: realm.issuer}


def merged(base: Fragment, *more: Fragment) -> Fragment:
    """Configurations put together as a person does with an editor: lists grow, what is nested is merged."""
    result = dict(base)
    for one in more:
        for key, value in one.items():
            there = result.get(key)
            if isinstance(there, list) and isinstance(value, list):
                result[key] = there + value
            elif isinstance(there, dict) and isinstance(value, dict):
                result[key] = merged(there, value)
            else:
                result[key] = value
    return result
