"""A gateway in the course of its life: apps are told of clients, its file changes, people scale, it is told to end."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from toggle_e2e import manifests
from toggle_e2e.administrator import MERGE_PATCH
from toggle_e2e.backend import Backend
from toggle_e2e.gateway import Answer, Gateway, Installed, ask, count, install, workload
from toggle_e2e.net import wait_for
from toggle_e2e.podnet import PodNetwork
from toggle_e2e.world import World

NAMESPACE, BESIDE = "e2e-running", "e2e-running-beside"
"""In the second one no pod is reached by its own address, so there is no right to see them."""

DRAIN = 15
PROXY, STRANGER = "127.0.40.1", "127.0.41.1"
"""Addresses of this machine: of a proxy that is trusted, and of somebody."""

SHORT = {"idle": "10s", "minUp": "0s"}
TARGETS: dict[str, dict[str, Any]] = {
    "app": {},
    "cold": {"onCold": "hold"},
    "left": SHORT,
    "raised": SHORT,
    "patched": SHORT,
    "beside": {"namespace": BESIDE, "route": "service"},
}


def entry(name: str, more: dict[str, Any]) -> dict[str, Any]:
    """A target of the gateway's file that anybody may use."""
    usual = {"namespace": NAMESPACE, "name": name, "host": f"{name}.example.org", "service": name, "port": "http"}
    return usual | {"anonymous": ["connect", "wake", "status"], "max": 5} | more


CONFIG: dict[str, Any] = {"targets": {name: entry(name, more) for name, more in TARGETS.items()}}


@pytest.fixture(scope="module")
def release(world: World, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A release with one replica, before an app that runs and others that are off."""
    cluster = world.cluster
    with PodNetwork() as network, Backend() as never:
        cluster.pod_network = network
        cluster.create_namespace(NAMESPACE)
        cluster.create_namespace(BESIDE)
        for name, more in TARGETS.items():
            namespace = more.get("namespace", NAMESPACE)
            workload(cluster, namespace, name, never if name == "cold" else backend, replicas=int(name == "app"))
        made = install(cluster, NAMESPACE, tmp_path_factory.mktemp("gateway"), CONFIG)
        try:
            made.started(TRUSTED_PROXIES="127.0.40.0/24")
            yield made
        finally:
            made.stop()
            cluster.pod_network = None


@pytest.fixture(scope="module")
def gateway(release: Installed) -> Gateway:
    """The replica."""
    return release.replicas[0]


@pytest.fixture(scope="module", autouse=True)
def scaled(release: Installed, gateway: Gateway) -> None:
    """Three targets that the gateway has woken, two of which are scaled by others then: begun early, since it takes
    an idle time to see what comes of it."""
    cluster = release.cluster
    for name in ("left", "raised", "patched"):
        assert get(gateway, name).status == 200
        lease = release.lease(name)["metadata"]["annotations"]
        assert lease["openclaw-k8s-toggle-operator/phase"] == "run", lease
    manifests.run(
        "kubectl", "-n", NAMESPACE, "scale", "deployment/raised", "--replicas=2", kubeconfig=cluster.kubeconfig()
    )
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/patched/scale"
    cluster.ensure("PATCH", path, {"spec": {"replicas": 3}}, MERGE_PATCH)


def get(gateway: Gateway, target: str, path: str = "/", source: str = "", **headers: str) -> Answer:
    """A request through the proxy."""
    return ask(gateway.proxy, "GET", path, {"Host": f"{target}.example.org", **headers}, source=source)


CLAIMS = {
    "X-Forwarded-For": "203.0.113.7, 198.51.100.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "claw.example.org",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Prefix": "/admin",
    "X-Forwarded-User": "root",
    "X_Forwarded_For": "203.0.113.8",
    "Forwarded": "for=203.0.113.7;proto=https",
    "X-Real-IP": "203.0.113.7",
    "X-Original-URL": "/admin",
    "X-Auth-User": "root",
    "X-Auth-Roles": "operator",
}
"""The fields by which a request can say where it comes from."""
TELLING = {name.lower().replace("_", "-") for name in CLAIMS}


def forwarded(answer: Answer) -> dict[str, str]:
    """The fields about the connection that an app has received."""
    assert answer.status == 200, answer
    headers = answer.json()["headers"]
    return {name: said for name, said in headers.items() if name.replace("_", "-") in TELLING}


def test_a_gateway_that_may_not_see_the_pods_of_a_service_is_ready(release: Installed, gateway: Gateway) -> None:
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{BESIDE}/endpointslices"
    account = Path(gateway.settings["SERVICE_ACCOUNT_DIR"])
    status, _ = release.cluster.request("GET", slices, user=(account / "token").read_text())
    assert status == 403
    assert gateway.health("/readyz")[0] == 200


def test_what_a_stranger_says_of_where_it_comes_from_reaches_no_app(gateway: Gateway) -> None:
    ours = {
        "x-forwarded-for": STRANGER,
        "x-forwarded-proto": "http",
        "x-forwarded-host": "app.example.org",
    }
    assert forwarded(get(gateway, "app", source=STRANGER)) == ours
    assert forwarded(get(gateway, "app", source=STRANGER, **CLAIMS)) == ours


def test_what_a_trusted_proxy_says_is_continued(gateway: Gateway) -> None:
    """But no more of it than the address, the protocol and the host."""
    assert forwarded(get(gateway, "app", source=PROXY, **CLAIMS)) == {
        "x-forwarded-for": f"203.0.113.7, 198.51.100.9, {PROXY}",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "claw.example.org",
    }
    assert forwarded(get(gateway, "app", source=PROXY)) == {
        "x-forwarded-for": PROXY,
        "x-forwarded-proto": "http",
        "x-forwarded-host": "app.example.org",
    }


def test_without_trusted_proxies_nobody_is_believed(release: Installed) -> None:
    [gateway] = release.started()
    for source in (PROXY, STRANGER, "127.0.0.1"):
        assert forwarded(get(gateway, "app", source=source, **CLAIMS)) == {
            "x-forwarded-for": source,
            "x-forwarded-proto": "http",
            "x-forwarded-host": "app.example.org",
        }
    gateway.kill()


def written(release: Installed, gateway: Gateway, text: str) -> None:
    """Puts another file in the place of the gateway's, at once, as the kubelet does."""
    file = release.file(gateway)
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    os.rename(fresh, file)


def changed(**targets: dict[str, Any]) -> dict[str, Any]:
    """The file, with other entries of some targets."""
    return {"targets": {name: one | targets.get(name, {}) for name, one in CONFIG["targets"].items()}}


class Steady:
    """A client that asks again and again, on one connection that it keeps, and a socket that stays open."""

    def __init__(self, gateway: Gateway) -> None:
        self.statuses: list[int] = []
        self._gateway = gateway
        self._ending = threading.Event()
        self._threads = ThreadPoolExecutor(2)
        self._parts: list[Future[None]] = []
        self.echoes = 0

    def __enter__(self) -> Steady:
        self._parts = [self._threads.submit(self._ask), self._threads.submit(asyncio.run, self._talk())]
        wait_for("both to begin", lambda: self.statuses and self.echoes)
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        self._ending.set()
        for part in self._parts:
            part.result(20)
        self._threads.shutdown()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._gateway.proxy, timeout=20)
        connection.connect()
        kept = connection.sock
        while not self._ending.wait(0.05):
            connection.request("GET", "/", headers={"Host": "app.example.org"})
            answer = connection.getresponse()
            answer.read()
            self.statuses.append(answer.status)
            assert connection.sock is kept, "the connection was lost"
        connection.close()

    async def _talk(self) -> None:
        url = f"http://127.0.0.1:{self._gateway.proxy}/socket"
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url, headers={"Host": "app.example.org"}) as socket:
                for number in itertools.count():
                    await socket.send_str(str(number))
                    assert await socket.receive_str(timeout=10) == str(number)
                    self.echoes += 1
                    if self._ending.is_set():
                        return
                    await asyncio.sleep(0.05)


FAULTY = {
    "oidcRoles": {"sme-user": ["nobody-defined-it"]},
    "targets": CONFIG["targets"] | {
        "left": entry("left", {"idle": "9s"}),
        "raised": entry("raised", {"anonymous": ["start"]}),
        "patched": entry("patched", {"kind": "DaemonSet"}),
        "app": entry("app", {"host": "moved.example.org"}),
    },
}  # fmt: skip
FAULTS = ("nobody-defined-it", '"9s"', "names start", '"DaemonSet"')


def test_another_file_is_in_force_within_seconds_and_no_connection_is_lost(
    release: Installed, gateway: Gateway
) -> None:
    with Steady(gateway) as steady:
        mark = gateway.log_mark()
        written(release, gateway, json.dumps(changed(cold={"host": "moved.example.org", "onCold": "503"})))
        wait_for("the new host", lambda: get(gateway, "moved").status == 503, 10, detail=gateway.tail)
        assert get(gateway, "cold").status == 401, "the old host is answered still"
        gateway.wait_log("has changed, and is in force from now on", since=mark)
        before = len(steady.statuses), steady.echoes
        wait_for("both to go on", lambda: len(steady.statuses) > before[0] + 5 and steady.echoes > before[1] + 5)
        written(release, gateway, json.dumps(CONFIG))
        wait_for("the old host again", lambda: get(gateway, "moved").status == 401, 10, detail=gateway.tail)
    assert set(steady.statuses) == {200}


def test_a_file_with_faults_is_not_taken_and_all_of_them_are_named_once(release: Installed, gateway: Gateway) -> None:
    with Steady(gateway) as steady:
        mark = gateway.log_mark()
        written(release, gateway, json.dumps(FAULTY, indent=1))
        gateway.wait_log("is not taken as it is now: what it said before stays in force", 10, mark)
        first = gateway.log_mark()
        told = gateway.lines(mark)
        assert not [fault for fault in FAULTS if not any(fault in line for line in told)], told
        assert get(gateway, "moved").status == 401, "a part of it was taken"
        assert get(gateway, "app").status == 200
        # A second look finds the same faults, and a broken file others.
        written(release, gateway, '{"targets": ')
        gateway.wait_log("is not taken as it is now", 10, first)
        told = [line for line in gateway.lines(first) if any(fault in line for fault in FAULTS)]
        assert not told, f"told again: {told}"
    assert set(steady.statuses) == {200}
    written(release, gateway, json.dumps(CONFIG))


def test_what_a_person_has_scaled_while_the_gateway_held_it_is_not_stopped(
    release: Installed, gateway: Gateway
) -> None:
    """By `kubectl scale`, and by a patch of the API; what nobody has touched is stopped meanwhile."""

    def replicas(name: str) -> int:
        return count(release.cluster, NAMESPACE, name)

    wait_for("the idle stop", lambda: replicas("left") == 0, 60, every=0.2, detail=gateway.tail)

    def kept() -> set[str]:
        return {line["target"] for line in gateway.audit("kept")}

    wait_for("both to be looked at", lambda: kept() >= {"raised", "patched"}, 40, every=0.2, detail=gateway.tail)
    assert (replicas("raised"), replicas("patched")) == (2, 3)
    assert "left" not in kept()
    stops = {line["target"] for line in gateway.audit("idle-stop")}
    assert stops == {"left"}, stops


class Ending:
    """A replica that is told to end while somebody waits, somebody listens, and somebody has a socket."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.threads = ThreadPoolExecutor(4)
        self.held = self.threads.submit(get, gateway, "cold")
        self.events = self.threads.submit(get, gateway, "app", "/events?n=30")
        self.socket = self.threads.submit(asyncio.run, self._listen())

    async def _listen(self) -> tuple[int | None, float]:
        url = f"http://127.0.0.1:{self.gateway.proxy}/socket"
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url, headers={"Host": "app.example.org"}) as socket:
                while True:
                    message = await socket.receive(timeout=30)
                    if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                        return socket.close_code, time.monotonic()


def test_a_replica_that_is_told_to_end_answers_those_whom_it_holds(release: Installed, backend: Backend) -> None:
    """And the requests that come late; sockets get their time. One with nothing open does not take so long."""
    gateway, unused = release.started(2, DRAIN_TIMEOUT=f"{DRAIN}s")
    sockets, seen = backend.sockets, len(backend.seen)
    kept = http.client.HTTPConnection("127.0.0.1", gateway.proxy, timeout=20)
    kept.request("GET", "/kept", headers={"Host": "app.example.org"})
    assert kept.getresponse().read()
    ending = Ending(gateway)
    wait_for("the socket", lambda: backend.sockets == sockets + 1)
    wait_for("the events", lambda: any("/events" in one.path for one in backend.seen[seen:]))
    held = "openclaw_gateway_held 1"
    wait_for("it to be held", lambda: held in gateway.health("/metrics")[1], detail=gateway.tail)
    told = time.monotonic()
    os.kill(gateway.pid, signal.SIGTERM)
    ended = ending.threads.submit(unused.end, signal.SIGTERM, 15)

    answer = ending.held.result(20)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1"), answer
    assert time.monotonic() - told < 5
    wait_for("it to be unready", lambda: gateway.health("/readyz")[0] == 503, 4)
    assert gateway.health("/livez")[0] == 200
    # Who does not know yet is served, and told to go elsewhere.
    late = get(gateway, "app")
    assert late.status == 200 and late.headers["connection"] == "close", late
    cold = get(gateway, "cold")
    assert (cold.status, cold.headers["retry-after"]) == (503, "1"), cold
    # A connection that nothing is asked on is ended.
    assert kept.sock is None or kept.sock.recv(1) == b""

    answer = ending.events.result(20)
    assert answer.status == 200 and answer.body.count(b"data:") == 30, "an answer was cut"
    wait_for("it to listen no longer", lambda: refuses(gateway), 15)
    assert 4.5 < time.monotonic() - told < DRAIN
    at_once = ended.result(10)
    assert at_once.code == 0 and 4.5 < at_once.seconds < DRAIN - 0.5, at_once
    code, at = ending.socket.result(40)
    assert code == 1001 and DRAIN - 0.5 < at - told < DRAIN + 6, (code, at - told)
    assert gateway.wait_end(15).code == 0
    assert time.monotonic() - told < DRAIN + 8


def refuses(gateway: Gateway) -> bool:
    """True once nobody listens on the port of the apps."""
    try:
        get(gateway, "app")
    except ConnectionError:
        return True
    return False
