"""`deploy/k8s/gateway` as people apply it, to a real API server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toggle_e2e import manifests
from toggle_e2e.bot import run_to_end
from toggle_e2e.manifests import container_of, kustomize, named, of_kind, variables
from toggle_e2e.served import Issuer, tls_secret
from toggle_e2e.world import World

FOLDER = "gateway"
TLS = "overlays/gateway-tls"
LEASES = "/apis/coordination.k8s.io/v1/namespaces"


@pytest.mark.parametrize("folder", [FOLDER, TLS])
def test_the_manifests_are_taken_by_the_api_server(world: World, folder: str) -> None:
    cluster = world.cluster
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    documents = kustomize(folder)
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
        "expirationSeconds": 3600,
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


def test_with_tls_the_certificate_is_taken_as_it_is_mounted(world: World, tmp_path: Path) -> None:
    """A Secret as `kubectl create secret tls` and cert-manager make one, and who may read it."""
    cluster = world.cluster
    documents = kustomize(TLS)
    cluster.apply(documents)
    manifests.publish_root_ca(cluster, "openclaw")
    issuer = Issuer(tmp_path / "issuer")
    cluster.apply([tls_secret("openclaw", "openclaw-toggle-gateway-tls", issuer.pair("openclaw-gateway"))])
    pod = named(documents, "Deployment", "openclaw-toggle-gateway")["spec"]["template"]
    laid = manifests.lay_out(cluster, "openclaw", pod, tmp_path / "pod")
    files = {Path(laid.settings[name]) for name in ("TLS_CERT_FILE", "TLS_KEY_FILE")}
    code, output = run_to_end(laid.settings, ("gateway", "check"))
    assert code == 0, output
    assert {file.stat().st_mode & 0o777 for file in files} == {0o440}
    security = pod["spec"]["securityContext"]
    assert security["fsGroup"] == security["runAsGroup"]
    [mount] = [one for one in container_of(pod)["volumeMounts"] if one["name"] == "tls"]
    assert "subPath" not in mount and mount["readOnly"]
    for file in files:
        file.unlink()
    code, output = run_to_end(laid.settings, ("gateway", "check"))
    assert code == 1 and "TLS_CERT_FILE names " in output and "TLS_KEY_FILE names " in output, output


def test_with_tls_the_workers_ask_by_https_and_believe_the_authority() -> None:
    pods = [
        named(documents, "Deployment", "openclaw-worker")["spec"]["template"]["spec"]
        for documents in (kustomize(FOLDER), kustomize(TLS))
    ]
    plain, secured = pods
    [volume] = [one for one in secured["volumes"] if one["name"] == "gateway-ca"]
    authority = "/etc/gateway-ca/ca.crt"
    assert volume["configMap"] == {"name": "openclaw-toggle-gateway-ca"}, "a Secret would have the key in it"
    [before], [caller] = plain["initContainers"], secured["initContainers"]
    # All that is different.
    address = before["args"].index("--url") + 1
    wanted = [*before["args"]]
    wanted[address : address + 1] = [before["args"][address].replace("http:", "https:"), "--ca", authority]
    assert caller["args"] == wanted
    [worker] = secured["containers"]
    assert worker["env"] == [{"name": "NODE_EXTRA_CA_CERTS", "value": authority}]
    assert [one for one in worker["args"] if one != "--tls"] == plain["containers"][0]["args"]
    for one in (caller, worker):
        assert {"name": "gateway-ca", "mountPath": "/etc/gateway-ca", "readOnly": True} in one["volumeMounts"]
    for name in ("openclaw-gateway", "openclaw-toggle-gateway"):
        [port] = named(kustomize(TLS), "Service", name)["spec"]["ports"]
        assert port["appProtocol"] == "https"
