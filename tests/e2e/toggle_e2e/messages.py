"""Messages as a person sees them, sends them, and waits for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Message:
    """One message as a person sees it."""

    room_id: str
    event_id: str
    sender: str
    text: str | None
    """The decrypted text; `None` while the key is missing."""
    encrypted: bool
    msgtype: str
    session_id: str | None
    """The Megolm session it was sent in."""
    sender_key: str | None
    """The Curve25519 key of the device that sent it."""
    server_ts: int
    received: float
    """`time.monotonic()` of the moment it could be read."""
    waited_for_key: bool = False
    """It came before its key did: a person saw "unable to decrypt" for a moment."""
    content: dict[str, Any] = field(default_factory=dict)


def is_edit(message: Message) -> bool:
    """Tells what only replaces the words of an earlier message."""
    return message.content.get("m.relates_to", {}).get("rel_type") == "m.replace"


@dataclass(frozen=True)
class Sent:
    """A message on its way, and the place in the room from which answers count."""

    room_id: str
    event_id: str
    text: str
    encrypted: bool
    began: float
    """`time.monotonic()` when the person pressed return."""
    acknowledged: float
    position: int
    session_id: str | None


@dataclass(frozen=True)
class Reply:
    """An answer, with how long the person waited for it."""

    message: Message
    seconds: float

    @property
    def text(self) -> str | None:
        """What it says."""
        return self.message.text

    @property
    def encrypted(self) -> bool:
        """Whether it came encrypted."""
        return self.message.encrypted
