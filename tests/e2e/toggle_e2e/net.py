"""Loopback ports and waiting, shared by everything that runs a server."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Found = TypeVar("Found")

_taken: set[int] = set()


def free_port() -> int:
    """A loopback port below 32768.

    Linux hands out ports from there upwards to outgoing connections, so one
    from that range could be gone by the time a server is restarted on it.
    """
    for _ in range(200):
        port = random.randrange(18000, 32000)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError("no free loopback port between 18000 and 32000")


def end_cleanly_on_sigterm() -> None:
    """Takes SIGTERM for Ctrl-C, so that whoever is ended by it ends its servers too."""

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def uninterrupted(work: Callable[[], None]) -> None:
    """Does something to its end, whatever signal comes.

    Signals are taken in the main thread. A process started there could be
    running and not yet be known to anybody who would end it.
    """
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()


def wait_for(
    what: str,
    probe: Callable[[], Found],
    timeout: float = 20,
    every: float = 0.05,
    detail: Callable[[], str] | None = None,
) -> Found:
    """Asks until the answer is true; a timeout says what was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            more = f"\n{detail()}" if detail else ""
            raise TimeoutError(f"waited {timeout:g} s for {what}{more}")
        time.sleep(every)
