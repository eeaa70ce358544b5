"""Starts a control plane and tries it, with the rights that `deploy/k8s` gives the bot."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from .administrator import MERGE_PATCH, ControlPlaneError, Object
from .controlplane import ControlPlane

_HERE = Path(__file__).resolve().parent


def _check_rights(cluster: ControlPlane, namespace: str, name: str) -> None:
    """Tries, as the bot, what the shipped role is to allow and what it must not."""
    account = cluster.service_account_dir(namespace, "openclaw-toggle-operator")
    token = (account / "token").read_text()
    apps = "/apis/apps/v1/namespaces"
    own = f"{apps}/{namespace}/deployments/{name}"
    other = f"{apps}/{namespace}/deployments/other"
    scale = {"spec": {"replicas": 1}}
    tries: list[tuple[int, str, str, Object | None]] = [
        (200, "GET", own, None),
        (403, "GET", f"{own}/scale", None),
        (200, "PATCH", f"{own}/scale?dryRun=All", scale),
        (403, "PATCH", own, scale),
        (403, "PUT", f"{own}/scale", scale),
        (403, "DELETE", own, None),
        (403, "GET", f"{own}/status", None),
        (403, "GET", f"{apps}/{namespace}/deployments", None),
        (403, "GET", f"{apps}/{namespace}/deployments?watch=1&fieldSelector=metadata.name={name}", None),
        (403, "GET", other, None),
        (403, "GET", f"{other}/scale", None),
        (403, "PATCH", f"{other}/scale", scale),
        (403, "PATCH", f"{apps}/default/deployments/{name}/scale", scale),
        (403, "GET", f"/api/v1/namespaces/{namespace}/secrets", None),
        (403, "GET", f"/api/v1/namespaces/{namespace}/pods", None),
    ]
    for wanted, method, path, body in tries:
        status, _ = cluster.request(method, path, body, MERGE_PATCH, user=token)
        if status != wanted:
            raise ControlPlaneError(f"{method} {path} as the bot gives {status}, not {wanted}")
    print(f"the role allows what the bot needs and refuses the rest ({len(tries)} requests)")


def _self_test() -> None:
    """Starts everything, applies what `deploy/k8s` ships and scales a deployment with its rights."""
    manifests = _HERE.parents[2] / "deploy" / "k8s" / "base"
    namespace = name = "clawdbot"
    with tempfile.TemporaryDirectory() as directory, ControlPlane(Path(directory)) as cluster:
        cluster.create_node()
        cluster.create_namespace(namespace)
        for dry_run in (True, False):
            for manifest in sorted(manifests.glob("*.yaml")):
                if manifest.name != "kustomization.yaml":
                    cluster.apply(manifest, dry_run=dry_run)
        print("all manifests pass a dry run and are applied")
        cluster.create_deployment(namespace, name)
        _check_rights(cluster, namespace, name)
        token = cluster.rotate_token(namespace, "openclaw-toggle-operator")
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
        for replicas in (1, 0):
            started = time.monotonic()
            cluster.request("PATCH", path, {"spec": {"replicas": replicas}}, MERGE_PATCH, user=token)
            cluster.wait_replicas(namespace, name, spec=replicas, ready=replicas)
            print(f"scaled to {replicas}: {time.monotonic() - started:.2f} s until all are ready")
        patches = [
            entry["requestObject"]["spec"]["replicas"]
            for entry in cluster.audit(user_contains="openclaw-toggle-operator")
            if entry["verb"] == "patch" and entry["responseStatus"]["code"] == 200
            if "dryRun" not in entry["requestURI"]
        ]
        if patches != [1, 0]:
            raise ControlPlaneError(f"the audit log has the scalings {patches}, not [1, 0]")
        started = time.monotonic()
        cluster.stop_apiserver()
        cluster.start_apiserver()
        print(f"restarted the API server: {time.monotonic() - started:.1f} s")
        started = time.monotonic()
    print(f"stopped: {time.monotonic() - started:.2f} s")


if __name__ == "__main__":
    _self_test()
