"""WebSockets through the gateway, by a client that shares nothing with the app behind it.

The client is `websockets`, the app `aiohttp`.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from toggle_e2e.backend import Backend
from toggle_e2e.gateway import Gateway, Installed, count, sleeping
from toggle_e2e.net import wait_for
from toggle_e2e.world import World

NAMESPACE = "e2e-websocket"
MIB = 1 << 20


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """What the pods serve, once they are told to."""
    with Backend() as made:
        yield made


@pytest.fixture(scope="module")
def release(world: World, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A release with one replica, before a target that is off."""
    workdir = tmp_path_factory.mktemp("gateway")
    with sleeping(world.cluster, NAMESPACE, workdir, {"app": backend}) as made:
        made.started()
        yield made


@pytest.fixture
def gateway(release: Installed) -> Gateway:
    """The replica."""
    return release.replicas[0]


def dial(gateway: Gateway, **more: Any) -> ClientConnection:
    """A WebSocket to the app."""
    url = f"ws://app.example.org:{gateway.proxy}/socket"
    stream = socket.create_connection(("127.0.0.1", gateway.proxy))
    return connect(url, sock=stream, open_timeout=30, max_size=4 * MIB, **more)


def test_a_cold_start_is_waited_for_and_pings_are_answered_at_once(
    release: Installed, gateway: Gateway, backend: Backend
) -> None:
    """The handshake is held until the app takes it; nothing of the socket is the gateway's."""
    assert count(release.cluster, NAMESPACE, "app") == 0
    opening = threading.Timer(1, backend.open)
    opening.start()
    with dial(gateway, subprotocols=["other", "chat"]) as client:
        opening.join()
        assert count(release.cluster, NAMESPACE, "app") == 1
        assert client.subprotocol == "chat"
        assert client.response and "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        for payload in (b"", b"cold", b"x" * 125):
            assert client.ping(payload).wait(5), f"no answer to a ping with {payload!r}"
        assert backend.pings == [b"", b"cold", b"x" * 125]
        client.send("ping back")
        client.send("after")
        assert client.recv(5) == "after"
        wait_for("the app's ping to be answered", lambda: backend.pongs == [b"back"])
    [seen] = [one for one in backend.seen if one.path == "/socket"]
    assert seen.headers["host"] == f"app.example.org:{gateway.proxy}"


@pytest.mark.parametrize("compression", ["deflate", None])
def test_text_and_binary_come_back_as_they_were(gateway: Gateway, backend: Backend, compression: str | None) -> None:
    """Up to frames of 1 MiB, whole and in fragments, both ways at the same time."""
    backend.open()
    large = os.urandom(MIB)
    messages: list[str | bytes] = ["", b"", "schön ☃", bytes(range(256)), "é" * (MIB // 2), large]
    with dial(gateway, compression=compression) as client:
        for message in messages:
            client.send(message)
            assert client.recv(10) == message
        # In frames of 64 KiB, so a ping may go between them.
        client.send(large[start : start + (1 << 16)] for start in range(0, MIB, 1 << 16))
        assert client.recv(10) == large

        def pour() -> None:
            for _ in range(8):
                client.send(large)

        pouring = threading.Thread(target=pour)
        pouring.start()
        assert all(client.recv(10) == large for _ in range(8))
        pouring.join()


def test_codes_of_a_close_pass_both_ways(gateway: Gateway, backend: Backend) -> None:
    backend.open()
    for code, reason in [(1000, ""), (1001, "going away"), (3000, "registered"), (4999, "ü" * 61)]:
        backend.closes.clear()
        with dial(gateway) as client:
            client.close(code, reason)
        wait_for("the app to hear it", lambda: backend.closes)
        assert backend.closes == [code]
        with dial(gateway) as client:
            client.send(f"close {code} {reason}")
            with pytest.raises(ConnectionClosedOK if code < 3000 else ConnectionClosedError) as closed:
                client.recv(5)
        assert closed.value.rcvd and (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)
        assert closed.value.rcvd_then_sent


def test_whoever_vanishes_is_missed_at_the_other_end(gateway: Gateway, backend: Backend) -> None:
    """Without a closing handshake, which only the two ends may make up."""
    backend.open()
    with dial(gateway) as client:
        client.send("abort")
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(5)
        assert closed.value.rcvd is None, "somebody closed for the app"
    wait_for("the app to be rid of it", lambda: backend.sockets == 0)
    backend.closes.clear()
    with dial(gateway) as client:
        client.send("here")
        assert client.recv(5) == "here" and backend.sockets == 1
        client.socket.shutdown(socket.SHUT_RDWR)
    wait_for("the app to miss it", lambda: backend.sockets == 0, 5)
    assert backend.closes == [1006]
