"""Many connections at once, and a backend that takes them: sockets that say nothing, bodies that nobody reads."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType

from .net import free_port, wait_for

# The example of RFC 6455, 1.3.
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
ENDLESS = 1 << 40
"""The length of bodies that do not end."""

_AT_ONCE = 50
_PIECE = bytes(64 * 1024)

SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": _KEY,
}
"""The fields of a handshake."""


class _Taker(asyncio.Protocol):
    """One connection of the backend, of which the head is read and nothing else."""

    def __init__(self, open_now: set[asyncio.Transport]) -> None:
        self._open = open_now
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._head.endswith(b"\r\n\r\n"):
            return
        self._head += data
        head, separator, _ = self._head.partition(b"\r\n\r\n")
        if not separator:
            return
        self._head = separator
        if b"sec-websocket-key" in head.lower():
            self._transport.write(_AGREED)
        elif head.startswith(b"POST "):
            self._transport.pause_reading()
        else:
            self._transport.write(f"HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n".encode())
            for _ in range(16):
                self._transport.write(_PIECE)


class Crowd:
    """The backend, on all addresses, and the clients that were made; both in one loop."""

    def __init__(self) -> None:
        self.port = free_port()
        self.taken: set[asyncio.Transport] = set()
        """Connections that have come through."""
        self.writers: list[asyncio.StreamWriter] = []
        self.encryption: ssl.SSLContext | None = None
        """The TLS of its clients; none for those that speak in the clear."""
        self._runner = asyncio.Runner()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Crowd:
        async def serve() -> asyncio.Server:
            loop = asyncio.get_running_loop()
            return await loop.create_server(lambda: _Taker(self.taken), "0.0.0.0", self.port, backlog=4096)

        self._server = self._runner.run(serve())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self._runner.close()

    def sockets(self, port: int, count: int, headers: Mapping[str, str]) -> None:
        """So many more WebSockets through a port, open and idle."""
        head = request("GET", "/socket", {**headers, **SOCKET})
        self._runner.run(self._open(port, count, head, b"HTTP/1.1 101 "))

    def unanswered(self, port: int, count: int, sent: bytes, body: int = 0) -> None:
        """So many more connections on which this was sent, and as much of a body as is taken."""
        self._runner.run(self._open(port, count, sent, None, body))

    def answered(self, port: int, count: int, sent: bytes) -> None:
        """So many more connections on which this was sent, and of whose answers the head was read."""
        self._runner.run(self._open(port, count, sent, b"HTTP/1.1 200 "))

    def leave(self) -> None:
        """Closes all connections from the clients' side, and waits until the backend has seen that."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()
        wait_for("the backend's connections to end", self._has_left, 20)

    def _has_left(self) -> bool:
        for one in self.taken:
            # Nobody is told of the end of what is not read; some may only come now.
            one.resume_reading()
        self.pass_time(0.05)
        return not self.taken

    def pass_time(self, seconds: float) -> None:
        """Lets what is under way go on."""
        self._runner.run(asyncio.sleep(seconds))

    def all_at_once(self, port: int, heads: list[bytes], timeout: float = 60) -> list[bytes]:
        """The whole answers to requests, each on a connection that it ends; empty where there was none."""

        async def one(head: bytes) -> bytes:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(head)
                    return await reader.read()
                finally:
                    writer.close()
            except OSError:
                return b""

        async def every() -> list[bytes]:
            async with asyncio.timeout(timeout):
                return await asyncio.gather(*map(one, heads))

        return self._runner.run(every())

    async def _open(self, port: int, count: int, sent: bytes, begins: bytes | None, body: int = 0) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one() -> None:
            async with gate:
                try:
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", port, limit=32 * 1024, ssl=self.encryption
                    )
                except OSError:
                    if begins is not None:
                        raise
                    # Refused, for which nobody waits who has sent nothing yet.
                    return
                self.writers.append(writer)
                writer.write(sent)
                for _ in range(body // len(_PIECE)):
                    if not writer.is_closing():
                        writer.write(_PIECE)
                if begins is None:
                    return
                answer = await reader.readuntil(b"\r\n\r\n")
                if not answer.startswith(begins):
                    raise SystemExit(f"a connection at port {port} was answered {answer[:300]!r}")
                writer.transport.pause_reading()

        async with asyncio.timeout(60):
            await asyncio.gather(*(one() for _ in range(count)))


def request(method: str, path: str, headers: Mapping[str, str], size: int = 0) -> bytes:
    """The head of a request, filled up to a size in bytes with fields as browsers' cookies are large."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    bare = len("\r\n".join([*lines, "", ""]))
    number = 0
    while size - bare > 64:
        field = f"X-Filling-{number}: "
        value = "x" * min(600, size - bare - len(field) - 2)
        lines.append(field + value)
        bare += len(field) + len(value) + 2
        number += 1
    return "\r\n".join([*lines, "", ""]).encode()
