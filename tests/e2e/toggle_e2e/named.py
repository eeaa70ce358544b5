"""Targets with names: a bot that has them from the chart, people who ask it, and what it says to them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .administrator import Object
from .bot import Bot
from .controlplane import ControlPlane
from .manifests import SECRET, chart, of_kind, pod_of, variables
from .messages import Message, Sent, is_edit
from .net import wait_for
from .person import Person
from .world import Target

AT_ONCE, EVERY = 9, 3.0
"""What one person asks for in a row, and the seconds to each further command: one less than they may, for messages
take their time."""

_RIGHTS = (
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)


@dataclass(frozen=True)
class Release:
    """What the chart makes of targets: their file, and an account with the rights to them."""

    file: Path
    identity: Target
    gateway: dict[str, str | None]
    """What the environment of its bot says of a gateway."""

    @property
    def settings(self) -> dict[str, str | None]:
        """What the environment of its bot says of the targets."""
        return self.gateway | {
            "DEPLOYMENT_NAME": None,
            "DEPLOYMENT_NAMESPACE": self.identity.namespace,
            "TARGETS_FILE": str(self.file),
        }


def release(
    cluster: ControlPlane,
    namespace: str,
    targets: list[Object],
    users: Iterable[str],
    viewers: Iterable[str] = (),
    restart: bool = False,
    leases: str = "",
    announce_room: str = "",
) -> Release:
    """Applies the rights of a release with these targets, every other switch on, and writes their file.

    `leases` are those of a gateway that is there, and `announce_room` is told what that does.
    """
    values = {
        "matrix": {"user": "bot"},
        "commands": {"allowedUsers": list(users), "viewers": list(viewers), "announceRoom": announce_room},
        "gateway": {"leases": leases},
        "secrets": {"matrixPassword": {"name": SECRET}},
        "targets": targets,
        "rights": {"restart": restart, "watch": True, "pods": True, "events": True, "list": True},
    }
    documents = chart(values, "toggle", namespace)
    cluster.apply([one for one in documents if one["kind"] in _RIGHTS])
    account = of_kind(documents, "ServiceAccount")["metadata"]["name"]
    file = cluster.workdir / f"{namespace}-targets.json"
    file.write_text(of_kind(documents, "ConfigMap")["data"]["targets.json"])
    identity = Target(namespace, targets[0]["object"], account, cluster.service_account_dir(namespace, account))
    told = variables(pod_of(documents))
    gateway = {name: told.get(name) for name in ("GATEWAY_LEASES", "ANNOUNCE_ROOM")}
    return Release(file, identity, gateway)


@dataclass
class Talk:
    """A room as one person has it: what they say there, and what the bot does, in order."""

    person: Person
    room_id: str
    bot: Bot
    bot_id: str
    _sent: list[float] = field(default_factory=list)
    """When this person spoke, in all rooms: shared by their talks."""
    _read: int = 0

    def beside(self, room_id: str) -> Talk:
        """The same person in another room."""
        return Talk(self.person, room_id, self.bot, self.bot_id, self._sent)

    def say(self, text: str, **content: Any) -> Sent:
        """Says something, not faster than the bot listens to one person; `content` is what else the message has."""
        left, last = float(AT_ONCE), 0.0
        for at in self._sent:
            left = min(float(AT_ONCE), left + (at - last) / EVERY) - 1
            last = at
        time.sleep(max(0.0, (1.1 - left) * EVERY - (time.monotonic() - last)))
        self._sent.append(time.monotonic())
        return self.person.send_content(self.room_id, {"msgtype": "m.text", "body": text, **content})

    def heard(self) -> list[Message]:
        """All that the bot has said here, edits left out."""
        messages = self.person.messages(self.room_id)
        return [one for one in messages if one.sender == self.bot_id and one.text is not None and not is_edit(one)]

    def next(self, timeout: float = 20, what: str = "to say something") -> Message:
        """The next of these that was not read yet."""
        wait_for(f"the bot {what}", lambda: len(self.heard()) > self._read, timeout, detail=self._so_far)
        self._read += 1
        return self.heard()[self._read - 1]

    def ask(self, text: str, timeout: float = 20) -> str:
        """Says something, and gives what the bot says next."""
        self.say(text)
        return self.next(timeout).text or ""

    def wait(self, pattern: str, timeout: float = 60) -> Message:
        """Waits for something that the bot says here, whatever else it says first."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.next(max(0.0, deadline - time.monotonic()), f"to say {pattern!r}")
            if re.search(pattern, message.text or ""):
                return message

    def answer(self, asked: Sent, timeout: float = 20) -> Message:
        """Waits for the answer to a message, whatever the bot says of earlier changes meanwhile."""

        def found() -> Message | None:
            for one in self.heard():
                relation = one.content.get("m.relates_to", {})
                if relation.get("m.in_reply_to", {}).get("event_id") == asked.event_id:
                    return one
            return None

        return wait_for(f"an answer to {asked.event_id}", found, timeout, detail=self._so_far)

    def all_of(self, pattern: str, count: int, timeout: float = 60) -> list[Message]:
        """Waits until the bot has said so many things here that match, and gives them, read or not."""

        def found() -> list[Message]:
            messages = [one for one in self.heard() if re.search(pattern, one.text or "")]
            return messages if len(messages) >= count else []

        return wait_for(f"the bot to say {pattern!r} {count} times", found, timeout, detail=self._so_far)

    def edits(self, of: Message) -> list[str]:
        """What the bot has made of an earlier message."""
        messages = [one for one in self.person.messages(self.room_id) if one.sender == self.bot_id and is_edit(one)]
        return [
            str(one.content["m.new_content"]["body"])
            for one in messages
            if one.content["m.relates_to"]["event_id"] == of.event_id
        ]

    def _so_far(self) -> str:
        said = "\n".join(one.text or "" for one in self.person.messages(self.room_id))
        return f"{said}\n\n{self.bot.tail(20)}"
