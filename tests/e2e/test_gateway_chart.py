"""The gateway in the Helm chart: what is rendered, and what the API server makes of it."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
import yaml

from toggle_e2e import manifests
from toggle_e2e.administrator import Object
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.manifests import chart, container_of, install, named, of_kind, pod_of, variables
from toggle_e2e.releases import GATEWAY, GATEWAY_ALONE, LEAST, ROLES, SETS, TRUST, Values, changed, gateway_file
from toggle_e2e.world import World

LEASES = "/apis/coordination.k8s.io/v1/namespaces"


def namespaces(documents: list[Object]) -> set[str]:
    """Those that a release's objects are in."""
    return {one["metadata"]["namespace"] for one in documents if "namespace" in one["metadata"]}


def known_to_the_cluster(documents: list[Object]) -> list[Object]:
    """All but the kinds of the Prometheus operator."""
    return [one for one in documents if one["apiVersion"] != "monitoring.coreos.com/v1"]


def test_helm_finds_nothing_to_complain_about() -> None:
    for values in (GATEWAY_ALONE, GATEWAY):
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
    documents = chart(GATEWAY_ALONE, "toggle", "here")
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
    documents = chart(LEAST | {"gateway": GATEWAY_ALONE["gateway"]})
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


@pytest.mark.parametrize("values", [GATEWAY_ALONE, GATEWAY], ids=["least", "everything"])
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
    paths = [path for rule in ingress["rules"] for path in rule["http"]["paths"]]
    assert {path["backend"]["service"]["port"]["name"] for path in paths} == {"http"}, "the API is not for an Ingress"
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


def test_a_certificate_is_there_for_whoever_runs_the_pod_and_for_nobody_else() -> None:
    """As a folder, which changes with its Secret, and of which only two keys are taken."""
    pod = pod_of(chart(changed("gateway.tls.secretName", "123", GATEWAY_ALONE)))
    [volume] = [one for one in pod["spec"]["volumes"] if one["name"] == "tls"]
    assert volume["secret"] == {
        "secretName": "123",
        "defaultMode": 0o440,
        "optional": True,
        "items": [{"key": key, "path": key} for key in ("tls.crt", "tls.key")],
    }
    security = pod["spec"]["securityContext"]
    assert security["runAsNonRoot"] and security["fsGroup"] == security["runAsGroup"]
    [mount] = [one for one in container_of(pod)["volumeMounts"] if one["name"] == "tls"]
    told = variables(pod)
    for variable, key in [("TLS_CERT_FILE", "tls.crt"), ("TLS_KEY_FILE", "tls.key")]:
        assert told[variable] == f"{mount['mountPath']}/{key}"
    assert mount.keys() == {"name", "mountPath", "readOnly"} and mount["readOnly"]
    without = pod_of(chart(GATEWAY_ALONE))
    assert not [one for one in variables(without) if one.startswith("TLS_")]
    assert "tls" not in [one["name"] for one in without["spec"]["volumes"]]


def test_whoever_asks_is_told_which_protocol_there_is(world: World) -> None:
    """By the Service and by the notes; probes and numbers are asked for without TLS in any case."""
    cold = {"name": "openclaw-worker", "host": "web.example.org", "service": "web", "port": "http"}
    plain = changed("gateway.config.targets.worker", cold, GATEWAY_ALONE)
    tls = changed("gateway.tls.secretName", "gateway-tls", plain)
    for values, protocol in [(plain, None), (tls, "https")]:
        documents = chart(values)
        ports = of_kind(documents, "Service")["spec"]["ports"]
        assert [one.get("appProtocol") for one in ports] == [protocol] * 2
        container = container_of(pod_of(documents))
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
        said = install(world.cluster, values, "toggle", "default", "--dry-run=server").split("NOTES:")[1]
        address = "://toggle-openclaw-k8s-toggle-operator-gateway.default.svc:8081"
        assert f" {protocol or 'http'}{address}" in said
        assert ("backend-protocol: HTTPS" in said) == ("serversscheme: https" in said) == bool(protocol)
        assert ("Secret gateway-tls has to have" in said) == bool(protocol)
    hostless = changed("gateway.tls.secretName", "gateway-tls", GATEWAY_ALONE)
    assert "backend-protocol" not in install(world.cluster, hostless, "toggle", "default", "--dry-run=server")


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
    policy = of_kind(chart(changed("networkPolicy.monitoringNamespace", "", GATEWAY_ALONE)), "NetworkPolicy")["spec"]
    assert policy["ingress"] == [] and "Ingress" in policy["policyTypes"]


def test_an_account_of_any_namespace_may_come_from_any() -> None:
    trust = copy.deepcopy(TRUST)
    trust["allowedIdentities"][0]["namespace"] = "*"  # type: ignore[index]
    rules = of_kind(chart(gateway_file(k8sTrust=trust, roles=ROLES)), "NetworkPolicy")["spec"]["ingress"]
    assert {"namespaceSelector": {}} in rules[0]["from"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_two_and_more_are_guarded(replicas: int) -> None:
    documents = chart(changed("gateway.replicas", replicas, GATEWAY_ALONE))
    assert any(one["kind"] == "PodDisruptionBudget" for one in documents) == (replicas > 1)
    assert ("topologySpreadConstraints" in pod_of(documents)["spec"]) == (replicas > 1)


def test_its_numbers_are_watched_where_that_is_asked_for() -> None:
    """By alerts and a dashboard of its own, beside the bot's in a release of both."""
    metrics = {one: {"enabled": True} for one in ("podMonitor", "prometheusRule", "dashboard")}
    files = manifests.CHART / "files"
    alone = chart(GATEWAY_ALONE | {"metrics": metrics})
    name = "toggle-openclaw-k8s-toggle-operator-gateway"
    rule = of_kind(alone, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((files / "gateway-alerts.yaml").read_text())
    [dashboard] = named(alone, "ConfigMap", f"{name}-dashboard")["data"].values()
    assert json.loads(dashboard) == json.loads((files / "gateway-dashboard.json").read_text())
    monitor = of_kind(alone, "PodMonitor")["spec"]
    pod = pod_of(alone)
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert monitor["podMetricsEndpoints"][0]["port"] in [port["name"] for port in container_of(pod)["ports"]]
    both = chart(LEAST | {"metrics": metrics, "gateway": GATEWAY_ALONE["gateway"]})
    for kind in ("PrometheusRule", "PodMonitor"):
        names = {one["metadata"]["name"] for one in both if one["kind"] == kind}
        assert names == {name, name.removesuffix("-gateway")}


def test_the_bot_beside_it_takes_part_in_the_leases_that_both_name() -> None:
    targets = [{"name": name, "object": f"openclaw-{name}"} for name in ("worker", "other")]
    values = changed("targets", targets) | {"gateway": GATEWAY_ALONE["gateway"]}
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

    nameless = chart(LEAST | {"gateway": GATEWAY_ALONE["gateway"]})
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
    said = install(cluster, GATEWAY_ALONE, "toggle", namespace)
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
        changed("gateway.replicas", 2, GATEWAY_ALONE),
        changed("podLabels", {"team": "a"}, GATEWAY_ALONE),
        changed("gateway.config.targets.web", {"name": "web"}, GATEWAY_ALONE),
    ):
        install(cluster, values, "toggle", namespace, command="upgrade")
        assert lease_of(cluster, namespace, name) == before
    manifests.run("helm", "rollback", "toggle", "1", "-n", namespace, kubeconfig=cluster.kubeconfig())
    assert lease_of(cluster, namespace, name) == before
    # As GitOps tools do it.
    documents = [one for one in chart(GATEWAY_ALONE, "toggle", namespace) if one["kind"] == "Lease"]
    cluster.apply(documents)
    assert lease_of(cluster, namespace, name) == before
    manifests.run("helm", "uninstall", "toggle", "-n", namespace, kubeconfig=cluster.kubeconfig())
    assert cluster.request("GET", path)[0] == 404, "a Lease outlives its release"


def test_releases_stand_side_by_side(world: World) -> None:
    """Two in one namespace and a third in another one, all with callers."""
    cluster = world.cluster
    for namespace in ("e2e-gateway-side", "e2e-gateway-side-2"):
        cluster.create_namespace(namespace)
    values = gateway_file(k8sTrust=TRUST, roles=ROLES)
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
