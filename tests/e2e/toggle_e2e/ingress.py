"""nginx before a gateway, told by the guide's annotations what an Ingress controller would tell it.

Its headers are those of ingress-nginx, which begins `X-Forwarded-For` anew.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .net import free_port, uninterrupted, wait_for
from .pki import Authority

ADDRESS = "127.0.0.3"
"""Where its connections to a gateway come from."""

PREFIX = "nginx.ingress.kubernetes.io/"
DIRECTIVES = {
    "proxy-buffering": "proxy_buffering {};",
    "proxy-request-buffering": "proxy_request_buffering {};",
    "proxy-body-size": "client_max_body_size {};",
    "proxy-read-timeout": "proxy_read_timeout {}s;",
    "proxy-send-timeout": "proxy_send_timeout {}s;",
    "proxy-ssl-verify": "proxy_ssl_verify {};",
    "proxy-ssl-name": "proxy_ssl_name {};",
    "proxy-ssl-server-name": "proxy_ssl_server_name {};",
}

HEADERS = """
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Scheme $scheme;
      proxy_set_header X-Scheme $scheme;
      proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
      proxy_set_header Proxy "";
"""


@dataclass(frozen=True)
class Site:
    """What is reached at one port of nginx, over https."""

    behind: int
    """The port on this machine that it leads to."""
    annotations: dict[str, Any]
    authority: Path | None = None
    """What `proxy-ssl-secret` names, where what is behind speaks TLS."""


class Nginx:
    """One nginx. `ports` has the port of each of its sites."""

    def __init__(self, workdir: Path, sites: dict[str, Site]) -> None:
        self._workdir = workdir
        self._sites = sites
        self.ports = {name: free_port() for name in sites}
        self.authority = workdir / "ca.crt"
        """The certificate that clients believe it by."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Nginx:
        authority = Authority(self._workdir)
        authority.server("nginx")
        self.authority = authority.path
        (self._workdir / "nginx.conf").write_text(self._configuration())
        uninterrupted(self._spawn)
        # It reads its file, opens all ports, and then writes this one.
        wait_for("nginx", self._is_up, 20, detail=self.tail)
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def tail(self) -> str:
        """What it has complained about."""
        return (self._workdir / "error.log").read_text()[-4000:]

    def _spawn(self) -> None:
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        with (self._workdir / "error.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-p", str(self._workdir), "-c", "nginx.conf", "-e", "stderr"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _is_up(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise RuntimeError(f"nginx ended:\n{self.tail()}")
        return (self._workdir / "nginx.pid").exists()

    def _configuration(self) -> str:
        kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "\n".join(f"  {name}_temp_path {self._workdir}/{name};" for name in kept)
        servers = "\n".join(self._server(name, site) for name, site in self._sites.items())
        return f"""
daemon off;
# One process, which runs as whoever runs the tests.
master_process off;
pid {self._workdir}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
  access_log off;
{folders}
  ssl_certificate {self._workdir}/nginx.crt;
  ssl_certificate_key {self._workdir}/nginx.key;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
{servers}
}}
"""

    def _server(self, name: str, site: Site) -> str:
        annotations = {key.removeprefix(PREFIX): value for key, value in site.annotations.items()}
        scheme = str(annotations.pop("backend-protocol", "HTTP")).lower()
        directives = [DIRECTIVES[key].format(value) for key, value in annotations.items() if key != "proxy-ssl-secret"]
        if "proxy-ssl-secret" in annotations:
            directives.append(f"proxy_ssl_trusted_certificate {site.authority};")
        told = "\n".join(f"    {one}" for one in directives)
        return f"""
  upstream {name} {{ server 127.0.0.1:{site.behind}; keepalive 320; }}
  server {{
    listen 127.0.0.1:{self.ports[name]} ssl;
{told}
    location / {{
      proxy_pass {scheme}://{name};
      proxy_bind {ADDRESS};
{HEADERS}
    }}
  }}
"""
