"""The gateway of the bench: its release, its targets, its callers, and the processors of each."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import gateway as gateways
from .administrator import Object
from .cost import pinned
from .crowd import Crowd
from .gateway import Gateway, Installed, bearer, install, pod_token, workload
from .kubelet import BARE_NODE, NODE, Watcher
from .net import wait_for
from .podnet import PodNetwork
from .proxies import DESCRIPTORS, Server, backend
from .world import World

NAMESPACE = "e2e-bench"
VERBS = ("status", "wait", "wake", "connect", "start", "stop")
# As many as a replica holds.
HELD = 300

# By name: the Service's port leads to the backend's, or to that of WebSockets; how many are on.
TARGETS = {
    "app": ("app", 1, NODE),
    "socket": ("crowd", 1, NODE),
    "wake": ("app", 0, NODE),
    "burst": ("app", 0, NODE),
    # No pod of it becomes ready.
    "cold": ("app", 0, BARE_NODE),
}


def _config() -> Object:
    targets = {
        name: {
            "name": name,
            "namespace": NAMESPACE,
            "host": f"{name}.example.org",
            "service": name,
            "port": "http",
            "maxHeld": HELD,
            "idle": "30m",
        }
        for name in TARGETS
    }
    identity = {"namespace": NAMESPACE, "serviceAccount": "worker", "allowedRoles": ["node"]}
    return {
        "k8sTrust": {"enabled": True, "allowedIdentities": [identity]},
        "roles": {"node": {"targets": ["*"], "verbs": list(VERBS)}},
        "targets": targets,
    }


class Slices:
    """Another watcher of the pods that are ready, and when it was told."""

    def __init__(self, world: World) -> None:
        self.ready_since: dict[str, float] = {}
        """The time by target, while one is ready."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?watch=1"
        self._watcher = Watcher(world.cluster, path, self._take)
        self._watcher.start()

    def _take(self, one: Object) -> None:
        at = time.monotonic()
        name = one["metadata"]["labels"]["kubernetes.io/service-name"]
        ready = [each for each in one.get("endpoints") or [] if each["conditions"].get("ready")]
        if ready:
            self.ready_since.setdefault(name, at)
        else:
            self.ready_since.pop(name, None)


@dataclass(frozen=True)
class GatewayStage:
    """All that is measured with."""

    world: World
    workdir: Path
    installed: Installed
    slices: Slices
    app: Server
    crowd: Crowd
    token: str
    processor: int
    """The one that proxies have for themselves."""

    def replica(self, **overrides: str) -> Gateway:
        """A replica that is not started, on the proxies' processor, whose clients come from an ingress."""
        made = self.installed.replica(TRUSTED_PROXIES="127.0.0.1/32", **overrides)
        made.runner = ("taskset", "-c", str(self.processor))
        return made

    def headers(self, target: str) -> dict[str, str]:
        """What a request to a target has."""
        return {"Host": f"{target}.example.org", **bearer(self.token)}

    def switch_off(self, gateway: Gateway, target: str) -> None:
        """Has the gateway stop a target, and waits until nothing of it is left."""
        answer = gateway.call("POST", f"/v1/targets/{target}/stop", self.token)
        if answer.status != 200:
            raise SystemExit(f"a stop of {target} was answered {answer}")
        cluster = self.world.cluster
        wait_for(
            f"{target} to be off",
            lambda: target not in self.slices.ready_since and not gateways.pods(cluster, NAMESPACE, target),
            detail=gateway.tail,
        )


@contextmanager
def gateway_stage(world: World) -> Iterator[GatewayStage]:
    """A release with its targets; load, backend and cluster have one processor, and proxies another."""
    processors = sorted(os.sched_getaffinity(0))
    others, own = processors[0], processors[-1]
    cluster = world.cluster
    workdir = world.workdir / "gateway"
    workdir.mkdir()
    with ExitStack() as stack:
        stack.enter_context(_many_files())
        stack.enter_context(pinned([os.getpid(), *cluster.pids], others))
        cluster.pod_network = stack.enter_context(PodNetwork())
        stack.callback(setattr, cluster, "pod_network", None)
        app, crowd = stack.enter_context(backend(workdir)), stack.enter_context(Crowd())
        cluster.create_namespace(NAMESPACE)
        ports = {"app": app.port, "crowd": crowd.port}
        for name, (served_by, count, node) in TARGETS.items():
            cluster.create_deployment(NAMESPACE, name, count, node)
            cluster.apply([_service(name, ports[served_by])])
        workload(cluster, NAMESPACE, "worker", replicas=1, account="worker")
        installed = install(cluster, NAMESPACE, workdir, _config())
        stack.callback(installed.stop)
        slices = Slices(world)
        [pod, *_] = wait_for("a worker's pod", lambda: gateways.pods(cluster, NAMESPACE, "worker"))
        token = pod_token(cluster, NAMESPACE, pod, 3600)
        wait_for("the pods of what is on", lambda: {"app", "socket"} <= set(slices.ready_since))
        yield GatewayStage(world, workdir, installed, slices, app, crowd, token, own)


@contextmanager
def _many_files() -> Iterator[None]:
    """Lets this process, and those that it starts, have as many files open as there are connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        raise SystemExit(f"{DESCRIPTORS} open files are needed, and {hard} allowed: see ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _service(name: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": port}]},
    }
