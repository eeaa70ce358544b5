"""Stands between a client and its two servers and notes when what passes.

The homeserver is spoken to in plain HTTP, so its requests are known by their first
line; of the API server's encrypted bytes only the time is known. A process of its
own, since the times are to be those of the wire.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_METHODS = (b"GET ", b"PUT ", b"POST ")


@dataclass(frozen=True)
class Seen:
    """Bytes that passed, in seconds of the machine's monotonic clock."""

    at: float
    server: str
    """`homeserver` or `api`."""
    request: str
    """The first line of the request that they belong to, where it can be read."""
    asks: bool
    """Whether they went to the server: then this is when they came, else when they left."""


class Tap:
    """The process, and what it has noted."""

    def __init__(self, homeserver: tuple[str, int], api: tuple[str, int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "toggle_e2e.tap"],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"homeserver": homeserver, "api": api}) + "\n")
        self._process.stdin.flush()
        self.ports: dict[str, int] = json.loads(self._process.stdout.readline())
        self._seen: list[Seen] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._seen.append(Seen(**json.loads(line)))

    def since(self, at: float) -> list[Seen]:
        """What passed since then, in order."""
        return sorted((seen for seen in list(self._seen) if seen.at >= at), key=lambda seen: seen.at)

    def __enter__(self) -> Tap:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()


def own_share(passed: list[Seen]) -> float | None:
    """The seconds from the sync with a command to the reply, without those of the API server.

    None where there was no reply.
    """
    sent = next((seen for seen in passed if seen.asks and "/send/" in seen.request), None)
    if sent is None:
        return None
    before = [seen for seen in passed if seen.at < sent.at]
    calls = [seen for seen in before if seen.server == "api"]
    until = calls[0].at if calls else sent.at
    handed_over = [
        seen.at for seen in before if not seen.asks and "/sync" in seen.request and seen.at <= until
    ]
    if not handed_over:
        return None
    return sent.at - handed_over[-1] - served(calls)


def served(calls: list[Seen]) -> float:
    """The seconds from each call to the last bytes of its answer."""
    total = 0.0
    began: float | None = None
    ended: float | None = None
    for seen in calls:
        if not seen.asks:
            ended = seen.at
        elif began is None or ended is not None:
            total += ended - began if began is not None and ended is not None else 0.0
            began, ended = seen.at, None
    return total + (ended - began if began is not None and ended is not None else 0.0)


def _note(**seen: Any) -> None:
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()


def _pass_on(server: str, client: socket.socket, upstream: socket.socket) -> None:
    """Both directions of one connection, until one side ends it."""
    request = [""]

    def pump(source: socket.socket, sink: socket.socket, asks: bool) -> None:
        while True:
            try:
                piece = source.recv(65536)
                came = time.monotonic()
                if piece:
                    sink.sendall(piece)
            except OSError:
                piece = b""
            if not piece:
                for end in (source, sink):
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                return
            if asks and server == "homeserver":
                if not piece.startswith(_METHODS):
                    continue
                request[0] = piece.split(b"\r\n", 1)[0].decode("latin-1")
            _note(at=came if asks else time.monotonic(), server=server, request=request[0], asks=asks)

    threading.Thread(target=pump, args=(upstream, client, False), daemon=True).start()
    pump(client, upstream, True)


def _serve(server: str, target: tuple[str, int], listener: socket.socket) -> None:
    while True:
        client, _ = listener.accept()
        upstream = socket.create_connection(target)
        for end in (client, upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_pass_on, args=(server, client, upstream), daemon=True).start()


def main() -> None:
    """Reads where the servers are, says where it listens, and passes on for ever."""
    targets = json.loads(sys.stdin.readline())
    ports = {}
    for server, target in targets.items():
        listener = socket.create_server(("127.0.0.1", 0))
        ports[server] = listener.getsockname()[1]
        threading.Thread(target=_serve, args=(server, tuple(target), listener), daemon=True).start()
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
