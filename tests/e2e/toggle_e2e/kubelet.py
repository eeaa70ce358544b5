"""What plays the part of a cluster that would need machines: a node whose pods are ready at once.

Nothing is run. A pod becomes ready when it is seen, and is gone when it is to go.
On another node no pod becomes ready, for no registry has its image.
Where no controllers are started, the Deployment's one is played too: its status
says that all replicas that are wanted are there.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .controlplane import ControlPlane

Object = dict[str, Any]

NODE = "node"
"""The one node there is. On another one, pods wait for ever."""

BARE_NODE = "bare-node"
"""A node that finds no pod's image."""

DEPLOYMENTS = "/apis/apps/v1/deployments?watch=1"
_PATCH = "application/strategic-merge-patch+json"

AGAIN = 0.1
"""Seconds between an API server that is not there and the next try."""


class Watcher:
    """Follows all objects of a kind in a thread of its own, through every outage of the API server."""

    def __init__(self, cluster: ControlPlane, path: str, take: Callable[[Object], None]) -> None:
        self._cluster = cluster
        self._path = path
        self._take = take
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it, once the API server is gone; until then its thread waits for that one's answers."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._ending.is_set():
            # An answer that is cut, or none: the next watch begins with all there is.
            with suppress(OSError, http.client.HTTPException, ValueError):
                self._follow()
            self._ending.wait(AGAIN)

    def _follow(self) -> None:
        connection = self._cluster.connect(timeout=None)
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                return
            for line in answer:
                event = json.loads(line)
                if self._ending.is_set() or event["type"] == "ERROR":
                    return
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._take(event["object"])
        finally:
            connection.close()


def kubelet(cluster: ControlPlane, node: str = NODE) -> Watcher:
    """Makes each pod of the node ready, or waits for its image, and takes away each that is to go."""
    status = _waiting_for_image if node == BARE_NODE else running
    pods = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&watch=1"

    def take(pod: Object) -> None:
        path = _path("/api/v1", "pods", pod)
        if "deletionTimestamp" in pod["metadata"]:
            cluster.request("DELETE", path, {"gracePeriodSeconds": 0})
        elif not pod["status"].get("containerStatuses"):
            network = cluster.pod_network
            address = network.addressed() if network and node == NODE else {}
            cluster.request("PATCH", f"{path}/status", {"status": status(pod) | address}, _PATCH)

    return Watcher(cluster, pods, take)


def deployment_controller(cluster: ControlPlane) -> Watcher:
    """Says of each Deployment that all its replicas are there, and ready but on the node without images."""

    def take(deployment: Object) -> None:
        wanted, generation = deployment["spec"]["replicas"], deployment["metadata"]["generation"]
        if deployment["status"].get("observedGeneration") == generation:
            return
        is_bare = deployment["spec"]["template"]["spec"].get("nodeName") == BARE_NODE
        ready = 0 if is_bare else wanted
        numbers = {"replicas": wanted, "updatedReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready}
        status = {"observedGeneration": generation, **numbers}
        path = _path("/apis/apps/v1", "deployments", deployment)
        cluster.request("PATCH", f"{path}/status", {"status": status}, _PATCH)
        if is_bare and wanted:
            pod = _pod_of(deployment)
            cluster.request("POST", f"/api/v1/namespaces/{deployment['metadata']['namespace']}/pods", pod)

    return Watcher(cluster, DEPLOYMENTS, take)


def _pod_of(deployment: Object) -> Object:
    """A pod as a ReplicaSet of the Deployment would make it."""
    name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-0", "uid": "played", "controller": True}
    return {
        "metadata": {
            "name": f"{name}-0-{deployment['metadata']['generation']}",
            "labels": {**template["metadata"]["labels"], "pod-template-hash": "0"},
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


def _path(api: str, kind: str, one: Object) -> str:
    return f"{api}/namespaces/{one['metadata']['namespace']}/{kind}/{one['metadata']['name']}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _waiting_for_image(pod: Object) -> Object:
    unready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": _now()}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": _now()}
    return {
        "phase": "Pending",
        "conditions": [scheduled, unready],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {
                    "waiting": {
                        "reason": "ImagePullBackOff",
                        "message": f"Back-off pulling image {container['image']}: ErrImagePull: not found",
                    }
                },
            }
            for container in pod["spec"]["containers"]
        ],
    }


def running(pod: Object) -> Object:
    """The status of a pod that is ready."""
    now = _now()
    conditions = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Running",
        "startTime": now,
        "conditions": [{"type": one, "status": "True", "lastTransitionTime": now} for one in conditions],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "started": True,
                "state": {"running": {"startedAt": now}},
            }
            for container in pod["spec"]["containers"]
        ],
    }
