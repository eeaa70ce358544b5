"""What all homeservers of the tests have in common: a process on loopback, and its client API."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .net import free_port, uninterrupted, wait_for

SERVER_NAME = "toggle.test"


class HttpError(Exception):
    """An answer that is not a success, with what the server said."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status, self.body = status, body


class Homeserver(ABC):
    """Starts, stops, freezes and asks one homeserver; `port` is for who has to know it before."""

    def __init__(self, workdir: Path, port: int | None = None) -> None:
        self.workdir = workdir
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = workdir / "homeserver.log"
        self._output_path = workdir / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        workdir.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def _command(self) -> tuple[list[str], dict[str, str] | None]:
        """What is run, and its environment; `None` is the caller's."""

    @abstractmethod
    def register(self, localpart: str, password: str) -> str:
        """Makes a user who has no device yet and gives its full id."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def name(self) -> str:
        """The software's name."""
        return type(self).__name__

    def start(self, timeout: float = 60) -> None:
        """Starts the server and waits until it answers."""
        self.launch()
        self.wait_ready(timeout)

    def launch(self) -> None:
        """Starts the server; something else can be done until `wait_ready`."""
        if self._process is not None:
            raise RuntimeError(f"{self.name} runs already")
        uninterrupted(self._spawn)

    def _spawn(self) -> None:
        command, environment = self._command()
        with self._output_path.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self.workdir,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )

    def wait_ready(self, timeout: float = 60) -> None:
        """Waits until the server answers."""
        wait_for(f"{self.name} to answer", self._answers, timeout, 0.1, self.tail)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended while it was starting:\n" + self.tail())
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

    def _register(self, secret: str, localpart: str, password: str, admin: bool, **more: object) -> dict[str, Any]:
        """Makes a user by the server's secret."""
        nonce = self.call("GET", "/_synapse/admin/v1/register")["nonce"]
        signed = [nonce, localpart, password, "admin" if admin else "notadmin"]
        mac = hmac.new(secret.encode(), "\0".join(signed).encode(), hashlib.sha1).hexdigest()
        wanted = {"nonce": nonce, "username": localpart, "password": password, "admin": admin, "mac": mac, **more}
        return self.call("POST", "/_synapse/admin/v1/register", wanted)

    def joined(self, room_id: str, token: str) -> set[str]:
        """Who is in a room, as the server tells somebody who is."""
        path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room_id)}/joined_members"
        return set(self.call("GET", path, token=token)["joined"])

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
