"""Addresses of pods that lead to this machine.

Nothing is run in a pod here, so what it would serve is served by a process of the
tests, on all addresses. A network out of the range that is set aside for tests of
networks (RFC 2544), and that is routed nowhere, is made local for as long as it is
needed: a connection to any of its addresses reaches that process.
"""

from __future__ import annotations

import atexit
import itertools
import os
import random
import subprocess
from typing import Any


class PodNetwork:
    """A network of pods."""

    def __init__(self) -> None:
        self.prefix = f"198.{random.choice((18, 19))}.{random.randrange(256)}"
        self._numbers = itertools.count(1)
        self._is_made = False

    def __enter__(self) -> PodNetwork:
        self._route("add")
        self._is_made = True
        atexit.register(self.close)
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes the network away."""
        atexit.unregister(self.close)
        if self._is_made:
            self._is_made = False
            self._route("del")

    def addressed(self) -> dict[str, Any]:
        """What the status of one more pod says of its address."""
        address = f"{self.prefix}.{next(self._numbers) % 254 + 1}"
        return {"podIP": address, "podIPs": [{"ip": address}]}

    def _route(self, what: str) -> None:
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        subprocess.run([*as_root, "ip", "route", what, "local", f"{self.prefix}.0/24", "dev", "lo"], check=True)
