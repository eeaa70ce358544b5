"""The rights of targets in several namespaces: each rule is needed, they suffice, and there are no others.

The requests are those of `src/kube`, sent with the token of the release's account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from toggle_e2e.administrator import Object
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.manifests import SECRET, chart
from toggle_e2e.net import wait_for
from toggle_e2e.rights import WIDGETS, as_review, grant, of_everybody, own_rules, review, without
from toggle_e2e.world import NODE, World

JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

APPS, BESIDE, EMPTY = "e2e-targets", "e2e-targets-beside", "e2e-targets-none"
"""Namespaces: of the release and two targets, of a third one, and of no target."""

SWITCHES = ("watch", "podsByName", "pods", "events", "list", "autoscalers", "writeEvents")

VALUES = {
    "matrix": {"user": "bot"},
    "commands": {"allowedUsers": ["@alice:example.com"]},
    "secrets": {"matrixPassword": {"name": SECRET}},
    "targets": [
        {"name": "worker", "object": "worker.v1"},
        {"name": "shop", "object": "shop"},
        {"name": "gateway", "object": "gateway", "kind": "statefulset", "max": 2},
        {"name": "canary", "object": "web", "kind": "e2e.example.com/v1/widgets", "namespace": BESIDE},
    ],
}


@dataclass(frozen=True)
class Ask:
    """A request of the bot's, and the switch among the rights without which it is not made."""

    method: str
    path: str
    body: Any = None
    switch: str = ""
    body_type: str = JSON_PATCH

    def status(self, cluster: ControlPlane, token: str) -> int:
        """What the API server answers to the owner of a token; nothing is changed."""
        if "watch=true" in self.path:
            # Its head is the answer: the body goes on for minutes.
            connection = cluster.connect(15, token)
            try:
                connection.request(self.method, self.path, headers={"Authorization": f"Bearer {token}"})
                return connection.getresponse().status
            finally:
                connection.close()
        dry = "?dryRun=All" if self.body is not None else ""
        status: int = cluster.request(self.method, self.path + dry, self.body, self.body_type, user=token)[0]
        return 200 if status == 201 else status


# Starts what is off.
START = [
    {"op": "test", "path": "/spec/replicas", "value": None},
    {"op": "add", "path": "/spec/replicas", "value": 1},
]


OF_APPS = f"/apis/apps/v1/namespaces/{APPS}"
OF_CORE = "/api/v1/namespaces"
PODS = f"pods?labelSelector={quote('app=worker.v1')}&limit=20"
EVENTS = f"events?fieldSelector={quote('involvedObject.uid=1,type=Warning')}&limit=50"
AUTOSCALERS = "horizontalpodautoscalers?limit=100"
OF_AUTOSCALING = "/apis/autoscaling/v2/namespaces"


def watch(name: str) -> str:
    """The query of a watch of one object."""
    return f"watch=true&fieldSelector=metadata.name%3D{name}&allowWatchBookmarks=true&timeoutSeconds=240"


OF_WIDGETS = f"/apis/e2e.example.com/v1/namespaces/{BESIDE}/widgets"


def written(namespace: str) -> Ask:
    """An Event on a workload."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "openclaw-k8s-toggle-operator.0123", "namespace": namespace},
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "another",
            "namespace": namespace,
            "uid": "1",
        },
        "type": "Normal",
        "reason": "Commanded",
        "message": "start in the chat: 0 to 1 replicas",
        "count": 1,
        "firstTimestamp": "2026-11-29T09:00:00.123Z",
        "lastTimestamp": "2026-11-29T09:00:00.123Z",
        "source": {"component": "openclaw-k8s-toggle-operator"},
    }
    return Ask("POST", f"{OF_CORE}/{namespace}/events", event, "writeEvents", "application/json")


ASKED: dict[str, list[Ask]] = {
    APPS: [
        Ask("GET", f"{OF_APPS}/deployments/worker.v1"),
        Ask("PATCH", f"{OF_APPS}/deployments/worker.v1/scale", START),
        Ask("GET", f"{OF_APPS}/statefulsets/gateway"),
        Ask("PATCH", f"{OF_APPS}/statefulsets/gateway/scale", START),
        Ask("GET", f"{OF_APPS}/deployments?{watch('worker.v1')}", switch="watch"),
        Ask("GET", f"{OF_APPS}/statefulsets?{watch('gateway')}", switch="watch"),
        Ask("GET", f"{OF_APPS}/deployments?includeObject=None&limit=500", switch="list"),
        Ask("GET", f"{OF_CORE}/{APPS}/{PODS}", switch="pods"),
        Ask("GET", f"{OF_CORE}/{APPS}/pods/gateway-1", switch="podsByName"),
        Ask("GET", f"{OF_CORE}/{APPS}/{EVENTS}", switch="events"),
        Ask("GET", f"{OF_AUTOSCALING}/{APPS}/{AUTOSCALERS}", switch="autoscalers"),
        written(APPS),
    ],
    BESIDE: [
        Ask("GET", f"{OF_WIDGETS}/web/scale"),
        Ask("PATCH", f"{OF_WIDGETS}/web/scale", START),
        Ask("GET", f"{OF_CORE}/{BESIDE}/{PODS}", switch="pods"),
        Ask("GET", f"{OF_CORE}/{BESIDE}/{EVENTS}", switch="events"),
        Ask("GET", f"{OF_AUTOSCALING}/{BESIDE}/{AUTOSCALERS}", switch="autoscalers"),
        written(BESIDE),
    ],
}

@dataclass(frozen=True)
class Release:
    """The account and the Roles of a release of the chart with all switches on, applied."""

    cluster: ControlPlane
    token: str
    roles: dict[str, Object]

    def statuses(self, namespace: str) -> list[int]:
        """The answers to what the bot asks for in a namespace."""
        return [ask.status(self.cluster, self.token) for ask in ASKED[namespace]]

    def grant(self, namespace: str, rules: list[Object]) -> None:
        """Replaces the rules in a namespace, and the API server goes by them."""
        grant(self.cluster, self.roles[namespace], self.token, rules)


def expected(namespace: str, switches: Iterable[str]) -> list[int]:
    """The answers to what the bot asks for in a namespace, with these switches on."""
    return [200 if ask.switch in ("", *switches) else 403 for ask in ASKED[namespace]]


def rights(switches: Iterable[str]) -> list[Object]:
    """What the chart makes of switches that are on: account, Roles and RoleBindings."""
    documents = chart(VALUES | {"rights": dict.fromkeys(switches, True)}, "toggle", APPS)
    return [one for one in documents if one["kind"] in ("ServiceAccount", "Role", "RoleBinding")]


def roles(documents: list[Object]) -> dict[str, Object]:
    """The Roles by their namespaces."""
    return {one["metadata"]["namespace"]: one for one in documents if one["kind"] == "Role"}


@pytest.fixture(scope="module")
def release(world: World) -> Release:
    """Applied for real, beside what it is for."""
    cluster = world.cluster
    for namespace in (APPS, BESIDE, EMPTY):
        cluster.create_namespace(namespace)
        cluster.create_deployment(namespace, "another", 0, NODE)
    for name in ("worker.v1", "shop"):
        cluster.create_deployment(APPS, name, 0, NODE)
    pods = cluster.ensure("GET", f"{OF_APPS}/deployments/worker.v1")["spec"]["template"]
    gateway = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "gateway", "namespace": APPS},
        "spec": {
            "replicas": 0,
            "serviceName": "gateway",
            "selector": {"matchLabels": pods["metadata"]["labels"]},
            "template": pods,
        },
    }
    cluster.ensure("POST", f"{OF_APPS}/statefulsets", gateway)
    cluster.apply([WIDGETS])
    wait_for("widgets to be served", lambda: cluster.request("GET", OF_WIDGETS)[0] == 200, 20)
    web = {"apiVersion": "e2e.example.com/v1", "kind": "Widget", "metadata": {"name": "web"}, "spec": {"replicas": 0}}
    cluster.ensure("POST", OF_WIDGETS, web)

    # Not the StatefulSet's: its controller would end it at once.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gateway-1"}, "spec": pods["spec"]}
    cluster.ensure("POST", f"{OF_CORE}/{APPS}/pods", pod)

    documents = rights(SWITCHES)
    cluster.apply(documents)
    [account] = [one["metadata"]["name"] for one in documents if one["kind"] == "ServiceAccount"]
    return Release(cluster, cluster.token(APPS, account), roles(documents))


@pytest.mark.parametrize("namespace", ASKED)
@pytest.mark.parametrize("spared", ["podsByName", "pods"])
def test_the_rights_suffice_and_each_is_needed(release: Release, namespace: str, spared: str) -> None:
    """Without a rule its requests are refused; what the others are for goes through.

    Two of the switches are for pods, and each makes the other one needless.
    """
    switches = [switch for switch in SWITCHES if switch != spared]
    rules = roles(rights(switches))[namespace]["rules"]
    release.grant(namespace, rules)
    wanted = expected(namespace, switches)
    assert release.statuses(namespace) == wanted
    served: list[int] = []
    for index in range(len(rules)):
        release.grant(namespace, without(rules, index))
        answers = release.statuses(namespace)
        lost = [place for place, answer in enumerate(answers) if answer != wanted[place]]
        assert lost and {answers[place] for place in lost} == {403}, f"without {rules[index]}: {answers}"
        served += lost
    assert sorted(served) == [place for place, answer in enumerate(wanted) if answer == 200]
    release.grant(namespace, [rule | {"resourceNames": ["another"]} for rule in rules])
    assert set(release.statuses(namespace)) == {403}


@pytest.mark.parametrize("switches", [(), *((switch,) for switch in SWITCHES), SWITCHES])
def test_a_switch_grants_what_it_is_for(release: Release, switches: tuple[str, ...]) -> None:
    for namespace, role in roles(rights(switches)).items():
        release.grant(namespace, role["rules"])
        # Whoever may list all pods is not given those with names once more.
        needless = {"podsByName"} if "pods" in switches else set()
        assert release.statuses(namespace) == expected(namespace, set(switches) - needless)


def test_there_are_no_rights_beside_these(release: Release) -> None:
    for namespace, role in release.roles.items():
        release.grant(namespace, role["rules"])
        assert own_rules(release.cluster, release.token, namespace) == as_review(role["rules"])
    for namespace in (EMPTY, "default", "kube-system"):
        assert review(release.cluster, release.token, namespace) == of_everybody(release.cluster, namespace)


IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.invalid/another:1"}]}}}}
OF_PODS = f"{OF_CORE}/{APPS}/pods"

# What an account with all switches on may not do, near what it may.
FORBIDDEN = [
    Ask("PATCH", f"{OF_APPS}/deployments/worker.v1", IMAGE, body_type=STRATEGIC_PATCH),
    Ask("PATCH", f"{OF_APPS}/statefulsets/gateway", IMAGE, body_type=STRATEGIC_PATCH),
    Ask("GET", f"{OF_APPS}/deployments/another"),
    Ask("PATCH", f"{OF_APPS}/deployments/another/scale", START),
    Ask("GET", f"{OF_APPS}/statefulsets/worker.v1"),
    Ask("PATCH", f"{OF_APPS}/deployments/gateway/scale", START),
    Ask("GET", f"{OF_WIDGETS}/web"),
    Ask("GET", OF_WIDGETS),
    Ask("GET", f"/apis/apps/v1/namespaces/{BESIDE}/deployments"),
    Ask("GET", "/apis/apps/v1/deployments"),
    Ask("GET", f"{OF_APPS}/deployments?watch=1"),
    Ask("GET", f"{OF_APPS}/deployments?{watch('another')}"),
    Ask("GET", f"{OF_WIDGETS}?{watch('web')}"),
    Ask("GET", f"{OF_APPS}/statefulsets"),
    Ask("GET", f"{OF_PODS}/gateway-0"),
    Ask("GET", f"{OF_PODS}/gateway-0/log"),
    Ask("DELETE", f"{OF_PODS}/gateway-0"),
    Ask("POST", f"{OF_PODS}/gateway-0/eviction", {}, body_type="application/json"),
    Ask("GET", f"{OF_CORE}/{EMPTY}/pods"),
    Ask("GET", f"{OF_CORE}/{APPS}/secrets"),
    Ask("GET", f"{OF_CORE}/{APPS}/configmaps"),
    Ask("GET", "/api/v1/nodes"),
]


def test_what_is_near_is_forbidden(release: Release) -> None:
    for namespace, role in release.roles.items():
        release.grant(namespace, role["rules"])
    answers = {f"{ask.method} {ask.path}": ask.status(release.cluster, release.token) for ask in FORBIDDEN}
    assert answers == dict.fromkeys(answers, 403)
