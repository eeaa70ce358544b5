"""`deploy/k8s` as people apply it: by kubectl, to a real API server."""

from __future__ import annotations

import copy
import http.client
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from toggle_e2e import manifests
from toggle_e2e.administrator import ControlPlaneError, Object
from toggle_e2e.bot import run_to_end
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.manifests import container_of, kustomize, of_kind, pod_of, variables
from toggle_e2e.net import free_port, wait_for
from toggle_e2e.world import World

NAMESPACE = "clawdbot"
CHAT = "overlays/gateway-chat"
FOLDERS = ["", "overlays/jwt", "overlays/private-ca", "overlays/targets", "overlays/restart", CHAT]
LEVEL = "restricted"
VERBS = ("get", "patch")

PASSWORDS = {"matrix-password": "correct horse", "keycloak-client-secret": "battery staple"}
AUTHORITIES = "openclaw-toggle-operator-authorities"


@pytest.fixture(scope="module")
def cluster(world: World) -> Iterator[ControlPlane]:
    """The cluster, with the manifests' namespace held to the strictest level of Pod Security."""
    labels = {f"pod-security.kubernetes.io/{mode}": LEVEL for mode in ("enforce", "warn", "audit")}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    world.cluster.apply([namespace])
    for other in ("gateways", "openclaw"):
        world.cluster.create_namespace(other)
    manifests.publish_root_ca(world.cluster, NAMESPACE)
    manifests.put_secret(world.cluster, NAMESPACE, manifests.SECRET, PASSWORDS)
    manifests.put_config_map(world.cluster, NAMESPACE, AUTHORITIES, {"ca.crt": world.cluster.ca_path.read_text()})
    yield world.cluster
    world.cluster.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


def wait_pod(cluster: ControlPlane, folder: str) -> None:
    """Waits until the controllers have made the pod, which the namespace refuses where it is not fit for it."""
    wanted = variables(pod_of(kustomize(folder)))

    def made() -> bool:
        pods = cluster.ensure("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
        return any(variables(pod) == wanted for pod in pods if not pod["metadata"].get("deletionTimestamp"))

    wait_for(f"the pod of {folder or 'the base'}", made, 20, detail=cluster.tail_logs)


def test_the_command_of_the_readme_makes_the_pod(cluster: ControlPlane) -> None:
    command = ["apply", "-k", str(manifests.KUSTOMIZE)]
    assert " ".join(["kubectl", "apply", "-k", "deploy/k8s"]) in (manifests.REPOSITORY / "README.md").read_text()
    _, warnings = manifests.run("kubectl", *command, kubeconfig=cluster.kubeconfig())
    assert warnings == ""
    wait_pod(cluster, "")
    # Variables that kubectl has set would stay where another one applies a pod without them.
    for kind in ("deployments", "replicasets"):
        cluster.ensure("DELETE", f"/apis/apps/v1/namespaces/{NAMESPACE}/{kind}")
    cluster.ensure("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods")


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_api_server_takes_all_of_it(cluster: ControlPlane, folder: str) -> None:
    for dry_run in (True, False):
        cluster.apply(kustomize(folder), dry_run=dry_run)
    wait_pod(cluster, folder)


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_of_the_pods_security_can_be_left_out(cluster: ControlPlane, folder: str) -> None:
    pod = pod_of(kustomize(folder))
    assert manifests.try_pod(cluster, NAMESPACE, pod) == (201, "")
    for place, key in [
        ("pod", "seccompProfile"),
        ("pod", "runAsNonRoot"),
        ("container", "allowPrivilegeEscalation"),
        ("container", "capabilities"),
    ]:
        weaker = copy.deepcopy(pod)
        holder = weaker["spec"] if place == "pod" else container_of(weaker)
        del holder["securityContext"][key]
        status, message = manifests.try_pod(cluster, NAMESPACE, weaker)
        assert (status, f'violates PodSecurity "{LEVEL}' in message) == (403, True), f"without {key}: {message}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_bot_takes_the_configuration_as_it_is_mounted(cluster: ControlPlane, folder: str, tmp_path: Path) -> None:
    cluster.apply(kustomize(folder))
    laid = manifests.lay_out(cluster, NAMESPACE, pod_of(kustomize(folder)), tmp_path)
    code, output = run_to_end(laid.settings, ("check-config",))
    assert code == 0, output


def test_a_key_that_the_secret_does_not_have_is_named(cluster: ControlPlane, tmp_path: Path) -> None:
    """The whole Secret is mounted, so that the pod starts and says so, instead of waiting for ever."""
    cluster.apply(kustomize("overlays/jwt"))
    laid = manifests.lay_out(cluster, NAMESPACE, pod_of(kustomize("overlays/jwt")), tmp_path)
    Path(laid.settings["KEYCLOAK_CLIENT_SECRET_FILE"]).unlink()
    code, output = run_to_end(laid.settings)
    assert code == 1 and output.count("configuration error: ") == 1, output
    assert "KEYCLOAK_CLIENT_SECRET_FILE names " in output and "cannot be read" in output, output


def test_the_probes_ask_what_the_bot_answers(world: World, cluster: ControlPlane, tmp_path: Path) -> None:
    account = world.account("bot")
    manifests.put_secret(cluster, NAMESPACE, manifests.SECRET, {"matrix-password": account.password})
    cluster.apply(kustomize())
    pod = pod_of(kustomize())
    port = free_port()
    told = {"MATRIX_HOMESERVER": world.synapse.url, "MATRIX_USER": account.localpart, "HEALTH_ADDR": f":{port}"}
    bot = manifests.lay_out(cluster, NAMESPACE, pod, tmp_path).bot(**told)
    world.bots.append(bot)
    bot.start()

    def answers(path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        finally:
            connection.close()

    for probe in ("startupProbe", "livenessProbe"):
        program, *arguments = container_of(pod)[probe]["exec"]["command"]
        assert program == "/openclaw-k8s-toggle-operator"
        code, output = run_to_end({"HEALTH_ADDR": f":{port}"}, tuple(arguments))
        assert code == 0, output
    ready = container_of(pod)["readinessProbe"]["httpGet"]["path"]
    wait_for(f"{ready} to be answered", lambda: answers(ready), 10, detail=bot.tail)


def test_what_is_named_twice_is_the_same() -> None:
    documents = kustomize()
    pod = pod_of(documents)
    told = variables(pod)
    role = of_kind(documents, "Role")
    assert {name for rule in role["rules"] for name in rule["resourceNames"]} == {told["DEPLOYMENT_NAME"]}
    assert role["metadata"]["namespace"] == told["DEPLOYMENT_NAMESPACE"]
    [port] = container_of(pod)["ports"]
    assert told["HEALTH_ADDR"] == f":{port['containerPort']}"
    assert container_of(pod)["readinessProbe"]["httpGet"]["port"] == port["name"]
    [ingress] = of_kind(documents, "NetworkPolicy")["spec"]["ingress"]
    assert [one["port"] for one in ingress["ports"]] == [port["name"]]
    # Nobody but one namespace.
    [peer] = ingress["from"]
    assert peer == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert told["CRYPTO_STORE_PATH"] in [mount["mountPath"] for mount in container_of(pod)["volumeMounts"]]


def test_the_rights_of_several_targets_are_for_what_their_file_names() -> None:
    documents = kustomize("overlays/targets")
    file = json.loads(of_kind(documents, "ConfigMap")["data"]["targets.json"])
    named = {
        (target["namespace"], f"{target.get('kind', 'deployment')}s", target["object"]) for target in file["targets"]
    }
    roles = [document for document in documents if document["kind"] == "Role"]
    for suffix, verb in [("", "get"), ("/scale", "patch")]:
        granted = {
            (role["metadata"]["namespace"], resource.removesuffix("/scale"), name)
            for role in roles
            for rule in role["rules"]
            if rule["verbs"] == [verb]
            for resource in rule["resources"]
            if resource.endswith("/scale") == bool(suffix)
            for name in rule["resourceNames"]
        }
        assert granted == named
    told = variables(pod_of(documents))
    assert not {"DEPLOYMENT_NAME", "DEPLOYMENT_NAMESPACE"} & set(told)
    [mount] = [one for one in container_of(pod_of(documents))["volumeMounts"] if one["name"] == "targets"]
    assert told["TARGETS_FILE"] == f"{mount['mountPath']}/targets.json"


def granted_names(role: Object, resource: str) -> dict[str, set[str]]:
    """The names that a Role is about, by the verbs that it gives on them."""
    rules = [rule for rule in role["rules"] if rule["resources"] == [resource]]
    return {verb: {name for rule in rules if verb in rule["verbs"] for name in rule["resourceNames"]} for verb in VERBS}


def test_the_bot_beside_the_gateway_has_its_targets_and_its_leases() -> None:
    documents, of_the_gateway = kustomize(CHAT), kustomize("gateway")
    config = manifests.named(of_the_gateway, "ConfigMap", "openclaw-toggle-gateway")
    targets = json.loads(config["data"]["gateway.json"])["targets"]
    told = variables(pod_of(documents))
    wanted = {
        f"{name}={one['namespace']}/{one['kind'].lower()}/{one['name']}" + (f":{one['max']}" if one["max"] > 1 else "")
        for name, one in targets.items()
    }
    assert set(told["TARGETS"].split(", ")) == wanted
    assert not {"DEPLOYMENT_NAME", "DEPLOYMENT_NAMESPACE", "ANNOUNCE_ROOM"} & set(told)

    role, binding = of_kind(documents, "Role"), of_kind(documents, "RoleBinding")
    assert {role["metadata"]["namespace"], binding["metadata"]["namespace"]} == {"openclaw"}
    [subject] = binding["subjects"]
    account = pod_of(documents)["spec"]["serviceAccountName"]
    assert (subject["name"], subject["namespace"]) == (account, NAMESPACE)
    for kind in ("Deployment", "StatefulSet"):
        resource, names = f"{kind.lower()}s", {one["name"] for one in targets.values() if one["kind"] == kind}
        assert granted_names(role, resource) == {"get": names, "patch": set()}
        assert granted_names(role, f"{resource}/scale") == {"get": set(), "patch": names}
    leases = [one["metadata"] for one in of_the_gateway if one["kind"] == "Lease"]
    names = {lease["name"] for lease in leases}
    assert granted_names(role, "leases") == {"get": names, "patch": names}
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == set(VERBS)
    where, _, prefix = told["GATEWAY_LEASES"].partition("/")
    assert {(lease["namespace"], lease["name"]) for lease in leases} == {(where, prefix + name) for name in targets}


def test_an_overlay_with_another_namespace_moves_the_rights_too(tmp_path: Path) -> None:
    """As the comment of the base says; its Deployment then has to be there as well."""
    base = os.path.relpath(manifests.KUSTOMIZE / "base", tmp_path)
    kustomization = {"namespace": "matrix", "resources": [base]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    documents = list(yaml.safe_load_all(manifests.run("kubectl", "kustomize", str(tmp_path))[0]))
    assert {document["metadata"]["namespace"] for document in documents} == {"matrix"}
    [subject] = of_kind(documents, "RoleBinding")["subjects"]
    assert subject["namespace"] == "matrix"
    assert variables(pod_of(documents))["DEPLOYMENT_NAMESPACE"] == "clawdbot"


def test_every_file_of_a_secret_has_its_key_in_the_example() -> None:
    """Those that are only shown, behind a `#`, included."""
    example = (manifests.KUSTOMIZE / "base" / "secret.example.yaml").read_text()
    keys = set(yaml.safe_load(example)["stringData"]) | set(re.findall(r"^  # ([a-z-]+): ", example, re.MULTILINE))
    shown = "".join(path.read_text() for path in manifests.KUSTOMIZE.rglob("deployment.yaml"))
    assert set(re.findall(r"/var/run/secrets/operator/([a-z-]+)$", shown, re.MULTILINE)) == keys


def test_what_stands_in_the_way_where_the_python_program_was(cluster: ControlPlane) -> None:
    """Of its objects, which have the same names, only the Deployment and the claim cannot be changed into these."""
    namespace = "e2e-python-program"
    cluster.create_namespace(namespace)
    theirs = copy.deepcopy(kustomize())
    of_kind(theirs, "Role")["rules"] = [
        {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get", "patch"]}
    ]
    of_kind(theirs, "PersistentVolumeClaim")["spec"]["accessModes"] = ["ReadWriteOnce"]
    labels = {"app": manifests.SECRET}
    spec = of_kind(theirs, "Deployment")["spec"]
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = labels
    cluster.apply(theirs, namespace=namespace)

    in_the_way = []
    for document in kustomize():
        try:
            cluster.apply([document], namespace=namespace)
        except ControlPlaneError as refused:
            assert "immutable" in str(refused)
            in_the_way.append(document["kind"])
    assert sorted(in_the_way) == ["Deployment", "PersistentVolumeClaim"]
    role = cluster.ensure("GET", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{manifests.SECRET}")
    assert role["rules"] == of_kind(kustomize(), "Role")["rules"]
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{manifests.SECRET}"
    cluster.ensure("DELETE", path)
    wait_for("the old Deployment to be gone", lambda: cluster.request("GET", path)[0] == 404)
    cluster.apply([of_kind(kustomize(), "Deployment")], namespace=namespace)
