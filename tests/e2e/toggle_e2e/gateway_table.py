"""The table of docs/gateway.md, made from what was measured."""

from __future__ import annotations

import statistics
from typing import Any

from .gateway_memory import HELD_ENCRYPTED, SOCKETS, memory_limit_kb
from .gateway_stage import HELD
from .gateway_waking import WAKES


def table(facts: dict[str, Any]) -> str:
    """Both parts of it, in Markdown."""
    proxies, sockets, left = facts["proxies"], facts["socket_kb"], facts["left_kb"]
    names = list(proxies)
    titles = [f"{name} {facts['proxy_versions'].get(name, '')}".strip() for name in names]
    beside = [
        ("added to a request, 1 connection, median", [f"{proxies[name]['added_us']:.0f} µs" for name in names]),
        ("requests a second and core, 32 connections", [f"{proxies[name]['rate']:,.0f}" for name in names]),
        ("computing for a request, kernel included", [f"{proxies[name]['cpu_us']:.0f} µs" for name in names]),
        (f"memory of an idle WebSocket, of {SOCKETS:,}", [f"{sockets[name]:.1f} kB" for name in names]),
        ("more than before once they are closed", [f"{left[name] / 1000:.1f} MB" for name in names]),
    ]
    added, burst = facts["gateway_wake_added_ms"], facts["gateway_burst"]
    alone = [
        (
            f"pod ready to the last byte of the answer that was held, {WAKES} wakes",
            f"{statistics.median(added):.0f} ms (median), {max(added):.0f} ms (slowest)",
        ),
        (
            f"{HELD} requests at once for a cold target",
            f"{burst['served']} answered, {burst['writes'].count(200)} write to its scale",
        ),
        (
            "process start to listening, and to ready",
            f"{statistics.median(facts['gateway_listening_s']) * 1000:.0f} ms, "
            f"{statistics.median(facts['gateway_ready_s']) * 1000:.0f} ms",
        ),
        ("resident memory, ready and idle", f"{facts['gateway_idle_kb'] / 1000:.1f} MB"),
        (
            f"the most with all of its room taken: {HELD} requests held or none, and more unfinished heads, uploads, "
            "downloads and WebSockets than are let in, heads of 16 kB, nobody taking what is sent to them",
            f"{max(facts['gateway_caps_kb'].values()) / 1000:.1f} MB "
            f"(the manifest allows {memory_limit_kb() * 1024 / 1e6:.1f} MB)",
        ),
        (
            f"the same with TLS, {HELD_ENCRYPTED} requests held, or more unfinished handshakes of 48 KiB",
            f"{max(facts['gateway_caps_kb_with_tls'].values()) / 1000:.1f} MB",
        ),
    ]
    lines = [_line(["", *titles]), "|---" * (len(names) + 1) + "|"]
    lines += [_line([what, *cells]) for what, cells in beside]
    lines += ["", _line(["", ""]), "|---|---|", *(_line([what, said]) for what, said in alone)]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"
