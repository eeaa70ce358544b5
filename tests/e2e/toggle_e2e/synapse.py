"""A real homeserver on loopback: Synapse on SQLite, for one test run."""

from __future__ import annotations

import os
import secrets
import sys
import time
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from signedjson.key import generate_signing_key, write_signing_keys

from .fragments import Fragment, merged
from .homeserver import SERVER_NAME, Homeserver
from .net import wait_for

GENEROUS = {"per_second": 10_000, "burst_count": 10_000}
_LIMITS = (
    "rc_message",
    "rc_registration",
    "rc_admin_redaction",
    "rc_3pid_validation",
    "rc_delayed_event_mgmt",
    "rc_reports",
    "rc_presence",
    "rc_room_creation",
    "rc_key_requests",
)


class Synapse(Homeserver):
    """One Synapse.

    `bcrypt_rounds` is low since tests log in often; the benchmark gives the
    server's own default, as a login's cost is part of a first start.
    `fragments` are merged into the configuration, in order. `clock_ahead` is
    how many seconds its clock is wrong.
    """

    def __init__(
        self,
        workdir: Path,
        bcrypt_rounds: int = 4,
        fragments: Iterable[Fragment] = (),
        clock_ahead: int = 0,
        port: int | None = None,
    ) -> None:
        super().__init__(workdir, port)
        self._secret = secrets.token_hex(16)
        self._admin_token = ""
        self._config_path = self._write_config(bcrypt_rounds, fragments)
        self._clock = _wrong_clock(workdir / "clock", clock_ahead) if clock_ahead else {}

    def _write_config(self, bcrypt_rounds: int, fragments: Iterable[Fragment]) -> Path:
        signing = self.workdir / "signing.key"
        with signing.open("w") as handle:
            write_signing_keys(handle, [generate_signing_key("e2e")])
        logging = self.workdir / "logging.yaml"
        logging.write_text(
            yaml.safe_dump(
                {
                    "version": 1,
                    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s"}},
                    "handlers": {
                        "file": {
                            "class": "logging.FileHandler",
                            "filename": str(self.log_path),
                            "formatter": "line",
                        }
                    },
                    "loggers": {"synapse.storage.SQL": {"level": "WARNING"}},
                    "root": {"level": "INFO", "handlers": ["file"]},
                    "disable_existing_loggers": False,
                }
            )
        )
        config: dict[str, Any] = {
            "server_name": SERVER_NAME,
            "public_baseurl": self.url + "/",
            "pid_file": str(self.workdir / "synapse.pid"),
            "listeners": [
                {
                    "port": self.port,
                    "type": "http",
                    "tls": False,
                    "bind_addresses": ["127.0.0.1"],
                    "resources": [{"names": ["client"], "compress": False}],
                }
            ],
            "database": {"name": "sqlite3", "args": {"database": str(self.workdir / "homeserver.db")}},
            "log_config": str(logging),
            "media_store_path": str(self.workdir / "media"),
            "signing_key_path": str(signing),
            "registration_shared_secret": self._secret,
            "macaroon_secret_key": secrets.token_hex(16),
            "form_secret": secrets.token_hex(16),
            "bcrypt_rounds": bcrypt_rounds,
            "report_stats": False,
            "enable_registration": False,
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "url_preview_enabled": False,
            "presence": {"enabled": False},
            # The tests fail servers on purpose; none may fail by a rate limit that was not meant.
            **{name: GENEROUS for name in _LIMITS},
            "rc_login": {name: GENEROUS for name in ("address", "account", "failed_attempts")},
            "rc_joins": {name: GENEROUS for name in ("local", "remote")},
            "rc_joins_per_room": GENEROUS,
            "rc_invites": {name: GENEROUS for name in ("per_room", "per_user", "per_issuer")},
        }
        path = self.workdir / "homeserver.yaml"
        path.write_text(yaml.safe_dump(merged(config, *fragments)))
        return path

    def _command(self) -> tuple[list[str], dict[str, str] | None]:
        command = [sys.executable, "-m", "synapse.app.homeserver", "--config-path", str(self._config_path)]
        return command, {**os.environ, "PYTHONUNBUFFERED": "1", **self._clock}

    def register(self, localpart: str, password: str, admin: bool = False) -> str:
        """Makes a user by the shared secret and gives its full id."""
        # A user comes without a device, so that every device there is belongs to a client under test.
        self._register(self._secret, localpart, password, admin, inhibit_login=True)
        return self.mxid(localpart)

    def admin(self, method: str, path: str, body: object | None = None) -> dict[str, Any]:
        """One request as a server administrator, who is made at first use."""
        if not self._admin_token:
            made = self._register(self._secret, f"admin-{secrets.token_hex(4)}", secrets.token_hex(8), True)
            self._admin_token = made["access_token"]
        return self.call(method, path, body, self._admin_token)

    def devices(self, user_id: str) -> dict[str, dict[str, Any]]:
        """The devices the server knows of a user, by id."""
        found = self.admin("GET", f"/_synapse/admin/v2/users/{urllib.parse.quote(user_id)}/devices")
        return {device["device_id"]: device for device in found["devices"]}

    def event(self, event_id: str) -> dict[str, Any]:
        """An event as the server keeps it, which no client could be kept from getting hold of."""
        path = f"/_synapse/admin/v1/fetch_event/{urllib.parse.quote(event_id)}"
        return dict(self.admin("GET", path)["event"])

    def members(self, room_id: str) -> dict[str, str]:
        """Who is in a room as the server sees it: membership by user id."""
        state = self.admin("GET", f"/_synapse/admin/v1/rooms/{urllib.parse.quote(room_id)}/state")["state"]
        return {
            event["state_key"]: event["content"]["membership"] for event in state if event["type"] == "m.room.member"
        }

    def wait_membership(self, room_id: str, user_id: str, membership: str = "join", timeout: float = 15) -> float:
        """Waits for a membership and gives the seconds it took."""
        started = time.monotonic()
        wait_for(
            f"{user_id} to be '{membership}' in {room_id}",
            lambda: self.members(room_id).get(user_id) == membership,
            timeout,
        )
        return time.monotonic() - started

    def log_mark(self) -> int:
        """A place in the server's log, to count requests from."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def requests_since(self, mark: int, method: str, path_part: str) -> list[str]:
        """The finished requests after a mark, one line of the access log each."""
        with self.log_path.open(errors="replace") as handle:
            handle.seek(mark)
            wanted = f'"{method} '
            return [
                line.rstrip()
                for line in handle
                if "synapse.access" in line and "Processed request" in line and wanted in line and path_part in line
            ]


def _wrong_clock(folder: Path, ahead: int) -> dict[str, str]:
    """The environment of a Python whose clock is wrong: it reads this module before anything asks for the time."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import time\n"
        "_time, _time_ns = time.time, time.time_ns\n"
        f"time.time = lambda: _time() + {ahead}\n"
        f"time.time_ns = lambda: _time_ns() + {ahead} * 10**9\n"
        "class Now:\n"
        "    # No function, which would become a method where a class holds it, as that of logging does.\n"
        "    def __init__(self, right):\n"
        "        self.right = right\n"
        "    def __call__(self, at=None):\n"
        "        return self.right(time.time() if at is None else at)\n"
        "time.gmtime, time.localtime = Now(time.gmtime), Now(time.localtime)\n"
    )
    return {"PYTHONPATH": str(folder)}
