"""A bot and a person at Element in one encrypted room, and what counts as a good answer there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from .bot import Bot
from .element import Element, Shown
from .world import Account, Target, World


@dataclass(frozen=True)
class Login:
    """How somebody begins at a new device."""

    cross_signing: bool = True
    """Whether the user's first identity is made, as Element does at the first login."""
    only_signed: bool = False
    """Whether insecure devices are excluded, in both directions."""


# Gives a device of a user at Element.
Elements = Callable[..., Element]


@dataclass(frozen=True)
class Line:
    """One message of a transcript."""

    at: datetime
    who: str
    text: str
    shield: str = ""
    signed: bool | None = None


@dataclass
class Scene:
    """A running bot in an encrypted room that a person made with Element."""

    world: World
    bot: Bot
    bot_account: Account
    account: Account
    person: Element
    room_id: str
    target: Target
    transcript: list[Line] = field(default_factory=list)

    @property
    def bot_id(self) -> str:
        """The bot's user."""
        return self.bot_account.user_id

    @property
    def store(self) -> Path:
        """The folder with all the bot knows."""
        return Path(self.bot.settings["CRYPTO_STORE_PATH"])

    def bot_device(self) -> str:
        """The bot's device; it must have one alone."""
        (device,) = self.world.synapse.devices(self.bot_id)
        return device

    def say(self, text: str, by: Element | None = None) -> Shown:
        """Says something encrypted and gives what comes back, whatever it is."""
        asker = by or self.person
        at = datetime.now()
        sent = asker.send(self.room_id, text)
        assert sent.encrypted
        self.transcript.append(Line(at, asker.user_id, text))
        try:
            reply = asker.wait_reply(sent, self.bot_id)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\nthe bot logged:\n{self.bot.tail()}") from None
        signed = asker.signed_by_owner(self.bot_id, sender_device(asker, reply))
        shield = f"{reply.shield}{f' ({reply.shield_reason})' if reply.shield_reason else ''}"
        self.transcript.append(Line(datetime.now(), self.bot_id, reply.text or "", shield, signed))
        return reply

    def ask(self, text: str, by: Element | None = None, also: tuple[Element, ...] = ()) -> Shown:
        """Says something and gives the answer, having looked at how it came at each device in the room."""
        marks = [(other, other.mark(self.room_id)) for other in also]
        reply = self.say(text, by)
        self.check(by or self.person, reply)
        for other, mark in marks:
            seen = other.wait_reply(mark, self.bot_id)
            self.check(other, seen)
            assert (seen.event_id, seen.text) == (reply.event_id, reply.text)
        return reply

    def check(self, device: Element, message: Shown) -> None:
        """An answer must be encrypted, readable the moment it comes, and from a device that its owner vouches for."""
        assert message.encrypted, message
        assert message.failure is None and not message.waited_for_key, "the answer came before the key to read it"
        assert message.msgtype in ("m.text", "m.notice"), message
        assert (message.shield, message.shield_reason) == ("NONE", None), message
        assert device.signed_by_owner(self.bot_id, sender_device(device, message)) is True

    def lose(self, *tables: str) -> None:
        """Takes something out of the bot's store, as a fault of the disk might, while the bot is stopped."""
        self.bot.end()
        with closing(sqlite3.connect(self.store / "store.sqlite3")) as store:
            for table in tables:
                assert store.execute(f"DELETE FROM {table}").rowcount > 0, f"{table} was empty"
            store.commit()
        self.bot.start()

    def lose_store(self) -> str:
        """Takes all the bot knows, as a lost volume does, starts it again, and gives its new device."""
        before = set(self.world.synapse.devices(self.bot_id))
        self.bot.end()
        shutil.rmtree(self.store)
        self.bot.start()
        (device,) = set(self.world.synapse.devices(self.bot_id)) - before
        return device

    def answered(self) -> list[Shown]:
        """All the bot has said so far, as the person's first device shows it."""
        return [message for message in self.person.messages(self.room_id) if message.sender == self.bot_id]

    def told(self, title: str) -> str:
        """The transcript, as a table."""
        rows = [f"\n{title}", f"{'time':<12}  {'who':<10}  {'text':<46}  {'shield':<6}  signedByOwner"]
        for line in self.transcript:
            first, *rest = line.text.splitlines() or [""]
            signed = "" if line.signed is None else str(line.signed).lower()
            who = line.who.partition(":")[0]
            at = line.at.strftime("%H:%M:%S.%f")[:-3]
            rows.append(f"{at:<12}  {who:<10}  {first:<46}  {line.shield:<6}  {signed}".rstrip())
            rows += [f"{'':<26}{more}".rstrip() for more in rest]
        return "\n".join(rows)


def sender_device(device: Element, message: Shown) -> str:
    """The id of the device that sent a message, by its key and not by its word."""
    keys = device.device_keys(message.sender)
    (found,) = (name for name, key in keys.items() if key == message.sender_key)
    return found


def make_scene(world: World, elements: Elements, login: Login | None = None, **overrides: str | None) -> Scene:
    """A person at Element who invites a new bot into a new room; the bot has joined."""
    account, bot_account, target = world.account("alice"), world.account("bot"), world.target()
    person = elements(account, "laptop", login)
    return set_up(world, account, person, bot_account, target, **overrides)


def set_up(
    world: World, account: Account, person: Element, bot_account: Account, target: Target, **overrides: str | None
) -> Scene:
    """The same for a person and a bot's account that are there already."""
    room_id = person.create_room(True, (bot_account.user_id,))
    bot = world.bot(bot_account, (account.user_id,), target, **overrides).start()
    person.wait_sees_member(room_id, bot_account.user_id)
    return Scene(world, bot, bot_account, account, person, room_id, target)
