"""A client that asks for the same things again and again, and how each of its requests went."""

from __future__ import annotations

import http.client
import ssl
import statistics
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

CLOSED = "closed"
"""Instead of a status: the connection was ended before an answer."""

HANGS = "hangs"
"""Instead of a status: there was nothing for as long as the client is patient."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    at: float
    seconds: float
    outcome: int | str


@dataclass
class Errand:
    """The same request again and again: each on a new connection, or all on one while it is there."""

    name: str
    port: int
    path: str
    headers: Mapping[str, str]
    is_kept: bool
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    lost: int = 0
    """How often the connection that is kept was gone: the request is sent again on a new one, as clients do."""

    def since(self, began: float, until: float = float("inf")) -> list[Asked]:
        """The requests that were begun in a time."""
        return [one for one in self.asked if began <= one.at < until]


class Errands:
    """A client with a thread for each errand, from an address of its own."""

    def __init__(self, errands: list[Errand], source: str, every: float = 0.1, patience: float = 5) -> None:
        self.errands = errands
        self._source = source
        self._every = every
        self._patience = patience
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,), daemon=True) for one in errands]

    def __enter__(self) -> Errands:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(2 * self._patience)

    def least(self, began: float) -> int:
        """The number of requests since then, of the errand with the fewest."""
        return min(len(one.since(began)) for one in self.errands)

    def since(self, began: float, until: float = float("inf")) -> list[Asked]:
        """The requests of all errands that were begun in a time."""
        return [asked for one in self.errands for asked in one.since(began, until)]

    def told(self, began: float, until: float = float("inf")) -> str:
        """What became of them, a line for each errand."""
        return "\n".join(f"{one.name}: {told(one.since(began, until))}, {one.lost} times lost" for one in self.errands)

    def _run(self, errand: Errand) -> None:
        kept: http.client.HTTPConnection | None = None
        while not self._ending.is_set():
            began = time.monotonic()
            outcome = self._ask(errand, kept) if kept else CLOSED
            if not kept or outcome == CLOSED:
                errand.lost += kept is not None
                kept = self._connection(errand)
                outcome = self._ask(errand, kept)
            took = time.monotonic() - began
            errand.asked.append(Asked(began, took, outcome))
            if not errand.is_kept or kept.sock is None:
                kept.close()
                kept = None
            self._ending.wait(max(0.0, self._every - took))

    def _connection(self, errand: Errand) -> http.client.HTTPConnection:
        source = (self._source, 0)
        if errand.tls:
            return http.client.HTTPSConnection(
                "127.0.0.1", errand.port, timeout=self._patience, source_address=source, context=errand.tls
            )
        return http.client.HTTPConnection("127.0.0.1", errand.port, self._patience, source)

    def _ask(self, errand: Errand, connection: http.client.HTTPConnection) -> int | str:
        try:
            connection.request("GET", errand.path, headers=dict(errand.headers))
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except TimeoutError:
            connection.close()
            return HANGS
        except (OSError, http.client.HTTPException):
            connection.close()
            return CLOSED


def told(asked: list[Asked]) -> str:
    """The outcomes of requests, and how long they took."""
    times = sorted(one.seconds * 1000 for one in asked) or [0.0]
    outcomes = Counter(one.outcome for one in asked)
    return f"{dict(outcomes)} in {statistics.median(times):.1f} ms (median), {times[-1]:.0f} ms (slowest)"
