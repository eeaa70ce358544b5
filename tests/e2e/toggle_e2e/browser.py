"""Chromium without a window, driven over its DevTools protocol.

It resolves no name but those of the tests, so nothing it loads comes from elsewhere.

Specification: https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .net import uninterrupted, wait_for

Found = TypeVar("Found")
Object = dict[str, Any]

WIDTH, HEIGHT = 800, 500
"""The size of a tab."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)

LARGEST = 64 << 20
"""The longest message of the protocol that is taken: a screenshot is one."""


class BrowserError(Exception):
    """The browser did not do what it was told."""


class BrowserGone(BrowserError):
    """The browser has ended."""


class Browser:
    """One browser with a profile that is new."""

    def __init__(self, workdir: Path, *names: str) -> None:
        """`names` are patterns of host names that lead to this machine; there are no others."""
        self._profile = workdir / "profile"
        self._log = workdir / "chromium.log"
        rules = [*(f"MAP {name} 127.0.0.1" for name in names), "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"]
        self._resolver = ", ".join(rules)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: ClientConnection | None = None
        self._last = 0
        self._answers: dict[int, Object] = {}
        self._tabs: dict[str, Tab] = {}

    def __enter__(self) -> Browser:
        uninterrupted(self._spawn)
        try:
            port, path = wait_for("the browser", self._listening, 30, detail=self._log.read_text)
            self._connection = connect(f"ws://127.0.0.1:{port}{path}", max_size=LARGEST, compression=None)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        self.close()

    def _spawn(self) -> None:
        self._profile.mkdir(parents=True)
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if not program:
            raise BrowserError("there is no Chromium: make prerequisites installs it")
        command = [
            program,
            *FLAGS,
            f"--user-data-dir={self._profile}",
            f"--host-resolver-rules={self._resolver}",
            "about:blank",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], "HOME": str(self._profile), "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its processes are many and are ended together.
                start_new_session=True,
            )

    def _listening(self) -> list[str] | None:
        assert self._process
        if self._process.poll() is not None:
            raise BrowserError(f"the browser ended:\n{self._log.read_text()}")
        file = self._profile / "DevToolsActivePort"
        lines = file.read_text().split() if file.exists() else []
        return lines if len(lines) == 2 else None

    def close(self) -> None:
        """Ends it, with all it has started."""
        if self._connection:
            self._connection.close()
        if self._process:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()

    def tab(self) -> Tab:
        """A new tab, with cookies and a cache of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        made = self._tabs[session] = Tab(self, session, target)
        for domain in ("Page", "Network", "Runtime", "Log"):
            made.call(f"{domain}.enable")
        size = {"width": WIDTH, "height": HEIGHT}
        made.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
        return made

    def call(self, method: str, session: str | None = None, **params: Any) -> Object:
        """Has the browser, or what has the session, do something, and gives its answer."""
        assert self._connection
        self._last += 1
        number = self._last
        message: Object = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._connection.send(json.dumps(message))
        deadline = time.monotonic() + 20
        while number not in self._answers:
            if time.monotonic() > deadline:
                raise BrowserError(f"no answer to {method}")
            self.hear(1)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: Object = answer["result"]
        return result

    def hear(self, timeout: float) -> None:
        """Takes what comes next, if it comes in so many seconds."""
        assert self._connection
        try:
            message = json.loads(self._connection.recv(timeout))
        except TimeoutError:
            return
        except ConnectionClosed as closed:
            raise BrowserGone(f"the browser is gone:\n{self._log.read_text()}") from closed
        if "id" in message:
            self._answers[message["id"]] = message
        elif message.get("sessionId") in self._tabs:
            self._tabs[message["sessionId"]].events.append(message)


class Tab:
    """One tab, and all that it has told."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self.events: list[Object] = []

    def call(self, method: str, **params: Any) -> Object:
        """Has it do something and gives its answer."""
        return self._browser.call(method, self._session, **params)

    def open(self, url: str) -> None:
        """Goes there, as somebody does who types the address; does not wait until it is there."""
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression on the page, or of what it promises."""
        given = {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        found = self.call("Runtime.evaluate", **given)
        if "exceptionDetails" in found:
            raise BrowserError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def title(self) -> str:
        """The title of what it shows; no script has to run on the page for it."""
        info = self._browser.call("Target.getTargetInfo", targetId=self._target)["targetInfo"]
        return str(info["title"])

    def wait(self, what: str, probe: Callable[[], Found], timeout: float = 20) -> Found:
        """Asks whenever something has happened until the answer is true.

        A page that gives way to another at this moment, and one that is there in part, has no answer yet.
        """
        deadline = time.monotonic() + timeout
        while True:
            trouble = ""
            try:
                if found := probe():
                    return found
            except BrowserGone:
                raise
            except BrowserError as error:
                trouble = f"; {error}"
            if time.monotonic() > deadline:
                shown = f"shown: {self.title()}; {self.documents()}{trouble}"
                raise TimeoutError(f"waited {timeout:g} s for {what}; {shown}")
            self._browser.hear(0.05)

    def wait_title(self, title: str, timeout: float = 20) -> None:
        """Waits until a page of this title is shown."""
        self.wait(title, lambda: self.title() == title, timeout)

    def told(self, method: str) -> list[Object]:
        """What the events of a kind have said so far."""
        return [event["params"] for event in self.events if event["method"] == method]

    def documents(self) -> list[tuple[str, int, str]]:
        """All pages that it was answered: method, status and address."""
        methods = {one["requestId"]: one["request"]["method"] for one in self.told("Network.requestWillBeSent")}
        return [
            (methods[one["requestId"]], one["response"]["status"], one["response"]["url"])
            for one in self.told("Network.responseReceived")
            if one["type"] == "Document"
        ]

    def requested(self) -> list[str]:
        """All addresses that it has asked for."""
        asked = [one["request"]["url"] for one in self.told("Network.requestWillBeSent")]
        return asked + [one["url"] for one in self.told("Network.webSocketCreated")]

    def complaints(self) -> list[str]:
        """The errors and warnings that its console has."""
        found = [json.dumps(one) for one in self.told("Runtime.exceptionThrown")]
        for one in self.told("Runtime.consoleAPICalled"):
            if one["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(one))
        for one in self.told("Log.entryAdded"):
            entry = one["entry"]
            if entry["level"] in ("error", "warning"):
                found.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
        return found

    def screenshot(self) -> bytes:
        """A PNG of what it shows."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
