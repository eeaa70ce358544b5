"""A real Kubernetes control plane on loopback, without a container or a node.

The API server, its store and its controllers are the released ones, so the
rights, errors and timings the bot meets are those of a cluster. Only the nodes
are played, by `kubelet`: a pod becomes ready without anything being run. There is no
scheduler either, which is why a pod template has to name its node.
"""

from __future__ import annotations

import atexit
import base64
import datetime
import http.client
import ipaddress
import itertools
import json
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .gotools import tool
from .kubelet import NODE, deployment_controller, kubelet
from .net import free_port, wait_for

Object = dict[str, Any]
Change = Callable[[Object], Object]

ADMIN = "admin"
APPLY = "application/apply-patch+yaml"
FIELD_MANAGER = "toggle-e2e"
HOST = "127.0.0.1"
MERGE_PATCH = "application/merge-patch+json"
CONTROLLERS = "kube-controller-manager"
SERVERS = ("etcd", "kube-apiserver", CONTROLLERS)

_HERE = Path(__file__).resolve().parent

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


class ControlPlaneError(RuntimeError):
    """A server did not start, or refused what the tests need of it."""


class Authority:
    """The cluster's certificate authority, made anew for each run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "e2e-ca")])
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path = directory / "ca.crt"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str) -> None:
        """Writes a pair for a server on loopback, named by its address as the bot verifies it."""
        names = [
            x509.IPAddress(ipaddress.ip_address(HOST)),
            x509.DNSName("localhost"),
            x509.DNSName("kubernetes.default.svc"),
        ]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._issue(name, subject, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, name: str) -> None:
        """Writes a pair for a client that may do everything, under a name the audit log can tell."""
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        self._issue(name, subject, ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def signing_pair(self, name: str) -> None:
        """Writes a private key and its public one, which service account tokens are made and checked with."""
        public = self._private_key(name).public_key()
        (self._directory / f"{name}.pub").write_bytes(
            public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def _private_key(self, name: str) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._directory / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return key

    def _issue(
        self,
        name: str,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        names: list[x509.GeneralName],
    ) -> None:
        builder = (
            self._builder(subject, self._private_key(name))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        path = self._directory / f"{name}.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )


class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager, nodes that are played, and an administrator's client.

    A `lean` one is quick to build: its API server may be compiled without
    optimisation, and the controllers are played too, as far as a Deployment's
    numbers go.
    """

    def __init__(self, workdir: Path, log: Callable[[str], None] | None = None, lean: bool = False) -> None:
        self.workdir = Path(workdir).resolve()
        self.host = HOST
        self.port = free_port()
        self._etcd_port = free_port()
        self._log = log or (lambda text: print(text, file=sys.stderr, flush=True))
        self._servers = [name for name in SERVERS if not lean or name != CONTROLLERS]
        self._played = [deployment_controller(self)] if lean else [kubelet(self)]
        self._lean = lean
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}
        self._paused = False
        self._resources: dict[tuple[str, str], Object] = {}
        self._markers = itertools.count(1)
        self._rotations = itertools.count(1)
        self._admin_tls: ssl.SSLContext | None = None
        self._token_tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.host}:{self.port}"

    @property
    def ca_path(self) -> Path:
        """The certificate authority its certificate is signed by."""
        return self._pki / "ca.crt"

    @property
    def _pki(self) -> Path:
        return self.workdir / "pki"

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

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        user: str = ADMIN,
        timeout: float = 15,
    ) -> tuple[int, Any]:
        """Sends one request as the administrator, or as the owner of a bearer token.

        Gives the status and the decoded answer, whatever they are: refusals are
        for the tests to look at.
        """
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        if user != ADMIN:
            headers["Authorization"] = f"Bearer {user}"
        connection = self.connect(timeout, user)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
            if "json" in response.headers.get("Content-Type", ""):
                return response.status, json.loads(content)
            return response.status, content.decode(errors="replace")
        except http.client.HTTPException as failure:
            raise ConnectionError(f"{method} {path}: {failure!r}") from failure
        finally:
            connection.close()

    def connect(self, timeout: float | None, user: str = ADMIN) -> http.client.HTTPSConnection:
        """A connection to the API server, as the administrator or for the owner of a bearer token."""
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=timeout, context=self._tls(admin=user == ADMIN)
        )

    def ensure(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Object:
        """The same as the administrator, where anything but success is an error."""
        status, answer = self.request(method, path, body, content_type)
        if status >= 300:
            message = answer.get("message", answer) if isinstance(answer, dict) else answer
            raise ControlPlaneError(f"{method} {path}: {status} {message}")
        assert isinstance(answer, dict)
        return answer

    def apply(
        self,
        source: Path | str | Iterable[Object],
        namespace: str | None = None,
        dry_run: bool = False,
        change: Change | None = None,
    ) -> list[Object]:
        """Server-side applies manifests: all documents of a YAML file, or given ones.

        `namespace` replaces the one in the manifests, in role bindings too;
        `change` may alter each document after that. With `dry_run`, the server
        checks everything and stores nothing.
        """
        if isinstance(source, (str, Path)):
            documents = list(yaml.safe_load_all(Path(source).read_text()))
        else:
            documents = list(source)
        applied = []
        for shipped in documents:
            if not shipped:
                continue
            document = json.loads(json.dumps(shipped))
            resource = self._resource(document["apiVersion"], document["kind"])
            if namespace and resource["namespaced"]:
                document["metadata"]["namespace"] = namespace
                for subject in document.get("subjects", []):
                    if "namespace" in subject:
                        subject["namespace"] = namespace
            if change:
                document = change(document)
            query = f"?fieldManager={FIELD_MANAGER}&force=true" + ("&dryRun=All" if dry_run else "")
            applied.append(self.ensure("PATCH", _path(document, resource) + query, document, APPLY))
        return applied

    def create_namespace(self, name: str) -> None:
        """Makes a namespace, if it is not there yet."""
        self.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])

    def create_node(self, name: str = NODE) -> None:
        """Makes a node that is ready."""
        room = {"cpu": "32", "memory": "64Gi", "pods": "1000"}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "status": {
                "capacity": room,
                "allocatable": room,
                "conditions": [{"type": "Ready", "status": "True", "reason": "Played"}],
            },
        }
        self.ensure("POST", "/api/v1/nodes", node)

    def create_deployment(self, namespace: str, name: str, replicas: int = 0, node: str = NODE) -> None:
        """Makes a deployment whose pods are on a node from the start, for want of a scheduler."""
        labels = {"app": name}
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "nodeName": node,
                        "containers": [{"name": "main", "image": "example.invalid/workload:1"}],
                    },
                },
            },
        }
        self.ensure("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", deployment)

    def replicas(self, namespace: str, name: str) -> dict[str, int]:
        """How many replicas a deployment wants (`spec`), and how many are `ready` and `available`."""
        found = self.ensure("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        return {
            "spec": found["spec"]["replicas"],
            "ready": found["status"].get("readyReplicas", 0),
            "available": found["status"].get("availableReplicas", 0),
        }

    def wait_replicas(
        self,
        namespace: str,
        name: str,
        spec: int | None = None,
        ready: int | None = None,
        timeout: float = 20,
    ) -> dict[str, int]:
        """Waits until the given numbers are reached and gives all of them."""
        wanted = {key: value for key, value in (("spec", spec), ("ready", ready)) if value is not None}
        seen: dict[str, int] = {}

        def reached() -> bool:
            seen.update(self.replicas(namespace, name))
            return all(seen[key] == value for key, value in wanted.items())

        what = f"{namespace}/{name} to have {wanted}"
        wait_for(what, reached, timeout, detail=lambda: f"it has {seen}\n{self.tail_logs(15)}")
        return seen

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """A new token of a service account, as the kubelet requests it for a pod."""
        answer = self.ensure(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds},
            },
        )
        return str(answer["status"]["token"])

    def service_account_dir(self, namespace: str, service_account: str) -> Path:
        """A directory like /var/run/secrets/kubernetes.io/serviceaccount in a pod."""
        directory = self.workdir / "serviceaccounts" / namespace / service_account
        directory.mkdir(parents=True, exist_ok=True)
        self.rotate_token(namespace, service_account)
        return directory

    def rotate_token(self, namespace: str, service_account: str, token: str | None = None) -> str:
        """Puts a new token, or the given one, into a service account's directory.

        Done as the kubelet does it: the files are links through `..data`, and
        that link is exchanged, so a reader sees all old or all new ones.
        """
        directory = self.workdir / "serviceaccounts" / namespace / service_account
        token = token or self.token(namespace, service_account)
        version = directory / f"..{time.strftime('%Y_%m_%d_%H_%M_%S')}.{next(self._rotations)}"
        version.mkdir(mode=0o755)
        files = {"token": token, "ca.crt": self.ca_path.read_text(), "namespace": namespace}
        for name, content in files.items():
            (version / name).write_text(content)
            if not (directory / name).is_symlink():
                (directory / name).symlink_to(Path("..data") / name)
        data = directory / "..data"
        before = data.resolve() if data.is_symlink() else None
        exchanged = directory / "..data_tmp"
        exchanged.symlink_to(version.name)
        exchanged.rename(data)
        if before:
            shutil.rmtree(before, ignore_errors=True)
        return token

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

    def _tls(self, admin: bool) -> ssl.SSLContext:
        if admin:
            if self._admin_tls is None:
                self._admin_tls = ssl.create_default_context(cafile=self.ca_path)
                self._admin_tls.load_cert_chain(self._pki / "admin.crt", self._pki / "admin.key")
            return self._admin_tls
        if self._token_tls is None:
            self._token_tls = ssl.create_default_context(cafile=self.ca_path)
        return self._token_tls

    def _resource(self, api_version: str, kind: str) -> Object:
        """Asks the server how a kind is called in paths."""
        known = self._resources.get((api_version, kind))
        if known:
            return known
        for one in self.ensure("GET", _api(api_version))["resources"]:
            if "/" not in one["name"]:
                self._resources[(api_version, one["kind"])] = one
        try:
            return self._resources[(api_version, kind)]
        except KeyError:
            raise ControlPlaneError(f"the API server knows no {kind} of {api_version}") from None

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
                "serviceaccount-controller,namespace-controller",
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


def _key_usage(**allowed: bool) -> x509.KeyUsage:
    usages = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{usage: allowed.get(usage, False) for usage in usages})


def _api(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _path(document: Object, resource: Object) -> str:
    metadata = document["metadata"]
    scope = f"/namespaces/{metadata['namespace']}" if resource["namespaced"] else ""
    return f"{_api(document['apiVersion'])}{scope}/{resource['name']}/{metadata['name']}"


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
