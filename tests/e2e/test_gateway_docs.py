"""What docs/gateway.md shows is tried: its commands, its manifests, its file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from toggle_e2e import manifests
from toggle_e2e.administrator import Object
from toggle_e2e.backend import Backend
from toggle_e2e.bot import default_binary, run_to_end
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.gateway import Gateway, Installed, count
from toggle_e2e.gotools import tool
from toggle_e2e.manifests import REPOSITORY, chart, kustomize
from toggle_e2e.net import wait_for
from toggle_e2e.node import GuideNode
from toggle_e2e.podnet import PodNetwork
from toggle_e2e.releases import GATEWAY_ALONE, changed
from toggle_e2e.transcript import Shell, Stable, commands, part, written
from toggle_e2e.world import World

GUIDE = (REPOSITORY / "docs" / "gateway.md").read_text()
NAMESPACE = "openclaw"
GATEWAY = "openclaw-toggle-gateway"
WORKLOADS = [("statefulsets", "openclaw-gateway"), ("deployments", "openclaw-worker"), ("deployments", GATEWAY)]
TOKEN = "/var/run/secrets/openclaw-gateway/token"


def block(name: str, language: str) -> str:
    """The block that follows a mark."""
    found = re.search(rf"^<!-- {name} -->\n```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert found, f"there is no block {name}"
    return found[1]


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


@pytest.mark.parametrize("name", ["pod", "cronjob"])
def test_the_arguments_of_its_callers_are_taken(name: str, tmp_path: Path) -> None:
    """As they are, and then with an address that refuses: what is not understood ends before anything is asked."""
    document = yaml.safe_load(block(name, "yaml"))
    pod = document["spec"]["jobTemplate"]["spec"]["template"] if name == "cronjob" else document
    container = manifests.container_of(pod)
    arguments = tuple(container["args"])
    [mount] = container["volumeMounts"]
    assert TOKEN == f"{mount['mountPath']}/token"
    code, said = run_to_end({}, arguments)
    assert f"the file of the token, {TOKEN}, cannot be read" in said and "--help" not in said, (code, said)
    token = tmp_path / "token"
    token.write_text("shown-to-nobody")
    at = arguments.index("--url") + 1
    refused = (*arguments[:at], "http://127.0.0.1:1", *arguments[at + 1 :], "--timeout", "1s")
    code, said = run_to_end({"GATEWAY_TOKEN_FILE": str(token)}, refused)
    assert code == 4 and "127.0.0.1:1 refused the connection" in said, (code, said)


def test_its_certificate_is_for_what_is_asked_with_tls() -> None:
    """The names that lead to the gateway, and the Secret that it is mounted from."""
    certificate = yaml.safe_load(block("certificate", "yaml"))
    spec, namespace = certificate["spec"], certificate["metadata"]["namespace"]
    documents = kustomize("overlays/gateway-tls")
    pod = manifests.named(documents, "Deployment", "openclaw-toggle-gateway")["spec"]["template"]
    secrets = [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume]
    assert secrets == [spec["secretName"]]
    fronts = [
        one["metadata"]["name"]
        for one in documents
        if one["kind"] == "Service" and one["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    ]
    assert len(fronts) == 2
    wanted = {f"{name}.{namespace}.svc" for name in fronts}
    worker = manifests.named(documents, "Deployment", "openclaw-worker")["spec"]["template"]["spec"]
    arguments = worker["initContainers"][0]["args"], worker["containers"][0]["args"]
    wanted.add(str(urlsplit(arguments[0][arguments[0].index("--url") + 1]).hostname))
    wanted.add(arguments[1][arguments[1].index("--host") + 1])
    wanted.add(yaml.safe_load(block("ingress nginx tls", "yaml"))["nginx.ingress.kubernetes.io/proxy-ssl-name"])
    assert wanted == set(spec["dnsNames"])


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
    shown = "\n".join(commands(part(GUIDE, "quick start")))
    for name in re.findall(r"(?:deployment|statefulset|service|hpa)[/ ](openclaw-[a-z-]+)", shown):
        assert name in names, f"{name} is in no manifest"


@pytest.fixture
def quick(world: World, tmp_path: Path) -> Iterator[Installed]:
    """The namespace of the quick start, with nothing in it, and the played rest of a cluster."""
    cluster = world.cluster
    cluster.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    for kind in ("clusterroles", "clusterrolebindings"):
        cluster.request("DELETE", f"/apis/rbac.authorization.k8s.io/v1/{kind}/{NAMESPACE}:{GATEWAY}")
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


def lead_to(backend: Backend, cluster: ControlPlane) -> None:
    """The backend's port for the app's, which is nobody's here."""
    ports = [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": backend.port}]
    service = f"/api/v1/namespaces/{NAMESPACE}/services/openclaw-app"
    cluster.ensure("PATCH", service, ports, "application/json-patch+json")


def is_settled(cluster: ControlPlane) -> bool:
    """Whether each workload has the pods that it should have, all of them ready, and no other."""
    expected = 0
    for kind, name in WORKLOADS:
        found = cluster.ensure("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/{kind}/{name}")
        status, wanted = found["status"], found["spec"]["replicas"]
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return False
        if (status.get("replicas", 0), status.get("readyReplicas", 0)) != (wanted, wanted):
            return False
        expected += wanted
    owned = cluster.ensure("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    return len([pod for pod in owned if "ownerReferences" in pod["metadata"]]) == expected


@dataclass
class Reader:
    """Somebody who does what the guide says, on this machine, and sees what it prints."""

    quick: Installed
    node: GuideNode
    shell: Shell
    backend: Backend
    gateway: Gateway | None = None
    caller: Path | None = None
    stable: Stable = field(default_factory=Stable)

    def run(self, command: str) -> str:
        """Does one command, once what the text before it waits for is so."""
        if " port-forward " in command:
            # It leads to a pod, and what is in one is here.
            return ""
        self.node.check()
        cluster = self.quick.cluster
        if " apply " not in command and " rollout " not in command:
            wait_for("all to be as it should", lambda: is_settled(cluster), detail=self.said)
        if " get hpa " in command:
            path = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers/openclaw-worker"
            wait_for("the autoscaler", lambda: cluster.ensure("GET", path)["status"].get("currentReplicas") == 5)
        elif ":18789/" in command:
            wait_for("the gateway to see that the app is off", lambda: self.state("gateway")["phase"] == "off")
        elif command.startswith(("ask ", "$call ")):
            self.wait_seen()
        printed = self.shell.run(self.here(command))
        if command.startswith("kubectl apply"):
            lead_to(self.backend, cluster)
        assert "127.0.0.1:" not in printed, f"{command}\n{printed}"
        return self.stable(printed)

    def become_operator(self) -> None:
        """From now on, commands are given in a pod with the account that may switch."""
        pod = yaml.safe_load(block("pod", "yaml"))
        pod["spec"]["serviceAccountName"] = "openclaw-operator"
        self.quick.cluster.apply([pod])
        self.caller = self.node.token_file(pod["metadata"]["name"])

    def wait_seen(self) -> None:
        """Waits until the gateway sees the app as it is, and the workers where there are none.

        It looks at what has no Service every 30 s, so nothing here says of workers that are on how they are.
        """
        for target, (kind, name) in zip(("gateway", "worker"), WORKLOADS, strict=False):
            wanted = count(self.quick.cluster, NAMESPACE, name, kind.removesuffix("s"))
            phase = "ready" if wanted else "off"
            if not wanted or target == "gateway":
                wait_for(f"{target} to be {phase}", lambda: self.state(target)["phase"] == phase, detail=self.said)

    def state(self, target: str) -> Object:
        """How the gateway that is asked sees a target, by the token that the guide's commands show."""
        token = self.caller.read_text() if self.caller else self.shell.run('echo "$token"').strip()
        assert self.gateway
        found: Object = self.gateway.call("GET", f"/v1/targets/{target}", token).json()
        return found

    def here(self, command: str) -> str:
        """A command with the addresses and files that are here what the guide's are in a cluster."""
        replaced: dict[str, str] = {}
        if "http://" in command:
            self.gateway = self.gateway or self.node.replica()
            api = f"http://127.0.0.1:{self.gateway.api}"
            replaced = {
                "http://127.0.0.1:8081": api,
                "http://127.0.0.1:18789": f"http://127.0.0.1:{self.gateway.proxy}",
                "http://openclaw-toggle-gateway.openclaw.svc:8081": api,
            }
        if self.caller:
            replaced |= {
                "/openclaw-k8s-toggle-operator call --k8s-trust": f"{default_binary()} call --token-file {self.caller}",
                TOKEN: str(self.caller),
            }
        for there, one in replaced.items():
            command = command.replace(there, one)
        return command

    def said(self) -> str:
        """What the gateway's replicas have logged."""
        return "\n".join(one.tail() for one in self.quick.replicas)


def test_the_guide_shows_what_its_commands_print(quick: Installed, tmp_path: Path) -> None:
    """What they print now; where `GUIDE` names a file, it is written there instead."""
    cluster = quick.cluster
    home = tmp_path / "home"
    home.mkdir()
    (home / "kubectl").symlink_to(tool("kubectl"))
    environment = {
        "PATH": f"{home}:{os.environ['PATH']}",
        "HOME": str(home),
        "KUBECONFIG": str(cluster.kubeconfig()),
    }
    guide = GUIDE
    with Backend() as backend, GuideNode(quick, GATEWAY) as node, Shell(environment, REPOSITORY) as shell:
        backend.open()
        reader = Reader(quick, node, shell, backend)
        for name in ("quick start", "api", "call"):
            shown = part(GUIDE, name)
            guide = guide.replace(shown, written(shown, reader.run))
            if not reader.caller:
                assert count(cluster, NAMESPACE, "openclaw-gateway", "StatefulSet") == 1, "the app was not woken"
                reader.become_operator()
    anew = os.environ.get("GUIDE")
    if anew:
        Path(anew).write_text(guide)
        return
    assert guide == GUIDE, "docs/gateway.md shows what its commands printed once: make guide writes it anew"
