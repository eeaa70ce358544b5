"""What the gateway takes of memory: at rest, for WebSockets that are idle, and with all its limits reached."""

from __future__ import annotations

import ssl
import time
from typing import Any

import yaml

from .cost import reset_peak, resident_kb
from .crowd import ENDLESS, SOCKET, Crowd, request
from .gateway import Gateway
from .gateway_stage import HELD, GatewayStage
from .hermetic import Row
from .manifests import KUSTOMIZE, REPOSITORY
from .net import wait_for
from .pki import Authority
from .proxies import Server

BUDGET_IDLE_KB = 6_000
BUDGET_SOCKET_KB = 8.0
BUDGET_LEFT_KB = 1_500
SOCKETS = 3_000
# A socket takes 8 places until it is one, and 50 are opened at a time; 1 place of 32 is for the API.
ROOM = (SOCKETS + 50 * 8) * 32 // 31 + 1
# More than there is room for.
CONNECTIONS = 1_000
BODIES = 200
# Below the 16 KiB of a head, and its 100 fields.
LARGEST_HEAD = 16_000
PIECE = 256 * 1024
# A connection takes a place more than without TLS.
HELD_ENCRYPTED = 200
# Three records of 16 KiB of the 65,535 bytes that a client's first message may have.
FIRST_WORDS = b"".join(
    b"\x16\x03\x01\x40\x00" + (b"\x01\x00\xff\xfb" if first else bytes(4)) + bytes(0x4000 - 4)
    for first in (True, False, False)
)


def settled_kb(pid: int) -> int:
    """Resident memory once it has stayed the same for half a second, or after five."""
    seen = [resident_kb(pid)]
    for _ in range(50):
        time.sleep(0.1)
        seen.append(resident_kb(pid))
        if len(set(seen[-6:])) == 1 and len(seen) >= 6:
            break
    return seen[-1]


def socket_memory(crowd: Crowd, pid: int, port: int, headers: dict[str, str]) -> dict[str, int]:
    """The resident memory of a proxy before, with and after so many idle WebSockets, in kB."""
    # What it makes once, it has then.
    crowd.sockets(port, 50, headers)
    crowd.leave()
    before = settled_kb(pid)
    crowd.sockets(port, SOCKETS, headers)
    if len(crowd.taken) != SOCKETS:
        raise SystemExit(f"{len(crowd.taken)} of {SOCKETS} WebSockets have come through port {port}")
    crowd.pass_time(0)
    with_them = settled_kb(pid)
    if len(crowd.taken) != SOCKETS:
        raise SystemExit(f"only {len(crowd.taken)} of {SOCKETS} WebSockets stayed open at port {port}")
    crowd.leave()
    return {"before": before, "with": with_them, "after": settled_kb(pid)}


def measure_sockets(stage: GatewayStage, anchors: list[Server]) -> tuple[list[Row], dict[str, Any]]:
    """Of the gateway, and of the others beside it."""
    gateway = stage.replica(MAX_CONNECTIONS=str(ROOM))
    gateway.start()
    idle = settled_kb(gateway.pid)
    found = {"gateway": socket_memory(stage.crowd, gateway.pid, gateway.proxy, stage.headers("socket"))}
    gateway.kill()
    for one in anchors:
        found[one.name] = socket_memory(stage.crowd, one.pid, one.port, stage.headers("socket"))
    each = {name: (kb["with"] - kb["before"]) / SOCKETS for name, kb in found.items()}
    left = {name: kb["after"] - kb["before"] for name, kb in found.items()}
    rows = [
        Row(
            "gateway: resident memory, ready and idle",
            f"{idle} kB",
            f"≤ {BUDGET_IDLE_KB} kB",
            idle <= BUDGET_IDLE_KB,
        ),
        Row(
            f"gateway: {SOCKETS:,} idle WebSockets, memory of each",
            f"{each['gateway']:.1f} kB",
            f"≤ {BUDGET_SOCKET_KB:g} kB",
            each["gateway"] <= BUDGET_SOCKET_KB,
        ),
        Row(
            "  more than before once they are closed",
            f"{left['gateway']} kB",
            f"≤ {BUDGET_LEFT_KB} kB",
            left["gateway"] <= BUDGET_LEFT_KB,
        ),
        *(
            Row(f"  {one.name}: each, and more than before", f"{each[one.name]:.1f} kB, {left[one.name]} kB")
            for one in anchors
        ),
    ]
    return rows, {"gateway_idle_kb": idle, "sockets_kb": found, "socket_kb": each, "left_kb": left}


def measure_caps(stage: GatewayStage) -> tuple[list[Row], dict[str, Any]]:
    """All that may be open at once, of the kinds that take most, by the limits that are the default."""
    kinds = ["slow heads", "uploads", "downloads", "sockets"]
    rows, facts = _peaks(stage, stage.replica(), "all of its limits reached", kinds, HELD)
    authority = Authority(stage.workdir / "tls")
    authority.server("gateway")
    files = {"TLS_CERT_FILE": "gateway.crt", "TLS_KEY_FILE": "gateway.key"}
    gateway = stage.replica(**{name: str(stage.workdir / "tls" / file) for name, file in files.items()})
    stage.crowd.encryption = ssl.create_default_context(cafile=str(authority.path))
    try:
        more, encrypted = _peaks(stage, gateway, "the same limits, with TLS", ["first words", *kinds], HELD_ENCRYPTED)
    finally:
        stage.crowd.encryption = None
    return rows + more, facts | {f"{name}_with_tls": value for name, value in encrypted.items()}


def _peaks(
    stage: GatewayStage, gateway: Gateway, what: str, kinds: list[str], most_held: int
) -> tuple[list[Row], dict[str, Any]]:
    limit = memory_limit_kb()
    gateway.start()
    reset_peak(gateway.pid)
    peaks = {
        f"{name}, {held} held": _at_the_caps(stage, gateway, name, held) for name in kinds for held in (most_held, 0)
    }
    log = gateway.tail()
    is_there = gateway.running and gateway.is_ready()
    gateway.kill()
    peak = max(peaks.values())
    rows = [
        Row(
            f"gateway: peak memory with {what}",
            f"{peak} kB",
            f"≤ {limit} kB",
            is_there and peak <= limit,
        ),
        Row("  by what those do that are not held", ", ".join(f"{name} {kb} kB" for name, kb in peaks.items())),
    ]
    return rows, {"gateway_caps_kb": peaks} | ({} if is_there else {"gateway_log": log})


def _at_the_caps(stage: GatewayStage, gateway: Gateway, kind: str, held: int) -> int:
    """The peak with so many held requests, and more of a kind and more heads at both ports than there is room for."""
    crowd, port = stage.crowd, gateway.proxy
    crowd.unanswered(port, held, request("GET", "/", stage.headers("cold"), LARGEST_HEAD))
    wait_for("all to be held", lambda: _gauge(gateway, "openclaw_gateway_held") == held, detail=gateway.tail)
    if kind == "uploads":
        head = request("POST", "/", {**stage.headers("socket"), "Content-Length": str(ENDLESS)}, LARGEST_HEAD)
        crowd.unanswered(port, BODIES, head, PIECE)
    elif kind == "downloads":
        crowd.unanswered(port, BODIES, request("GET", "/", stage.headers("socket"), LARGEST_HEAD))
    elif kind == "first words":
        encryption, crowd.encryption = crowd.encryption, None
        for one in (port, gateway.api):
            crowd.unanswered(one, CONNECTIONS, FIRST_WORDS)
        crowd.encryption = encryption
    elif kind == "sockets":
        crowd.unanswered(port, CONNECTIONS, request("GET", "/socket", {**stage.headers("socket"), **SOCKET}))
    crowd.pass_time(1)
    slow = request("GET", "/", stage.headers("app"), LARGEST_HEAD)[:-2]
    for one in (port, gateway.api):
        crowd.unanswered(one, CONNECTIONS, slow)
    crowd.pass_time(1)
    still = _gauge(gateway, "openclaw_gateway_held")
    if still != held:
        raise SystemExit(f"{still:g} of {held} were still held beside {kind}:\n{gateway.tail()}")
    peak = resident_kb(gateway.pid, "VmHWM")
    crowd.leave()
    wait_for("nothing to be held", lambda: _gauge(gateway, "openclaw_gateway_held") == 0, detail=gateway.tail)
    reset_peak(gateway.pid)
    return peak


def _gauge(gateway: Gateway, name: str) -> float:
    page = gateway.health("/metrics")[1]
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{")))


def memory_limit_kb() -> int:
    """What the manifest allows, which is what the chart allows too."""
    documents = yaml.safe_load_all((KUSTOMIZE / "gateway" / "gateway.yaml").read_text())
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    chart = REPOSITORY / "deploy" / "helm" / "openclaw-k8s-toggle-operator" / "values.yaml"
    limits = {
        container["resources"]["limits"]["memory"],
        yaml.safe_load(chart.read_text())["gateway"]["resources"]["limits"]["memory"],
    }
    if len(limits) != 1:
        raise SystemExit(f"the manifest and the chart allow the gateway different amounts of memory: {limits}")
    return int(limits.pop().removesuffix("Mi")) * 1024
