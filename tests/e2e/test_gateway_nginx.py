"""nginx before the gateway, as an Ingress: what it says of the client, and what has to pass through both.

Each site of it leads to another replica, or says less than the guide does.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from websockets.sync.client import connect

from toggle_e2e.backend import Backend
from toggle_e2e.gateway import Answer, Gateway, Installed, ask, count, sleeping
from toggle_e2e.ingress import ADDRESS, Nginx, Site
from toggle_e2e.manifests import REPOSITORY
from toggle_e2e.net import wait_for
from toggle_e2e.world import World

NAMESPACE = "e2e-nginx"
NAMES = ("told", "page", "socket", "upload", "events")
"""Targets, one for each test that wakes one."""

CLIENT = "127.0.0.2"
"""Where clients come from."""

GUIDE = (REPOSITORY / "docs" / "gateway.md").read_text()


def annotations() -> dict[str, Any]:
    """Those of the guide's Ingress."""
    found = re.search(r"^<!-- ingress nginx -->\n```yaml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert found
    given: dict[str, Any] = yaml.safe_load(found[1])["metadata"]["annotations"]
    return given


@dataclass(frozen=True)
class Front:
    """A release, its backend, and nginx before it."""

    release: Installed
    backend: Backend
    nginx: Nginx

    @property
    def trusting(self) -> Gateway:
        """The replica whose `TRUSTED_PROXIES` has nginx."""
        return self.release.replicas[0]

    def ask(
        self,
        target: str,
        path: str = "/",
        site: str = "documented",
        method: str = "GET",
        body: bytes = b"",
        **headers: str,
    ) -> Answer:
        """A request through nginx."""
        with self.request(target, path, site, method, body, **headers) as answer:
            given = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, given, answer.read())

    def request(
        self,
        target: str,
        path: str,
        site: str = "documented",
        method: str = "GET",
        body: bytes = b"",
        **headers: str,
    ) -> http.client.HTTPResponse:
        """The same, with a body that is still to come."""
        port, come_from = self.nginx.ports[site], (CLIENT, 0)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=60, context=self.believed(), source_address=come_from
        )
        connection.request(method, path, body or None, {"Host": f"{target}.example.org", **headers})
        return connection.getresponse()

    def believed(self) -> ssl.SSLContext:
        """How a client knows nginx."""
        return ssl.create_default_context(cafile=str(self.nginx.authority))

    def replicas(self, name: str) -> int:
        """How many a target should have."""
        return count(self.release.cluster, NAMESPACE, name)


@pytest.fixture(scope="module")
def front(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Two replicas before targets that are off: one believes nginx, the other nobody."""
    workdir = tmp_path_factory.mktemp("gateway")
    with Backend() as backend:
        with sleeping(world.cluster, NAMESPACE, workdir, dict.fromkeys(NAMES, backend)) as release:
            trusting = release.replica(TRUSTED_PROXIES=f"{ADDRESS}/32")
            other = release.replica()
            for one in (trusting, other):
                one.start(wait=False)
            for one in (trusting, other):
                one.wait_listening()
            backend.open()
            sites = {
                "documented": Site(trusting.proxy, annotations()),
                "untrusted": Site(other.proxy, annotations()),
                "plain": Site(trusting.proxy, {}),
                "without": Site(backend.port, {}),
            }
            with Nginx(tmp_path_factory.mktemp("nginx"), sites) as nginx:
                yield Front(release, backend, nginx)


def forwarded(answer: Answer) -> dict[str, str]:
    """What the app was told of the client."""
    assert answer.status == 200, answer
    headers: dict[str, str] = answer.json()["headers"]
    return {name: value for name, value in headers.items() if name.startswith(("x-forwarded", "forwarded", "x-real"))}


FORGED = {
    "X-Forwarded-For": "192.0.2.6",
    "X-Forwarded-Proto": "ftp",
    "X-Forwarded-Host": "forged.example.org",
    "X-Real-IP": "192.0.2.7",
    "Forwarded": "for=192.0.2.8",
}


def test_a_cold_target_wakes_and_is_told_who_asks(front: Front) -> None:
    """The first request through nginx wakes; what comes after the client's own word counts."""
    assert front.replicas("told") == 0
    answer = front.ask("told", "/", **FORGED)
    seen = forwarded(answer)
    assert front.replicas("told") == 1
    # nginx and the app know the request by the id that the audit log has.
    [woken] = [line for line in front.trusting.audit("wake") if line["target"] == "told"]
    assert re.fullmatch("[0-9a-f]{32}", woken["requestId"])
    assert woken["requestId"] == answer.json()["headers"]["x-request-id"]
    assert seen == {
        "x-forwarded-for": f"{CLIENT}, {ADDRESS}",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "told.example.org",
    }


def test_nobody_is_believed_who_is_not_trusted(front: Front) -> None:
    """Neither nginx by a replica that does not name it, nor anybody else by one that names nginx."""
    fresh = {"x-forwarded-proto": "http", "x-forwarded-host": "told.example.org"}
    through = forwarded(front.ask("told", "/", "untrusted", **FORGED))
    assert through == {"x-forwarded-for": ADDRESS, **fresh}
    direct = ask(front.trusting.proxy, "GET", "/", {"Host": "told.example.org", **FORGED})
    assert forwarded(direct) == {"x-forwarded-for": "127.0.0.1", **fresh}
    known = {"Host": "nobody.example.org", "X-Request-ID": "forged"}
    assert ask(front.trusting.proxy, "GET", "/", known).status == 401
    wait_for("its line", lambda: front.trusting.audit("denied"))
    assert re.fullmatch("[0-9a-f]{16}", front.trusting.audit("denied")[-1]["requestId"])


def test_the_waiting_page_and_its_events_pass(front: Front) -> None:
    """Through an nginx that was told nothing: it buffers what is not marked."""
    front.backend.close()
    try:
        html = {"Accept": "text/html"}
        page = front.ask("page", "/", "plain", **html)
        assert page.status == 503 and "retry-after" in page.headers
        assert "This is starting up" in page.body.decode()
        with front.request("page", "/.gateway/status", "plain") as events:
            assert events.getheader("Content-Type") == "text/event-stream"
            first = events.readline()
            assert json.loads(first.removeprefix(b"data: "))["phase"] == "starting"
            front.backend.open()
            opened = time.monotonic()
            rest = events.read()
        assert time.monotonic() - opened < 10, "the event was kept back"
        assert rest.strip().endswith(b"event: ready\ndata: {}")
    finally:
        front.backend.open()
    assert front.ask("page", "/", "plain", **html).status == 200


def test_a_websocket_passes_through_a_cold_start(front: Front) -> None:
    port = front.nginx.ports["documented"]
    assert front.replicas("socket") == 0
    stream = socket.create_connection(("127.0.0.1", port), source_address=(CLIENT, 0))
    known = {"ssl": front.believed(), "server_hostname": "127.0.0.1"}
    with connect(f"wss://socket.example.org:{port}/socket", sock=stream, open_timeout=30, **known) as client:
        client.send("text")
        assert client.recv(5) == "text"
        client.send(bytes(70_000))
        assert client.recv(5) == bytes(70_000)
        assert client.ping().wait(5), "no answer to a ping"
        assert front.replicas("socket") == 1
        client.close(4000, "enough")
    wait_for("the app to hear it", lambda: 4000 in front.backend.closes)
    # The audit log has the client, not nginx.
    wait_for("the session's end", lambda: front.trusting.audit("session-end"), detail=front.trusting.tail)
    lines = [line for event in ("session-start", "session-end") for line in front.trusting.audit(event)]
    assert [(line["target"], line["remoteIp"]) for line in lines] == [("socket", CLIENT)] * 2
    assert len({line["requestId"] for line in lines}) == 1


def test_an_upload_passes_to_a_cold_target(front: Front) -> None:
    """One that is longer than nginx takes by itself."""
    body = bytes(range(256)) * (4 << 12)
    answer = front.ask("upload", "/upload", method="POST", body=body)
    assert answer.status == 200, (answer, front.nginx.tail())
    assert (answer.json()["length"], answer.json()["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert front.ask("upload", "/upload", "plain", "POST", body).status == 413, "the guide's nginx is as any other"


def test_events_pass_one_by_one(front: Front) -> None:
    """As sent, whatever nginx was told, since the gateway marks them; without it, nginx keeps them back."""
    assert front.ask("events").status == 200

    def delays(site: str) -> list[float]:
        path = f"/events?n=40&through={site}"
        with front.request("events", path, site) as answer:
            arrived = [time.monotonic() for line in answer if line.startswith(b"data:")]
        sent = front.backend.sent[path]
        assert len(arrived) == len(sent) == 40
        return [came - went for came, went in zip(arrived, sent, strict=True)]

    with ThreadPoolExecutor(3) as threads:
        documented, plain, without = threads.map(delays, ("documented", "plain", "without"))
    # By the median, for a machine may pause. What is kept to the end is 2 s late then.
    for late in (documented, plain):
        assert sorted(late)[20] <= 0.5, f"events came in bursts: {late}"
    assert sorted(without)[20] > 1, f"this nginx buffers nothing, so nothing is shown: {without}"
