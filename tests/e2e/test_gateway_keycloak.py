"""Access tokens of a real Keycloak at the gateway: the rights of people and clients, and the questions for the keys.

The tokens that are refused are in `test_gateway_keycloak_attacks.py`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from toggle_e2e.backend import Backend
from toggle_e2e.gateway import Answer, Gateway, Installed, ask, bearer, count, sources, workload
from toggle_e2e.issuer import ALICE, BOB, CLIENT_ROLES, People, taking_people
from toggle_e2e.jws import by_rsa, header_of
from toggle_e2e.keycloak import claims
from toggle_e2e.logins import Logins
from toggle_e2e.net import wait_for
from toggle_e2e.world import World

NAMESPACE = "e2e-people"
HOST = "app.example.org"
APP = {"namespace": NAMESPACE, "name": "app", "host": HOST, "service": "app", "port": "http", "identityHeaders": True}
CONFIG = {
    "roles": {
        "visitor": {"targets": ["app"], "verbs": ["status", "wait", "wake", "connect"]},
        "operator": {"targets": ["*"], "verbs": ["list", "start", "stop", "scale"], "maxReplicas": 2, "maxFor": "1h"},
    },
    "oidcRoles": {"sme-user": ["visitor"], "operator": ["operator"]},
    "targets": {"app": APP | {"max": 5}, "worker": {"namespace": NAMESPACE, "name": "worker", "max": 5}},
}
SOURCES = sources("127.31")
"""An address for each question, since an address that is refused too often has to wait."""


@pytest.fixture(scope="module")
def release(
    world: World, logins: Logins, backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """A release that takes the realm's tokens and no others."""
    workdir = tmp_path_factory.mktemp("gateway")
    with taking_people(world.cluster, NAMESPACE, workdir, CONFIG) as made:
        workload(world.cluster, NAMESPACE, "app", backend)
        workload(world.cluster, NAMESPACE, "worker")
        yield made


@pytest.fixture(scope="module")
def gateway(release: Installed, people: People) -> Gateway:
    """A replica that goes by the roles of the realm."""
    return release.started(OIDC_ISSUER_URL=people.issuer)[0]


def api(gateway: Gateway, token: str, path: str = "app", body: object | None = None) -> Answer:
    """A question to the API about a target, or a change where there is a body."""
    method = "GET" if body is None else "POST"
    return gateway.call(method, f"/v1/targets/{path}", token, body, source=next(SOURCES))


def proxied(gateway: Gateway, token: str) -> Answer:
    """A request through the proxy."""
    return ask(gateway.proxy, "GET", "/", {"Host": HOST, **bearer(token)}, source=next(SOURCES))


@dataclass(frozen=True)
class Early:
    """A replica that was started while Keycloak could not be reached, and its answers then."""

    gateway: Gateway
    answers: list[Answer]


@pytest.fixture(scope="module", autouse=True)
def early(release: Installed, people: People) -> Early:
    """Begun before the other tests: it takes ten seconds until it asks again."""
    token = people.token()
    people.way.is_open = False
    try:
        # It is ready all the same: other callers need no identity provider.
        [gateway] = release.started(OIDC_ISSUER_URL=people.issuer)
        return Early(gateway, [api(gateway, token), proxied(gateway, token)])
    finally:
        people.way.is_open = True


@pytest.mark.parametrize("who", ["a person", "a client for itself"])
def test_a_role_of_the_realm_allows_what_the_file_says(
    release: Installed, gateway: Gateway, people: People, who: str
) -> None:
    token = people.token() if who == "a person" else people.robot_token()
    subject = claims(token)["sub"]
    assert api(gateway, token).status == 200
    assert api(gateway, token, "app/start", {}).status == 403
    assert api(gateway, token, "worker").status == 404, "a target was seen that no role names"
    answer = proxied(gateway, token)
    assert answer.status == 200, (answer, gateway.tail())
    seen = answer.json()["headers"]
    assert (seen["x-auth-user"], seen["x-auth-roles"]) == (subject, "visitor")
    assert "authorization" not in seen, "the app was shown the token"
    assert count(release.cluster, NAMESPACE, "app") == 1
    denied = wait_for("what was denied", lambda: [one for one in gateway.audit("denied") if one["sub"] == subject])
    assert denied[0]["verb"] == "start", denied


def test_who_was_let_in_is_named_in_the_log(gateway: Gateway, people: People) -> None:
    """Once for each token, although nothing is said of service accounts, where the log can be told to leave it out."""
    token = people.token()
    asked = next(SOURCES)
    for _ in range(2):
        assert gateway.call("GET", "/v1/targets/app", token, source=asked).status == 200

    def told() -> list[dict[str, object]]:
        return [one for one in gateway.audit("oidc-auth-success") if one["remoteIp"] == asked]

    [one] = wait_for("it in the log", told, 5, detail=gateway.tail)
    assert (one["sub"], one["role"]) == (claims(token)["sub"], "visitor"), one


def test_a_role_of_a_client_allows_what_the_file_says(release: Installed, people: People) -> None:
    """Within the numbers of that role, and nothing of the roles that are elsewhere in the token."""
    [gateway] = release.started(OIDC_ISSUER_URL=people.issuer, OIDC_ROLES_CLAIM=CLIENT_ROLES)
    token = people.token()
    assert {one["name"] for one in gateway.call("GET", "/v1/targets", token).json()["targets"]} == {"app", "worker"}
    assert api(gateway, token, "worker/start", {"replicas": 2, "for": "10m"}).status == 200
    assert count(release.cluster, NAMESPACE, "worker") == 2
    for path, body in [("scale", {"replicas": 3}), ("start", {"replicas": 1, "for": "2h"})]:
        assert api(gateway, token, f"worker/{path}", body).status == 403, path
    assert api(gateway, token, "worker/stop", {}).status == 200
    assert count(release.cluster, NAMESPACE, "worker") == 0
    assert proxied(gateway, token).status == 403
    assert api(gateway, people.robot_token()).status == 403


def test_who_has_no_role_here_is_told_so_and_named_in_the_log(gateway: Gateway, people: People) -> None:
    token = people.token(user=BOB)
    assert api(gateway, token).status == 403
    assert proxied(gateway, token).status == 403
    [told] = [one for one in gateway.audit("oidc-auth-failed") if one.get("sub") == claims(token)["sub"]]
    assert told["decision"] == "denied", told


def test_the_header_of_rfc_9068_is_enough(gateway: Gateway, people: People) -> None:
    token = people.token("modern")
    assert header_of(token)["typ"] == "at+jwt"
    assert api(gateway, token).status == 200
    assert api(gateway, people.again(token, typ=None)).status == 200


def test_the_roles_of_a_person_are_those_of_the_token(gateway: Gateway, people: People) -> None:
    """A name proves nothing: somebody else's may be anything."""
    token = people.again(people.token(), preferred_username=BOB, email="bob@example.com", name="Bob")
    assert api(gateway, token).status == 200
    token = people.again(people.token(user=BOB), preferred_username=ALICE, email="alice@example.com")
    assert api(gateway, token).status == 403


def test_without_keycloak_the_keys_that_are_known_go_on(gateway: Gateway, people: People) -> None:
    before = people.token()
    assert api(gateway, before).status == 200
    people.way.is_open = False
    try:
        assert api(gateway, before).status == 200
        assert api(gateway, people.token()).status == 200, "a new token of a known key"
        assert api(gateway, people.again(before, {"kid": "another"})).status == 401
        assert proxied(gateway, people.token()).status == 200
    finally:
        people.way.is_open = True


def test_the_keys_are_read_by_https_from_who_can_prove_who_it_is(
    release: Installed, logins: Logins, people: People
) -> None:
    issuer = f"{logins.keycloak.https_url}/realms/{people.realm.name}"
    token = people.again(people.token(), iss=issuer)
    [good] = release.started(OIDC_ISSUER_URL=issuer, EXTRA_CA_FILE=str(logins.ca_path))
    [bad] = release.started(OIDC_ISSUER_URL=issuer)
    assert api(good, token).status == 200, good.tail()
    assert api(bad, token).status == 503, bad.tail()


def test_other_keys_are_asked_for_once_in_ten_seconds(release: Installed, other_people: People) -> None:
    """Made-up ids of keys cost no more questions; and what was signed with a key that is gone is refused."""
    people = other_people
    [gateway] = release.started(OIDC_ISSUER_URL=people.issuer)
    before = people.token()
    assert api(gateway, before).status == 200
    assert len(people.way.fetches) == 1
    people.rotate()
    after = people.token()
    assert header_of(after)["kid"] != header_of(before)["kid"]
    assert api(gateway, before).status == 200, "nobody has said yet that its key is gone"

    def made_up() -> str:
        return by_rsa(people.key, header_of(before) | {"kid": str(uuid.uuid4())}, claims(before))

    def is_taken() -> bool:
        assert api(gateway, made_up()).status == 401
        return api(gateway, after).status == 200

    wait_for("the new key", is_taken, 15, every=0.2, detail=gateway.tail)
    first, second = people.way.fetches
    assert second - first > 9.9, f"asked again after {second - first:.1f} s"
    assert api(gateway, before).status == 401, "its key is gone"
    assert [api(gateway, made_up()).status for _ in range(30)] == [401] * 30
    assert len(people.way.fetches) == 2
    assert json.dumps(gateway.audit("oidc-auth-failed")).count('"reason": "unknown key"') > 30


def test_a_replica_that_comes_before_keycloak_says_that_it_cannot_check_yet(early: Early, people: People) -> None:
    """And asks again by itself."""
    for answer in early.answers:
        assert answer.status == 503 and int(answer.headers["retry-after"]) > 0, answer
        assert b"cannot be checked now" in answer.body, answer
    gateway = early.gateway
    wait_for("the keys", lambda: api(gateway, people.token()).status == 200, 15, every=0.2, detail=gateway.tail)
    lines = [line for line in gateway.lines() if "the identity provider" in line]
    assert len(lines) == 2 and "no keys of" in lines[0] and "are there again" in lines[1], lines


def test_a_keycloak_that_never_answers_holds_up_nobody_else(release: Installed, other_people: People) -> None:
    """It takes the question and is silent: whoever shows a token of a key that is not known waits 5 s for it, and is
    told to come again where no key is known at all. All others are answered meanwhile."""
    people = other_people
    token = people.token()
    asked = len(people.way.fetches)

    def timed(token: str | None) -> tuple[int, float]:
        began = time.monotonic()
        return api(gateway, token).status, time.monotonic() - began

    with ThreadPoolExecutor(2) as threads:
        with people.way.frozen():
            [gateway] = release.started(OIDC_ISSUER_URL=people.issuer)
            waiting = threads.submit(timed, token)
            wait_for("the keys to be asked for", lambda: len(people.way.fetches) > asked)
            assert gateway.health("/readyz")[0] == 200
            status, took = timed(None)
            assert status == 401 and took < 4, took
            status, took = waiting.result(20)
            assert status == 503 and 4.5 < took < 15, (status, took)
        wait_for("its answer to be taken", lambda: api(gateway, token).status == 200, 20)
        last = people.way.fetches[-1]
        unknown = people.again(token, {"kid": "another"})
        with people.way.frozen():
            wait_for("it to be time to ask again", lambda: time.monotonic() > last + 10.5, 20)
            waiting = threads.submit(timed, unknown)
            wait_for("the keys to be asked for again", lambda: people.way.fetches[-1] > last)
            for _ in range(3):
                status, took = timed(token)
                assert status == 200 and took < 4, (status, took)
            assert not waiting.done()
            status, took = waiting.result(20)
            assert status in (401, 503) and took < 15, (status, took)
