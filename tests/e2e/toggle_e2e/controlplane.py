"""A real Kubernetes control plane on loopback, without a container or a node.

The API server, its store and its controllers are the released ones, so the
rights, errors and timings the bot meets are those of a cluster. Only the nodes
are played, by `kubelet`: a pod becomes ready without anything being run. There is no
scheduler either, which is why a pod template has to name its node.
"""

from __future__ import annotations

import atexit
import base64
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from .administrator import ADMIN, Administrator, ControlPlaneError, Object
from .gotools import tool
from .kubelet import BARE_NODE, deployment_controller, kubelet
from .net import free_port, wait_for
from .pki import HOST, Authority
from .podnet import PodNetwork

CONTROLLERS = "kube-controller-manager"
SERVERS = ("etcd", "kube-apiserver", CONTROLLERS)

# The bodies of changes are kept, so that a test can see what was asked for.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Request",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [{"group": "apps", "resources": ["deployments", "deployments/*"]}],
        },
        {
            "level": "Metadata",
            "resources": [{"group": "apps", "resources": ["deployments", "deployments/*"]}],
        },
        {"level": "None"},
    ],
}


class ControlPlane(Administrator):
    """etcd, kube-apiserver and kube-controller-manager, nodes that are played, and an administrator's client.

    A `lean` one is quick to build: its API server may be compiled without
    optimisation, and the controllers are played too, as far as a Deployment's
    numbers go.
    """

    def __init__(self, workdir: Path, log: Callable[[str], None] | None = None, lean: bool = False) -> None:
        super().__init__(Path(workdir).resolve(), HOST, free_port())
        self._etcd_port = free_port()
        self._log = log or (lambda text: print(text, file=sys.stderr, flush=True))
        self._servers = [name for name in SERVERS if not lean or name != CONTROLLERS]
        self._played = [deployment_controller(self) if lean else kubelet(self), kubelet(self, BARE_NODE)]
        self._lean = lean
        self.pod_network: PodNetwork | None = None
        """Where the pods of the node have addresses; without one they have none."""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}
        self._paused = False
        self._markers = itertools.count(1)

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, timeout: float = 60) -> None:
        """Starts all of it and returns once the API server is ready."""
        programs = {name: tool(name, quick=self._lean) for name in self._servers}
        started = time.monotonic()
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._make_certificates()
        self._make_commands(programs)
        atexit.register(self.stop)
        try:
            self._spawn("etcd")
            self.start_apiserver(timeout)
            for one in self._played:
                one.start()
        except BaseException:
            self.stop()
            raise
        self._log(f"[controlplane] ready at {self.url} after {time.monotonic() - started:.1f} s")

    def stop(self) -> None:
        """Ends all servers; nothing they hold is needed again, so they are killed."""
        atexit.unregister(self.stop)
        for name in reversed(SERVERS):
            self._end(name)
        for one in self._played:
            one.stop()
        self._paused = False

    def start_apiserver(self, timeout: float = 60) -> None:
        """Starts the API server (again) on the same port and store, and waits until it is ready.

        Its controllers are started anew with it: after an outage they would
        wait up to a minute before they look again.
        """
        self._spawn("kube-apiserver")
        self.wait_ready(timeout)
        if CONTROLLERS in self._commands:
            self._end(CONTROLLERS)
            self._spawn(CONTROLLERS)

    def stop_apiserver(self) -> None:
        """Plays an outage in which connections are refused."""
        self._end("kube-apiserver")
        self._paused = False

    @property
    def pids(self) -> list[int]:
        """The ids of the servers' processes."""
        return [process.pid for process in self._processes.values()]

    def pause(self) -> None:
        """Plays an outage in which connections are taken and nothing is answered."""
        self._processes["kube-apiserver"].send_signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Ends `pause`."""
        self._processes["kube-apiserver"].send_signal(signal.SIGCONT)
        self._paused = False

    def wait_ready(self, timeout: float = 60) -> None:
        """Waits for the API server, or fails with what the servers last logged."""

        def ready() -> bool:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise ControlPlaneError(f"{name} ended with {process.returncode}:\n{self.tail_logs(15)}")
            try:
                return self.request("GET", "/readyz", timeout=2)[0] == 200
            except OSError:
                return False

        wait_for("the API server to be ready", ready, timeout, detail=lambda: self.tail_logs(15))

    def tail_logs(self, n: int = 40) -> str:
        """The last lines of each server's log."""
        parts = []
        for name in SERVERS:
            path = self.workdir / f"{name}.log"
            if path.is_file():
                lines = path.read_text(errors="replace").splitlines()[-n:]
                parts.append("\n".join([f"--- {path.name}", *lines]))
        return "\n".join(parts)

    def audit(self, user_contains: str = "") -> list[Object]:
        """What was asked of deployments so far, oldest first, by users with such a name.

        An entry may be written just after its answer was sent. So a request of
        our own is made first and waited for: what came before it is in the log.
        """
        path = self.workdir / "audit.log"

        def entries() -> list[Object]:
            if not path.is_file():
                return []
            lines = path.read_bytes().split(b"\n")[:-1]
            return [json.loads(line) for line in lines]

        found = entries()
        if "kube-apiserver" in self._processes and not self._paused:
            marker = f"audit-marker-{next(self._markers)}"
            self.request("GET", f"/apis/apps/v1/namespaces/default/deployments/{marker}")

            def marked() -> list[Object]:
                read = entries()
                return read if any(one.get("objectRef", {}).get("name") == marker for one in read) else []

            found = wait_for("the audit log", marked)
        return [
            one
            for one in found
            if user_contains in one["user"].get("username", "")
            and not one.get("objectRef", {}).get("name", "").startswith("audit-marker-")
        ]

    def _make_certificates(self) -> None:
        authority = Authority(self._pki)
        authority.server("kube-apiserver")
        authority.signing_pair("service-account")
        for client in (ADMIN, CONTROLLERS):
            authority.client(client)
            self._write_kubeconfig(client)
        self._admin_tls = self._token_tls = None

    def _write_kubeconfig(self, client: str) -> None:
        """JSON is YAML too."""

        def data(name: str) -> str:
            return base64.b64encode((self._pki / name).read_bytes()).decode()

        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": client}}],
            "clusters": [
                {"name": "e2e", "cluster": {"server": self.url, "certificate-authority-data": data("ca.crt")}}
            ],
            "users": [
                {
                    "name": client,
                    "user": {
                        "client-certificate-data": data(f"{client}.crt"),
                        "client-key-data": data(f"{client}.key"),
                    },
                }
            ],
        }
        path = self.kubeconfig(client)
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))

    def kubeconfig(self, client: str = ADMIN) -> Path:
        """A kubeconfig file, for looking at the cluster with kubectl."""
        return self._pki / f"{client}.kubeconfig"

    @property
    def service_account_key(self) -> Path:
        """The key that the tokens of service accounts are signed with."""
        return self._pki / "service-account.key"

    def _make_commands(self, programs: dict[str, Path]) -> None:
        etcd = f"http://{HOST}:{self._etcd_port}"
        peer = f"http://{HOST}:{free_port()}"
        pki = self._pki
        policy = self.workdir / "audit-policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        options: dict[str, dict[str, object]] = {
            "etcd": {
                "data-dir": self.workdir / "etcd",
                "listen-client-urls": etcd,
                "advertise-client-urls": etcd,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"default={peer}",
                "log-level": "warn",
                "unsafe-no-fsync": "true",
            },
            "kube-apiserver": {
                "etcd-servers": etcd,
                "bind-address": HOST,
                "advertise-address": HOST,
                # A loopback address cannot be published as an endpoint.
                "endpoint-reconciler-type": "none",
                "secure-port": self.port,
                "tls-cert-file": pki / "kube-apiserver.crt",
                "tls-private-key-file": pki / "kube-apiserver.key",
                "client-ca-file": self.ca_path,
                "authorization-mode": "RBAC",
                # It would put a token volume into each pod, which nobody here would mount.
                "disable-admission-plugins": "ServiceAccount",
                "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
                "service-account-key-file": pki / "service-account.pub",
                "service-account-signing-key-file": pki / "service-account.key",
                "service-cluster-ip-range": "10.96.0.0/16",
                "audit-policy-file": policy,
                "audit-log-path": self.workdir / "audit.log",
                "profiling": "false",
            },
            CONTROLLERS: {
                "kubeconfig": self.kubeconfig(CONTROLLERS),
                "controllers": "deployment-controller,replicaset-controller,statefulset-controller,"
                "validatingadmissionpolicy-status-controller,"
                "serviceaccount-controller,namespace-controller,horizontal-pod-autoscaler-controller,"
                "endpointslice-controller",
                "horizontal-pod-autoscaler-sync-period": "2s",
                "leader-elect": "false",
                # Nobody asks for its metrics, and two runs could not share the usual port.
                "secure-port": 0,
            },
        }
        self._commands = {
            name: [str(programs[name]), *(f"--{key}={value}" for key, value in options[name].items())]
            for name in self._servers
        }

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process:
            process.kill()
            process.wait()

    def _spawn(self, name: str) -> None:
        with (self.workdir / f"{name}.log").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                self._commands[name],
                cwd=self.workdir,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the tests: they end the servers after what uses them.
                start_new_session=True,
            )
