"""Whoever may do everything at an API server: requests, manifests, deployments, tokens."""

from __future__ import annotations

import http.client
import itertools
import json
import shutil
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from .kubelet import NODE
from .net import wait_for

Object = dict[str, Any]
Change = Callable[[Object], Object]

ADMIN = "admin"
APPLY = "application/apply-patch+yaml"
FIELD_MANAGER = "toggle-e2e"
MERGE_PATCH = "application/merge-patch+json"


class ControlPlaneError(RuntimeError):
    """A server did not start, or refused what the tests need of it."""


class Administrator:
    """The administrator of the API server at an address, with the pair that is in a directory."""

    def __init__(self, workdir: Path, host: str, port: int) -> None:
        self.workdir = workdir
        self.host = host
        self.port = port
        self._resources: dict[tuple[str, str], Object] = {}
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

    def tail_logs(self, n: int = 40) -> str:
        """The last lines of the servers' logs, for a failure."""
        return ""

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

    def create_deployment(
        self, namespace: str, name: str, replicas: int = 0, node: str = NODE, kind: str = "Deployment", **more: Any
    ) -> None:
        """Makes a deployment or StatefulSet whose pods are on a node from the start, for want of a scheduler.

        Its specification has `more` beside what each has.
        """
        labels = {"app": name}
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeName": node,
                    "containers": [{"name": "main", "image": "example.invalid/workload:1"}],
                },
            },
        }
        workload = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec | ({"serviceName": name} if kind == "StatefulSet" else {}) | more,
        }
        self.ensure("POST", f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s", workload)

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

    def token(
        self,
        namespace: str,
        service_account: str,
        seconds: int = 3600,
        audiences: tuple[str, ...] = (),
        pod: str | None = None,
    ) -> str:
        """A new token of a service account, as the kubelet requests it for a pod.

        Without audiences it is for the API server; with the name of a pod that has the
        account it is bound to that one.
        """
        spec: Object = {"expirationSeconds": seconds}
        if audiences:
            spec["audiences"] = list(audiences)
        if pod:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod}
        answer = self.ensure(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
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


def _api(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _path(document: Object, resource: Object) -> str:
    metadata = document["metadata"]
    scope = f"/namespaces/{metadata['namespace']}" if resource["namespaced"] else ""
    return f"{_api(document['apiVersion'])}{scope}/{resource['name']}/{metadata['name']}"
