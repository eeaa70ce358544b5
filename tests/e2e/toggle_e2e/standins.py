"""Small servers that stand where a good one should: what a broken way to Keycloak looks like."""

from __future__ import annotations

import base64
import select
import socket
import socketserver
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .net import wait_for

_BLOCK = 65536
_LONGEST_HEAD = 65536


class _Server(socketserver.ThreadingTCPServer):
    """One thread a connection, all of them ended with the program."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


class StandIn:
    """A server on a loopback port of its own; what it does with a connection is its kind's business."""

    def __init__(self, port: int = 0) -> None:
        stand_in = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    stand_in.serve(self.request)
                except OSError:
                    # The other side went away, which is its right.
                    return

        self._server = _Server(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Closes its port."""
        self._server.shutdown()
        self._server.server_close()

    def serve(self, connection: socket.socket) -> None:
        """Answers one connection."""
        raise NotImplementedError


class Silent(StandIn):
    """Takes connections and never answers."""

    def serve(self, connection: socket.socket) -> None:
        while connection.recv(_BLOCK):
            pass


class Page(StandIn):
    """Answers everything with a page of HTML, as a load balancer or a portal in the way does."""

    def __init__(self, status: str = "502 Bad Gateway", title: str = "Bad Gateway") -> None:
        self._page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        self._status = status
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        read_head(connection)
        head = f"HTTP/1.1 {self._status}\r\nContent-Type: text/html\r\nContent-Length: {len(self._page)}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n{self._page}".encode())


class Gate(StandIn):
    """Lets connections through to another port as long as it is open, and ends them at once when it is not."""

    def __init__(self, target_port: int, port: int = 0) -> None:
        self.target_port = target_port
        self.open = True
        self._carried: set[socket.socket] = set()
        super().__init__(port)

    def shut(self) -> None:
        """Refuses what comes and ends what is kept alive; `open` says that it is open again."""
        self.open = False
        wait_for("the gate's connections to end", lambda: not self._carried)

    def serve(self, connection: socket.socket) -> None:
        if not self.open:
            return
        self._carried.add(connection)
        try:
            with socket.create_connection(("127.0.0.1", self.target_port), 10) as onward:
                join(connection, onward, lambda: self.open)
        finally:
            self._carried.discard(connection)


class ConnectProxy(StandIn):
    """An HTTP proxy for CONNECT alone, with credentials if it is given some."""

    def __init__(self, user: str = "", password: str = "", refusal: str = "") -> None:
        self._expected = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._refusal = refusal
        """The status line's end with which everything is refused."""
        self.asked: list[str] = []
        """The hosts and ports that were asked for, let through or not."""
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        request, *lines = read_head(connection).split("\r\n")
        method, target, *_ = [*request.split(" "), ""]
        self.asked.append(target)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if method != "CONNECT":
            _refuse(connection, "405 Method Not Allowed")
            return
        if self._expected and headers.get("proxy-authorization") != f"Basic {self._expected}":
            _refuse(connection, "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="x"\r\n')
            return
        if self._refusal:
            _refuse(connection, self._refusal)
            return
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port)), 10) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            join(connection, onward)


def read_head(connection: socket.socket) -> str:
    """A request up to the empty line; nothing that is asked here has a body that matters."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LONGEST_HEAD:
        block = connection.recv(_BLOCK)
        if not block:
            break
        head += block
    return head.partition(b"\r\n\r\n")[0].decode("latin-1")


def join(one: socket.socket, other: socket.socket, wanted: Callable[[], bool] = lambda: True) -> None:
    """Carries bytes both ways until a side ends or it is not wanted any more."""
    peers = {one: other, other: one}
    while wanted():
        for ready in select.select(list(peers), [], [], 0.05)[0]:
            block = ready.recv(_BLOCK)
            if not block:
                return
            peers[ready].sendall(block)


def _refuse(connection: socket.socket, status: str, headers: str = "") -> None:
    connection.sendall(f"HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
