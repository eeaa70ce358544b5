"""What keeps a target from coming up is told while it starts, as far as the gateway may know it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toggle_e2e.administrator import MERGE_PATCH
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.gateway import Gateway, Installed, ask, install, workload
from toggle_e2e.kubelet import BARE_NODE
from toggle_e2e.net import wait_for
from toggle_e2e.world import World

HOME = "e2e-why"
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}

QUOTA = "its pods cannot be made: a quota or limit of the namespace"
POLICY = "its pods cannot be made: the security policy of the namespace"
IMAGE = "image workload:1 cannot be pulled: not there"
HTTP2 = "its Service speaks HTTP/2 at this port, and the gateway HTTP/1.1"
H2C = "kubernetes.io/h2c"


def stuck(cluster: ControlPlane, home: str) -> dict[str, Any]:
    """Targets that do not come up, each for another reason."""
    full, strict = f"{home}-full", f"{home}-strict"
    for namespace in (home, full, strict):
        cluster.create_namespace(namespace)
    # The controller that counts what a quota has used is played.
    hard = {"pods": "0"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}
    path = f"/api/v1/namespaces/{full}/resourcequotas"
    cluster.ensure("POST", path, quota)
    cluster.ensure("PATCH", f"{path}/q/status", quota | {"status": {"hard": hard, "used": hard}}, MERGE_PATCH)
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.ensure("PATCH", f"/api/v1/namespaces/{strict}", label, MERGE_PATCH)
    workload(cluster, home, "bare", node=BARE_NODE)
    workload(cluster, full, "crowd")
    workload(cluster, full, "hidden")
    workload(cluster, strict, "strict", kind="StatefulSet")
    workload(cluster, home, "modern")
    workload(cluster, home, "named")
    speaks_http2(cluster, home)

    def entry(name: str, namespace: str, **more: Any) -> dict[str, Any]:
        may = ["wake", "connect"] if name == "hidden" else ["status", "wake", "connect"]
        return {
            **{"name": name, "namespace": namespace, "host": f"{name}.example.org", "service": name, "port": 80},
            **{"anonymous": may, "readyTimeout": "40s", "hold": "1s", **more},
        }

    return {
        "bare": entry("bare", home),
        "crowd": entry("crowd", full),
        "hidden": entry("hidden", full),
        "strict": entry("strict", strict, kind="StatefulSet"),
        "modern": entry("modern", home),
        "named": entry("named", home, port="http"),
    }


def speaks_http2(cluster: ControlPlane, home: str) -> None:
    """Of one target the Service says that it speaks HTTP/2, of the other its slice."""
    ports = [{"name": "http", "port": 80, "appProtocol": H2C}]
    service = {
        **{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "modern", "namespace": home}},
        "spec": {"selector": {"app": "modern"}, "ports": ports},
    }
    cluster.ensure("POST", f"/api/v1/namespaces/{home}/services", service)
    labels = {"kubernetes.io/service-name": "named"}
    slice_ = {
        **{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"},
        "metadata": {"name": "named-1", "namespace": home, "labels": labels},
        **{"ports": ports, "endpoints": [{"addresses": ["198.51.100.1"]}]},
    }
    cluster.ensure("POST", f"/apis/discovery.k8s.io/v1/namespaces/{home}/endpointslices", slice_)


def release(world: World, home: str, workdir: Path, **values: Any) -> Iterator[Installed]:
    """A release before these, all of which somebody has just come for."""
    targets = stuck(world.cluster, home)
    trust = {"enabled": False, "allowedIdentities": []}
    made = install(world.cluster, home, workdir, {"k8sTrust": trust, "targets": targets}, **values)
    try:
        [gateway] = made.started()
        for name in targets:
            page(gateway, name)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def blind(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """One that may read the workloads alone, as it is by default."""
    yield from release(world, HOME, tmp_path_factory.mktemp("blind"))


@pytest.fixture(scope="module")
def told(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """One that may list pods and Events."""
    rights = {"pods": True, "events": True}
    yield from release(world, f"{HOME}-told", tmp_path_factory.mktemp("told"), rights=rights)


def page(gateway: Gateway, name: str) -> str:
    """What the waiting page of a target shows of it; empty where it shows nothing."""
    answer = ask(gateway.proxy, "GET", "/", {"Host": f"{name}.example.org"} | NAVIGATION)
    assert answer.status == 503 and "no-store" in answer.headers["cache-control"]
    shown = re.search("<p id=s role=status>(.*?)</p>", answer.body.decode())
    return shown[1] if shown else ""


def refusal(gateway: Gateway, name: str) -> str:
    """What a program is told."""
    headers = {"Host": f"{name}.example.org", "Accept": "application/json"}
    answer = ask(gateway.proxy, "POST", "/", headers)
    assert answer.status == 503
    return str(answer.json()["detail"])


def test_with_both_rights_each_reason_is_told(told: Installed) -> None:
    [gateway] = told.replicas
    for name, reason in {"crowd": QUOTA, "strict": POLICY, "bare": IMAGE}.items():
        wait_for(f"the reason of {name}", lambda name=name, reason=reason: page(gateway, name) == reason, 30)
        assert refusal(gateway, name) == reason
    # The log has the server's words, nobody else.
    log = gateway.tail(400)
    assert "crowd is not ready yet: its pods cannot be made" in log and "exceeded quota" in log
    for name, reason in {"crowd": QUOTA, "strict": POLICY, "bare": IMAGE}.items():
        late = f"not ready after 40 s: {reason}"
        wait_for(f"the end of {name}", lambda name=name, late=late: page(gateway, name) == late, 60)
        assert refusal(gateway, name) == late


def test_without_them_the_workload_speaks_for_itself(blind: Installed) -> None:
    [gateway] = blind.replicas
    wait_for("the reason", lambda: page(gateway, "crowd") == QUOTA, 30)
    assert [page(gateway, name) for name in ("strict", "bare")] == ["it is starting"] * 2
    late = "not ready after 40 s"
    for name in ("strict", "bare"):
        wait_for(f"the end of {name}", lambda name=name: page(gateway, name) == late, 60)


def test_a_port_for_http2_is_told(blind: Installed) -> None:
    [gateway] = blind.replicas
    for name in ("modern", "named"):
        wait_for(f"the reason of {name}", lambda name=name: HTTP2 in page(gateway, name), 30)
        wait_for("a line about it", lambda name=name: f"{name}: {HTTP2}" in gateway.tail(400))
    assert refusal(gateway, "modern") == f"not ready after 40 s: {HTTP2}"


def test_who_may_not_see_the_status_learns_no_reason(blind: Installed) -> None:
    [gateway] = blind.replicas
    wait_for("the reason", lambda: QUOTA in page(gateway, "crowd"), 30)
    assert page(gateway, "hidden") == ""
    assert refusal(gateway, "hidden") in ("it is starting", "it did not start")
