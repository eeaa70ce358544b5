"""Proxies that are known elsewhere, the backend behind all of them, and the load before them.

Each is one process on one processor, as the gateway is, with connections to the backend
that are kept. Load and backend share another processor.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .gotools import BUILD
from .net import free_port, wait_for

ANSWER = "hello world\n"
"""What the backend says, 12 bytes."""

DESCRIPTORS = 8_192
"""Files that each may have open."""

_NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {descriptors}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {more}
}}
"""

_BACKEND = """
    server {{
        listen 0.0.0.0:{port} backlog=4096;
        location / {{ return 200 "{answer}"; }}
    }}
"""

_BEFORE = """
    map $http_upgrade $kept {{ default upgrade; '' ''; }}
    upstream app {{ server 127.0.0.1:{app}; keepalive 64; keepalive_requests 1000000000; }}
    upstream sockets {{ server 127.0.0.1:{sockets}; }}
    proxy_http_version 1.1;
    proxy_read_timeout 1h;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $kept;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_pass http://app; }}
        location /socket {{ proxy_pass http://sockets; }}
    }}
"""

_HAPROXY = """
global
    nbthread 1
    maxconn {connections}
defaults
    mode http
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend all
    bind 127.0.0.1:{port} backlog 4096
    use_backend sockets if {{ path_beg /socket }}
    default_backend app
backend app
    server one 127.0.0.1:{app}
backend sockets
    server one 127.0.0.1:{sockets}
"""

# Printed by wrk at its end, in microseconds.
_REPORT = """
done = function(summary, latency, requests)
    local failed = summary.errors
    io.write(string.format(
        'figures {"requests": %d, "us": %d, "p50": %.0f, "p99": %.0f, "failed": %d}\\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
"""


class Server:
    """A process that listens on a port of its own, and on one processor where one is named."""

    def __init__(
        self, name: str, command: list[str], port: int, processor: int | None = None, version: str = ""
    ) -> None:
        self.name = name
        self.version = version
        self.port = port
        where = [] if processor is None else ["taskset", "-c", str(processor)]
        self._command = [*where, *command]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            self._command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            wait_for(f"{self.name} to listen", self._listens, 10)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process
        return self._process.pid

    def _listens(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def backend(workdir: Path) -> Server:
    """What all proxies ask: nginx, on all addresses."""
    port = free_port()
    return Server("the backend", _nginx(workdir / "backend", _BACKEND.format(port=port, answer="hello world\\n")), port)


def nginx(workdir: Path, app: int, sockets: int, processor: int) -> Server:
    """nginx before the ports of the app and of its WebSockets."""
    port = free_port()
    command = _nginx(workdir / "nginx", _BEFORE.format(port=port, app=app, sockets=sockets))
    return Server("nginx", command, port, processor, _version("nginx", "-v"))


def haproxy(workdir: Path, app: int, sockets: int, processor: int) -> Server:
    """The same with HAProxy."""
    port = free_port()
    file = workdir / "haproxy.cfg"
    file.write_text(_HAPROXY.format(port=port, app=app, sockets=sockets, connections=DESCRIPTORS // 2 - 64))
    command = [_program("haproxy"), "-db", "-q", "-f", str(file)]
    return Server("haproxy", command, port, processor, _version("haproxy", "-v"))


def go_proxy(workdir: Path, app: int, sockets: int, processor: int) -> Server:
    """The same with the reverse proxy of Go's standard library."""
    port = free_port()
    source = BUILD.parent / "reverseproxy"
    found = subprocess.run(["bash", BUILD.parent / "go.sh"], stdout=subprocess.PIPE, text=True, check=True)
    go = Path(found.stdout.strip()) / "go"
    program = workdir / "reverseproxy"
    # Nothing is fetched for it, so it is built each time: what it is made of is the standard library.
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath", "GOWORK": "off"}
    subprocess.run([go, "build", "-o", program, "."], cwd=source, env=os.environ | settings, check=True)
    addresses = [f"127.0.0.1:{one}" for one in (port, sockets, app)]
    version = subprocess.run([go, "env", "GOVERSION"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return Server("ReverseProxy of Go", [str(program), *addresses], port, processor, version.strip().removeprefix("go"))


def _nginx(folder: Path, more: str) -> list[str]:
    folder.mkdir()
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, descriptors=DESCRIPTORS, more=more))
    return [_program("nginx"), "-p", str(folder), "-c", str(file)]


def _version(name: str, option: str) -> str:
    said = subprocess.run([_program(name), option], capture_output=True, text=True, check=True)
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return found[0] if found else ""


def _program(name: str) -> str:
    """The path of a program, which is not on everybody's path."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise SystemExit(f"there is no {name}: bash tests/e2e/prerequisites.sh proxies")
    return found


@dataclass(frozen=True)
class Load:
    """What so many connections asked in a while, each for one thing after the other."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def load(workdir: Path, port: int, connections: int, seconds: float, headers: Mapping[str, str]) -> Load:
    """Asks for `/` on connections that are kept; an answer that is no success has no latency."""
    script = workdir / "report.lua"
    if not script.is_file():
        script.write_text(_REPORT)
    fields = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    ran = subprocess.run(
        [_program("wrk"), "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script), *fields,
         f"http://127.0.0.1:{port}/"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    found = [line for line in ran.stdout.splitlines() if line.startswith("figures ")]
    if ran.returncode != 0 or not found:
        raise SystemExit(f"wrk failed:\n{ran.stdout}")
    said = json.loads(found[0].removeprefix("figures "))
    if said["failed"] or not said["requests"]:
        raise SystemExit(f"{said['failed']} of {said['requests']} requests failed at port {port}:\n{ran.stdout}")
    return Load(said["requests"], said["us"] / 1e6, said["p50"], said["p99"])
