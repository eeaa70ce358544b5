"""Tokens of a real Keycloak, and near to them, that the gateway refuses, each for its reason.

What is refused is told in the audit log, without the token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from toggle_e2e.backend import Backend
from toggle_e2e.gateway import Gateway, Installed, ask, bearer, sources, status_of, workload
from toggle_e2e.issuer import BOB, People, taking_people
from toggle_e2e.jws import by_rsa, by_secret, header_of, number, packed
from toggle_e2e.keycloak import claims
from toggle_e2e.logins import Logins
from toggle_e2e.net import wait_for
from toggle_e2e.world import World

NAMESPACE = "e2e-impostors"
HOST = "app.example.org"
CONFIG = {
    "roles": {"visitor": {"targets": ["app"], "verbs": ["status", "wake", "connect"]}},
    "oidcRoles": {"sme-user": ["visitor"]},
    "targets": {"app": {"namespace": NAMESPACE, "name": "app", "host": HOST, "service": "app", "port": "http"}},
}
SOURCES = sources("127.32")
"""An address for each request: the log tells the first refusal of each."""


@dataclass(frozen=True)
class Desk:
    """The means of an attacker: a token that is taken, another realm, and a key of their own."""

    people: People
    other: People
    grant: dict[str, Any]
    key: rsa.RSAPrivateKey

    @property
    def token(self) -> str:
        """The access token that is taken."""
        return str(self.grant["access_token"])

    def changed(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """It with other claims, signed again with the realm's own key."""
        return self.people.again(self.token, header, **changed)

    def forged(self, **header: Any) -> str:
        """The same claims, signed with the attacker's key."""
        return by_rsa(self.key, header_of(self.token) | header, claims(self.token))

    def parts(self, header: dict[str, Any] | None = None, said: dict[str, Any] | None = None) -> str:
        """It with other parts under the signature that it has."""
        old = self.token.split(".")
        first = packed(header_of(self.token) | header) if header else old[0]
        second = packed(claims(self.token) | said) if said else old[1]
        return f"{first}.{second}.{old[2]}"


def now() -> int:
    """The time as tokens have it."""
    return int(time.time())


def public_jwk(key: rsa.RSAPrivateKey) -> dict[str, str]:
    """A key as a token can bring it along."""
    numbers = key.public_key().public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    return {"kty": "RSA", "n": number(numbers.n, size), "e": number(numbers.e, 3)}


OTHER_KIND, NOT_FOR_US = "another kind of token", "not for the gateway"
OTHER_ISSUER, OTHER_AUDIENCE = "another issuer", "another audience"
OTHER_ALGORITHM, BAD, BOUND = "another algorithm", "bad signature", "bound to a key (cnf)"

REFUSED: dict[str, tuple[str, Callable[[Desk], str]]] = {
    "an ID token": (OTHER_KIND, lambda desk: str(desk.grant["id_token"])),
    "a refresh token": (OTHER_AUDIENCE, lambda desk: str(desk.grant["refresh_token"])),
    "one that says it is a refresh token": (OTHER_KIND, lambda desk: desk.changed(typ="Refresh")),
    "one that says it is a logout token": (OTHER_KIND, lambda desk: desk.changed({"typ": "logout+jwt"})),
    "one that does not say what it is": ("no word that it is an access token", lambda desk: desk.changed(typ=None)),
    "none as its algorithm": (
        OTHER_ALGORITHM,
        lambda desk: f"{packed({'alg': 'none', 'typ': 'JWT'})}.{desk.token.split('.')[1]}.",
    ),
    "none as its algorithm, with the key's id": (
        OTHER_ALGORITHM,
        lambda desk: desk.parts({"alg": "none"}).rpartition(".")[0] + ".",
    ),
    "none in capitals": (OTHER_ALGORITHM, lambda desk: desk.parts({"alg": "NONE"})),
    "HS256 with the public key": (
        OTHER_ALGORITHM,
        lambda desk: by_secret(desk.people.public_pem(), header_of(desk.token) | {"alg": "HS256"}, claims(desk.token)),
    ),
    "RS256 in name, HS256 with the public key": (
        BAD,
        lambda desk: by_secret(desk.people.public_pem(), header_of(desk.token), claims(desk.token)),
    ),
    "an algorithm that is not configured": (OTHER_ALGORITHM, lambda desk: desk.changed({"alg": "RS512"})),
    "the id of an unknown key": ("unknown key", lambda desk: desk.forged(kid="of-nobody")),
    "the id of a key that signs nothing": (
        "unknown key",
        lambda desk: desk.forged(kid=encryption_key(desk.people)),
    ),
    "no id of a key": ("no key id", lambda desk: desk.changed({"kid": None})),
    "a key of somebody else under the realm's id": (BAD, lambda desk: desk.forged()),
    "a key that it brings along": (BAD, lambda desk: desk.forged(jwk=public_jwk(desk.key))),
    "a key that it leads to": (BAD, lambda desk: desk.forged(jku=f"{desk.other.issuer}/protocol/openid-connect/certs")),
    "an extension that has to be understood": (
        "an extension (crit, b64)",
        lambda desk: desk.changed({"crit": ["exp"]}),
    ),
    "another realm": (OTHER_ISSUER, lambda desk: desk.other.token()),
    "another realm that says it is this one": (
        "unknown key",
        lambda desk: desk.other.again(desk.other.token(), iss=desk.people.issuer),
    ),
    "an issuer with a slash more": (OTHER_ISSUER, lambda desk: desk.changed(iss=f"{desk.people.issuer}/")),
    "another audience": (OTHER_AUDIENCE, lambda desk: desk.people.token("elsewhere")),
    "an audience that begins like it": (OTHER_AUDIENCE, lambda desk: desk.changed(aud=["openclaw-gateway2"])),
    "another client": ("another client", lambda desk: desk.people.token("stranger")),
    "no client": ("another client", lambda desk: desk.changed(azp=None)),
    "expired": ("expired", lambda desk: desk.changed(iat=now() - 400, exp=now() - 62)),
    "not valid yet": ("not valid yet", lambda desk: desk.changed(nbf=now() + 90)),
    "without an end": ("no exp or no iat", lambda desk: desk.changed(exp=None)),
    "valid for two hours": ("valid for too long", lambda desk: desk.people.token("lasting")),
    "bound to a certificate": (BOUND, lambda desk: desk.people.token("bound")),
    "bound to a key by Keycloak": (OTHER_KIND, lambda desk: desk.people.bound_token()),
    "bound to a key, and a bearer token in name": (
        BOUND,
        lambda desk: desk.people.again(desk.people.bound_token(), typ="Bearer"),
    ),
    "another subject under its signature": (BAD, lambda desk: desk.parts(said={"sub": "somebody-else"})),
    "more roles under its signature": (
        BAD,
        lambda desk: desk.parts(said={"realm_access": {"roles": ["sme-user", "admin"]}}),
    ),
    "half of its signature": (BAD, lambda desk: desk.token[:-170]),
    "no subject": ("no subject", lambda desk: desk.changed(sub=None)),
    "larger than 8 KiB": (NOT_FOR_US, lambda desk: desk.changed(more="x" * 7000)),
    "a space within": (NOT_FOR_US, lambda desk: f"{desk.token[:50]} {desk.token[50:]}"),
    "two with a comma": (NOT_FOR_US, lambda desk: f"{desk.token}, Bearer {desk.token}"),
    "a part more": (NOT_FOR_US, lambda desk: f"{desk.token}.{desk.token.split('.')[2]}"),
}
"""The reason that the log gives, and the token."""


def encryption_key(people: People) -> str:
    """The id of the realm's key that nothing is signed with."""
    [found] = [one["kid"] for one in people.published() if one["use"] == "enc"]
    return str(found)


@pytest.fixture(scope="module")
def desk(people: People, other_people: People) -> Desk:
    """An attacker's, who has got a good token and knows another realm."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Desk(people, other_people, people.grant(), key)


@pytest.fixture(scope="module")
def release(
    world: World, logins: Logins, backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """A release that takes the realm's tokens and no others, before an app that runs."""
    workdir = tmp_path_factory.mktemp("gateway")
    with taking_people(world.cluster, NAMESPACE, workdir, CONFIG) as made:
        workload(world.cluster, NAMESPACE, "app", backend, replicas=1)
        yield made


@pytest.fixture(scope="module")
def gateway(release: Installed, people: People) -> Gateway:
    """One replica."""
    return release.started(OIDC_ISSUER_URL=people.issuer)[0]


def test_what_the_others_are_made_of_is_taken(gateway: Gateway, desk: Desk) -> None:
    """So that what is refused is refused for what was changed."""
    for token in (desk.token, desk.changed(), desk.changed(aud="openclaw-gateway"), desk.changed(exp=now() + 3000)):
        assert gateway.call("GET", "/v1/targets/app", token).status == 200
        assert ask(gateway.proxy, "GET", "/", {"Host": HOST, **bearer(token)}).status == 200


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(gateway: Gateway, desk: Desk, backend: Backend, what: str) -> None:
    reason, make = REFUSED[what]
    shown = make(desk)
    seen = len(backend.seen)
    asked, proxied = next(SOURCES), next(SOURCES)
    answer = gateway.call("GET", "/v1/targets/app", shown, source=asked)
    assert answer.status == 401, answer
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert reason not in answer.body.decode(), "whoever tries is told why"
    answer = ask(gateway.proxy, "GET", "/", {"Host": HOST, **bearer(shown)}, source=proxied)
    assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer", answer
    assert len(backend.seen) == seen, "the app was asked"

    def told() -> dict[str, str]:
        found = {one["remoteIp"]: one["reason"] for one in gateway.audit("oidc-auth-failed")}
        return {where: found[where] for where in (asked, proxied) if where in found}

    wait_for("both in the audit log", lambda: len(told()) == 2, detail=gateway.tail)
    assert told() == {asked: reason, proxied: reason}
    log = "\n".join(gateway.lines())
    assert not [part for part in shown.split(".") if len(part) > 20 and part in log], "the log has a part of it"


def test_the_missing_mapper_is_named_once(release: Installed, desk: Desk) -> None:
    """Keycloak's own tokens are for `account`, which is the first that people meet."""
    [gateway] = release.started(OIDC_ISSUER_URL=desk.people.issuer)
    for _ in range(2):
        token = desk.people.token("elsewhere", BOB)
        assert claims(token)["aud"] == "account"
        assert gateway.call("GET", "/v1/targets/app", token).status == 401
    gateway.wait_log("add a mapper of the type Audience")
    said = [line for line in gateway.lines() if "add a mapper of the type Audience" in line]
    assert len(said) == 1 and "the client elsewhere is for account" in said[0], said


def test_two_credentials_are_none(gateway: Gateway, desk: Desk, backend: Backend) -> None:
    """The gateway and the app might read different ones."""
    seen = len(backend.seen)
    for first, second in [
        (f"Bearer {desk.token}", f"Bearer {desk.token}"),
        (f"Bearer {desk.token}", "Basic YTpi"),
        ("Basic YTpi", f"Bearer {desk.token}"),
    ]:
        lines = (f"Host: {HOST}", f"Authorization: {first}", f"authorization: {second}")
        asked = next(SOURCES)
        assert status_of(gateway.api, "GET /v1/targets/app HTTP/1.1", *lines, source=asked) == 401
        assert status_of(gateway.proxy, "GET / HTTP/1.1", *lines, source=next(SOURCES)) == 400

        def told(where: str = asked) -> bool:
            found = {one["remoteIp"]: one["reason"] for one in gateway.audit("oidc-auth-failed")}
            return found.get(where) == "two credentials"

        wait_for("it in the audit log", told, detail=gateway.tail)
    assert len(backend.seen) == seen, "the app was asked"


@pytest.mark.parametrize(
    "value", ["Bearer  {}", "  Bearer {}  ", "bearer {}", "BEARER {}\t", "Bearer\t{}", "Bearer \t {}"]
)
def test_blanks_around_it_change_nothing(gateway: Gateway, desk: Desk, backend: Backend, value: str) -> None:
    """It is taken, and taken away before the app sees the request."""
    lines = (f"Host: {HOST}", f"Authorization:{' ' + value.format(desk.token)}")
    assert status_of(gateway.api, "GET /v1/targets/app HTTP/1.1", *lines) == 200
    assert status_of(gateway.proxy, "GET /blanks HTTP/1.1", *lines) == 200
    assert backend.seen[-1].path == "/blanks"
    assert not [name for name, said in backend.seen[-1].headers.items() if desk.token in said]


def test_a_head_that_is_too_large_is_not_read(gateway: Gateway, desk: Desk, backend: Backend) -> None:
    seen = len(backend.seen)
    line = f"Authorization: Bearer {desk.token}{'x' * 16_000}"
    for port, first in [(gateway.api, "GET /v1/targets/app HTTP/1.1"), (gateway.proxy, "GET / HTTP/1.1")]:
        assert status_of(port, first, f"Host: {HOST}", line, source=next(SOURCES)) == 431
    assert len(backend.seen) == seen, "the app was asked"
