"""A realm of Keycloak whose access tokens the gateway takes, and tokens that it has not made like that.

One of the realm's signing keys is known here too: a token that is changed in one place
is signed again with it, so that nothing but that place can be what is refused.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .administrator import Object
from .controlplane import ControlPlane
from .gateway import Installed, install
from .jws import by_ec, by_rsa, header_of, number
from .keycloak import Keycloak, Realm, claims
from .podnet import PodNetwork
from .redaction import TOKENS
from .standins import StandIn, read_head

AUDIENCE = "openclaw-gateway"
CLI, ROBOT = "openclaw-cli", "openclaw-robot"
"""The clients whose tokens are taken: of people, and one that is its own user."""
OIDC = {
    # The chart takes https alone. A replica on this machine is given what is here.
    "issuerURL": "https://keycloak.example.org/realms/people",
    "audience": AUDIENCE,
    "allowedClients": [CLI, ROBOT, "modern", "lasting", "bound"],
}
"""The chart's values for a gateway that takes such tokens."""
CLIENT_ROLES = f"resource_access.{CLI}.roles"

ALICE, BOB, PASSWORD = "alice", "bob", "the-password-of-a-person"
"""Alice has a role of the realm and one of the client. Bob has none that means anything."""
ROBOT_SECRET = "the-secret-of-the-robot"

_KEYS = "org.keycloak.keys.KeyProvider"

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def taking_people(cluster: ControlPlane, namespace: str, workdir: Path, config: Object) -> Iterator[Installed]:
    """A release that takes the realm's tokens and no others; its logs must show none of them."""
    with PodNetwork() as network:
        cluster.pod_network = network
        cluster.create_namespace(namespace)
        made = install(cluster, namespace, workdir, config, oidc=OIDC)
        try:
            yield made
            log = "\n".join(line for one in made.replicas for line in one.lines())
            assert not TOKENS.search(log), "the log has a token"
        finally:
            made.stop()
            cluster.pod_network = None


class Way(StandIn):
    """The gateway's way to Keycloak: it notes what is asked for, and can be shut or freeze."""

    def __init__(self, keycloak: Keycloak) -> None:
        self._keycloak = keycloak
        self.is_open = True
        self._thawed = threading.Event()
        self._thawed.set()
        self.asked: list[tuple[float, str]] = []
        """The time and the path of each request, let through or not."""
        super().__init__()

    def serve(self, connection: Any) -> None:
        path = [*read_head(connection).split(" "), "", ""][1]
        self.asked.append((time.monotonic(), path))
        if not self._thawed.is_set():
            self._thawed.wait(60)
            return
        if not self.is_open:
            return
        request = urllib.request.Request(self._keycloak.url + path, headers={"Host": f"127.0.0.1:{self.port}"})
        with _opener.open(request, timeout=30) as answer:
            body = answer.read()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes what it is asked, and never answers."""
        self._thawed.clear()
        try:
            yield
        finally:
            self._thawed.set()

    @property
    def fetches(self) -> list[float]:
        """The times at which the keys were asked for: the provider's configuration comes first each time."""
        return [at for at, path in self.asked if path.endswith("/.well-known/openid-configuration")]


class People:
    """A realm, and who asks it for tokens. Its issuer is at the gateway's way to it."""

    def __init__(self, keycloak: Keycloak, name: str) -> None:
        self.way = Way(keycloak)
        self.issuer = f"{self.way.url}/realms/{name}"
        self.realm = Realm(keycloak, name)
        self.key = _key()
        keycloak.admin("POST", "", _realm(name, self.key))

    def stop(self) -> None:
        """Shuts the way for good."""
        self.way.stop()

    def grant(self, client: str = CLI, user: str = ALICE, **headers: str) -> dict[str, Any]:
        """The tokens of a person who logs in with a client."""
        fields = {"grant_type": "password", "client_id": client, "username": user, "password": PASSWORD}
        return self._ask(fields | {"scope": "openid"}, headers)

    def token(self, client: str = CLI, user: str = ALICE) -> str:
        """The access token of a person."""
        return str(self.grant(client, user)["access_token"])

    def robot_token(self) -> str:
        """The access token of a client for itself."""
        fields = {"grant_type": "client_credentials", "client_id": ROBOT, "client_secret": ROBOT_SECRET}
        return str(self._ask(fields, {})["access_token"])

    def bound_token(self) -> str:
        """An access token that Keycloak has bound to a key of its holder, who has proven to have it (RFC 9449)."""
        key = ec.generate_private_key(ec.SECP256R1())
        point = key.public_key().public_numbers()
        public = {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
        url = f"{self.issuer}/protocol/openid-connect/token"
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public}
        proof = {"jti": str(uuid.uuid4()), "htm": "POST", "htu": url, "iat": int(time.time())}
        return str(self.grant(DPoP=by_ec(key, header, proof))["access_token"])

    def _ask(self, fields: dict[str, str], headers: dict[str, str]) -> dict[str, Any]:
        """Asks Keycloak directly, for the way may be shut; the issuer is what it is asked as."""
        url = f"{self.realm.issuer}/protocol/openid-connect/token"
        headers = headers | {"Host": urllib.parse.urlsplit(self.issuer).netloc}
        request = urllib.request.Request(url, urllib.parse.urlencode(fields).encode(), headers)
        try:
            with _opener.open(request, timeout=60) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"no token: {error.read().decode()}") from error

    def rotate(self) -> None:
        """Puts another signing key in the place of the known one, which is published no longer."""
        [known] = [one for one in self.realm.admin("GET", f"/components?type={_KEYS}") if one["name"] == "known"]
        self.realm.admin("POST", "/components", _provider("rotated", _key()) | {"providerType": _KEYS})
        self.realm.admin("DELETE", f"/components/{known['id']}")

    def again(self, token: str, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token with other claims, and fields of its header, signed with the realm's key; None leaves one out."""
        head = _without_none(header_of(token) | (header or {}))
        said = _without_none(claims(token) | changed)
        return by_rsa(self.key, head, said)

    def published(self) -> list[dict[str, Any]]:
        """The public parts of the realm's keys."""
        with _opener.open(f"{self.realm.issuer}/protocol/openid-connect/certs", timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["keys"]
            return found

    def public_pem(self) -> bytes:
        """The realm's key as everybody may have it."""
        public = self.key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _provider(name: str, key: rsa.RSAPrivateKey, algorithm: str = "RS256") -> dict[str, Any]:
    """A key as Keycloak is given it. One that it makes itself takes it seconds."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    config = {"priority": ["500"], "algorithm": [algorithm], "privateKey": [pem]}
    return {"name": name, "providerId": "rsa" if algorithm == "RS256" else "rsa-enc", "config": config}


def _realm(name: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """The realm as it is imported, with clients as the gateway's documents describe them, and some that are not."""
    usual = [f"default-roles-{name}"]
    return {
        "realm": name,
        "enabled": True,
        "sslRequired": "external",
        "components": {
            _KEYS: [
                _provider("known", key),
                _provider("encrypting", _key(), "RSA-OAEP"),
                {"name": "hmac", "providerId": "hmac-generated", "config": {"algorithm": ["HS512"]}},
                {"name": "aes", "providerId": "aes-generated", "config": {}},
            ]
        },
        "roles": {"realm": [{"name": "sme-user"}], "client": {CLI: [{"name": "operator"}]}},
        "clients": [
            _client(CLI),
            _client(ROBOT, publicClient=False, secret=ROBOT_SECRET, serviceAccountsEnabled=True),
            _client("modern", attributes={"access.token.header.type.rfc9068": "true"}),
            _client("lasting", attributes={"access.token.lifespan": "7200"}),
            _client("bound", more=[_CONFIRMED]),
            _client("stranger"),
            _client("elsewhere", audience=None),
        ],
        "users": [
            _user(ALICE, realmRoles=[*usual, "sme-user"], clientRoles={CLI: ["operator"]}),
            _user(BOB, realmRoles=usual),
            {
                "username": f"service-account-{ROBOT}",
                "enabled": True,
                "serviceAccountClientId": ROBOT,
                "realmRoles": [*usual, "sme-user"],
            },
        ],
    }


_CONFIRMED = {
    "name": "bound to a certificate",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-hardcoded-claim-mapper",
    "config": {
        "claim.name": "cnf",
        "claim.value": '{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}',
        "jsonType.label": "JSON",
        "access.token.claim": "true",
    },
}


def _client(
    name: str, audience: str | None = AUDIENCE, more: list[dict[str, Any]] | None = None, **settings: Any
) -> dict[str, Any]:
    mapper = {
        "name": "for the gateway",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        # In ID tokens as well, so that they are refused for what they are.
        "config": {"included.custom.audience": audience, "access.token.claim": "true", "id.token.claim": "true"},
    }
    return {
        "clientId": name,
        "publicClient": True,
        "directAccessGrantsEnabled": True,
        "standardFlowEnabled": False,
        "protocolMappers": [*([mapper] if audience else []), *(more or [])],
        **settings,
    }


def _user(name: str, **roles: Any) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@example.com",
        "emailVerified": True,
        "firstName": name,
        "lastName": "Person",
        "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
        **roles,
    }
