"""The node of a guide: pods of the program are run, and what they log can be asked for.

What is no part of the program is played as everywhere (`kubelet`). A pod is put on the
node once its processes are where they should be: the gateway's is ready, the init
container of a worker has ended. Until then nobody says of it that it is ready.
"""

from __future__ import annotations

import ssl
import subprocess
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from .administrator import Object
from .bot import default_binary
from .gateway import AUDIENCE, Gateway, Installed, pod_token
from .kubelet import NODE, Watcher
from .manifests import publish_root_ca

LABEL = "app.kubernetes.io/name"
WORKERS = 16
LONGEST = 60


class GuideNode:
    """Schedules the pods of a namespace, and runs those of the gateway and the workers' init containers."""

    def __init__(self, installed: Installed, gateway: str) -> None:
        self._installed = installed
        self._cluster = installed.cluster
        self._gateway = gateway
        self._seen: set[str] = set()
        self._started = threading.Condition()
        self._replicas: dict[str, Gateway] = {}
        self._turn = 0
        self._work: list[Future[None]] = []
        self._pool = ThreadPoolExecutor(WORKERS)
        path = f"/api/v1/namespaces/{installed.namespace}/pods?fieldSelector=spec.nodeName%3D&watch=1"
        # Short watches, so that it can be ended beside an API server that goes on.
        path += "&timeoutSeconds=1"
        self._unplaced = Watcher(self._cluster, path, self._take)
        self._logs = _serve_logs(self._cluster.ca_path.parent, self._replicas)

    def __enter__(self) -> GuideNode:
        # Where the API server asks for logs.
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._logs.server_port}},
        }
        path = f"/api/v1/nodes/{NODE}/status"
        self._cluster.ensure("PATCH", path, {"status": status}, "application/strategic-merge-patch+json")
        threading.Thread(target=self._logs.serve_forever, name="logs of pods", daemon=True).start()
        self._unplaced.start()
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        self._unplaced.stop()
        self._pool.shutdown(cancel_futures=True)
        self._logs.shutdown()
        self._logs.server_close()

    def replica(self) -> Gateway:
        """A replica that is ready: one after the other, as a Service leads to them."""
        with self._started:
            assert self._started.wait_for(lambda: self._replicas or self._failed(), LONGEST), "no gateway is ready"
            self.check()
            self._turn += 1
            replicas = list(self._replicas.values())
            return replicas[self._turn % len(replicas)]

    def check(self) -> None:
        """Fails where a pod could not be run."""
        for one in self._failed():
            one.result()

    def _failed(self) -> list[Future[None]]:
        return [one for one in self._work if one.done() and one.exception()]

    def _take(self, pod: Object) -> None:
        if pod["metadata"]["uid"] in self._seen or "deletionTimestamp" in pod["metadata"]:
            return
        if not self._seen:
            publish_root_ca(self._cluster, self._installed.namespace)
        self._seen.add(pod["metadata"]["uid"])
        self._work.append(self._pool.submit(self._run, pod))

    def _run(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        if pod["metadata"].get("labels", {}).get(LABEL) == self._gateway:
            replica = self._installed.replica(POD_NAME=name)
            replica.start()
            with self._started:
                self._replicas[name] = replica
                self._started.notify_all()
        for container in pod["spec"].get("initContainers", []):
            self._call(name, container["args"])
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        }
        self._cluster.ensure("POST", f"/api/v1/namespaces/{self._installed.namespace}/pods/{name}/binding", body)

    def _call(self, pod: str, arguments: list[str]) -> None:
        """An init container, whose token and gateway are where they are on this machine."""
        here = {"--token-file": str(self.token_file(pod)), "--url": f"http://127.0.0.1:{self.replica().api}"}
        given = list(arguments)
        for option, value in here.items():
            given[given.index(option) + 1] = value
        done = subprocess.run(
            [str(default_binary()), *given], env={}, capture_output=True, text=True, timeout=LONGEST, check=False
        )
        assert done.returncode == 0, f"{pod}: {done.stdout}{done.stderr}"

    def token_file(self, pod: str) -> Path:
        """The token that the kubelet would put into a pod, for the gateway."""
        file = self._installed.workdir / f"{AUDIENCE}-{pod}"
        file.touch(mode=0o600)
        file.write_text(pod_token(self._cluster, self._installed.namespace, pod))
        return file


def _serve_logs(pki: Path, replicas: dict[str, Gateway]) -> ThreadingHTTPServer:
    """The part of a kubelet that gives what a container has logged."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            _, what, _, pod, _ = asked.path.split("/")
            if what != "containerLogs" or pod not in replicas:
                self.send_error(404)
                return
            lines = replicas[pod].lines()
            tail = parse_qs(asked.query).get("tailLines")
            shown = lines[-int(tail[0]) :] if tail else lines
            body = "".join(f"{line}\n" for line in shown).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "kube-apiserver.crt", pki / "kube-apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server
