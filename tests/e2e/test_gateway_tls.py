"""TLS on the gateway's ports: by clients that share nothing with it, through renewals of the certificate.

They are Python's ssl, curl, `openssl s_client`, the library `websockets`, and the program's own `call`.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from toggle_e2e.backend import Backend
from toggle_e2e.bot import default_binary, run_to_end
from toggle_e2e.gateway import Answer, ask, count, dialled, install, pod_token, pods, workload
from toggle_e2e.ingress import Nginx, Site
from toggle_e2e.manifests import REPOSITORY
from toggle_e2e.net import wait_for
from toggle_e2e.podnet import PodNetwork
from toggle_e2e.served import CERTIFICATE, KEY, Issuer, SecretVolume, Served, tls_secret
from toggle_e2e.world import World

NAMESPACE = "e2e-tls"
SECRET = "gateway-tls"
MIB = 1 << 20
NAMES = ("app", "socket", "upload", "called")
"""Targets: the first one is on, and each of the others is woken by one test."""
HOST = "app.example.org"
SERVICE = "openclaw-gateway.openclaw.svc"
"""By which the guide's Ingress knows the gateway."""

LOOKS = 15
"""Seconds in which the files are looked at twice, which takes 10: what is the same twice is no half of a change."""


def entry(name: str) -> dict[str, Any]:
    """A target of the gateway's file that anybody may use."""
    usual = {"name": name, "namespace": NAMESPACE, "host": f"{name}.example.org", "service": name, "port": "http"}
    return usual | {"anonymous": ["status", "wake", "connect"]}


CONFIG = {
    "k8sTrust": {
        "enabled": True,
        "allowedIdentities": [{"namespace": NAMESPACE, "serviceAccount": "worker", "allowedRoles": ["node"]}],
    },
    "roles": {"node": {"targets": ["*"], "verbs": ["status", "wait", "start"]}},
    "targets": {name: entry(name) for name in NAMES},
}


@pytest.fixture(scope="module")
def served(world: World, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A release with a Secret for TLS, and one replica of it that runs."""
    cluster = world.cluster
    workdir = tmp_path_factory.mktemp("gateway")
    with PodNetwork() as network:
        cluster.pod_network = network
        cluster.create_namespace(NAMESPACE)
        for name in NAMES:
            workload(cluster, NAMESPACE, name, backend, replicas=int(name == "app"))
        workload(cluster, NAMESPACE, "worker", replicas=1, account="worker")
        release = install(cluster, NAMESPACE, workdir, CONFIG, tls={"secretName": SECRET})
        try:
            issuer = Issuer(workdir / "issuer")
            names = (*(f"{name}.example.org" for name in NAMES), SERVICE)
            pair = issuer.pair("127.0.0.1", *names)
            cluster.apply([tls_secret(NAMESPACE, SECRET, pair)])
            gateway = release.replica()
            volume = SecretVolume(Path(gateway.settings["TLS_CERT_FILE"]).parent)
            volume.write(pair.data)
            made = Served(release, gateway, issuer, volume, names, pair)
            gateway.start(wait=False)
            gateway.wait_listening()
            yield made
        finally:
            release.stop()
            cluster.pod_network = None


@pytest.fixture
def ports(served: Served) -> tuple[int, int]:
    """Those with TLS: of the apps, and of the API."""
    return served.gateway.proxy, served.gateway.api


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_python_is_served_by_either_version(served: Served, backend: Backend, version: ssl.TLSVersion) -> None:
    """Which speaks of HTTP/2 first; several requests on one connection, and what the app is told of it."""
    context = served.believed(version, "h2", "http/1.1")
    for port in (served.gateway.proxy, served.gateway.api):
        with served.secured(port, context) as client:
            assert (client.version(), client.selected_alpn_protocol()) == (f"TLSv1.{version - 0x0301}", "http/1.1")
        assert served.serial(port) == served.pair.serial
    connection = dialled(served.gateway.proxy, 20, tls=context)
    for number in range(3):
        kept = connection.sock
        told = {"Host": HOST, "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80"}
        connection.request("POST", f"/{number}", b"x" * 40_000, told)
        answer = connection.getresponse()
        seen = json.loads(answer.read())
        assert answer.status == 200 and (seen["path"], seen["length"]) == (f"/{number}", 40_000)
        headers = {name: value for name, value in seen["headers"].items() if name.startswith("x-forwarded")}
        assert headers == {
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "https",
            "x-forwarded-host": HOST,
        }
        assert number == 0 or connection.sock is kept, "the connection was lost"
    connection.close()


def s_client(port: int, *options: str) -> tuple[int, str]:
    """What OpenSSL says of a connection that it ends after the handshake."""
    program = shutil.which("openssl")
    assert program
    done = subprocess.run(
        [program, "s_client", "-connect", f"127.0.0.1:{port}", "-servername", HOST, *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_openssl_is_shown_the_whole_chain(served: Served, ports: tuple[int, int], version: str) -> None:
    only, believed = f"-tls{version.replace('.', '_')}", ("-CAfile", str(served.issuer.path), "-verify_hostname", HOST)
    for port in ports:
        code, said = s_client(port, only, "-alpn", "http/1.1", *believed)
        assert code == 0, said
        assert re.search(rf"^New, TLSv{re.escape(version)}, Cipher is ", said, re.MULTILINE), said
        assert re.findall(r"^ *\d s:CN = (.*)$", said, re.MULTILINE) == ["127.0.0.1", "e2e issuer"], said
        assert "Verification: OK" in said and "ALPN protocol: http/1.1" in said, said
        assert "Secure Renegotiation IS NOT supported" in said or version == "1.2", said
        # By whom it is not told of the authority, it is not believed.
        assert "Verification error: unable to get local issuer certificate" in s_client(port, only)[1]


ANY = ("-cipher", "ALL@SECLEVEL=0")
"""Every cipher that OpenSSL has, without which it would not speak old versions itself."""


@pytest.mark.parametrize(
    ("options", "alert"),
    [
        (("-tls1_1", *ANY), "handshake failure"),
        (("-tls1", *ANY), "handshake failure"),
        (("-alpn", "h2"), "no application protocol"),
        (("-tls1_2", "-alpn", "h2,http/1.0"), "no application protocol"),
        (("-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384"), "handshake failure"),
    ],
    ids=["1.1", "1.0", "http/2", "http/2-by-1.2", "no-forward-secrecy"],
)
def test_what_is_not_spoken_is_refused_with_an_alert(
    served: Served, ports: tuple[int, int], options: tuple[str, ...], alert: str
) -> None:
    for port in ports:
        code, said = s_client(port, *options)
        assert code != 0 and f"alert {alert}" in said, said
        assert "no peer certificate available" in said, said
        assert s_client(port, "-tls1_2", *ANY)[0] == 0
    assert served.ask("app").status == 200


def test_whoever_speaks_http_is_told_to_speak_tls(served: Served, ports: tuple[int, int], backend: Backend) -> None:
    """On the two ports with TLS; probes and numbers are asked for without."""
    before = len(backend.seen)
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: app.example.org\r\n\r\n")
            answer = client.makefile("rb").read()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"\r\nconnection: close" in head.lower(), answer
        assert json.loads(body)["detail"] == "this port speaks TLS: ask it by https://"
        # With a body, which is not what it waits for.
        answered = ask(port, "POST", "/", {"Host": HOST}, b"x" * 2000)
        assert (answered.status, answered.body) == (400, body)
    assert len(backend.seen) == before
    for path in ("/livez", "/readyz", "/metrics"):
        assert served.gateway.health(path)[0] == 200


def curl(served: Served, path: str, *options: str, target: str = "app") -> subprocess.CompletedProcess[str]:
    """What curl gets from an app, or why it does not."""
    host, port = f"{target}.example.org", served.gateway.proxy
    return subprocess.run(
        ["curl", "-sS", "--resolve", f"{host}:{port}:127.0.0.1", *options, f"https://{host}:{port}{path}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_curl_believes_it_by_its_authority_alone(served: Served) -> None:
    believed = ("--cacert", str(served.issuer.path))
    for more in ((), ("--tls-max", "1.2"), ("--tlsv1.3",), ("--http2",)):
        done = curl(served, "/a?b=c", *believed, *more, "-w", "\n%{http_version}")
        assert done.returncode == 0, done.stderr
        body, version = done.stdout.rsplit("\n", 1)
        assert (json.loads(body)["path"], version) == ("/a?b=c", "1.1")
    # By curl's own numbers: nobody vouches for it; nothing in common.
    assert curl(served, "/").returncode == 60
    assert curl(served, "/", *believed, "--tls-max", "1.1", "--ciphers", "ALL@SECLEVEL=0").returncode == 35


def test_an_upload_by_curl_wakes_its_target_and_arrives_whole(served: Served, tmp_path: Path) -> None:
    """With `Expect: 100-continue`, as curl asks for it; from memory that does not grow by it."""
    file, content = tmp_path / "content", os.urandom(MIB) * 24
    file.write_bytes(content)
    assert count(served.release.cluster, NAMESPACE, "upload") == 0
    before = served.gateway.memory().resident
    done = curl(served, "/upload", "--cacert", str(served.issuer.path), "-T", str(file), target="upload")
    assert done.returncode == 0, (done.stderr, served.gateway.tail())
    seen = json.loads(done.stdout)
    assert (seen["method"], seen["length"]) == ("PUT", len(content))
    assert seen["sha256"] == hashlib.sha256(content).hexdigest()
    assert served.gateway.memory().peak - before < 8 << 10


def test_a_websocket_goes_through_a_cold_start(served: Served, backend: Backend) -> None:
    """Then frames of 1 MiB go both ways at the same time, and the close goes to the app."""
    assert count(served.release.cluster, NAMESPACE, "socket") == 0
    large = os.urandom(MIB)
    with served.dial("socket") as client:
        assert count(served.release.cluster, NAMESPACE, "socket") == 1
        for message in ("schön ☃", b"", large):
            client.send(message)
            assert client.recv(10) == message
        assert client.ping().wait(5), "no answer to a ping"
        pouring = threading.Thread(target=lambda: [client.send(large) for _ in range(8)])
        pouring.start()
        assert all(client.recv(10) == large for _ in range(8))
        pouring.join()
        client.close(4000, "enough")
    wait_for("the app to hear it", lambda: 4000 in backend.closes)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_events_come_one_by_one(served: Served, backend: Backend, version: ssl.TLSVersion) -> None:
    path = f"/events?n=40&by={version}"
    connection = dialled(served.gateway.proxy, 20, tls=served.believed(version))
    connection.request("GET", path, headers={"Host": HOST})
    with connection.getresponse() as answer:
        arrived = [time.monotonic() for line in answer if line.startswith(b"data:")]
    sent = backend.sent[path]
    assert len(arrived) == len(sent) == 40
    late = [came - went for came, went in zip(arrived, sent, strict=True)]
    # By the median, for a machine may pause. What is kept to the end is 2 s late then.
    assert sorted(late)[20] <= 0.5, f"events came in bursts: {late}"


def test_the_caller_in_a_pod_is_told_the_authority(served: Served, tmp_path: Path) -> None:
    cluster, api = served.release.cluster, served.gateway.api
    [pod, *_] = wait_for("a worker's pod", lambda: pods(cluster, NAMESPACE, "worker"))
    file = tmp_path / "token"
    file.write_text(pod_token(cluster, NAMESPACE, pod))

    def call(*arguments: str, url: str = f"https://127.0.0.1:{api}") -> tuple[int, str]:
        told = ("call", "--url", url, "--token-file", str(file), *arguments)
        code, output = run_to_end({}, told, 90, default_binary())
        assert file.read_text() not in output
        return code, output

    believed = ("--ca", str(served.issuer.path))
    assert count(cluster, NAMESPACE, "called") == 0
    code, said = call(*believed, "start", "called", "--wait")
    assert code == 0 and count(cluster, NAMESPACE, "called") == 1, said
    code, said = call(*believed, "--json", "status", "called")
    assert code == 0 and json.loads(said)["name"] == "called", said
    # Who is not told of it, or of another one, shows no token; who asks without TLS gets no answer that counts.
    before = len(served.gateway.audit("k8s-auth-success"))
    other = ("--ca", str(Issuer(tmp_path / "other").path))
    for authority in ((), other):
        code, said = call(*authority, "--timeout", "2s", "status", "called")
        assert code == 4 and "certificate" in said, said
    code, said = call(*believed, "--timeout", "2s", "status", "called", url=f"http://127.0.0.1:{api}")
    assert code == 2 and "400" in said, said
    assert len(served.gateway.audit("k8s-auth-success")) == before


def test_a_renewed_certificate_is_shown_and_nobody_is_lost(served: Served, ports: tuple[int, int]) -> None:
    """With a key of another form each time, while a socket and a connection that is kept go on."""
    kept = dialled(ports[0], 60, tls=served.believed())
    kept.connect()
    connection = kept.sock
    with served.dial("app") as client:

        def is_shown(serial: int) -> bool:
            """Whether it is, while both go on."""
            client.send(str(serial))
            assert client.recv(5) == str(serial)
            kept.request("GET", "/", headers={"Host": HOST})
            answer = kept.getresponse()
            assert answer.status == 200 and answer.read()
            assert kept.sock is connection, "the connection was lost"
            return served.serial(ports[0]) == serial

        for form in ("SEC 1", "PKCS #1"):
            mark = served.gateway.log_mark()
            pair = served.renew(form)
            wait_for("the new one", lambda: is_shown(pair.serial), LOOKS, 0.2, served.gateway.tail)
            assert served.serial(ports[1]) == pair.serial
            served.gateway.wait_log("TLS_CERT_FILE has changed: the certificate shown now is valid until", 2, mark)
    kept.close()


def test_what_does_not_fit_together_is_not_shown(served: Served, ports: tuple[int, int]) -> None:
    """The one before stays, and the log names each fault; then what fits is taken again."""
    shown, broken = served.pair, served.fresh()
    for content, faults in [
        ({CERTIFICATE: broken.certificate, KEY: shown.key}, ["its private key is not the certificate's"]),
        ({CERTIFICATE: broken.certificate}, ["TLS_KEY_FILE names ", "cannot be read"]),
    ]:
        mark = served.gateway.log_mark()
        served.volume.write(content)
        served.gateway.wait_log("the certificate before stays in force", LOOKS, mark)
        told = "\n".join(served.gateway.lines(mark))
        assert not [fault for fault in faults if fault not in told], told
        assert "PRIVATE KEY-----" not in told and shown.key.splitlines()[1] not in told
        assert [served.serial(port) for port in ports] == [shown.serial] * 2
        assert served.gateway.is_ready() and served.ask("app").status == 200
    pair = served.renew()
    wait_for("what fits", lambda: served.serial(ports[0]) == pair.serial, LOOKS, 0.2, served.gateway.tail)


def annotations(*names: str) -> dict[str, Any]:
    """Those of the guide's Ingresses."""
    guide = (REPOSITORY / "docs" / "gateway.md").read_text()
    found: dict[str, Any] = {}
    for name in names:
        block = re.search(rf"^<!-- {name} -->\n```yaml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
        assert block
        given = yaml.safe_load(block[1])
        found |= given["metadata"]["annotations"] if "metadata" in given else given
    return found


def test_an_ingress_knows_the_gateway_as_the_guide_has_it(served: Served, tmp_path: Path) -> None:
    """By nginx, which goes by the authority and the Service's name: with another one it passes nothing on."""
    told = annotations("ingress nginx", "ingress nginx tls")
    prefix = "nginx.ingress.kubernetes.io/"
    assert told[f"{prefix}proxy-ssl-name"] == SERVICE
    port, authority = served.gateway.proxy, served.issuer.path
    sites = {
        "documented": Site(port, told, authority),
        "another": Site(port, told, Issuer(tmp_path / "other").path),
        "elsewhere": Site(port, told | {f"{prefix}proxy-ssl-name": "other.openclaw.svc"}, authority),
        "plain": Site(port, annotations("ingress nginx")),
    }
    with Nginx(tmp_path / "nginx", sites) as nginx:
        believed = ssl.create_default_context(cafile=str(nginx.authority))

        def through(site: str, path: str = "/") -> Answer:
            return ask(nginx.ports[site], "GET", path, {"Host": HOST}, tls=believed)

        answers = [through("documented", f"/{number}") for number in range(20)]
        assert [one.status for one in answers] == [200] * 20, nginx.tail()
        assert answers[-1].json()["headers"]["x-forwarded-proto"] == "https"
        stream = socket.create_connection(("127.0.0.1", nginx.ports["documented"]))
        url, known = f"wss://{HOST}/socket", {"ssl": believed, "server_hostname": "127.0.0.1"}
        with connect(url, sock=stream, open_timeout=30, **known) as client:
            client.send(bytes(70_000))
            assert client.recv(5) == bytes(70_000)
        for site in ("another", "elsewhere"):
            assert through(site).status == 502
        answer = through("plain")
        assert (answer.status, answer.json()["detail"]) == (400, "this port speaks TLS: ask it by https://")


def test_a_replica_that_ends_says_so_by_tls(served: Served) -> None:
    """A socket is closed by its own protocol, and no connection is cut off."""
    [gateway] = served.release.started(DRAIN_TIMEOUT="1s")
    other = replace(served, gateway=gateway)
    idle = dialled(gateway.proxy, 20, tls=other.believed())
    idle.request("GET", "/", headers={"Host": HOST})
    assert idle.getresponse().read() and isinstance(idle.sock, ssl.SSLSocket)
    idle.sock.suppress_ragged_eofs = False
    with other.dial("app") as client:
        client.send("here")
        assert client.recv(5) == "here"
        os.kill(gateway.pid, signal.SIGTERM)
        # Without a word of TLS this is an error, since anybody on the way could have closed it.
        assert idle.sock.recv(1) == b""
        with pytest.raises(ConnectionClosedOK) as closed:
            client.recv(20)
        assert closed.value.rcvd and closed.value.rcvd.code == 1001
    assert gateway.wait_end(10).code == 0
