"""A real Keycloak on loopback, for one test run, and what tests do in its realms."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from . import keycloak_dist
from .net import free_port, uninterrupted

REPOSITORY = Path(__file__).resolve().parents[3]
SHIPPED = REPOSITORY / "deploy" / "keycloak"
TESTS = REPOSITORY / "tests" / "e2e" / "keycloak"

_KEYS = "org.keycloak.keys.KeyProvider"

# Loopback is reached directly, whatever proxy the machine has.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Keycloak:
    """Starts, stops, freezes and administers one server.

    It speaks http, and https with a certificate where one is given.
    """

    def __init__(self, workdir: Path, certificate: Path | None = None, key: Path | None = None) -> None:
        self.workdir = workdir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.https_port = free_port()
        self.https_url = f"https://127.0.0.1:{self.https_port}"
        self._options: tuple[str, ...] = ()
        if certificate and key:
            self._options = (
                f"--https-port={self.https_port}",
                f"--https-certificate-file={certificate}",
                f"--https-certificate-key-file={key}",
            )
        self._home = workdir / "home"
        self._output = workdir / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        self._token_until = 0.0

    def __enter__(self) -> Keycloak:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Starts the server; something else can be done until `wait_ready`."""
        kept = keycloak_dist.ensure_keycloak()
        if not self._home.is_dir():
            keycloak_dist.lay_out(kept, self._home)
        uninterrupted(self._spawn)

    def _spawn(self) -> None:
        self._process = keycloak_dist.spawn(self._home, self.port, self._output, self._options)

    def wait_ready(self) -> None:
        """Waits until the server answers."""
        assert self._process
        keycloak_dist.wait_ready(self._process, self.port, self._output)

    def stop(self) -> None:
        """Ends the server."""
        process, self._process = self._process, None
        if process is not None:
            keycloak_dist.kill(process)

    def pause(self) -> None:
        """Freezes the server: connections are taken and nothing is answered."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen server go on."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGCONT)

    def tail(self, lines: int = 25) -> str:
        """The end of what the server wrote."""
        return keycloak_dist.tail(self._output, lines)

    def admin(self, method: str, path: str, body: object | None = None) -> Any:
        """One request to the admin API, below `/admin/realms`."""
        if time.monotonic() > self._token_until:
            status, answer = password_grant(
                f"{self.url}/realms/master", "admin-cli", "", keycloak_dist.ADMIN, keycloak_dist.ADMIN_PASSWORD
            )
            if status != 200:
                raise keycloak_dist.KeycloakError(f"the administrator cannot log in: {answer}")
            self._token = answer["access_token"]
            self._token_until = time.monotonic() + answer["expires_in"] / 2
        request = urllib.request.Request(
            f"{self.url}/admin/realms{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        try:
            with _opener.open(request, timeout=60) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise keycloak_dist.KeycloakError(f"{method} {path}: HTTP {error.code}: {said}") from error

    def import_realm(self, name: str = "matrix", sso_callbacks: Iterable[str] = ()) -> Realm:
        """Makes a realm of the files that people import, under a name of its own, with what tests need besides.

        Its tokens name the address of `url` as their issuer, by whichever
        address they are asked for, as with Keycloak's `hostname` option.
        """
        document = _shipped("realm-matrix.json")
        document["realm"] = name
        self.admin("POST", "", document)
        self.admin("POST", f"/{name}/partialImport", json.loads((TESTS / "realm-tests.json").read_text()))
        realm = Realm(self, name)
        realm.change(attributes={"frontendUrl": self.url})
        mappers = f"/clients/{realm.client_id('named-by-sub')}/protocol-mappers/models"
        realm.admin("POST", mappers, _shipped("mapper-sub.json"))
        realm.admin("POST", "/clients", _shipped("client-synapse-sso.json") | {"redirectUris": list(sso_callbacks)})
        return realm


def _shipped(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SHIPPED / name).read_text())
    return found


@dataclass
class Realm:
    """One realm: its users, clients and keys."""

    keycloak: Keycloak
    name: str

    @property
    def issuer(self) -> str:
        """The `iss` of its tokens, when they are asked for at the server's own address."""
        return f"{self.keycloak.url}/realms/{self.name}"

    def admin(self, method: str, path: str, body: object | None = None) -> Any:
        """One request to the admin API, below this realm."""
        return self.keycloak.admin(method, f"/{self.name}{path}", body)

    def change(self, **settings: object) -> None:
        """Sets some of the realm's own settings."""
        self.admin("PUT", "", settings)

    def user(self, name: str, password: str, totp: str | None = None, **settings: object) -> str:
        """Makes a user who can log in, unless the settings say otherwise; gives its id.

        `totp` is the secret of a one-time password, as bytes in ASCII.
        """
        credentials: list[dict[str, Any]] = [{"type": "password", "value": password, "temporary": False}]
        if totp:
            credentials.append(
                {
                    "type": "otp",
                    "secretData": json.dumps({"value": totp}),
                    "credentialData": json.dumps(
                        {"subType": "totp", "digits": 6, "period": 30, "counter": 0, "algorithm": "HmacSHA1"}
                    ),
                }
            )
        self.admin(
            "POST",
            "/users",
            {
                "username": name,
                "enabled": True,
                "email": f"{name}@example.com",
                "emailVerified": True,
                "firstName": name,
                "lastName": "Bot",
                "credentials": credentials,
                **settings,
            },
        )
        return self.user_id(name)

    def user_id(self, name: str) -> str:
        """The id of a user."""
        (found,) = self.admin("GET", f"/users?exact=true&username={urllib.parse.quote(name)}")
        return str(found["id"])

    def change_user(self, user_id: str, **settings: object) -> None:
        """Sets some of a user's attributes."""
        self.admin("PUT", f"/users/{user_id}", settings)

    def client_id(self, client: str) -> str:
        """The internal id of a client."""
        (found,) = self.admin("GET", f"/clients?clientId={urllib.parse.quote(client)}")
        return str(found["id"])

    def client_secret(self, client: str) -> str:
        """The secret that Keycloak made for a client when it was imported."""
        return str(self.admin("GET", f"/clients/{self.client_id(client)}/client-secret")["value"])

    def new_client_secret(self, client: str) -> str:
        """Has Keycloak make another secret; the one before is worth nothing then."""
        return str(self.admin("POST", f"/clients/{self.client_id(client)}/client-secret")["value"])

    def public_key(self) -> str:
        """The key that tokens are checked with, as the realm's page shows it: base64, no PEM frame."""
        with _opener.open(self.issuer, timeout=10) as answer:
            return str(json.load(answer)["public_key"])

    def key_ids(self) -> set[str]:
        """The ids of the published keys that sign."""
        with _opener.open(f"{self.issuer}/protocol/openid-connect/certs", timeout=10) as answer:
            return {key["kid"] for key in json.load(answer)["keys"] if key.get("use") == "sig"}

    @contextmanager
    def rotated_keys(self) -> Iterator[None]:
        """Puts a new signing key in the place of the old one, which is of no use until the end."""
        query = f"/components?type={_KEYS}"
        (old,) = [one for one in self.admin("GET", query) if one["providerId"] == "rsa-generated"]
        config = {"priority": ["1000"], "algorithm": ["RS256"]}
        new = {"name": "rotated", "providerId": "rsa-generated", "providerType": _KEYS, "config": config}
        self.admin("POST", "/components", new)
        self._enable(old, False)
        try:
            yield
        finally:
            self._enable(old, True)
            (made,) = [one for one in self.admin("GET", query) if one["name"] == "rotated"]
            self.admin("DELETE", f"/components/{made['id']}")

    def _enable(self, component: dict[str, Any], enabled: bool) -> None:
        state = [str(enabled).lower()]
        config = component["config"] | {"enabled": state, "active": state}
        self.admin("PUT", f"/components/{component['id']}", component | {"config": config})

    def token(self, client: str, secret: str, user: str, password: str, code: str = "") -> tuple[int, dict[str, Any]]:
        """The password grant as the bot does it; gives the status and the answer."""
        return password_grant(self.issuer, client, secret, user, password, code)


def password_grant(
    realm_url: str, client: str, secret: str, user: str, password: str, code: str = ""
) -> tuple[int, dict[str, Any]]:
    """Asks a realm for a token with a user's password."""
    fields = {"grant_type": "password", "client_id": client, "username": user, "password": password}
    fields |= {name: value for name, value in (("client_secret", secret), ("totp", code)) if value}
    request = urllib.request.Request(
        f"{realm_url}/protocol/openid-connect/token", data=urllib.parse.urlencode(fields).encode()
    )
    try:
        with _opener.open(request, timeout=60) as answer:
            return int(answer.status), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def claims(token: str) -> dict[str, Any]:
    """What a token says; its signature is not looked at."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
