"""Several replicas of the gateway, and others who set the count: what stays on, and what is stopped."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from toggle_e2e.administrator import MERGE_PATCH
from toggle_e2e.backend import Backend
from toggle_e2e.bot import default_binary, run_to_end
from toggle_e2e.gateway import (
    NAME,
    Answer,
    Gateway,
    Installed,
    ask,
    bearer,
    count,
    install,
    pod_token,
    pods,
    workload,
)
from toggle_e2e.net import wait_for
from toggle_e2e.podnet import PodNetwork
from toggle_e2e.rights import own_rules
from toggle_e2e.world import World

NAMESPACE = "e2e-replicas"
SHORT = {"idle": "10s", "minUp": "0s"}
TARGETS: dict[str, dict[str, Any]] = {
    "used": SHORT,
    "scaled": SHORT,
    "yielding": SHORT | {"overrides": ["kube-controller-manager"]},
    "timed": SHORT,
    "cut": SHORT,
    "paused": SHORT,
    "orphaned": SHORT,
    "claimed": SHORT,
    "open": {"anonymous": ["connect", "wake"], "hold": "2s"},
}


def entry(name: str, more: dict[str, Any]) -> dict[str, Any]:
    """A target of the gateway's file."""
    return {"name": name, "namespace": NAMESPACE, "host": f"{name}.example.org", "service": name, "port": "http", **more}


CONFIG = {
    "k8sTrust": {
        "enabled": True,
        "allowedIdentities": [{"namespace": NAMESPACE, "serviceAccount": "worker", "allowedRoles": ["node"]}],
    },
    "roles": {"node": {"targets": ["*"], "verbs": ["status", "wait", "wake", "connect", "start", "stop"]}},
    "targets": {name: entry(name, more) for name, more in TARGETS.items()},
}


@pytest.fixture(scope="module")
def release(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A release with three replicas that run."""
    cluster = world.cluster
    with PodNetwork() as network, Backend() as backend:
        backend.open()
        cluster.pod_network = network
        cluster.create_namespace(NAMESPACE)
        for name in TARGETS:
            workload(cluster, NAMESPACE, name, backend)
        workload(cluster, NAMESPACE, "worker", replicas=1, account="worker")
        made = install(cluster, NAMESPACE, tmp_path_factory.mktemp("gateway"), CONFIG)
        try:
            made.started(3, TRUSTED_PROXIES="127.0.0.0/8")
            yield made
        finally:
            made.stop()
            cluster.pod_network = None


@pytest.fixture(scope="module")
def token(release: Installed) -> str:
    """The token of a worker's pod."""
    [pod, *_] = wait_for("a worker's pod", lambda: pods(release.cluster, NAMESPACE, "worker"))
    return pod_token(release.cluster, NAMESPACE, pod, 3600)


def get(gateway: Gateway, target: str, token: str | None, **headers: str) -> Answer:
    """A request through the proxy."""
    return ask(gateway.proxy, "GET", "/", {"Host": f"{target}.example.org", **bearer(token), **headers})


def replicas(release: Installed, name: str) -> int:
    """How many a target should have."""
    return count(release.cluster, NAMESPACE, name)


def phase(release: Installed, name: str) -> str:
    """What the Lease of a target says that is done with it."""
    annotations = release.lease(name)["metadata"].get("annotations", {})
    return str(annotations.get("openclaw-k8s-toggle-operator/phase", ""))


def changes(release: Installed, name: str) -> int:
    """How often its count was changed, as the API server counts that."""
    found = release.cluster.ensure("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")
    return int(found["metadata"]["generation"]) - 1


def stops(release: Installed, name: str) -> list[Any]:
    """The lines about its stops, of all starts of all replicas."""
    return [line for one in release.replicas for line in one.audit("idle-stop", 0) if line["target"] == name]


def wait_woken_once(release: Installed, name: str, token: str) -> None:
    """Waits until it is off, and shows that many requests at all replicas wake it once."""
    wait_for("the idle stop", lambda: replicas(release, name) == 0, 90, every=0.2, detail=release.replicas[0].tail)
    assert changes(release, name) == 2, "it was not woken once and stopped once"
    with ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(get, one, name, token) for one in release.replicas * 2]
        assert [one.result(60).status for one in asked] == [200] * 6
    assert (replicas(release, name), changes(release, name)) == (1, 3), "it was not woken once again"


def autoscaler(release: Installed, name: str) -> None:
    """A HorizontalPodAutoscaler that wants two at least."""
    release.cluster.apply([{
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 2,
            "maxReplicas": 4,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
            ],
        },
    }])  # fmt: skip


@contextmanager
def hanging(release: Installed, name: str) -> Iterator[None]:
    """No stop of a target is answered meanwhile: an admission rule is asked first, which says nothing."""
    cluster = release.cluster
    with socket.create_server(("127.0.0.1", 0)) as listener:
        webhook = {
            "name": "hang.e2e.example.com",
            "clientConfig": {"url": f"https://127.0.0.1:{listener.getsockname()[1]}/"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "matchConditions": [
                {"name": "stop", "expression": f"request.name == '{name}' && object.spec.?replicas.orValue(0) == 0"}
            ],
            "rules": [
                {
                    **{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"]},
                    "resources": ["deployments/scale"],
                }
            ],
            "timeoutSeconds": 30,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        api, kind = "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"
        hook = {"apiVersion": api, "kind": kind, "metadata": {"name": f"hang-{name}"}, "webhooks": [webhook]}
        cluster.apply([hook])
        scale = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}/scale?dryRun=All"

        def is_asked() -> bool:
            try:
                cluster.request("PATCH", scale, {"spec": {"replicas": 0}}, MERGE_PATCH, timeout=1)
            except TimeoutError:
                return True
            return False

        try:
            wait_for("the rule to be asked", is_asked)
            yield
        finally:
            cluster.ensure("DELETE", f"/apis/{api}/validatingwebhookconfigurations/hang-{name}")


@pytest.fixture(scope="module", autouse=True)
def claimed(release: Installed, token: str) -> None:
    """A target of which the replica that stops it is killed in the middle, and comes back: begun early, since its claim
    is taken over after a minute."""
    with hanging(release, "claimed"):
        assert get(release.replicas[0], "claimed", token).status == 200
        wait_for("a claim", lambda: phase(release, "claimed") == "stopping", 60)
        holder = release.lease("claimed")["spec"]["holderIdentity"]
        [one] = [one for one in release.replicas if one.settings["POD_NAME"] == holder]
        one.kill()
        assert phase(release, "claimed") == "stopping"
    one.start()


def test_all_that_it_needs_is_there(release: Installed) -> None:
    """As `gateway check` says, and what it says where a right is missing."""
    gateway = release.replicas[0]
    assert run_to_end(gateway.settings, ("gateway", "check"), 60, default_binary())[0] == 0
    cluster = release.cluster
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings/{NAME}-leases"
    binding = cluster.ensure("GET", path)
    account = cluster.token(NAMESPACE, NAME)
    before = own_rules(cluster, account, NAMESPACE)
    cluster.ensure("DELETE", path)
    wait_for("the right to be gone", lambda: own_rules(cluster, account, NAMESPACE) != before, 10)
    try:
        code, said = run_to_end(gateway.settings, ("gateway", "check"), 60, default_binary())
        assert code == 1 and "may not list leases" in said and f'may not patch leases "{NAME}-used"' in said, said
    finally:
        made = {"apiVersion": binding["apiVersion"], "kind": "RoleBinding", "roleRef": binding["roleRef"]}
        metadata = {"name": binding["metadata"]["name"], "namespace": NAMESPACE}
        cluster.apply([made | {"metadata": metadata, "subjects": binding["subjects"]}])
        wait_for("the right to be back", lambda: own_rules(cluster, account, NAMESPACE) == before, 10)


def test_use_at_one_replica_keeps_a_target_on_and_its_end_stops_it_once(release: Installed, token: str) -> None:
    one = release.replicas[0]
    assert get(one, "used", token).status == 200
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline:
        assert get(one, "used", token).status == 200
        assert replicas(release, "used") == 1, "it was stopped while it was used"
        time.sleep(2)
    wait_for("the idle stop", lambda: replicas(release, "used") == 0, 60, every=0.5, detail=one.tail)
    assert len(stops(release, "used")) == 1


def test_a_replica_that_stood_still_stops_nothing_that_is_used_elsewhere(release: Installed, token: str) -> None:
    """It has woken the target itself, and has seen no use of it for longer than the idle time."""
    one, other = release.replicas[:2]
    assert get(other, "paused", token).status == 200

    def use(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert get(one, "paused", token).status == 200
            assert replicas(release, "paused") == 1, "it was stopped while it was used"
            time.sleep(1)

    with ThreadPoolExecutor(1) as threads:
        other.freeze()
        try:
            asked = threads.submit(get, other, "paused", token)
            use(15)
            assert not asked.done()
        finally:
            other.thaw()
        assert asked.result(30).status == 200
    # What it has answered just now is use; it does nothing after that, either.
    use(12)
    assert get(other, "paused", token).status == 200
    assert stops(release, "paused") == [] and changes(release, "paused") == 1


def test_what_a_replica_has_used_that_is_killed_is_stopped_and_woken_once(release: Installed, token: str) -> None:
    """Killed shortly before it would stop the target."""
    one = release.replicas[2]
    assert get(one, "orphaned", token).status == 200
    time.sleep(6)
    one.kill()
    assert replicas(release, "orphaned") == 1
    wait_for("the idle stop", lambda: replicas(release, "orphaned") == 0, 40, every=0.2)
    one.start()
    wait_woken_once(release, "orphaned", token)


def test_what_an_autoscaler_has_set_is_left_on_unless_that_is_overridden(release: Installed, token: str) -> None:
    for name in ("scaled", "yielding"):
        assert get(release.replicas[0], name, token).status == 200
        autoscaler(release, name)
    for name in ("scaled", "yielding"):
        wait_for(
            f"two of {name}",
            lambda name=name: replicas(release, name) == 2 or replicas(release, name) == 0,  # type: ignore[misc]
            40,
            every=0.2,
        )
    wait_for("the stop of what gives way", lambda: replicas(release, "yielding") == 0, 90, every=0.5)
    time.sleep(5)
    assert replicas(release, "yielding") == 0, "the autoscaler woke it again"
    assert replicas(release, "scaled") == 2, "what an autoscaler had set was stopped"


def test_a_start_with_a_time_ends_then_whatever_uses_it(release: Installed, token: str) -> None:
    one, other = release.replicas[:2]
    started = one.call("POST", "/v1/targets/timed/start", token, {"for": "1m"})
    assert started.status == 200, started
    assert "keepUntil" in started.json()
    # It is not idle that counts: it is left on for longer than that.
    time.sleep(20)
    assert replicas(release, "timed") == 1
    # Nor does it take the replica that was asked.
    one.kill()
    wait_for("the end of the time", lambda: replicas(release, "timed") == 0, 75, every=0.5, detail=other.tail)
    one.start()


def test_without_the_api_server_nothing_is_stopped_and_what_is_on_is_served(release: Installed, token: str) -> None:
    one = release.replicas[0]
    cluster = release.cluster
    # Held for a short time only, each.
    wait_for("the one that is open to be on", lambda: get(one, "open", None).status == 200, detail=one.tail)
    assert get(one, "cut", token).status == 200
    cluster.pause()
    try:
        for _ in range(8):
            answer = get(one, "open", None)
            assert answer.status == 200, answer
            time.sleep(2.5)
    finally:
        resumed = datetime.now(UTC)
        cluster.resume()
    cluster.wait_ready()
    if replicas(release, "cut") != 1:
        wait_for("the stop in the log", lambda: stops(release, "cut"), 20)
    # The API server may need longer to come back than nobody has to use it: a stop counts
    # by its time.
    told = stops(release, "cut")
    early = [line for line in told if datetime.fromisoformat(line["timestamp"]) < resumed + timedelta(seconds=9)]
    assert not early, "it was stopped by who could not know whether others use it"


def test_a_stop_whose_replica_was_killed_in_the_middle_is_done_by_another(release: Installed, token: str) -> None:
    """It was claimed, and the API server had not answered."""
    wait_woken_once(release, "claimed", token)
    [told] = stops(release, "claimed")
    assert told["reason"] == "idle"
