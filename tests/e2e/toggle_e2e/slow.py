"""Many clients that are in no hurry: a process of its own, so that whoever measures beside them is not disturbed."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .net import wait_for

_AT_ONCE = 100
"""Connections that are being made at a time."""

_LOOK = 0.5
"""Seconds between two looks at a connection that nothing is read from."""

_ESTABLISHED = 1
"""The state of an open connection in the kernel's `tcp_info`."""


@dataclass(frozen=True)
class Habit:
    """What each of them does with its connection."""

    begins: str = ""
    """Sent at once; one character is a byte."""
    drips: str = ""
    """Sent again and again then."""
    pace: float = 2
    """Seconds from one of these to the next."""
    shakes_hands: bool = False
    """Whether a handshake of TLS comes first."""
    reads: bool = True
    again: float | None = 1
    """Seconds until it comes back when it was turned away; None for never."""


@dataclass(frozen=True)
class _Task:
    port: int
    habit: Habit
    count: int
    sources: Sequence[str]


@dataclass
class Counts:
    """How they fare."""

    came: int = 0
    """Clients that have tried to connect."""
    there: int = 0
    """Connections that are open, as far as the clients know, and whose handshake is over."""
    most: int = 0
    """The highest number of these since the last question: those whose handshake is under way may be half of all."""
    ended: int = 0
    """Connections that the server has ended so far."""


class SlowCrowd:
    """So many clients of a port, from these addresses in turn, until this ends."""

    def __init__(self, port: int, habit: Habit, count: int, sources: Sequence[str]) -> None:
        self._task = _Task(port, habit, count, sources)
        self._process: subprocess.Popen[str] | None = None
        self._last = Counts()

    def __enter__(self) -> SlowCrowd:
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "toggle_e2e.slow"],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin
        print(json.dumps(asdict(self._task)), file=self._process.stdin, flush=True)
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Ends all connections."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
            try:
                self._process.wait(20)
            finally:
                self._process.kill()
                self._process.wait()

    def counts(self) -> Counts:
        """How they fare now, or have fared when they were asked last before they left."""
        assert self._process and self._process.stdin and self._process.stdout
        if not self._process.stdin.closed:
            print(file=self._process.stdin, flush=True)
            self._last = Counts(**json.loads(self._process.stdout.readline()))
        return self._last

    def wait_came(self, timeout: float = 40) -> None:
        """Waits until each of them has come once."""
        count = self._task.count
        wait_for(f"{count} clients to come", lambda: self.counts().came == count, timeout, every=0.1)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, habit: Habit) -> None:
        self._habit = habit
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if not self._habit.reads:
            transport.pause_reading()
        transport.write(self._habit.begins.encode("latin-1"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    async def stay(self) -> None:
        """Goes on until the server has ended it."""
        drips = self._habit.drips.encode("latin-1")
        while True:
            await asyncio.wait([self.gone], timeout=self._habit.pace if self._habit.reads else _LOOK)
            if self.gone.done() or not (self._habit.reads or self._is_open()):
                return
            self.transport.write(drips)

    def _is_open(self) -> bool:
        """Who does not read is not told."""
        connection = self.transport.get_extra_info("socket")
        return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED)


async def _come(task: _Task) -> None:
    """Has all of them come, and tells how they fare for each line that is read, until there is none."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(_AT_ONCE)
    counts = Counts()
    tls = trusting() if task.habit.shakes_hands else None

    async def once(source: str, is_first: bool) -> None:
        try:
            async with gate:
                _, client = await loop.create_connection(
                    lambda: _Client(task.habit), "127.0.0.1", task.port, ssl=tls, local_addr=(source, 0)
                )
        finally:
            counts.came += is_first
        counts.there += 1
        counts.most = max(counts.most, counts.there)
        try:
            await client.stay()
            counts.ended += 1
        finally:
            client.transport.abort()
            counts.there -= 1

    async def one(source: str) -> None:
        is_first = True
        while True:
            with suppress(OSError):
                await once(source, is_first)
            if task.habit.again is None:
                return
            is_first = False
            await asyncio.sleep(task.habit.again)

    clients = [asyncio.create_task(one(task.sources[n % len(task.sources)])) for n in range(task.count)]
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(asdict(counts)), flush=True)
        counts.most = counts.there
    for client in clients:
        client.cancel()
    await asyncio.wait(clients)


def trusting() -> ssl.SSLContext:
    """The context of a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def client_hello() -> bytes:
    """The first message of a handshake."""
    sent = ssl.MemoryBIO()
    client = trusting().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="app.example.org")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def _main() -> None:
    told = json.loads(sys.stdin.readline())
    task = _Task(told["port"], Habit(**told["habit"]), told["count"], told["sources"])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_come(task))


if __name__ == "__main__":
    _main()
