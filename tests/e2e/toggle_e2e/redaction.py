"""What a bot must not write down: the secrets it was given, and the tokens that servers give it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

# Each is also given in a file, with `_FILE` behind its name.
VARIABLES = (
    "MATRIX_PASSWORD",
    "MATRIX_ACCESS_TOKEN",
    "MATRIX_RECOVERY_KEY",
    "CROSS_SIGNING_SEED",
    "KEYCLOAK_CLIENT_SECRET",
    "KEYCLOAK_TOTP_SECRET",
    "JWT_SECRET",
)

# How Synapse's access, refresh and login tokens begin, and every JSON Web Token.
# The ids of rooms and events are random text too, and have each of these now and
# then: what stands in the middle of one, or at its start, is none.
TOKENS = re.compile(r"(?<![\w$!-])(syt_|syr_|syl_|eyJ)")


def given_away(settings: dict[str, str], lines: Iterable[str]) -> list[str]:
    """The names of the secrets that are in what a bot with these settings wrote."""
    text = "\n".join(lines)
    found = [name for name, secret in _secrets(settings) if secret in text]
    return found + [f"a token ({start}…)" for start in sorted(set(TOKENS.findall(text)))]


def _secrets(settings: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name in VARIABLES:
        if given := settings.get(name):
            yield name, given
        path = Path(settings.get(f"{name}_FILE", ""))
        if path.is_file() and (held := path.read_text().strip()):
            yield f"{name}_FILE", held
    before, found, _ = settings.get("HTTPS_PROXY", "").rpartition("@")
    if found:
        yield "HTTPS_PROXY", before.rpartition(":")[2]
