"""`deploy/k8s/gateway` as people apply it, to a real API server."""

from __future__ import annotations

import json

from toggle_e2e import manifests
from toggle_e2e.manifests import kustomize, named, of_kind, variables
from toggle_e2e.world import World

FOLDER = "gateway"
LEASES = "/apis/coordination.k8s.io/v1/namespaces"


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
