"""The gateway on a real API server: what is off is woken by the first request, whatever that is.

The pods are played, and one process of the tests serves for all of them. What a network
plugin and kube-proxy take is therefore in no number here.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from toggle_e2e import manifests
from toggle_e2e.backend import Backend, NodeBackend
from toggle_e2e.bot import default_binary, run_to_end
from toggle_e2e.gateway import (
    AUDIENCE,
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
from toggle_e2e.world import World

NAMESPACE = "e2e-wake"
NAMES = ("plain", "late", "socket", "events", "upload", "burst", "sleepy", "kept", "asked", "node")
"""Targets, one for each test that wakes one."""


def entry(name: str, **more: Any) -> dict[str, Any]:
    """A target of the gateway's file."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "host": f"{name}.example.org",
        "service": name,
        "port": "http",
        "max": 5,
        **more,
    }


SHORT = {"idle": "10s", "minUp": "0s"}

CONFIG = {
    "k8sTrust": {
        "enabled": True,
        "allowedIdentities": [{"namespace": NAMESPACE, "serviceAccount": "worker", "allowedRoles": ["node"]}],
    },
    "roles": {
        "node": {
            "targets": ["*"],
            "verbs": ["list", "status", "wait", "wake", "connect", "start", "stop", "scale"],
        }
    },
    "targets": {name: entry(name, **(SHORT if name in ("sleepy", "kept") else {})) for name in NAMES}
    | {"worker": {"name": "worker", "namespace": NAMESPACE, "max": 10}},
}


@pytest.fixture(scope="module")
def late() -> Iterator[Backend]:
    """What the pods of `late` serve once they are told to."""
    with Backend() as made:
        yield made


@pytest.fixture(scope="module")
def node() -> Iterator[NodeBackend]:
    """What the pods of `node` serve."""
    with NodeBackend() as made:
        yield made


@pytest.fixture(scope="module")
def release(
    world: World, backend: Backend, late: Backend, node: NodeBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """A release with two replicas that run, before targets that are off and a worker that is not."""
    cluster = world.cluster
    with PodNetwork() as network:
        cluster.pod_network = network
        cluster.create_namespace(NAMESPACE)
        others = {"late": late, "node": node}
        for name in NAMES:
            workload(cluster, NAMESPACE, name, others.get(name, backend))
        workload(cluster, NAMESPACE, "worker", replicas=1, account="worker")
        made = install(cluster, NAMESPACE, tmp_path_factory.mktemp("gateway"), CONFIG)
        try:
            made.started(2)
            yield made
        finally:
            made.stop()
            cluster.pod_network = None


@pytest.fixture
def gateway(release: Installed) -> Gateway:
    """One of the replicas."""
    return release.replicas[0]


@pytest.fixture
def token(release: Installed) -> str:
    """The token of a worker's pod."""
    cluster = release.cluster
    [pod, *_] = wait_for("a worker's pod", lambda: pods(cluster, NAMESPACE, "worker"))
    return pod_token(cluster, NAMESPACE, pod)


def get(gateway: Gateway, target: str, path: str, token: str | None, **headers: str) -> Answer:
    """A request through the proxy."""
    return ask(gateway.proxy, "GET", path, {"Host": f"{target}.example.org", **bearer(token), **headers})


def replicas(release: Installed, name: str) -> int:
    """How many a target should have."""
    return count(release.cluster, NAMESPACE, name)


def test_the_first_request_wakes_and_is_answered(release: Installed, gateway: Gateway, token: str) -> None:
    assert replicas(release, "plain") == 0
    answer = get(gateway, "plain", "/a?b=%2Fc", token)
    assert answer.status == 200, (answer, gateway.tail())
    seen = answer.json()
    assert (seen["method"], seen["path"]) == ("GET", "/a?b=%2Fc")
    assert "authorization" not in seen["headers"], "the app was shown the token"
    assert seen["headers"]["host"] == "plain.example.org"
    assert replicas(release, "plain") == 1
    annotations = release.lease("plain")["metadata"]["annotations"]
    assert annotations["openclaw-k8s-toggle-operator/phase"] == "run"
    assert annotations["openclaw-k8s-toggle-operator/started-by"] == f"sa:{NAMESPACE}/worker"
    # The other replica goes by the Lease and the slices.
    assert get(release.replicas[1], "plain", "/", token).status == 200


def test_a_pod_that_is_ready_before_its_program_is_waited_for(
    release: Installed, gateway: Gateway, token: str, late: Backend
) -> None:
    late.open(after=3)
    started = time.monotonic()
    answer = get(gateway, "late", "/", token)
    assert answer.status == 200, (answer, gateway.tail())
    assert 2.5 < time.monotonic() - started < 20
    assert len(late.seen) == 1, "it was asked for more than once"


def test_nobody_without_a_token_wakes_or_sees_anything(release: Installed, gateway: Gateway) -> None:
    answers = [
        get(gateway, "asked", "/", None).status,
        get(gateway, "asked", "/", "rubbish").status,
        get(gateway, "asked", "/", None, Authorization="Basic YTpi").status,
    ]
    assert answers == [401, 401, 401]
    assert get(gateway, "nothing", "/", None).status in (401, 404)
    assert replicas(release, "asked") == 0


def test_a_websocket_goes_through_a_cold_start(release: Installed, gateway: Gateway, token: str) -> None:
    async def talk() -> list[str]:
        headers = {"Host": "socket.example.org", **bearer(token)}
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{gateway.proxy}/socket"
            async with session.ws_connect(url, headers=headers, timeout=aiohttp.ClientWSTimeout(ws_close=5)) as ws:
                heard = []
                for text in ("first", "x" * 100_000, "last"):
                    await ws.send_str(text)
                    heard.append(await ws.receive_str(timeout=5))
                return heard

    assert asyncio.run(talk()) == ["first", "x" * 100_000, "last"]
    assert replicas(release, "socket") == 1


def test_events_come_one_by_one_through_a_cold_start(gateway: Gateway, token: str, backend: Backend) -> None:
    path = "/events?n=40"

    async def listen() -> list[float]:
        headers = {"Host": "events.example.org", **bearer(token), "Accept": "text/event-stream"}
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{gateway.proxy}{path}", headers=headers) as answer:
                assert answer.status == 200 and answer.content_type == "text/event-stream"
                times = []
                async for line in answer.content:
                    if line.startswith(b"data:"):
                        times.append(time.monotonic())
                return times

    arrived, sent = asyncio.run(listen()), backend.sent[path]
    assert len(arrived) == len(sent) == 40
    late = [came - went for came, went in zip(arrived, sent, strict=True)]
    # By the median, for a machine may pause. What is kept to the end is 2 s late then.
    assert sorted(late)[20] <= 0.5, f"events came in bursts: {late}"


def test_an_upload_waits_at_its_client_until_the_target_is_there(
    release: Installed, gateway: Gateway, token: str, backend: Backend
) -> None:
    """With `Expect: 100-continue`; 64 MiB that no memory of the gateway grows by."""
    size = 64 << 20
    piece = bytes(range(256)) * 256
    digest = hashlib.sha256()
    before = gateway.memory().resident
    with socket.create_connection(("127.0.0.1", gateway.proxy), timeout=60) as client:
        head = (
            "POST /upload HTTP/1.1\r\nHost: upload.example.org\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
        )
        assert replicas(release, "upload") == 0
        client.sendall(head.encode())
        assert client.recv(1024).startswith(b"HTTP/1.1 100 ")
        assert replicas(release, "upload") == 1, "the body was asked for before its target was woken"
        for _ in range(size // len(piece)):
            client.sendall(piece)
            digest.update(piece)
        peak = gateway.memory().resident
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            more = client.recv(65536)
            assert more, answer
            answer += more
    assert answer.startswith(b"HTTP/1.1 200 ")
    [seen] = [one for one in backend.seen if one.path == "/upload"]
    assert (seen.length, seen.sha256) == (size, digest.hexdigest())
    assert peak - before < 8 << 10, f"{peak - before} kB more in memory"


def test_connections_that_the_app_closes_cost_no_request(gateway: Gateway, token: str) -> None:
    """Node closes after 5 s on which the gateway may have a request under way."""
    for pause in (0, 3.9, 4.5, 4.98, 5, 5.02, 5.1):
        time.sleep(pause)
        answer = get(gateway, "node", f"/{pause}", token)
        assert answer.status == 200, f"after {pause} s: {answer}"


def test_many_at_once_are_one_start(release: Installed, gateway: Gateway, token: str) -> None:
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda n: get(gateway, "burst", f"/{n}", token), range(50)))
    assert [one.status for one in answers] == [200] * 50
    assert [one.json()["path"] for one in answers] == [f"/{n}" for n in range(50)], "answers were mixed up"
    who = f"system:serviceaccount:{NAMESPACE}:toggle-openclaw-k8s-toggle-operator-gateway"
    codes = [
        one["responseStatus"]["code"]
        for one in release.cluster.audit(user_contains=who)
        if one["verb"] == "patch" and one["objectRef"]["name"] == "burst" and one["stage"] == "ResponseComplete"
    ]
    # Whoever made the workload has set its count, so the first try is refused, and forced then.
    assert codes == [409, 200]


def test_what_wakes_nothing(release: Installed, gateway: Gateway, token: str) -> None:
    for path, headers in [
        ("/favicon.ico", {}),
        ("/robots.txt", {}),
        ("/", {"User-Agent": "kube-probe/1.36"}),
        ("/", {"Sec-Purpose": "prefetch"}),
    ]:
        answer = get(gateway, "asked", path, token, **headers)
        assert answer.status == 503 and "retry-after" in answer.headers, (path, headers, answer)
    for method in ("HEAD", "OPTIONS"):
        headers = {"Host": "asked.example.org", **bearer(token)}
        assert ask(gateway.proxy, method, "/", headers).status == 503
    assert replicas(release, "asked") == 0


def test_five_workers_authenticate_by_themselves(release: Installed, gateway: Gateway) -> None:
    """`kubectl scale`, and nothing else: no pairing, no registration."""
    cluster = release.cluster
    manifests.run(
        "kubectl", "-n", NAMESPACE, "scale", "deployment/worker", "--replicas=5", kubeconfig=cluster.kubeconfig()
    )
    names = wait_for("five pods", lambda: (found := pods(cluster, NAMESPACE, "worker")) and len(found) == 5 and found)
    for name in names:
        assert gateway.call("GET", "/v1/targets/worker", pod_token(cluster, NAMESPACE, name)).status == 200

    def known() -> bool:
        return {one.get("displayName") for one in gateway.audit("k8s-auth-success")} >= set(names)

    wait_for("five names in the audit log", known, detail=gateway.tail)
    page = gateway.health("/metrics")[1]
    assert 'openclaw_k8s_auth_attempts_total{result="success"}' in page


def test_tokens_that_are_not_for_it_alone_or_of_no_pod_are_refused(release: Installed, gateway: Gateway) -> None:
    cluster = release.cluster
    pod = pods(cluster, NAMESPACE, "worker")[0]
    api_server = "https://kubernetes.default.svc.cluster.local"
    refused = {
        "for the API server": cluster.token(NAMESPACE, "worker", pod=pod),
        "for both": pod_token(cluster, NAMESPACE, pod, 600, AUDIENCE, api_server),
        "for another": pod_token(cluster, NAMESPACE, pod, 600, "vault"),
        "of no pod": cluster.token(NAMESPACE, "worker", 600, (AUDIENCE,)),
        "of another account": cluster.token(NAMESPACE, "default", 600, (AUDIENCE,)),
    }
    for what, shown in refused.items():
        answer = gateway.call("GET", "/v1/targets/worker", shown)
        wanted = (401, 403, 404) if what == "of another account" else (401,)
        assert answer.status in wanted, f"a token {what}: {answer}"
    log = "\n".join(gateway.lines())
    assert not [what for what, shown in refused.items() if shown in log], "the log has a token"


def test_the_token_of_a_pod_that_is_gone_is_refused_within_twenty_seconds(
    release: Installed, gateway: Gateway
) -> None:
    cluster = release.cluster
    pod = pods(cluster, NAMESPACE, "worker")[-1]
    shown = pod_token(cluster, NAMESPACE, pod)
    assert gateway.call("GET", "/v1/targets/worker", shown).status == 200
    cluster.ensure("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}?gracePeriodSeconds=0")
    # And what the machine takes beside that.
    wait_for(
        "the token to be refused",
        lambda: gateway.call("GET", "/v1/targets/worker", shown).status == 401,
        22,
        every=0.5,
    )


def test_the_caller_in_a_pod(release: Installed, gateway: Gateway, token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    where = ("--url", f"http://127.0.0.1:{gateway.api}", "--token-file", str(file))

    def call(*arguments: str) -> int:
        code, output = run_to_end({}, ("call", *where, *arguments), 90, default_binary())
        assert token not in output
        return code

    assert call("start", "asked", "--wait") == 0
    assert replicas(release, "asked") == 1
    assert call("scale", "asked", "3") == 0 and replicas(release, "asked") == 3
    assert call("start", "asked", "2") == 0 and replicas(release, "asked") == 3, "a start lowered a count"
    assert call("status", "asked") == 0
    assert call("stop", "asked") == 0 and replicas(release, "asked") == 0
    assert call("start", "nothing") == 3
    assert call("start") == 2
    gone = ("call", "--url", "http://127.0.0.1:1", "--token-file", str(file), "--timeout", "2s", "status", "asked")
    assert run_to_end({}, gone, 30, default_binary())[0] == 4


def test_what_nobody_uses_is_stopped_and_what_a_person_set_is_kept(
    release: Installed, gateway: Gateway, token: str
) -> None:
    """After the shortest idle time there is."""
    assert get(gateway, "sleepy", "/", token).status == 200
    cluster = release.cluster
    manifests.run(
        "kubectl", "-n", NAMESPACE, "scale", "deployment/kept", "--replicas=1", kubeconfig=cluster.kubeconfig()
    )
    wait_for("it to be reached", lambda: get(gateway, "kept", "/", token).status == 200)
    wait_for("the idle stop", lambda: replicas(release, "sleepy") == 0, 60, every=0.5, detail=gateway.tail)

    def phase() -> str:
        return str(release.lease("sleepy")["metadata"]["annotations"]["openclaw-k8s-toggle-operator/phase"])

    # The count is written first.
    wait_for("its Lease to say so", lambda: phase() == "stopped", detail=gateway.tail)
    wait_for("it to be looked at", lambda: any(one.audit("kept") for one in release.replicas), 30)
    assert replicas(release, "kept") == 1, "what a person had set was stopped"
    assert get(gateway, "sleepy", "/", token).status == 200, "it does not wake again"
