"""Tokens of service accounts that a real API server has made, or has not, and that the gateway refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.gateway import (
    AUDIENCE,
    Gateway,
    ask,
    bearer,
    install,
    pod_token,
    sources,
    workload,
)
from toggle_e2e.jws import by_ec, header_of, packed
from toggle_e2e.keycloak import claims
from toggle_e2e.kubelet import NODE
from toggle_e2e.net import wait_for
from toggle_e2e.redaction import TOKENS
from toggle_e2e.world import World

HOME, ELSEWHERE = "e2e-tokens", "e2e-tokens-elsewhere"
HOST = "app.example.org"
API_SERVER = "https://kubernetes.default.svc.cluster.local"
CONFIG = {
    "k8sTrust": {
        "enabled": True,
        "allowedIdentities": [
            {"namespace": HOME, "serviceAccount": "worker", "allowedRoles": ["node"]},
            {"namespace": HOME, "serviceAccount": "deploy", "allowedRoles": ["node"], "allowUnbound": True},
            {"namespace": HOME, "serviceAccount": "leaving", "allowedRoles": ["node"]},
        ],
    },
    "roles": {"node": {"targets": ["app"], "verbs": ["status", "wait", "connect"]}},
    "targets": {"app": {"namespace": HOME, "name": "app", "host": HOST, "service": "app", "port": "http"}},
}
SOURCES = sources("127.33")
"""An address for each request: the log tells the first refusal of each."""


def pod(cluster: ControlPlane, namespace: str, name: str, account: str = "worker") -> str:
    """Makes a pod of a service account, which is made where it is missing."""
    made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}}
    cluster.apply([made])
    spec = {
        "serviceAccountName": account,
        "nodeName": NODE,
        "containers": [{"name": "main", "image": "example.invalid/caller:1"}],
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    cluster.ensure("POST", f"/api/v1/namespaces/{namespace}/pods", body)
    return name


def removed(cluster: ControlPlane, namespace: str, resource: str, name: str) -> None:
    """Takes an object away at once, and waits until it is gone."""
    path = f"/api/v1/namespaces/{namespace}/{resource}/{name}"
    cluster.ensure("DELETE", f"{path}?gracePeriodSeconds=0")
    wait_for(f"{name} to be gone", lambda: cluster.request("GET", path)[0] == 404)


@dataclass(frozen=True)
class Cluster:
    """The cluster whose tokens are shown, with the key that it signs them with."""

    plane: ControlPlane
    key: ec.EllipticCurvePrivateKey

    def token(self, *audiences: str) -> str:
        """The token of a worker's pod, by default for the gateway."""
        return pod_token(self.plane, HOME, "caller", 600, *audiences)

    def again(
        self, key: ec.EllipticCurvePrivateKey | None = None, header: dict[str, Any] | None = None, **changed: Any
    ) -> str:
        """That token with other claims, signed with the cluster's key or another one."""
        token = self.token()
        return by_ec(key or self.key, header_of(token) | (header or {}), claims(token) | changed)

    def of_a_pod_that_is_gone(self) -> str:
        """The token of a pod, which nobody has been shown while it was there."""
        name = pod(self.plane, HOME, "gone")
        token = pod_token(self.plane, HOME, name)
        removed(self.plane, HOME, "pods", name)
        return token

    def of_a_pod_that_was_replaced(self) -> str:
        """The same, where another pod has its name now."""
        name = pod(self.plane, HOME, "replaced")
        token = pod_token(self.plane, HOME, name)
        removed(self.plane, HOME, "pods", name)
        pod(self.plane, HOME, name)
        return token

    def of_an_account_that_is_gone(self) -> str:
        """The same of a pod that is there, whose account is not."""
        token = pod_token(self.plane, HOME, pod(self.plane, HOME, "left-behind", "leaving"))
        removed(self.plane, HOME, "serviceaccounts", "leaving")
        return token

    def of_another_namespace(self) -> str:
        """The token of an account that has the name of one that is permitted."""
        return pod_token(self.plane, ELSEWHERE, "caller")


def now() -> int:
    """The time as tokens have it."""
    return int(time.time())


NOT_FOR_US, NOT_ACCEPTED = "not for the gateway", "not accepted by the API server"
NO_ROLE = "no role allows anything"

REFUSED: dict[str, tuple[int, str, Callable[[Cluster], str]]] = {
    "for the API server": (401, NOT_FOR_US, lambda at: at.plane.token(HOME, "worker", pod="caller")),
    "for another audience": (401, NOT_FOR_US, lambda at: at.token("vault")),
    "for an audience that begins like it": (401, NOT_FOR_US, lambda at: at.token("openclaw-gateway2")),
    "for two, of which one is the API server": (
        401,
        "more than one audience",
        lambda at: at.token(AUDIENCE, API_SERVER),
    ),
    "for two, of which none is the API server": (401, "more than one audience", lambda at: at.token("vault", AUDIENCE)),
    "of no pod": (401, "bound to no pod", lambda at: at.plane.token(HOME, "worker", 600, (AUDIENCE,))),
    "expired": (401, "expired", lambda at: at.again(iat=now() - 900, nbf=now() - 900, exp=now() - 62)),
    "not valid yet": (401, NOT_ACCEPTED, lambda at: at.again(nbf=now() + 300)),
    "of a pod that is gone": (401, NOT_ACCEPTED, Cluster.of_a_pod_that_is_gone),
    "of a pod that was replaced": (401, NOT_ACCEPTED, Cluster.of_a_pod_that_was_replaced),
    "of an account that is gone": (401, NOT_ACCEPTED, Cluster.of_an_account_that_is_gone),
    "of another namespace": (403, NO_ROLE, Cluster.of_another_namespace),
    "of another account": (403, NO_ROLE, lambda at: pod_token(at.plane, HOME, "other")),
    "of another cluster": (401, NOT_ACCEPTED, lambda at: at.again(ec.generate_private_key(ec.SECP256R1()))),
    "of another issuer": (401, NOT_ACCEPTED, lambda at: at.again(iss="https://issuer.example.org")),
    "of another account by its payload": (
        401,
        NOT_ACCEPTED,
        lambda at: ".".join(
            [(parts := at.token().split("."))[0], packed(claims(at.token()) | {"sub": "system:masters"}), parts[2]]
        ),
    ),
}
"""The status, the reason that the log gives, and the token."""


@pytest.fixture(scope="module")
def cluster(world: World) -> Cluster:
    """The cluster, with a pod that may call and two that may not."""
    plane = world.cluster
    for namespace in (HOME, ELSEWHERE):
        plane.create_namespace(namespace)
        pod(plane, namespace, "caller")
    pod(plane, HOME, "other", "other")
    pod(plane, HOME, "deploying", "deploy")
    key = serialization.load_pem_private_key(plane.service_account_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Cluster(plane, key)


@pytest.fixture(scope="module")
def gateway(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One replica, before an app that is off and stays so."""
    workload(cluster.plane, HOME, "app")
    made = install(cluster.plane, HOME, tmp_path_factory.mktemp("gateway"), CONFIG)
    try:
        [one] = made.started()
        yield one
        assert not TOKENS.search("\n".join(one.lines())), "the log has a token"
    finally:
        made.stop()


TAKEN: dict[str, Callable[[Cluster], str]] = {
    "as it is made": lambda at: at.token(),
    "signed again": lambda at: at.again(),
    "unbound where that is allowed": lambda at: at.plane.token(HOME, "deploy", 600, (AUDIENCE,)),
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_the_others_are_made_of_is_taken(gateway: Gateway, cluster: Cluster, what: str) -> None:
    """So that what is refused is refused for what was changed."""
    token = TAKEN[what](cluster)
    assert gateway.call("GET", "/v1/targets/app", token).status == 200
    # It is off, and this role wakes nothing.
    assert ask(gateway.proxy, "GET", "/", {"Host": HOST, **bearer(token)}).status == 503


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(gateway: Gateway, cluster: Cluster, what: str) -> None:
    status, reason, make = REFUSED[what]
    shown = make(cluster)
    asked, proxied = next(SOURCES), next(SOURCES)
    answer = gateway.call("GET", "/v1/targets/app", shown, source=asked)
    assert answer.status == status, answer
    challenge = answer.headers.get("www-authenticate")
    assert challenge == ('Bearer error="invalid_token"' if status == 401 else None)
    answer = ask(gateway.proxy, "GET", "/", {"Host": HOST, **bearer(shown)}, source=proxied)
    assert answer.status == status, answer

    def told() -> dict[str, dict[str, Any]]:
        found = {one.get("remoteIp"): one for one in gateway.audit("k8s-auth-failed")}
        return {where: found[where] for where in (asked, proxied) if where in found}

    # Of an account that is known, what is refused is told once, wherever it comes from.
    wait_for("it in the audit log", lambda: len(told()) == (2 if status == 401 else 1), detail=gateway.tail)
    assert {one["reason"] for one in told().values()} == {reason}, told()
    if status == 403:
        said = told()[asked]
        account = claims(shown)["kubernetes.io"]
        assert said["namespace"] == account["namespace"]
        assert said["serviceAccount"] == account["serviceaccount"]["name"]
    log = "\n".join(gateway.lines())
    assert not [part for part in shown.split(".") if len(part) > 20 and part in log], "the log has a part of it"


def test_a_refused_token_is_worth_what_the_api_server_says(cluster: Cluster) -> None:
    """The reason for the rule about two audiences: whoever receives such a token can use it there."""
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    assert cluster.plane.request("POST", review, body, user=cluster.token(AUDIENCE, API_SERVER))[0] == 201
    assert cluster.plane.request("POST", review, body, user=cluster.token(AUDIENCE))[0] == 401
