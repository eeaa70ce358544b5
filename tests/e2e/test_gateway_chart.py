"""The gateway in the Helm chart and in `deploy/k8s`: what is rendered, and what the API server makes of it."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from toggle_e2e import manifests
from toggle_e2e.administrator import Object
from toggle_e2e.bot import run_to_end
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.manifests import Refused, chart, container_of, install, kustomize, of_kind, pod_of, variables
from toggle_e2e.releases import GATEWAY, LEAST, SETS, Values, changed
from toggle_e2e.world import World

FOLDER = "gateway"
LEASES = "/apis/coordination.k8s.io/v1/namespaces"

PLAIN: Values = {
    "bot": {"enabled": False},
    "gateway": {"enabled": True, "config": {"targets": {"worker": {"name": "openclaw-worker"}}}},
}
"""What has to be set for a gateway."""

TRUST = {
    "enabled": True,
    "allowedIdentities": [{"namespace": "ci", "serviceAccount": "deploy", "allowedRoles": ["node"]}],
}
ROLES = {"node": {"targets": ["worker"], "verbs": ["status", "start"]}}
BACKEND = {"host": "web.example.org", "service": "web", "port": "http"}


def config(**parts: object) -> Values:
    """Values with other parts of the gateway's file."""
    return changed("gateway.config", PLAIN["gateway"]["config"] | parts, PLAIN)


def target(base: Values = PLAIN, **fields: object) -> Values:
    """Values with a target that has more fields."""
    return changed("gateway.config.targets.worker", {"name": "openclaw-worker"} | fields, base)


def named(documents: list[Object], kind: str, name: str) -> Object:
    """The document of a kind and name."""
    [found] = [one for one in documents if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def namespaces(documents: list[Object]) -> set[str]:
    """Those that a release's objects are in."""
    return {one["metadata"]["namespace"] for one in documents if "namespace" in one["metadata"]}


def known_to_the_cluster(documents: list[Object]) -> list[Object]:
    """All but the kinds of the Prometheus operator."""
    return [one for one in documents if one["apiVersion"] != "monitoring.coreos.com/v1"]


def test_helm_finds_nothing_to_complain_about() -> None:
    for values in (PLAIN, GATEWAY):
        said, warned = manifests.run(
            "helm", "lint", str(manifests.CHART), "--strict", "-f", "-", given=json.dumps(values)
        )
        assert "1 chart(s) linted, 0 chart(s) failed" in said
        assert not re.search(r"\[(WARNING|ERROR)\]", said), said
        assert not warned


def test_nothing_of_it_is_there_unless_asked_for() -> None:
    for values in SETS.values():
        documents = chart(values)
        assert "gateway" not in {
            one["metadata"].get("labels", {}).get("app.kubernetes.io/component") for one in documents
        }
        assert {"Lease", "Ingress", "HorizontalPodAutoscaler"}.isdisjoint(one["kind"] for one in documents)


def test_the_least_gateway_has_nothing_of_the_bot() -> None:
    documents = chart(PLAIN, "toggle", "here")
    name = "toggle-openclaw-k8s-toggle-operator-gateway"
    assert sorted((one["kind"], one["metadata"]["name"]) for one in documents) == sorted(
        [
            ("ConfigMap", name),
            ("Deployment", name),
            ("Lease", f"{name}-worker"),
            ("NetworkPolicy", name),
            ("Role", name),
            ("Role", f"{name}-leases"),
            ("RoleBinding", name),
            ("RoleBinding", f"{name}-leases"),
            ("Service", name),
            ("ServiceAccount", name),
        ]
    )
    file = json.loads(of_kind(documents, "ConfigMap")["data"]["gateway.json"])
    assert file == {"targets": {"worker": {"name": "openclaw-worker", "namespace": "here"}}}


def test_a_release_of_both_has_pods_apart() -> None:
    documents = chart(LEAST | {"gateway": PLAIN["gateway"]})
    bot, gateway = (
        named(documents, "Deployment", f"toggle-openclaw-k8s-toggle-operator{end}") for end in ("", "-gateway")
    )
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in (bot, gateway)]
    selectors = [one["spec"]["selector"]["matchLabels"] for one in (bot, gateway)]
    for mine, other in [(0, 1), (1, 0)]:
        assert selectors[mine].items() <= labels[mine].items()
        assert not selectors[mine].items() <= labels[other].items()
        policy = named(documents, "NetworkPolicy", (bot, gateway)[mine]["metadata"]["name"])
        assert selects(policy["spec"]["podSelector"], labels[mine])
        assert not selects(policy["spec"]["podSelector"], labels[other])
    accounts = [one["spec"]["template"]["spec"]["serviceAccountName"] for one in (bot, gateway)]
    assert accounts[0] != accounts[1]
    assert {mount["name"] for mount in container_of(gateway["spec"]["template"])["volumeMounts"]} == {
        "kube-api-access",
        "config",
    }, "the gateway has something of the bot's"


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector fits."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
    )


@pytest.mark.parametrize("values", [PLAIN, GATEWAY], ids=["least", "everything"])
def test_the_api_server_takes_it(world: World, values: Values, request: pytest.FixtureRequest) -> None:
    """Under the strictest level of Pod Security."""
    cluster = world.cluster
    release = f"e2e-gateway-{request.node.callspec.id}"
    documents = known_to_the_cluster(chart(values, "toggle", release))
    for made in namespaces(documents):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made, "labels": labels}}])
    for dry_run in (True, False):
        cluster.apply(documents, dry_run=dry_run)
    pod = copy.deepcopy(pod_of(documents))
    # Its admission wants the class to be there, which is not what is looked at.
    pod["spec"].pop("priorityClassName", None)
    assert manifests.try_pod(cluster, release, pod) == (201, "")


def test_one_release_of_everything_says_what_it_was_told() -> None:
    documents = chart(GATEWAY, "toggle", "here")
    name = "toggle-openclaw-k8s-toggle-operator-gateway"
    pod = pod_of(documents)
    container = container_of(pod)
    assert container["args"] == ["gateway"]
    told = variables(pod)
    assert told["TRUSTED_PROXIES"] == "10.244.0.0/16,fd00::/8"
    assert told["OIDC_ALLOWED_CLIENTS"] == "openclaw-cli,openclaw-web"
    assert told["LEASE_PREFIX"] == f"{name}-"
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": 9080,
        "api": 9081,
        "health": 9082,
    }
    for variable, port in [("PROXY_ADDR", 9080), ("API_ADDR", 9081), ("HEALTH_ADDR", 9082)]:
        assert told[variable] == f":{port}"
    assert told["MAX_CONNECTIONS"] == "500" and told["MAX_HELD"] == "200"
    # A minute, five seconds in which connections are taken, and ten to spare.
    assert told["DRAIN_TIMEOUT"] == "1m" and pod["spec"]["terminationGracePeriodSeconds"] == 75
    assert sorted(one["metadata"]["name"] for one in documents if one["kind"] == "Lease") == [
        f"{name}-{end}" for end in ("gateway", "web", "worker")
    ]
    for lease in (one for one in documents if one["kind"] == "Lease"):
        assert "spec" not in lease and "annotations" not in lease["metadata"]
    ingress = of_kind(documents, "Ingress")["spec"]
    assert [rule["host"] for rule in ingress["rules"]] == ["claw.example.org", "web.example.org"]
    assert ingress["tls"] == [{"secretName": "claw-tls", "hosts": ["claw.example.org", "web.example.org"]}]
    assert {path["backend"]["service"]["port"]["name"] for rule in ingress["rules"] for path in rule["http"]["paths"]} == {
        "http"
    }, "the API is not for an Ingress"
    assert of_kind(documents, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "openclaw-worker",
    }
    assert of_kind(documents, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    [spread] = pod["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    secrets = json.dumps([one for one in documents if one["kind"] != "Secret"])
    assert "password@proxy" not in secrets


def test_who_may_reach_what() -> None:
    documents = chart(GATEWAY, "toggle", "here")
    name = "toggle-openclaw-k8s-toggle-operator-gateway"
    labels = pod_of(documents)["metadata"]["labels"]
    policy = named(documents, "NetworkPolicy", name)["spec"]
    assert selects(policy["podSelector"], labels)
    rules = {rule["ports"][0]["port"]: rule["from"] for rule in policy["ingress"]}
    callers = {
        "namespaceSelector": {
            "matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["openclaw", "ci"]}
            ]
        }
    }
    assert rules[9080] == [callers, *GATEWAY["gateway"]["networkPolicy"]["proxyFrom"]]
    assert rules[9081] == [callers, *GATEWAY["gateway"]["networkPolicy"]["apiFrom"]]
    assert rules[9082] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert 9443 in {port["port"] for rule in policy["egress"] for port in rule.get("ports", [])}, "Keycloak's port"

    isolated = named(documents, "NetworkPolicy", f"here.{name}.gateway")
    assert isolated["metadata"]["namespace"] == "openclaw"
    assert isolated["spec"]["podSelector"] == {"matchLabels": {"app": "openclaw-gateway"}}
    [rule] = isolated["spec"]["ingress"]
    gateway, also = rule["from"]
    assert gateway["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "here"}}
    assert selects(gateway["podSelector"], labels)
    assert also == GATEWAY["gateway"]["isolate"]["gateway"]["alsoFrom"][0]


def test_without_callers_and_controllers_nobody_reaches_it() -> None:
    policy = of_kind(chart(changed("networkPolicy.monitoringNamespace", "", PLAIN)), "NetworkPolicy")["spec"]
    assert policy["ingress"] == [] and "Ingress" in policy["policyTypes"]


def test_an_account_of_any_namespace_may_come_from_any() -> None:
    trust = copy.deepcopy(TRUST)
    trust["allowedIdentities"][0]["namespace"] = "*"  # type: ignore[index]
    rules = of_kind(chart(config(k8sTrust=trust, roles=ROLES)), "NetworkPolicy")["spec"]["ingress"]
    assert {"namespaceSelector": {}} in rules[0]["from"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_two_and_more_are_guarded(replicas: int) -> None:
    documents = chart(changed("gateway.replicas", replicas, PLAIN))
    assert any(one["kind"] == "PodDisruptionBudget" for one in documents) == (replicas > 1)
    assert ("topologySpreadConstraints" in pod_of(documents)["spec"]) == (replicas > 1)


def test_the_bot_beside_it_takes_part_in_the_leases_that_both_name() -> None:
    targets = [{"name": name, "object": f"openclaw-{name}"} for name in ("worker", "other")]
    values = changed("targets", targets) | {"gateway": PLAIN["gateway"]}
    documents = chart(values, "toggle", "here")
    prefix = "toggle-openclaw-k8s-toggle-operator-gateway-"
    bot = named(documents, "Deployment", "toggle-openclaw-k8s-toggle-operator")["spec"]["template"]
    assert variables(bot)["GATEWAY_LEASES"] == f"here/{prefix}"
    role = named(documents, "Role", "toggle-openclaw-k8s-toggle-operator-leases")
    [rule] = role["rules"]
    assert (rule["resourceNames"], rule["verbs"]) == ([f"{prefix}worker"], ["get", "patch"])
    told = chart(changed("commands.announceRoom", "!ops:example.com", values), "toggle", "here")
    rules = named(told, "Role", "toggle-openclaw-k8s-toggle-operator-leases")["rules"]
    assert rules[1:] == [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list", "watch"]}]

    nameless = chart(LEAST | {"gateway": PLAIN["gateway"]})
    bot = named(nameless, "Deployment", "toggle-openclaw-k8s-toggle-operator")["spec"]["template"]
    assert "GATEWAY_LEASES" not in variables(bot), "a target without a name has no Lease"


def test_the_bot_of_another_release_takes_part_in_its_leases() -> None:
    documents = chart(SETS["leases"], "toggle", "here")
    assert variables(pod_of(documents))["GATEWAY_LEASES"] == "gateways/openclaw-gateway-"
    role = named(documents, "Role", "here:toggle-openclaw-k8s-toggle-operator-leases")
    assert role["metadata"]["namespace"] == "gateways"
    assert role["rules"][0]["resourceNames"] == ["openclaw-gateway-worker"]


def lease_of(cluster: ControlPlane, namespace: str, name: str) -> Any:
    """A Lease's annotations and spec."""
    lease = cluster.ensure("GET", f"{LEASES}/{namespace}/leases/{name}")
    return lease["metadata"].get("annotations", {}), lease.get("spec", {})


def test_an_upgrade_leaves_alone_what_the_replicas_have_written(world: World) -> None:
    """By helm itself, whose own annotations are the only ones that it has there."""
    cluster, namespace = world.cluster, "e2e-gateway-upgrade"
    cluster.create_namespace(namespace)
    said = install(cluster, PLAIN, "toggle", namespace)
    assert "gateway check" in said
    name = "toggle-openclaw-k8s-toggle-operator-gateway-worker"
    ours = "openclaw-k8s-toggle-operator/"
    written = {
        "metadata": {"annotations": {f"{ours}phase": "run", f"{ours}keep-by": "@anna:example.org"}},
        "spec": {"renewTime": "2026-11-29T20:00:00.000000Z", "holderIdentity": "gateway-0"},
    }
    path = f"{LEASES}/{namespace}/leases/{name}"
    cluster.ensure("PATCH", path, written, "application/merge-patch+json")
    before = lease_of(cluster, namespace, name)
    assert before[1]["renewTime"] == written["spec"]["renewTime"]
    for values in (
        changed("gateway.replicas", 2, PLAIN),
        changed("podLabels", {"team": "a"}, PLAIN),
        changed("gateway.config.targets.web", {"name": "web"}, PLAIN),
    ):
        install(cluster, values, "toggle", namespace, command="upgrade")
        assert lease_of(cluster, namespace, name) == before
    manifests.run("helm", "rollback", "toggle", "1", "-n", namespace, kubeconfig=cluster.kubeconfig())
    assert lease_of(cluster, namespace, name) == before
    # As GitOps tools do it.
    documents = [one for one in chart(PLAIN, "toggle", namespace) if one["kind"] == "Lease"]
    cluster.apply(documents)
    assert lease_of(cluster, namespace, name) == before
    manifests.run("helm", "uninstall", "toggle", "-n", namespace, kubeconfig=cluster.kubeconfig())
    assert cluster.request("GET", path)[0] == 404, "a Lease outlives its release"


def test_releases_stand_side_by_side(world: World) -> None:
    """Two in one namespace and a third in another one, all with callers."""
    cluster = world.cluster
    for namespace in ("e2e-gateway-side", "e2e-gateway-side-2"):
        cluster.create_namespace(namespace)
    values = config(k8sTrust=TRUST, roles=ROLES)
    values = changed("gateway.config.targets.worker.namespace", "e2e-gateway-side", values)
    for release, namespace in [
        ("toggle", "e2e-gateway-side"),
        ("toggle", "e2e-gateway-side-2"),
        ("other", "e2e-gateway-side"),
    ]:
        install(cluster, values, release, namespace)
    roles = cluster.ensure("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles")["items"]
    names = {one["metadata"]["name"] for one in roles if "e2e-gateway-side" in one["metadata"]["name"]}
    assert len(names) == 3


def test_long_names_stay_short_enough() -> None:
    for document in chart(GATEWAY, "a" * 53, "n" * 63):
        name = document["metadata"]["name"]
        # Of these, only a Service's is limited so; the others may have 253.
        assert len(name) <= (63 if document["kind"] in ("Service", "Deployment") else 253), name


def refusal(values: Values, *options: str) -> str:
    """Why the chart is not rendered."""
    with pytest.raises(Refused) as refused:
        chart(values, "toggle", "default", *options)
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "sentences"),
    [
        ({"bot": {"enabled": False}}, ["bot.enabled and gateway.enabled are both off: set one of them"]),
        (changed("gateway.config", {}, PLAIN), ["gateway.config.targets is empty: "]),
        (
            config(k8sTrust={"enabled": True, "allowedIdentities": []}),
            ["gateway.config's k8sTrust is enabled and its allowedIdentities is empty: "],
        ),
        (
            config(gateway={"auth": {"k8sTrust": TRUST}}),
            ["k8sTrust gives ci/deploy the role node, which gateway.config.roles does not have: add node: "],
        ),
        (
            config(roles={"node": {"targets": ["app"], "verbs": ["status"]}}),
            ["gateway.config.roles.node names the target app, which gateway.config.targets does not have"],
        ),
        (
            config(roles=ROLES, oidcRoles={"user": ["admin"]}),
            [
                "gateway.config.oidcRoles.user names the role admin, which gateway.config.roles does not have: ",
                "gateway.config.oidcRoles is set, and gateway.oidc.issuerURL is not: ",
            ],
        ),
        (
            changed("gateway.oidc", {"issuerURL": "https://keycloak.example.com/realms/a"}, PLAIN),
            ["gateway.oidc.audience is not set: ", "gateway.oidc.allowedClients is not set: "],
        ),
        (changed("gateway.oidc", {"audience": "a"}, PLAIN), ["gateway.oidc.audience is set, and gateway.oidc.issuer"]),
        (
            config(targets={"a": {"name": "web"}, "b": {"name": "web", "kind": "Deployment"}}),
            ["gateway.config.targets names apps/deployments default/web twice, as a and as b: keep one of them"],
        ),
        (
            config(targets={"a": {"name": "a"} | BACKEND, "b": {"name": "b"} | BACKEND}),
            ["gateway.config.targets names the host web.example.org twice, as a and as b: "],
        ),
        (target(host="web.example.org"), ["gateway.config.targets.worker has host alone: "]),
        (target(name="toggle-openclaw-k8s-toggle-operator"), ["which is the bot itself: "]),
        (target(name="toggle-openclaw-k8s-toggle-operator-gateway"), ["which is the gateway itself: "]),
        (
            changed("gateway.ports", {"api": 8080}, PLAIN),
            ["gateway.ports.api and gateway.ports.proxy are one port: "],
        ),
        (
            changed("gateway.leases", "gateways/openclaw-gateway-", PLAIN),
            ["gateway.leases is for a gateway of another release"],
        ),
        (changed("gateway.ingress.enabled", True, PLAIN), ["gateway.ingress.enabled leads to no target: "]),
        (
            changed("gateway.isolate", {"worker": {"podLabels": {"a": "b"}}}, PLAIN),
            ["gateway.isolate.worker is no target with a service: "],
        ),
        (
            changed("gateway.autoscalers", {"other": {"maxReplicas": 3}}, PLAIN),
            ["gateway.autoscalers.other is no target"],
        ),
        (changed("gateway.serviceAccount", {"create": False}, PLAIN), ["gateway.serviceAccount.name is not set: "]),
        (
            changed("gateway.extraEnv", [{"name": "API_ADDR", "value": ":1"}], PLAIN),
            ["gateway.extraEnv names API_ADDR, which another value sets already: "],
        ),
        (
            changed("commands.announceRoom", "!ops:example.com"),
            ["commands.announceRoom is set, and there is no gateway whose doings could be told: "],
        ),
        (
            changed("gateway", {"leases": "gateways/openclaw-gateway-"}),
            ["gateway.leases is set, and no target has an object: "],
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_what_to_do(values: Values, sentences: list[str]) -> None:
    said = refusal(values)
    for sentence in sentences:
        assert sentence in said
    assert len(re.findall(r"^  \S", said, re.MULTILINE)) == len(sentences), said


def test_a_name_that_no_service_can_have_is_refused() -> None:
    with pytest.raises(Refused, match="gateway.enabled makes a Service, and .* is no name for one: set "):
        chart(PLAIN, "1toggle")


SLIPS: list[tuple[str, object]] = [
    ("gateway.replica", 2),
    ("gateway.replicas", -1),
    ("gateway.config.target", {}),
    ("gateway.config.targets.Worker", {"name": "a"}),
    ("gateway.config.targets.worker.name", "A"),
    ("gateway.config.targets.worker.image", "a"),
    ("gateway.config.targets.worker.kind", "DaemonSet"),
    ("gateway.config.targets.worker.idleStop", "always"),
    ("gateway.config.targets.worker.idle", 30),
    ("gateway.config.targets.worker.onCold", "wait"),
    ("gateway.config.targets.worker.pageStatus", 404),
    ("gateway.config.targets.worker.anonymous", ["read"]),
    ("gateway.config.targets.worker.host", "Web.example.org"),
    ("gateway.config.targets.worker.host", "web.example.org:443"),
    ("gateway.config.roles", {"node": {"targets": ["worker"]}}),
    ("gateway.config.roles", {"node": {"targets": ["worker"], "verbs": ["restart"]}}),
    ("gateway.config.k8sTrust", {"enabled": True}),
    ("gateway.config.k8sTrust", TRUST | {"ephemeralSessions": False}),
    ("gateway.config.k8sTrust", TRUST | {"allowedIdentities": [{"namespace": "ci", "serviceAccount": "a"}]}),
    ("gateway.config.gateway", {"auth": {"k8sTrust": TRUST | {"enable": True}}}),
    ("gateway.trustedProxies", ["0.0.0.0/0"]),
    ("gateway.trustedProxies", ["ingress"]),
    ("gateway.tokenAudience", ""),
    ("gateway.oidc.issuerURL", "http://keycloak.example.com/realms/a"),
    ("gateway.oidc.algorithms", ["none"]),
    ("gateway.oidc.algorithms", ["HS256"]),
    ("gateway.oidc.algorithms", []),
    ("gateway.drainTimeout", "soon"),
    ("gateway.ports.proxy", 80),
    ("gateway.isolate", {"worker": {"podLabels": {}}}),
    ("gateway.leases", "gateways"),
    ("gateway.podLabels", {"app.kubernetes.io/component": "bot"}),
    ("commands.announceRoom", "#ops:example.com"),
]


@pytest.mark.parametrize(("path", "value"), SLIPS)
def test_a_slip_is_refused(path: str, value: object) -> None:
    assert "values don't meet the specifications of the schema" in refusal(changed(path, value, PLAIN))


def test_the_keys_of_the_other_program_in_the_file_are_left_in_it() -> None:
    """The file is taken as it is; the gateway says which keys it does not use."""
    seed = {"mode": "local", "port": 18789, "bind": "lan", "auth": {"mode": "token", "k8sTrust": TRUST}}
    documents = chart(config(gateway=seed, roles=ROLES))
    assert json.loads(of_kind(documents, "ConfigMap")["data"]["gateway.json"])["gateway"] == seed


# The manifests in deploy/k8s/gateway.


def test_the_manifests_are_taken_by_the_api_server(world: World) -> None:
    cluster = world.cluster
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    documents = kustomize(FOLDER)
    of_kind(documents, "Namespace")["metadata"]["labels"] = labels
    for dry_run in (False, True):
        cluster.apply(documents, dry_run=dry_run)
    for document in documents:
        if document["kind"] in ("Deployment", "StatefulSet"):
            pod = document["spec"]["template"]
            assert manifests.try_pod(cluster, "openclaw", pod) == (201, ""), document["metadata"]["name"]


def test_what_is_named_twice_in_the_manifests_is_the_same() -> None:
    documents = kustomize(FOLDER)
    file = json.loads(named(documents, "ConfigMap", "openclaw-toggle-gateway")["data"]["gateway.json"])
    gateway = named(documents, "Deployment", "openclaw-toggle-gateway")["spec"]["template"]
    told = variables(gateway)
    leases = {one["metadata"]["name"] for one in documents if one["kind"] == "Lease"}
    assert leases == {told["LEASE_PREFIX"] + name for name in file["targets"]}
    rules = named(documents, "Role", "openclaw-toggle-gateway")["rules"]
    granted = {
        (resource, name)
        for rule in rules
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [])
    }
    wanted = {("leases", name) for name in leases}
    for one in file["targets"].values():
        wanted |= {(f"{one['kind'].lower()}s{end}", one["name"]) for end in ("", "/scale")}
        assert named(documents, one["kind"], one["name"])["metadata"]["namespace"] == one["namespace"]
        assert "replicas" not in named(documents, one["kind"], one["name"])["spec"]
        if service := one.get("service"):
            wanted.add(("services", service))
            ports = named(documents, "Service", service)["spec"]["ports"]
            assert one["port"] in [port["name"] for port in ports]
            # The name that clients dial leads to the gateway.
            front = named(documents, "Service", one["host"])["spec"]["selector"]
            assert front.items() <= gateway["metadata"]["labels"].items()
    assert granted == wanted
    accounts = {one["metadata"]["name"] for one in documents if one["kind"] == "ServiceAccount"}
    for identity in file["gateway"]["auth"]["k8sTrust"]["allowedIdentities"]:
        assert identity["serviceAccount"] in accounts and identity["namespace"] == "openclaw"
    worker = named(documents, "Deployment", "openclaw-worker")["spec"]["template"]["spec"]
    [volume] = worker["volumes"]
    [source] = volume["projected"]["sources"]
    assert source["serviceAccountToken"] == {
        "path": "token",
        "audience": told["TOKEN_AUDIENCE"],
        "expirationSeconds": 600,
    }
    assert worker["serviceAccountName"] == "openclaw-worker"


def test_an_apply_of_the_manifests_leaves_leases_and_counts_alone(world: World) -> None:
    cluster = world.cluster
    cluster.apply(kustomize(FOLDER))
    path = f"{LEASES}/openclaw/leases/openclaw-gateway-gateway"
    spec = {"renewTime": "2026-11-29T20:00:00.000000Z"}
    cluster.ensure("PATCH", path, {"spec": spec}, "application/merge-patch+json")
    scale = "/apis/apps/v1/namespaces/openclaw/statefulsets/openclaw-gateway/scale"
    cluster.ensure("PATCH", scale, {"spec": {"replicas": 0}}, "application/merge-patch+json")
    manifests.run("kubectl", "apply", "-k", str(manifests.KUSTOMIZE / FOLDER), kubeconfig=cluster.kubeconfig())
    cluster.apply(kustomize(FOLDER))
    assert cluster.ensure("GET", path)["spec"]["renewTime"] == spec["renewTime"]
    assert cluster.ensure("GET", scale)["spec"].get("replicas", 0) == 0


# The settings of the program, once it has them.


def gateway_variables() -> dict[str, str]:
    """The variables that `gateway --help` tells of, with what it says behind their names."""
    _, text = run_to_end({}, ("gateway", "--help"))
    known = dict(re.findall(r"^  ([A-Z][A-Z0-9_]+) \((.*)\)$", text, re.MULTILINE))
    if not known:
        pytest.skip("this binary has no gateway, or says nothing of its variables")
    return known


def test_every_variable_of_the_gateway_can_be_set() -> None:
    known = gateway_variables()
    both = [GATEWAY, changed("proxy.url", "http://proxy:1", changed("secrets", {}, GATEWAY))]
    given = {one["name"] for values in both for one in container_of(pod_of(chart(values)))["env"]}
    of_the_cluster = {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG", "KUBE_CONTEXT"}
    wanted = {name for name in known if f"{name}_FILE" not in known or name in given}
    assert wanted - given <= of_the_cluster


def test_the_defaults_are_the_programs() -> None:
    known = gateway_variables()
    told = variables(pod_of(chart(changed("gateway.oidc", {"issuerURL": "https://a/b", "audience": "a", "allowedClients": ["c"]}, PLAIN))))
    defaults = {name: said.removeprefix("default ") for name, said in known.items() if said.startswith("default ")}
    others = {name for name in defaults.keys() & told.keys() if told[name] != defaults[name]}
    # Of each release.
    assert others <= {"LEASE_PREFIX"}
