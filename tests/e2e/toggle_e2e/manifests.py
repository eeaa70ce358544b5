"""What is shipped for a cluster, rendered by the programs that people render it with.

A rendered pod is also run, as far as that goes without a container: its volumes
are filled from the real API server, as a kubelet fills them, and its variables
are those of the container with the paths in them led to these files.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .administrator import Object
from .bot import Bot
from .controlplane import ControlPlane
from .gotools import tool

REPOSITORY = Path(__file__).resolve().parents[3]
KUSTOMIZE = REPOSITORY / "deploy" / "k8s"
CHART = REPOSITORY / "deploy" / "helm" / "openclaw-k8s-toggle-operator"
SECRET = "openclaw-toggle-operator"
"""The Secret that the manifests name."""

_ROOT_CA = "kube-root-ca.crt"

Values = Mapping[str, Any]


class Refused(RuntimeError):
    """A program that did not do what it was asked; its text is what it wrote."""


class NotMounted(RuntimeError):
    """What keeps a pod from starting: something of it is not in the cluster."""


def run(name: str, *arguments: str, given: str = "", kubeconfig: Path | None = None) -> tuple[str, str]:
    """What a tool writes to standard output and standard error; a failure is `Refused`."""
    program = tool(name)
    with tempfile.TemporaryDirectory() as home:
        # Nothing of what the caller's own home has set for it, and nothing left in it.
        settings = {"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": str(kubeconfig or "/dev/null")}
        done = subprocess.run(
            [str(program), *arguments], input=given, env=settings, cwd="/", capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout, done.stderr


def kustomize(folder: str = "") -> list[Object]:
    """The manifests of `deploy/k8s`, or of a folder in it."""
    return _documents(_kustomized(folder))


def chart(
    values: Values, release: str = "toggle", namespace: str = "default", *options: str, folder: Path = CHART
) -> list[Object]:
    """What a release of the chart, or of a copy of it, consists of, its test included."""
    command = ("template", release, str(folder), "-n", namespace, "-f", "-", *options)
    return _documents(run("helm", *command, given=json.dumps(values))[0])


def install(
    cluster: ControlPlane, values: Values, release: str, namespace: str, *options: str, command: str = "install"
) -> str:
    """Installs a release as people do, and gives what they are told then."""
    said, _ = run(
        "helm", command, release, str(CHART), "-n", namespace, "-f", "-", *options,
        given=json.dumps(values), kubeconfig=cluster.kubeconfig(),
    )  # fmt: skip
    return said


def of_kind(documents: list[Object], kind: str) -> Object:
    """The one document of a kind."""
    found = [document for document in documents if document["kind"] == kind]
    if len(found) != 1:
        raise LookupError(f"there are {len(found)} of kind {kind} instead of one")
    return found[0]


def named(documents: list[Object], kind: str, name: str) -> Object:
    """The one document of a kind and name."""
    [found] = [one for one in documents if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pod_of(documents: list[Object]) -> Object:
    """The pod that the Deployment makes."""
    template: Object = of_kind(documents, "Deployment")["spec"]["template"]
    return template


def container_of(pod: Object) -> Object:
    """The pod's one container."""
    [container] = pod["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def variables(pod: Object) -> dict[str, str]:
    """The variables of the pod's container that are given as they are."""
    return {one["name"]: one["value"] for one in container_of(pod).get("env", []) if "value" in one}


def publish_root_ca(cluster: ControlPlane, namespace: str) -> None:
    """What a controller that does not run here puts into each namespace."""
    cluster.apply([_config_map(namespace, _ROOT_CA, {"ca.crt": cluster.ca_path.read_text()})])


def put_secret(cluster: ControlPlane, namespace: str, name: str, content: Mapping[str, str]) -> None:
    """Makes a Secret."""
    document = _config_map(namespace, name, {})
    del document["data"]
    cluster.apply([document | {"kind": "Secret", "stringData": dict(content)}])


def put_config_map(cluster: ControlPlane, namespace: str, name: str, content: Mapping[str, str]) -> None:
    """Makes a ConfigMap."""
    cluster.apply([_config_map(namespace, name, content)])


def try_pod(cluster: ControlPlane, namespace: str, pod: Object) -> tuple[int, str]:
    """What the API server says to a pod made from a template, without making it."""
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**pod["metadata"], "generateName": "try-", "namespace": namespace},
        "spec": {"restartPolicy": "Always", **pod["spec"]},
    }
    status, answer = cluster.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", document)
    return status, str(answer.get("message", ""))


@dataclass
class Laid:
    """A pod laid out on this machine."""

    settings: dict[str, str]
    arguments: tuple[str, ...]
    mounts: dict[str, Path] = field(default_factory=dict)

    def bot(self, **overrides: str) -> Bot:
        """The container's process, not started yet."""
        return Bot(self.settings | overrides)


def lay_out(cluster: ControlPlane, namespace: str, pod: Object, root: Path) -> Laid:
    """Fills a pod's volumes under `root` from what the cluster has."""
    container = container_of(pod)
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    account = pod["spec"].get("serviceAccountName", "default")
    mounts: dict[str, Path] = {}
    for mount in container.get("volumeMounts", []):
        place = root / str(mount["mountPath"]).lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        _Volume(cluster, namespace, account, place).fill(volumes[mount["name"]])
        mounts[str(mount["mountPath"])] = place
    settings = {
        "KUBERNETES_SERVICE_HOST": cluster.host,
        "KUBERNETES_SERVICE_PORT": str(cluster.port),
    }
    for variable in container.get("env", []):
        if "value" not in variable:
            settings[str(variable["name"])] = _of_the_pod(variable["valueFrom"], namespace)
            continue
        value = str(variable["value"])
        for path, place in mounts.items():
            if value == path or value.startswith(f"{path}/"):
                value = str(place) + value[len(path) :]
        settings[str(variable["name"])] = value
    settings.setdefault("SERVICE_ACCOUNT_DIR", str(root / "var/run/secrets/kubernetes.io/serviceaccount"))
    return Laid(settings, tuple(container.get("args", ())), mounts)


def _of_the_pod(source: Object, namespace: str) -> str:
    """What the pod that is laid out says of itself."""
    return {"metadata.name": "laid-out", "metadata.namespace": namespace}[source["fieldRef"]["fieldPath"]]


@dataclass
class _Volume:
    """One volume of a pod, and where it is mounted."""

    cluster: ControlPlane
    namespace: str
    account: str
    place: Path

    def fill(self, volume: Object) -> None:
        if claim := volume.get("persistentVolumeClaim"):
            self._object("persistentvolumeclaims", claim["claimName"])
        elif secret := volume.get("secret"):
            self._secret({**secret, "name": secret["secretName"]}, secret.get("defaultMode", 0o644))
        elif config_map := volume.get("configMap"):
            self._config_map(config_map, config_map.get("defaultMode", 0o644))
        elif projected := volume.get("projected"):
            for source in projected["sources"]:
                self._project(source, projected.get("defaultMode", 0o644))
        else:
            raise NotMounted(f"a volume of a kind that nothing here needs: {volume}")

    def _project(self, source: Object, mode: int) -> None:
        if token := source.get("serviceAccountToken"):
            audiences = (token["audience"],) if "audience" in token else ()
            made = self.cluster.token(self.namespace, self.account, token["expirationSeconds"], audiences)
            self._write(token["path"], made, mode)
        elif secret := source.get("secret"):
            self._secret(secret, mode)
        elif config_map := source.get("configMap"):
            self._config_map(config_map, mode)
        elif downward := source.get("downwardAPI"):
            for item in downward["items"]:
                assert item["fieldRef"]["fieldPath"] == "metadata.namespace"
                self._write(item["path"], self.namespace, mode)
        else:
            raise NotMounted(f"a source of a kind that nothing here needs: {source}")

    def _secret(self, source: Object, mode: int) -> None:
        data = self._source("secrets", source).get("data", {})
        self._items(source, {key: base64.b64decode(value).decode() for key, value in data.items()}, mode)

    def _config_map(self, source: Object, mode: int) -> None:
        self._items(source, self._source("configmaps", source).get("data", {}), mode)

    def _items(self, source: Object, data: Mapping[str, str], mode: int) -> None:
        wanted = source.get("items") or [{"key": key, "path": key} for key in data]
        for item in wanted:
            if item["key"] not in data:
                if source.get("optional"):
                    continue
                raise NotMounted(f"{source['name']} has no key {item['key']}")
            self._write(item["path"], data[item["key"]], mode)

    def _write(self, path: str, content: str, mode: int) -> None:
        file = self.place / path
        file.write_text(content)
        file.chmod(mode)

    def _source(self, resource: str, source: Object) -> Object:
        try:
            return self._object(resource, source["name"])
        except NotMounted:
            if source.get("optional"):
                return {}
            raise

    def _object(self, resource: str, name: str) -> Object:
        status, found = self.cluster.request("GET", f"/api/v1/namespaces/{self.namespace}/{resource}/{name}")
        if status != 200:
            raise NotMounted(f"there is no {resource}/{name} in {self.namespace}")
        assert isinstance(found, dict)
        return found


@cache
def _kustomized(folder: str) -> str:
    return run("kubectl", "kustomize", str(KUSTOMIZE / folder))[0]


def _documents(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document]


def _config_map(namespace: str, name: str, content: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": dict(content),
    }
