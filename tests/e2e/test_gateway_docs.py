"""What docs/gateway.md shows is tried: its commands, its manifests, its file."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from toggle_e2e import manifests
from toggle_e2e.backend import Backend
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.gateway import Installed, count, pods
from toggle_e2e.gotools import tool
from toggle_e2e.kubelet import NODE
from toggle_e2e.manifests import REPOSITORY, chart, kustomize
from toggle_e2e.net import wait_for
from toggle_e2e.podnet import PodNetwork
from toggle_e2e.releases import GATEWAY_ALONE, changed
from toggle_e2e.world import World

GUIDE = (REPOSITORY / "docs" / "gateway.md").read_text()
NAMESPACE = "openclaw"


def block(name: str, language: str) -> str:
    """The block that follows a mark."""
    found = re.search(rf"^<!-- {name} -->\n```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert found, f"there is no block {name}"
    return found[1]


def quick_start() -> list[str]:
    """Its commands, one after the other."""
    found = re.search(r"^<!-- quick start -->\n(.*?)^<!-- /quick start -->$", GUIDE, re.MULTILINE | re.DOTALL)
    assert found
    blocks = re.findall(r"^```sh\n(.*?)^```$", found[1], re.MULTILINE | re.DOTALL)
    return [line for one in blocks for line in one.splitlines()]


@pytest.mark.parametrize("name", ["pod", "cronjob", "ingress traefik", "ingress nginx"])
def test_its_manifests_are_taken_by_the_api_server(world: World, name: str) -> None:
    cluster = world.cluster
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    cluster.apply([namespace])
    document = yaml.safe_load(block(name, "yaml"))
    cluster.apply([document], dry_run=True)
    spec = document["spec"]
    if document["kind"] == "CronJob":
        pod = spec["jobTemplate"]["spec"]["template"]
        template = {"metadata": {}, "spec": {**pod["spec"], "restartPolicy": "Never"}}
        assert manifests.try_pod(cluster, NAMESPACE, template) == (201, "")
    if document["kind"] == "Ingress":
        front = manifests.named(kustomize("gateway"), "Service", "openclaw-gateway")
        [rule] = spec["rules"]
        [path] = rule["http"]["paths"]
        service = path["backend"]["service"]
        assert service["name"] == front["metadata"]["name"]
        assert service["port"]["name"] in [port["name"] for port in front["spec"]["ports"]]


def file_of_the_guide() -> object:
    """The file that it shows."""
    found = re.search(r"^## Who may do what\n.*?^```json\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert found
    return json.loads(found[1])


def test_its_file_is_taken_by_the_chart() -> None:
    values = changed("gateway.config", file_of_the_guide(), GATEWAY_ALONE)
    oidc = {"issuerURL": "https://a/b", "audience": "a", "allowedClients": ["c"]}
    assert chart(changed("gateway.oidc", oidc, values))


def test_what_the_manifests_show_is_in_the_guide() -> None:
    documents = kustomize("gateway")
    names = {one["metadata"]["name"] for one in documents if one["kind"] in ("Deployment", "StatefulSet", "Service")}
    for name in re.findall(r"(?:deployment|statefulset|service|hpa)[/ ](openclaw-[a-z-]+)", "\n".join(quick_start())):
        assert name in names, f"{name} is in no manifest"


@pytest.fixture
def quick(world: World, tmp_path: Path) -> Iterator[Installed]:
    """The namespace of the quick start, with nothing in it, and the played rest of a cluster."""
    cluster = world.cluster
    cluster.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    path = f"/api/v1/namespaces/{NAMESPACE}"
    wait_for("the namespace to be gone", lambda: cluster.request("GET", path)[0] == 404, 30)
    with PodNetwork() as network:
        cluster.pod_network = network
        made = Installed(cluster, NAMESPACE, tmp_path, kustomize("gateway"))
        try:
            yield made
        finally:
            made.stop()
            cluster.pod_network = None


def on_the_node(cluster: ControlPlane, backend: Backend) -> None:
    """What a scheduler would do, and the backend's port for the app's, which is nobody's here."""
    node = {"spec": {"template": {"spec": {"nodeName": NODE}}}}
    for kind, name in [("statefulsets", "openclaw-gateway"), ("deployments", "openclaw-worker")]:
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/{kind}/{name}"
        cluster.ensure("PATCH", path, node, "application/strategic-merge-patch+json")
        for pod in pods_of(cluster, name):
            cluster.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}?gracePeriodSeconds=0")
    ports = [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": backend.port}]
    service = f"/api/v1/namespaces/{NAMESPACE}/services/openclaw-app"
    cluster.ensure("PATCH", service, ports, "application/json-patch+json")


def pods_of(cluster: ControlPlane, name: str) -> list[str]:
    """The pods of a workload of the manifests."""
    return pods(cluster, NAMESPACE, name, "app.kubernetes.io/name")


def test_the_quick_start(quick: Installed, tmp_path: Path) -> None:
    """Each of its commands, but for what needs a kubelet that runs pods: there, the gateway is one here."""
    cluster = quick.cluster
    commands = quick_start()
    home = tmp_path / "home"
    home.mkdir()
    (home / "kubectl").symlink_to(tool("kubectl"))
    environment = {
        "PATH": f"{home}:{os.environ['PATH']}",
        "HOME": str(home),
        "KUBECONFIG": str(cluster.kubeconfig()),
    }
    said: dict[str, str] = {}

    def shell(command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{command}\nset +u; echo; echo pod=$pod; echo token=$token"],
            cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        *output, pod, token = done.stdout.splitlines()
        environment.update(pod=pod.removeprefix("pod="), token=token.removeprefix("token="))
        return "\n".join(output)

    with Backend() as backend:
        backend.open()
        gateway = None
        for command in commands:
            if command.startswith("kubectl apply"):
                shell(command)
                manifests.publish_root_ca(cluster, NAMESPACE)
                on_the_node(cluster, backend)
                [gateway] = quick.started()
            elif re.search(r" (rollout status|logs|port-forward) ", command):
                # What runs in a pod, or leads to one.
                continue
            else:
                assert gateway
                here = {":8081/": f":{gateway.api}/", ":18789/": f":{gateway.proxy}/"}
                for there, port in here.items():
                    command = command.replace(there, port)
                if "get pods -l" in command:
                    wait_for("five workers", lambda: len(pods_of(cluster, "openclaw-worker")) == 5)
                if "curl" in command:
                    command = command.replace("curl ", "curl -sS --fail-with-body ")
                said[command] = shell(command)
        status, wake = (text for command, text in said.items() if "curl" in command)
        assert json.loads(status)["name"] == "gateway"
        assert json.loads(wake)["path"] == "/"
        assert count(cluster, NAMESPACE, "openclaw-gateway", "StatefulSet") == 1
