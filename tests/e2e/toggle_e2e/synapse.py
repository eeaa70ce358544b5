"""A real homeserver on loopback: Synapse on SQLite, for one test run."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from signedjson.key import generate_signing_key, write_signing_keys

from .fragments import Fragment, merged
from .net import free_port, uninterrupted, wait_for

SERVER_NAME = "toggle.test"
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


class HttpError(Exception):
    """An answer that is not a success, with what the server said."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status


class Synapse:
    """Starts, stops, freezes and asks one homeserver.

    `bcrypt_rounds` is low since tests log in often; the benchmark gives the
    server's own default, as a login's cost is part of a first start.
    `fragments` are merged into the configuration, in order. `clock_ahead` is
    how many seconds its clock is wrong; `port` is for who has to know it before.
    """

    def __init__(
        self,
        workdir: Path,
        bcrypt_rounds: int = 4,
        fragments: Iterable[Fragment] = (),
        clock_ahead: int = 0,
        port: int | None = None,
    ) -> None:
        self.workdir = workdir
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = workdir / "homeserver.log"
        self._output_path = workdir / "output.log"
        self._secret = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._admin_token = ""
        workdir.mkdir(parents=True, exist_ok=True)
        self._config_path = self._write_config(bcrypt_rounds, fragments)
        self._clock = _wrong_clock(workdir / "clock", clock_ahead) if clock_ahead else {}

    def __enter__(self) -> Synapse:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

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

    def start(self, timeout: float = 60) -> None:
        """Starts the server and waits until it answers."""
        self.launch()
        self.wait_ready(timeout)

    def launch(self) -> None:
        """Starts the server; something else can be done until `wait_ready`."""
        if self._process is not None:
            raise RuntimeError("Synapse runs already")
        uninterrupted(self._spawn)

    def _spawn(self) -> None:
        with self._output_path.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "synapse.app.homeserver", "--config-path", str(self._config_path)],
                cwd=self.workdir,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self._clock},
            )

    def wait_ready(self, timeout: float = 60) -> None:
        """Waits until the server answers."""
        wait_for("Synapse to answer", self._answers, timeout, 0.1, self.tail)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("Synapse ended while it was starting:\n" + self.tail())
        try:
            with urllib.request.urlopen(self.url + "/_matrix/client/versions", timeout=2) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    def stop(self) -> None:
        """Ends the server; its database stays, so `start` takes up where it was."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Takes the server away at once, frozen or not; `start` takes up where it was."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Freezes the server: connections stay open and nothing is answered."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen server go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def mxid(self, localpart: str) -> str:
        """The full id of a local user."""
        return f"@{localpart}:{SERVER_NAME}"

    def call(
        self,
        method: str,
        path: str,
        body: object | None = None,
        token: str | None = None,
        timeout: float = 20,
    ) -> dict[str, Any]:
        """One request to the client or admin API."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                result: dict[str, Any] = json.load(answer)
                return result
        except urllib.error.HTTPError as error:
            raise HttpError(error.code, error.read().decode(errors="replace")) from error

    def register(self, localpart: str, password: str, admin: bool = False) -> str:
        """Makes a user by the shared secret and gives its full id."""
        self._register(localpart, password, admin)
        return self.mxid(localpart)

    def _register(self, localpart: str, password: str, admin: bool) -> dict[str, Any]:
        nonce = self.call("GET", "/_synapse/admin/v1/register")["nonce"]
        signed = [nonce, localpart, password, "admin" if admin else "notadmin"]
        mac = hmac.new(self._secret.encode(), "\0".join(signed).encode(), hashlib.sha1)
        return self.call(
            "POST",
            "/_synapse/admin/v1/register",
            {
                "nonce": nonce,
                "username": localpart,
                "password": password,
                "admin": admin,
                "mac": mac.hexdigest(),
                # A user comes without a device, so that every device there is belongs to a client under test.
                "inhibit_login": not admin,
            },
        )

    def admin(self, method: str, path: str, body: object | None = None) -> dict[str, Any]:
        """One request as a server administrator, who is made at first use."""
        if not self._admin_token:
            made = self._register(f"admin-{secrets.token_hex(4)}", secrets.token_hex(8), True)
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

    def tail(self, lines: int = 40) -> str:
        """The end of what the server wrote, for a failure's report."""
        shown = []
        for path in (self._output_path, self.log_path):
            if path.exists():
                with path.open("rb") as handle:
                    handle.seek(max(0, path.stat().st_size - 200_000))
                    text = handle.read().decode(errors="replace")
                shown.append(f"--- {path.name}\n" + "\n".join(text.splitlines()[-lines:]))
        return "\n".join(shown)


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
