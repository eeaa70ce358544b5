"""Stands between a client and its two servers and notes when what passes.

The homeserver is spoken to in plain HTTP, so its requests are known by their first
line; of the API server's encrypted bytes only the time is known. A process of its
own, since the times are to be those of the wire.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

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
    """Whether they went to the server."""


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
    # What comes before the first call ends a connection of before.
    calls = list(itertools.dropwhile(lambda seen: not seen.asks, (seen for seen in before if seen.server == "api")))
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


class _Passage:
    """One connection: both its ends, and the request that its bytes belong to."""

    def __init__(self, server: str, client: socket.socket, target: tuple[str, int]) -> None:
        self.server = server
        self.client = client
        self.upstream = socket.create_connection(target)
        self.request = ""
        for end in (self.client, self.upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pass_on(self, source: socket.socket) -> bool:
        """Passes on what has come from one end; false when that has ended."""
        asks = source is self.client
        try:
            piece = source.recv(65536)
            # Noted before it is passed on: whatever follows from it is later.
            at = time.monotonic()
            if not piece:
                return False
            (self.upstream if asks else self.client).sendall(piece)
        except OSError:
            return False
        is_body = False
        if asks and self.server == "homeserver":
            is_body = not piece.startswith(_METHODS)
            if not is_body:
                self.request = piece.split(b"\r\n", 1)[0].decode("latin-1")
        if not is_body:
            print(json.dumps(asdict(Seen(at, self.server, self.request, asks))), flush=True)
        return True

    def end(self) -> None:
        self.client.close()
        self.upstream.close()


def main() -> None:
    """Reads where the servers are, says where it listens, and passes on for ever.

    In one thread: two would wait for each other, and their times with them.
    """
    targets = json.loads(sys.stdin.readline())
    ready = selectors.DefaultSelector()
    ports = {}
    for server, target in targets.items():
        listener = socket.create_server(("127.0.0.1", 0))
        ports[server] = listener.getsockname()[1]
        ready.register(listener, selectors.EVENT_READ, (server, tuple(target)))
    print(json.dumps(ports), flush=True)
    while True:
        for key, _ in ready.select():
            end = key.fileobj
            assert isinstance(end, socket.socket)
            if not isinstance(key.data, _Passage):
                client, _ = end.accept()
                passage = _Passage(key.data[0], client, key.data[1])
                ready.register(passage.client, selectors.EVENT_READ, passage)
                ready.register(passage.upstream, selectors.EVENT_READ, passage)
            elif end.fileno() != -1 and not key.data.pass_on(end):
                ready.unregister(key.data.client)
                ready.unregister(key.data.upstream)
                key.data.end()


if __name__ == "__main__":
    main()
