"""A homeserver of another family on loopback: Dendrite on SQLite, one process.

It is written in Go, shares no code with Synapse, and fills fewer of the fields
that the specification leaves open: no `unsigned.age`, no counts, `null` here and
there.
"""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Any

import yaml

from .gotools import tool
from .homeserver import SERVER_NAME, Homeserver

_DATABASES = ("federation_api", "key_server", "media_api", "mscs", "relay_api", "room_server", "sync_api")


class Dendrite(Homeserver):
    """One Dendrite."""

    def __init__(self, workdir: Path, port: int | None = None) -> None:
        super().__init__(workdir, port)
        self._secret = secrets.token_hex(16)
        self._program = tool("dendrite")
        self._config_path = self._write_config()

    def _write_config(self) -> Path:
        key = self.workdir / "matrix_key.pem"
        seed = base64.b64encode(secrets.token_bytes(32)).decode()
        key.write_text(
            f"-----BEGIN MATRIX PRIVATE KEY-----\nKey-ID: ed25519:e2e\n\n{seed}\n-----END MATRIX PRIVATE KEY-----\n"
        )

        def database(name: str) -> dict[str, Any]:
            return {"connection_string": f"file:{self.workdir}/{name}.db"}

        config: dict[str, Any] = {name: {"database": database(name)} for name in _DATABASES}
        config |= {
            "version": 2,
            "global": {
                "server_name": SERVER_NAME,
                "private_key": str(key),
                "disable_federation": True,
                "trusted_third_party_id_servers": [],
                "jetstream": {"storage_path": str(self.workdir / "jetstream"), "topic_prefix": "Dendrite"},
                "cache": {"max_size_estimated": "64mb", "max_age": "1h"},
            },
            "client_api": {
                "registration_disabled": True,
                "registration_shared_secret": self._secret,
                # The tests fail servers on purpose; none may fail by a rate limit that was not meant.
                "rate_limiting": {"enabled": False},
            },
            "user_api": {"account_database": database("user_api"), "bcrypt_cost": 4},
            "logging": [{"type": "std", "level": "info"}],
        }
        config["media_api"]["base_path"] = str(self.workdir / "media")
        path = self.workdir / "dendrite.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def _command(self) -> tuple[list[str], dict[str, str] | None]:
        options = {"config": self._config_path, "http-bind-address": f"127.0.0.1:{self.port}"}
        return [str(self._program), *(f"--{name}={value}" for name, value in options.items())], None

    def register(self, localpart: str, password: str) -> str:
        """Makes a user by the server's secret and gives its full id; the device that this makes is ended."""
        made = self._register(self._secret, localpart, password, admin=False)
        self.call("POST", "/_matrix/client/v3/logout", {}, made["access_token"])
        return self.mxid(localpart)
