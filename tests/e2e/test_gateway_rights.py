"""The rights of the gateway as the chart gives them: those that its documents list, each needed, and no others.

The requests are those of the gateway's code, sent with the token of its account.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from toggle_e2e.administrator import APPLY, MERGE_PATCH, Object
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.manifests import REPOSITORY, Refused, chart, kustomize
from toggle_e2e.net import wait_for
from toggle_e2e.releases import LEAST, Values, changed
from toggle_e2e.rights import WIDGETS, as_review, of_everybody, own_rules, review
from toggle_e2e.world import NODE, World

HOME, APPS, BESIDE, EMPTY = "e2e-gw-rights", "e2e-gw-rights-apps", "e2e-gw-rights-beside", "e2e-gw-rights-none"
"""Namespaces: of the release, of its targets, of one that is not proxied by its pods, and of no target."""

ACCOUNT = "toggle-openclaw-k8s-toggle-operator-gateway"
PREFIX = f"{ACCOUNT}-"

VALUES: Values = {
    "bot": {"enabled": False},
    "gateway": {
        "enabled": True,
        "config": {
            "k8sTrust": {
                "enabled": True,
                "allowedIdentities": [{"namespace": APPS, "serviceAccount": "worker", "allowedRoles": ["node"]}],
            },
            "roles": {"node": {"targets": ["*"], "verbs": ["status", "wait", "wake", "connect"]}},
            "targets": {
                "gateway": {
                    "kind": "StatefulSet",
                    "namespace": APPS,
                    "name": "gateway",
                    "host": "claw.example.org",
                    "service": "app",
                    "port": "http",
                },
                "worker": {"namespace": APPS, "name": "worker.v1"},
                "web": {
                    "namespace": BESIDE,
                    "name": "web",
                    "host": "web.example.org",
                    "service": "web",
                    "port": 80,
                    "route": "service",
                },
            },
        },
    },
}


def rule(group: str, resource: str, verbs: list[str], *names: str) -> Object:
    """A rule as a Role has it."""
    found: Object = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
    return found | ({"resourceNames": list(names)} if names else {})


ANYWHERE = [rule("authentication.k8s.io", "tokenreviews", ["create"])]
"""What is granted in the whole cluster."""

TABLE: dict[str, list[Object]] = {
    HOME: [
        rule(
            "coordination.k8s.io",
            "leases",
            ["get", "patch"],
            *(f"{PREFIX}{name}" for name in ("gateway", "web", "worker")),
        ),
        rule("coordination.k8s.io", "leases", ["list", "watch"]),
    ],
    APPS: [
        rule("apps", "deployments", ["get"], "worker.v1"),
        rule("apps", "deployments/scale", ["get", "patch"], "worker.v1"),
        rule("apps", "statefulsets", ["get"], "gateway"),
        rule("apps", "statefulsets/scale", ["get", "patch"], "gateway"),
        rule("", "services", ["get"], "app"),
        rule("discovery.k8s.io", "endpointslices", ["list", "watch"]),
    ],
    BESIDE: [
        rule("apps", "deployments", ["get"], "web"),
        rule("apps", "deployments/scale", ["get", "patch"], "web"),
        rule("", "services", ["get"], "web"),
    ],
    EMPTY: [],
}
"""What the account may do in each namespace, beside what is granted in the whole cluster."""


@dataclass(frozen=True)
class Ask:
    """A request, and the body that it has."""

    method: str
    path: str
    body: Any = None
    body_type: str = "application/json"

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
        joined = "&" if "?" in self.path else "?"
        dry = f"{joined}dryRun=All" if self.body is not None and "reviews" not in self.path else ""
        status: int = cluster.request(self.method, self.path + dry, self.body, self.body_type, user=token)[0]
        return 200 if status == 201 else status


def scale(name: str, namespace: str, replicas: int) -> Object:
    """What is applied to wake or stop."""
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas},
    }


def applied(resource: str, namespace: str, name: str) -> Ask:
    """A wake of what a manifest has set, which is done by force once."""
    path = f"/apis/apps/v1/namespaces/{namespace}/{resource}/{name}/scale?fieldManager=openclaw-gateway&force=true"
    return Ask("PATCH", path, scale(name, namespace, 1), APPLY)


WATCH = "watch=true&allowWatchBookmarks=true&timeoutSeconds=240"
RENEWED = {"spec": {"renewTime": "2026-11-29T20:00:00.000000Z"}}
REVIEW = {
    "apiVersion": "authentication.k8s.io/v1",
    "kind": "TokenReview",
    "spec": {"token": "rubbish", "audiences": ["openclaw-gateway"]},
}


def of(group: str, namespace: str) -> str:
    """The path of an API group in a namespace."""
    return f"/apis/{group}/v1/namespaces/{namespace}" if group else f"/api/v1/namespaces/{namespace}"


ALLOWED = [
    Ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", REVIEW),
    Ask("GET", f"{of('apps', APPS)}/deployments/worker.v1"),
    Ask("GET", f"{of('apps', APPS)}/deployments/worker.v1/scale"),
    applied("deployments", APPS, "worker.v1"),
    Ask("GET", f"{of('apps', APPS)}/statefulsets/gateway"),
    Ask("GET", f"{of('apps', APPS)}/statefulsets/gateway/scale"),
    applied("statefulsets", APPS, "gateway"),
    Ask("GET", f"{of('', APPS)}/services/app"),
    Ask("GET", f"{of('discovery.k8s.io', APPS)}/endpointslices?limit=500"),
    Ask("GET", f"{of('discovery.k8s.io', APPS)}/endpointslices?{WATCH}"),
    Ask("GET", f"{of('apps', BESIDE)}/deployments/web"),
    applied("deployments", BESIDE, "web"),
    Ask("GET", f"{of('', BESIDE)}/services/web"),
    *(
        ask
        for name in ("gateway", "web", "worker")
        for ask in (
            Ask("GET", f"{of('coordination.k8s.io', HOME)}/leases/{PREFIX}{name}"),
            Ask("PATCH", f"{of('coordination.k8s.io', HOME)}/leases/{PREFIX}{name}", RENEWED, MERGE_PATCH),
        )
    ),
    Ask("GET", f"{of('coordination.k8s.io', HOME)}/leases?limit=500"),
    Ask("GET", f"{of('coordination.k8s.io', HOME)}/leases?{WATCH}"),
]

IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.invalid/another:1"}]}}}}
LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "another"}}
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

FORBIDDEN = [
    Ask("PATCH", f"{of('apps', APPS)}/deployments/worker.v1", IMAGE, STRATEGIC_PATCH),
    Ask("PATCH", f"{of('apps', APPS)}/statefulsets/gateway", IMAGE, STRATEGIC_PATCH),
    Ask("GET", f"{of('apps', APPS)}/deployments/another"),
    applied("deployments", APPS, "another"),
    applied("deployments", APPS, "gateway"),
    applied("deployments", HOME, "another"),
    Ask("GET", f"{of('apps', APPS)}/deployments"),
    Ask("GET", f"{of('apps', APPS)}/deployments?{WATCH}"),
    Ask("DELETE", f"{of('apps', APPS)}/deployments/worker.v1"),
    Ask("GET", f"{of('', APPS)}/services/another"),
    Ask("GET", f"{of('', APPS)}/services"),
    Ask("GET", f"{of('discovery.k8s.io', BESIDE)}/endpointslices"),
    Ask("GET", "/apis/discovery.k8s.io/v1/endpointslices"),
    Ask("GET", f"{of('discovery.k8s.io', APPS)}/endpointslices/app"),
    Ask("POST", f"{of('discovery.k8s.io', APPS)}/endpointslices", {}),
    Ask("GET", f"{of('coordination.k8s.io', HOME)}/leases/another"),
    Ask("PATCH", f"{of('coordination.k8s.io', HOME)}/leases/another", RENEWED, MERGE_PATCH),
    Ask("POST", f"{of('coordination.k8s.io', HOME)}/leases", LEASE),
    Ask("DELETE", f"{of('coordination.k8s.io', HOME)}/leases/{PREFIX}worker"),
    Ask("GET", f"{of('coordination.k8s.io', 'kube-system')}/leases"),
    Ask("GET", f"{of('', APPS)}/pods"),
    Ask("GET", f"{of('', HOME)}/secrets"),
    Ask("GET", f"{of('', HOME)}/configmaps"),
    Ask("POST", f"{of('', APPS)}/serviceaccounts/default/token", {}),
    Ask("GET", "/api/v1/nodes"),
]


def account_and_rights(documents: list[Object]) -> list[Object]:
    """What of a release gives the gateway its rights, and its Leases."""
    kinds = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Lease")
    return [one for one in documents if one["kind"] in kinds]


@pytest.fixture(scope="module")
def cluster(world: World) -> ControlPlane:
    """The cluster, with what the targets name and something beside each."""
    made = world.cluster
    for namespace in (HOME, APPS, BESIDE, EMPTY):
        made.create_namespace(namespace)
    for namespace, names in {HOME: ["another"], APPS: ["worker.v1", "another"], BESIDE: ["web"]}.items():
        for name in names:
            made.create_deployment(namespace, name, 0, NODE)
    pods = made.ensure("GET", f"{of('apps', APPS)}/deployments/worker.v1")["spec"]["template"]
    gateway = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "gateway", "namespace": APPS},
        "spec": {
            "replicas": 0,
            "serviceName": "app",
            "selector": {"matchLabels": pods["metadata"]["labels"]},
            "template": pods,
        },
    }
    made.ensure("POST", f"{of('apps', APPS)}/statefulsets", gateway)
    for namespace, name in [(APPS, "app"), (APPS, "another"), (BESIDE, "web")]:
        ports = [{"name": "http", "port": 80}]
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}}
        made.ensure("POST", f"{of('', namespace)}/services", service)
    made.ensure("POST", f"{of('coordination.k8s.io', HOME)}/leases", LEASE)
    made.apply(account_and_rights(chart(VALUES, "toggle", HOME)))
    return made


@pytest.fixture(scope="module")
def token(cluster: ControlPlane) -> str:
    """A token of the gateway's account."""
    return cluster.token(HOME, ACCOUNT)


@pytest.mark.parametrize("namespace", TABLE)
def test_the_rights_are_those_of_the_table(cluster: ControlPlane, token: str, namespace: str) -> None:
    wanted = as_review([*TABLE[namespace], *ANYWHERE])
    seen: list[Any] = []

    def counts() -> bool:
        seen[:] = own_rules(cluster, token, namespace)
        return seen == wanted

    wait_for("the rights to count", counts, detail=lambda: f"it has {seen}")


def test_nothing_is_allowed_elsewhere_but_to_ask_whose_a_token_is(cluster: ControlPlane, token: str) -> None:
    for namespace in ("default", "kube-system"):
        everybody = of_everybody(cluster, namespace)
        assert [one for one in review(cluster, token, namespace) if one not in everybody] == as_review(ANYWHERE)


def test_what_it_asks_for_is_allowed(cluster: ControlPlane, token: str) -> None:
    answers = {f"{ask.method} {ask.path}": ask.status(cluster, token) for ask in ALLOWED}
    assert answers == dict.fromkeys(answers, 200)


def test_what_is_near_is_forbidden(cluster: ControlPlane, token: str) -> None:
    answers = {f"{ask.method} {ask.path}": ask.status(cluster, token) for ask in FORBIDDEN}
    assert answers == dict.fromkeys(answers, 403)


def test_each_rule_is_needed() -> None:
    """Each is the only one for one of the requests at least."""
    for namespace, rules in TABLE.items():
        for one in [*rules, *ANYWHERE]:
            assert any(fits(ask, one, namespace) for ask in ALLOWED), f"nothing asks for {one} in {namespace}"


def fits(ask: Ask, one: Object, namespace: str) -> bool:
    """Whether a request needs a rule."""
    [group], [resource] = one["apiGroups"], one["resources"]
    verb = {"POST": "create", "PATCH": "patch"}.get(ask.method, "watch" if "watch=true" in ask.path else "get")
    path = ask.path.partition("?")[0]
    if resource == "tokenreviews":
        return path.endswith("/tokenreviews")
    found = re.match(rf"{of(group, namespace)}/(\w+)(?:/([^/]+)(/scale)?)?$", path)
    if found is None or found[1] + (found[3] or "") != resource:
        return False
    if verb == "get" and not found[2]:
        verb = "list"
    return verb in one["verbs"] and (found[2] in one["resourceNames"] if "resourceNames" in one else not found[2])


def test_the_count_of_another_kind_cannot_be_applied(cluster: ControlPlane) -> None:
    """Whoever asks: the API server fails at it. So only Deployments and StatefulSets are targets of a gateway."""
    cluster.apply([WIDGETS])
    widgets = f"{of('e2e.example.com', EMPTY)}/widgets"
    wait_for("widgets to be served", lambda: cluster.request("GET", widgets)[0] == 200, 20)
    widget = {"apiVersion": "e2e.example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"replicas": 1}}
    cluster.ensure("POST", widgets, widget)
    path = f"{widgets}/a/scale?fieldManager=openclaw-gateway&force=true"
    status, answer = cluster.request("PATCH", path, scale("a", EMPTY, 2), APPLY)
    assert status == 500 and "request to convert CR to an invalid group/version: autoscaling/v1" in answer["message"]
    kind = {"namespace": EMPTY, "kind": "e2e.example.com/v1/widgets", "name": "a"}
    with pytest.raises(Refused, match="values don't meet the specifications of the schema"):
        chart(changed("gateway.config.targets.canary", kind, VALUES))


def test_without_callers_no_right_is_of_the_whole_cluster() -> None:
    documents = chart(changed("gateway.config.k8sTrust.enabled", False, VALUES))
    assert {one["kind"] for one in documents}.isdisjoint({"ClusterRole", "ClusterRoleBinding"})
    nothing = chart(changed("rbac", {"create": False}, VALUES))
    assert not [one for one in nothing if "Role" in one["kind"]]


def test_a_bot_beside_it_gets_no_other_right(world: World) -> None:
    """Beside those that it has without a gateway: two verbs on the Leases of what both switch."""
    cluster = world.cluster
    namespace = "e2e-gw-rights-bot"
    cluster.create_namespace(namespace)
    values = changed("targets", [{"name": "worker", "object": "worker.v1"}], LEAST)
    gateway = {"enabled": True, "config": {"targets": {"worker": {"name": "worker.v1"}}}}
    bot = "toggle-openclaw-k8s-toggle-operator"

    def rules(given: Values) -> list[Any]:
        cluster.apply(account_and_rights(chart(given, "toggle", namespace)))
        return own_rules(cluster, cluster.token(namespace, bot), namespace)

    roles = [one for one in chart(values, "toggle", namespace) if one["kind"] == "Role"]
    alone = as_review(each for one in roles for each in one["rules"])
    wait_for("the rights without a gateway to count", lambda: rules(values) == alone, 10)
    lease = rule("coordination.k8s.io", "leases", ["get", "patch"], f"{bot}-gateway-worker")
    wanted = sorted([*alone, *as_review([lease])])
    wait_for("the rights to count", lambda: rules(values | {"gateway": gateway}) == wanted, 10)


def test_reasons_take_two_rights_more(world: World) -> None:
    """`list` on pods and on Events, each by itself, where a target is, and nowhere else."""
    cluster = world.cluster
    home, apps = "e2e-gw-rights-why", "e2e-gw-rights-why-apps"
    for namespace in (home, apps):
        cluster.create_namespace(namespace)
    targets = {"worker": {"namespace": apps, "name": "worker"}}
    given = changed("gateway.config.targets", targets, VALUES)
    given = changed("gateway.config.roles.node.targets", ["worker"], given)
    token = ""
    for rights in ([], ["pods"], ["events"], ["pods", "events"]):
        values = changed("gateway.rights", dict.fromkeys(rights, True), given)
        cluster.apply(account_and_rights(chart(values, "toggle", home)))
        token = token or cluster.token(home, ACCOUNT)
        for namespace in (home, apps, EMPTY):
            may = [one for one in ("pods", "events") if one in rights and namespace == apps]

            def listed(namespace: str = namespace) -> list[str]:
                kinds = ("pods", "events", "secrets")
                core = f"/api/v1/namespaces/{namespace}"
                return [one for one in kinds if cluster.request("GET", f"{core}/{one}", user=token)[0] == 200]

            wait_for(f"the rights {rights} in {namespace}", lambda listed=listed, may=may: listed() == may, 10)


def test_the_manifests_grant_the_same() -> None:
    """`deploy/k8s/gateway`, compared with the chart's Roles for its file."""
    documents = kustomize("gateway")
    [role] = [one for one in documents if one["kind"] == "Role"]
    [cluster_role] = [one for one in documents if one["kind"] == "ClusterRole"]
    assert cluster_role["rules"] == ANYWHERE
    assert as_review(role["rules"]) == as_review(
        [
            rule("apps", "deployments", ["get"], "openclaw-worker"),
            rule("apps", "statefulsets", ["get"], "openclaw-gateway"),
            rule("apps", "deployments/scale", ["get", "patch"], "openclaw-worker"),
            rule("apps", "statefulsets/scale", ["get", "patch"], "openclaw-gateway"),
            rule("", "services", ["get"], "openclaw-app"),
            rule("discovery.k8s.io", "endpointslices", ["list", "watch"]),
            rule(
                "coordination.k8s.io",
                "leases",
                ["get", "patch"],
                "openclaw-gateway-gateway",
                "openclaw-gateway-worker",
            ),
            rule("coordination.k8s.io", "leases", ["list", "watch"]),
        ]
    )


def test_the_documents_list_the_same() -> None:
    """The table of docs/gateway.md has each resource with its verbs."""
    text = (REPOSITORY / "docs" / "gateway.md").read_text()
    table = re.search(r"^<!-- rights -->\n(.*?)^<!-- /rights -->$", text, re.MULTILINE | re.DOTALL)
    assert table is not None
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", table[1], re.MULTILINE)
    listed = {
        (resource, tuple(re.findall(r"`(\w+)`", verbs)))
        for resources, verbs in rows
        for resource in re.findall(r"`([a-z/]+)`", resources)
    }
    granted = {
        (one["resources"][0], tuple(one["verbs"]))
        for rules in TABLE.values()
        for one in [*rules, *ANYWHERE]
    }
    assert listed == granted
