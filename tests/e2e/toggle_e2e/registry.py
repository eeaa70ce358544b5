"""A registry on loopback: Debian's own package, unpacked and not installed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import bcrypt

from .cache import cache_root, lock
from .net import free_port, uninterrupted, wait_for

USER = "pusher"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def program() -> Path:
    """The registry's program: the machine's own, or that of the package."""
    if found := shutil.which("docker-registry"):
        return Path(found)
    folder = cache_root() / "docker-registry"
    unpacked = folder / "usr" / "bin" / "docker-registry"
    if unpacked.is_file():
        return unpacked
    with lock(cache_root() / "docker-registry.lock"):
        if not unpacked.is_file():
            _unpack(folder)
    return unpacked


def _unpack(folder: Path) -> None:
    downloads = folder.with_suffix(".new")
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    try:
        download = ["apt-get", "download", "-q", "docker-registry"]
        if subprocess.run(download, cwd=downloads, capture_output=True, check=False).returncode != 0:
            if os.geteuid() == 0:
                subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
            subprocess.run(download, cwd=downloads, capture_output=True, check=True)
        (package,) = downloads.glob("*.deb")
        subprocess.run(["dpkg", "-x", str(package), str(downloads / "root")], check=True)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise RuntimeError(f"missing: a registry: apt-get install docker-registry ({error}).") from None
    shutil.rmtree(folder, ignore_errors=True)
    (downloads / "root").rename(folder)
    shutil.rmtree(downloads)


class Registry:
    """One registry, which nobody but `USER` may use."""

    def __init__(self, workdir: Path) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self.address = f"127.0.0.1:{free_port()}"
        self.password = secrets.token_hex(12)
        self._log = workdir / "log"
        users = workdir / "users"
        users.write_text(f"{USER}:{bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()}\n")
        self._configuration = workdir / "config.yaml"
        # JSON is YAML.
        self._configuration.write_text(
            json.dumps(
                {
                    "version": "0.1",
                    "storage": {"filesystem": {"rootdirectory": str(workdir / "data")}},
                    "http": {"addr": self.address},
                    "auth": {"htpasswd": {"realm": "toggle", "path": str(users)}},
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Registry:
        self._program = program()
        uninterrupted(self._spawn)
        wait_for("the registry to answer", lambda: self._status("/v2/") == 200, 20, detail=self._log.read_text)
        return self

    def _spawn(self) -> None:
        with self._log.open("wb") as log:
            command = [str(self._program), "serve", str(self._configuration)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def _get(self, path: str, accept: str = "*/*") -> tuple[bytes, dict[str, str]]:
        who = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {who}", "Accept": accept}
        request = urllib.request.Request(f"http://{self.address}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read(), dict(answer.headers)

    def _status(self, path: str) -> int | None:
        try:
            self._get(path)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None
        return 200

    def has(self, repository: str) -> bool:
        """Whether anything was pushed there."""
        return self._status(f"/v2/{repository}/tags/list") == 200

    def manifest(self, repository: str, reference: str, kind: str) -> tuple[dict[str, Any], str]:
        """What a tag or a digest names, and its digest."""
        body, headers = self._get(f"/v2/{repository}/manifests/{reference}", kind)
        assert headers["Content-Type"] == kind, headers
        return json.loads(body), f"sha256:{hashlib.sha256(body).hexdigest()}"

    def blob(self, repository: str, digest: str) -> bytes:
        """A layer or a configuration."""
        return self._get(f"/v2/{repository}/blobs/{digest}")[0]
