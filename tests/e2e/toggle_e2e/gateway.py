"""The gateway under test: its processes as the chart's Deployment starts them, its callers, its targets.

The replicas run here and not in pods. They have the rights and the configuration of
the release that was applied, and ask the real API server.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import manifests
from .administrator import Object
from .backend import Backend, NodeBackend
from .bot import Bot, default_binary
from .controlplane import ControlPlane
from .kubelet import NODE
from .manifests import chart, container_of, lay_out, of_kind
from .net import free_port, wait_for
from .podnet import PodNetwork

AUDIENCE = "openclaw-gateway"
NAME = "toggle-openclaw-k8s-toggle-operator-gateway"
"""What the chart calls the objects of a gateway whose release is `toggle`."""

Values = Mapping[str, Any]


class Gateway(Bot):
    """One replica."""

    def _command(self) -> tuple[list[str], dict[str, str]]:
        command, environment = super()._command()
        return [*command, "gateway"], environment

    def wait_listening(self, timeout: float = 20) -> float:
        """Waits until it is ready and gives nothing of use."""
        wait_for("the gateway to be ready", self.is_ready, timeout, detail=self.tail)
        return 0

    def is_ready(self) -> bool:
        """Whether it says so."""
        if not self.running:
            raise RuntimeError(f"the gateway ended:\n{self.tail()}")
        try:
            return self.health("/readyz")[0] == 200
        except OSError:
            return False

    @property
    def proxy(self) -> int:
        """The port of the apps."""
        return _port(self.settings["PROXY_ADDR"])

    @property
    def api(self) -> int:
        """The port of the API."""
        return _port(self.settings["API_ADDR"])

    def health(self, path: str) -> tuple[int, str]:
        """What the health port says."""
        answer = ask(_port(self.settings["HEALTH_ADDR"]), "GET", path)
        return answer.status, answer.body.decode()

    def call(
        self, method: str, path: str, token: str | None, body: Any = None, timeout: float = 60, source: str = ""
    ) -> Answer:
        """A request to its API."""
        headers = bearer(token)
        if body is not None:
            headers["Content-Type"] = "application/json"
        given = b"" if body is None else json.dumps(body).encode()
        return ask(self.api, method, path, headers, given, timeout, source)

    def audit(self, event: str | None = None, since: int | None = None) -> list[Object]:
        """The audit log of this start so far, or since a mark; all of it, or the lines of one kind."""
        found = []
        for line in self.lines(since):
            if line.startswith("{"):
                one = json.loads(line)
                if event in (None, one.get("event")):
                    found.append(one)
        return found


@dataclass(frozen=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


def ask(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout: float = 60,
    source: str = "",
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """A request on a connection of its own, from an address of this machine."""
    connection = dialled(port, timeout, source, tls)
    try:
        connection.request(method, path, body or None, dict(headers or {}))
        answer = connection.getresponse()
        given = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, given, answer.read())
    finally:
        connection.close()


def dialled(
    port: int, timeout: float = 60, source: str = "", tls: ssl.SSLContext | None = None
) -> http.client.HTTPConnection:
    """A connection that is opened with its first request."""
    origin = (source, 0) if source else None
    if tls:
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, source_address=origin, context=tls)
    return http.client.HTTPConnection("127.0.0.1", port, timeout, origin)


def status_of(port: int, *head: str, source: str = "") -> int:
    """The status of the answer to a request without a body that is sent as it is written."""
    origin = (source, 0) if source else None
    with socket.create_connection(("127.0.0.1", port), 20, origin) as connection:
        connection.sendall("\r\n".join((*head, "Connection: close", "", "")).encode())
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


def sources(network: str) -> Iterator[str]:
    """Addresses of this machine in a network such as 127.9, so that what is counted of one is not of another."""
    return (f"{network}.{number // 250}.{number % 250 + 1}" for number in range(250 * 256))


def bearer(token: str | None) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


@dataclass
class Installed:
    """A release of the chart with a gateway, applied, and the replicas that were started of it."""

    cluster: ControlPlane
    namespace: str
    workdir: Path
    documents: list[Object]
    replicas: list[Gateway] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def pod(self) -> Object:
        """What the Deployment of the gateway makes."""
        [found] = [
            one["spec"]["template"]
            for one in self.documents
            if one["kind"] == "Deployment" and container_of(one["spec"]["template"]).get("args") == ["gateway"]
        ]
        return found

    def replica(self, **overrides: str) -> Gateway:
        """One more replica, which is not started yet, with its own copy of the configuration."""
        number = next(self._numbers)
        root = self.workdir / f"replica-{number}"
        laid = lay_out(self.cluster, self.namespace, self.pod, root)
        settings = laid.settings | {
            name: f"127.0.0.1:{free_port()}" for name in ("PROXY_ADDR", "API_ADDR", "HEALTH_ADDR")
        }
        gateway = Gateway(settings | {"POD_NAME": f"gateway-{number}"} | overrides, default_binary())
        self.replicas.append(gateway)
        return gateway

    def started(self, count: int = 1, **overrides: str) -> list[Gateway]:
        """So many more replicas, ready."""
        made = [self.replica(**overrides) for _ in range(count)]
        for one in made:
            one.start(wait=False)
        for one in made:
            one.wait_listening()
        return made

    def file(self, replica: Gateway) -> Path:
        """The file of a replica, which it reads again when it changes."""
        return Path(replica.settings["GATEWAY_CONFIG"])

    def lease(self, target: str) -> Object:
        """The Lease of a target."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{NAME}-{target}"
        return self.cluster.ensure("GET", path)

    def stop(self) -> None:
        """Ends all replicas."""
        for one in self.replicas:
            one.kill()


def install(cluster: ControlPlane, namespace: str, workdir: Path, config: Object, **values: Any) -> Installed:
    """Applies a release of a gateway alone, with this file, to a namespace that is there."""
    gateway = {"enabled": True, "config": config, **values}
    documents = chart({"bot": {"enabled": False}, "gateway": gateway}, "toggle", namespace)
    manifests.publish_root_ca(cluster, namespace)
    # Its pods are not run here.
    of_kind(documents, "Deployment")["spec"]["replicas"] = 0
    cluster.apply(documents)
    return Installed(cluster, namespace, workdir, documents)


@contextmanager
def sleeping(
    cluster: ControlPlane,
    namespace: str,
    workdir: Path,
    apps: Mapping[str, Backend],
    special: Mapping[str, Object] | None = None,
) -> Iterator[Installed]:
    """A release before targets that are off and that anybody may wake; no replica is started.

    `apps` has what the pods of each target serve, and `special` what else the gateway's
    file says of some.
    """
    targets = {
        name: {
            "name": name,
            "namespace": namespace,
            "host": f"{name}.example.org",
            "service": name,
            "port": "http",
            "anonymous": ["status", "wake", "connect"],
            **(special or {}).get(name, {}),
        }
        for name in apps
    }
    with PodNetwork() as network:
        cluster.pod_network = network
        cluster.create_namespace(namespace)
        for name, backend in apps.items():
            workload(cluster, namespace, name, backend)
        told = {"enabled": False, "allowedIdentities": [], "auditLog": True}
        made = install(cluster, namespace, workdir, {"k8sTrust": told, "targets": targets})
        try:
            yield made
        finally:
            made.stop()
            cluster.pod_network = None


def pod_token(cluster: ControlPlane, namespace: str, pod: str, seconds: int = 600, *audiences: str) -> str:
    """The token that the kubelet puts into a pod's projected volume for the gateway."""
    found = cluster.ensure("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}")
    account = found["spec"]["serviceAccountName"]
    return cluster.token(namespace, account, seconds, audiences or (AUDIENCE,), pod)


def pods(cluster: ControlPlane, namespace: str, app: str, label: str = "app") -> list[str]:
    """The names of the pods with a label, by default of a workload that `workload` made."""
    selector = quote(f"{label}={app}")
    found = cluster.ensure("GET", f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")["items"]
    return [one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]]


def workload(
    cluster: ControlPlane,
    namespace: str,
    name: str,
    backend: Backend | NodeBackend | None = None,
    kind: str = "Deployment",
    replicas: int | None = 0,
    account: str = "",
    node: str = NODE,
) -> None:
    """A workload, and the Service before it where a backend plays what it serves."""
    labels = {"app": name}
    pod = {"nodeName": node, "containers": [{"name": "main", "image": "example.invalid/workload:1"}]}
    if account:
        made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}}
        cluster.apply([made])
        pod["serviceAccountName"] = account
    spec: Object = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["serviceName"] = name
    body = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    cluster.ensure("POST", f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s", body)
    if backend:
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": backend.port}]},
        }
        cluster.ensure("POST", f"/api/v1/namespaces/{namespace}/services", service)


def count(cluster: ControlPlane, namespace: str, name: str, kind: str = "Deployment") -> int:
    """The replicas that a workload should have."""
    found = cluster.ensure("GET", f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s/{name}")
    return int(found["spec"]["replicas"])
