"""A real browser before a target that is off: it sees the waiting page, and then the app, without a click.

The names in `localhost` are a secure place to a browser, as ones with https are: there it
says what each request is for (Sec-Fetch). For `example.org` it does not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from toggle_e2e import waiting_page
from toggle_e2e.backend import Backend
from toggle_e2e.browser import HEIGHT, WIDTH, Browser, Tab
from toggle_e2e.gateway import Gateway, Installed, ask, count, sleeping
from toggle_e2e.net import wait_for
from toggle_e2e.waiting_page import PICTURE
from toggle_e2e.world import World

NAMESPACE = "e2e-browser"
HOSTS = {
    "shown": "shown.localhost",
    "left": "left.localhost",
    "stale": "stale.localhost",
    "bare": "bare.example.org",
    "shut": "shut.example.org",
    "late": "late.localhost",
}
SPECIAL: dict[str, dict[str, object]] = {
    # Nobody is told how it is.
    "shut": {"anonymous": ["wake", "connect"]},
    "late": {"readyTimeout": "10s"},
}

WAITING = "Please wait"
APP = "The app"
LARGEST = 60_000


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, Backend]]:
    """What the pods of each serve; some do so only when they are told to."""
    with ExitStack() as stack:
        made = {name: stack.enter_context(Backend()) for name in HOSTS}
        made["left"].open()
        made["stale"].open()
        yield made


@pytest.fixture(scope="module")
def release(
    world: World, backends: dict[str, Backend], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """A release with one replica, before targets that are off."""
    special = {name: {"host": host} | SPECIAL.get(name, {}) for name, host in HOSTS.items()}
    workdir = tmp_path_factory.mktemp("gateway")
    with sleeping(world.cluster, NAMESPACE, workdir, backends, special) as made:
        made.started()
        yield made


@pytest.fixture
def gateway(release: Installed) -> Gateway:
    """The replica."""
    return release.replicas[0]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests; each has a tab of its own."""
    with Browser(tmp_path_factory.mktemp("browser"), "*.localhost", "*.example.org") as made:
        yield made


def address(gateway: Gateway, target: str, path: str = "/page") -> str:
    """Where a person finds a target."""
    return f"http://{HOSTS[target]}:{gateway.proxy}{path}"


def replicas(release: Installed, name: str) -> int:
    """How many a target should have."""
    return count(release.cluster, NAMESPACE, name)


def complaints(tab: Tab) -> list[str]:
    """What its console has, but for the status of the waiting page itself, which it always tells."""
    found = tab.complaints()
    told = "network: Failed to load resource: the server responded with a status of 503 (Service Unavailable)"
    page = [one for one in found if one.startswith(told) and urlsplit(one.split()[-1]).path == "/page"]
    assert len(page) <= sum(status == 503 for _, status, _ in tab.documents())
    return [one for one in found if one not in page]


def test_the_waiting_page_gives_way_to_the_app_by_itself(
    release: Installed, gateway: Gateway, browser: Browser, backends: dict[str, Backend]
) -> None:
    slow = backends["shown"]
    tab = browser.tab()
    still = [{"name": "prefers-color-scheme", "value": "light"}, {"name": "prefers-reduced-motion", "value": "reduce"}]
    tab.call("Emulation.setEmulatedMedia", features=still)
    there = address(gateway, "shown", "/page?from=a%20link#part")
    asked = address(gateway, "shown", "/page?from=a%20link")
    tab.open(there)
    tab.wait_title(WAITING)
    tab.wait("the phase", lambda: tab.evaluate("document.getElementById('s').textContent") == "starting")
    tab.wait("the words", lambda: "This page goes on by itself." in shown(tab))
    assert "This is starting up" in shown(tab)
    assert tab.evaluate("document.documentElement.lang") == "en"
    assert tab.evaluate("getComputedStyle(document.querySelector('main')).textAlign") == "center", "it has no style"
    assert tab.documents() == [("GET", 503, asked)]
    first = tab.told("Network.responseReceived")[0]
    page = tab.call("Network.getResponseBody", requestId=first["requestId"])["body"]
    compare_picture(tab, page)
    assert replicas(release, "shown") == 1 and not slow.seen

    slow.open()
    opened = time.monotonic()
    tab.wait_title(APP)
    assert time.monotonic() - opened < 10, "the page did not follow its target"
    # And not since it loads itself anew after a while.
    assert "ready" in [one["eventName"] for one in tab.told("Network.eventSourceMessageReceived")]
    assert tab.evaluate("location.href") == there
    tab.wait("the app's text", lambda: shown(tab) == "The app is here")
    assert tab.documents() == [("GET", 503, asked), ("GET", 200, asked)]
    assert [one.path for one in slow.seen] == ["/page?from=a%20link"], "it was asked for more than once"
    # Nothing else was loaded, from here or elsewhere, and the console is empty.
    assert tab.requested() == [asked, address(gateway, "shown", "/.gateway/status"), asked]
    assert complaints(tab) == []


def shown(tab: Tab) -> str:
    """The text of the page; an error while there is none."""
    return str(tab.evaluate("document.body.innerText"))


def compare_picture(tab: Tab, page: str) -> None:
    """The picture in the documents is of this page; where `WAITING_PAGE` names a file, it is taken anew there."""
    anew = os.environ.get("WAITING_PAGE")
    if anew:
        waiting_page.write(Path(anew), tab.screenshot(), page)
        return
    size, source = waiting_page.noted(PICTURE)
    assert source == waiting_page.digest(page), f"{PICTURE.name} is of another page: make waiting-page takes it anew"
    assert size == (WIDTH, HEIGHT)
    assert PICTURE.stat().st_size <= LARGEST


def test_browsers_that_are_told_less_get_to_the_app_too(
    release: Installed, gateway: Gateway, browser: Browser, backends: dict[str, Backend]
) -> None:
    """One that runs no scripts, and one that may not follow how the target is: both ask again after 5 s."""
    tabs = {"bare": browser.tab(), "shut": browser.tab()}
    tabs["bare"].call("Emulation.setScriptExecutionDisabled", value=True)
    for target, tab in tabs.items():
        tab.open(address(gateway, target))
    for target, tab in tabs.items():
        tab.wait_title(WAITING)
        backends[target].open()
    for target, tab in tabs.items():
        tab.wait_title(APP, 15)
        there = address(gateway, target)
        *waited, last = tab.documents()
        assert last == ("GET", 200, there)
        assert waited and set(waited) == {("GET", 503, there)}
        assert set(tab.requested()) == {there}
        assert complaints(tab) == []
        assert replicas(release, target) == 1


def test_the_page_asks_again_after_a_start_that_failed(
    gateway: Gateway, browser: Browser, backends: dict[str, Backend]
) -> None:
    tab = browser.tab()
    tab.open(address(gateway, "late"))
    tab.wait_title(WAITING)
    # It is told that the start failed, and asks for the page again.
    tab.wait("the failure", lambda: "This page tries again by itself." in shown(tab), 40)
    backends["late"].open()
    tab.wait_title(APP, 60)
    assert complaints(tab) == []


TALK = """
new Promise((done, failed) => {
  const heard = [], socket = new WebSocket(`ws://${location.host}/socket`);
  socket.onopen = () => { socket.send("text"); socket.send(new Uint8Array(70000)); socket.send("close 4001 enough"); };
  socket.onmessage = m => heard.push(m.data.size || m.data);
  socket.onclose = e => done([...heard, e.code, e.reason]);
})
"""
"""What a page says over a WebSocket, and hears."""

LISTEN = """
new Promise((done, failed) => {
  const heard = [], events = new EventSource("/events?n=5");
  events.onmessage = m => heard.push(m.data);
  events.onerror = () => { events.close(); done(heard); };
})
"""
"""The events that a page is told."""

def left_open(release: Installed, gateway: Gateway, browser: Browser, target: str) -> Tab:
    """A tab with an app that was switched off meanwhile."""
    tab = browser.tab()
    tab.open(address(gateway, target))
    tab.wait_title(APP)
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{target}/scale"
    release.cluster.ensure("PATCH", path, {"spec": {"replicas": 0}}, "application/merge-patch+json")
    looks = {"Host": HOSTS[target]}
    wait_for("it to be off", lambda: ask(gateway.proxy, "HEAD", "/", looks).status == 503, detail=gateway.tail)
    return tab


def test_an_app_talks_with_its_page(gateway: Gateway, browser: Browser) -> None:
    tab = browser.tab()
    tab.open(address(gateway, "left"))
    tab.wait_title(APP)
    assert tab.evaluate(TALK) == ["text", 70_000, 4001, "enough"]
    assert tab.evaluate(LISTEN) == ["0", "1", "2", "3", "4"]
    assert complaints(tab) == []


def test_a_tab_that_was_left_open_wakes_nothing_until_its_form_is_sent(
    release: Installed, gateway: Gateway, browser: Browser, backends: dict[str, Backend]
) -> None:
    tab = left_open(release, gateway, browser, "left")
    assert tab.evaluate("fetch('/poll').then(answer => answer.status)") == 503
    assert replicas(release, "left") == 0, "a script woke it"

    tab.evaluate("document.forms[0].submit()")
    form = address(gateway, "left", "/form")
    # It is held: what was filled in would be lost to a page.
    tab.wait("the form's answer", lambda: ("POST", 200, form) in tab.documents())
    assert [one for one in tab.documents() if one[2] == form] == [("POST", 200, form)]
    [sent] = [one for one in backends["left"].seen if one.path == "/form"]
    assert (sent.method, sent.length) == ("POST", len("said=kept"))
    assert replicas(release, "left") == 1


SOCKET_FAILS = """
new Promise(done => {
  const socket = new WebSocket(`ws://${location.host}/socket`);
  socket.onopen = () => done(false);
  socket.onerror = () => done(true);
})
"""
"""True if a WebSocket to the app is refused."""


def test_a_websocket_of_a_tab_that_was_left_open_wakes_nothing(
    release: Installed, gateway: Gateway, browser: Browser
) -> None:
    """Pages try theirs again and again. Chromium sends no Sec-Fetch with the handshake, but always an Origin."""
    tab = left_open(release, gateway, browser, "stale")
    assert tab.evaluate(SOCKET_FAILS) is True
    assert replicas(release, "stale") == 0, "a script woke it"
