"""A person at a Matrix client: matrix-nio, with its own keys and its own store.

All clients share one event loop in a background thread. They sync while a test
blocks, as a person's phone does, and the tests read as plain steps.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from nio import (
    Api,
    AsyncClient,
    AsyncClientConfig,
    BadEvent,
    Event,
    InviteMemberEvent,
    KeysQueryResponse,
    LoginResponse,
    MegolmEvent,
    RoomCreateResponse,
    RoomInviteResponse,
    RoomMessage,
    RoomPutStateResponse,
    RoomSendResponse,
    SyncResponse,
)
from nio.exceptions import EncryptionError

from .messages import Message, Reply, Sent

Result = TypeVar("Result")

# How long a client waits for the answer of a homeserver that is up.
REQUEST_TIMEOUT = 20

ENCRYPTION = {"algorithm": "m.megolm.v1.aes-sha2"}

# nio reports each message it cannot read yet and each refused connection; the tests cause both on purpose.
logging.getLogger("nio").setLevel(logging.ERROR)


class _Loop:
    """The one event loop all clients live on."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="people", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result], timeout: float = 60) -> Result:
        """Runs one coroutine there and waits for its result."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise


_loop_made: _Loop | None = None


def _loop() -> _Loop:
    global _loop_made
    if _loop_made is None:
        _loop_made = _Loop()
    return _loop_made


class Person:
    """One device of one user.

    Trust is what a chat client does by default: devices that nobody has
    verified get the room key all the same.
    """

    def __init__(self, homeserver: str, user_id: str, password: str, store: Path, device_name: str = "phone") -> None:
        self.homeserver = homeserver
        self.user_id = user_id
        self.device_name = device_name
        self._password = password
        self._store = store
        self._client: AsyncClient | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._changed: asyncio.Condition | None = None
        self._messages: list[Message] = []
        self._unread: dict[str, tuple[MegolmEvent, Message]] = {}
        self._seen: set[str] = set()
        self._failure: BaseException | None = None
        self.invites: set[str] = set()

    def __repr__(self) -> str:
        return f"Person({self.user_id}, {self.device_name})"

    # What a test calls: each waits until it is done.

    def start(self) -> Person:
        """Logs in, or goes on as the device the store knows, and keeps syncing."""
        _loop().run(self._start())
        return self

    def stop(self) -> None:
        """Closes the client as a person closes an app: keys and place are kept."""
        _loop().run(self._stop())

    def log_out(self) -> None:
        """Ends this device: the server forgets it."""
        _loop().run(self.client.logout())
        self.stop()

    def restart(self) -> None:
        """Closes the client and opens it again from its store."""
        self.stop()
        self.start()

    @property
    def client(self) -> AsyncClient:
        """The nio client, while started."""
        if self._client is None:
            raise RuntimeError(f"{self!r} is not started")
        return self._client

    @property
    def device_id(self) -> str:
        """The id of this device."""
        return str(self.client.device_id)

    @property
    def access_token(self) -> str:
        """The token of this device."""
        return str(self.client.access_token)

    def create_room(self, encrypted: bool, invite: tuple[str, ...] = (), name: str = "Operations") -> str:
        """Makes a private room and gives its id once this client knows it."""
        return _loop().run(self._create_room(encrypted, invite, name))

    def invite(self, room_id: str, user_id: str) -> None:
        """Invites somebody."""
        answer = _loop().run(self.client.room_invite(room_id, user_id))
        if not isinstance(answer, RoomInviteResponse):
            raise RuntimeError(f"could not invite {user_id}: {answer}")

    def leave(self, room_id: str) -> None:
        """Leaves a room."""
        _loop().run(self.client.room_leave(room_id))

    def join(self, room_id: str) -> None:
        """Enters a room this user was invited to and waits until it shows."""
        _loop().run(self._join(room_id))

    def wait_sees_member(self, room_id: str, user_id: str, timeout: float = 15) -> None:
        """Waits until this client shows somebody in a room.

        Without this a message could be sent before the client has heard of the
        newcomer, whose device then never gets the key, as happens to people.
        """
        seen = self._until(lambda: self._is_joined(room_id, user_id), timeout, f"{user_id} in {room_id}")
        _loop().run(seen, timeout + 5)

    def encrypt(self, room_id: str) -> None:
        """Turns encryption on in a room, which cannot be undone."""
        _loop().run(self._encrypt(room_id))

    def send(self, room_id: str, text: str) -> Sent:
        """Sends a text as this room wants it: encrypted where it is encrypted."""
        return _loop().run(self._send(room_id, text))

    def send_content(self, room_id: str, content: dict[str, Any]) -> Sent:
        """Sends any message content, for what a text cannot express."""
        return _loop().run(self._send_content(room_id, content))

    def send_plaintext(self, room_id: str, text: str) -> Sent:
        """Sends a text unencrypted wherever it goes, as a faulty client would."""
        return _loop().run(self._send_plaintext(room_id, text))

    def replies(self, sent: Sent, sender: str) -> list[Message]:
        """What somebody has said in that room since, as far as it came already."""
        return [
            message
            for message in self._messages[sent.position :]
            if message.room_id == sent.room_id and message.sender == sender
        ]

    def wait_replies(self, sent: Sent, sender: str, count: int = 1, timeout: float = 15) -> list[Reply]:
        """Waits for the given number of readable answers."""
        return _loop().run(self._wait_replies(sent, sender, count, timeout), timeout + 5)

    def wait_reply(self, sent: Sent, sender: str, timeout: float = 15) -> Reply:
        """Waits for one readable answer."""
        return self.wait_replies(sent, sender, 1, timeout)[0]

    def ask(self, room_id: str, text: str, whom: str, timeout: float = 15) -> Reply:
        """Sends a text and waits for one answer."""
        return self.wait_reply(self.send(room_id, text), whom, timeout)

    def mark(self, room_id: str) -> Sent:
        """A place in a room to count from without saying anything."""
        now = time.monotonic()
        return Sent(room_id, "", "", False, now, now, len(self._messages), None)

    def messages(self, room_id: str) -> list[Message]:
        """All this client has seen in a room since it was started first."""
        return [message for message in self._messages if message.room_id == room_id]

    def decrypt(self, event: dict[str, Any]) -> str | None:
        """What this device makes of an event as the server holds it; `None` where it lacks the key."""
        assert self.client.olm
        handed = MegolmEvent.parse_event(event)
        handed.room_id = event["room_id"]
        try:
            return getattr(self.client.olm.decrypt_megolm_event(handed), "body", None)
        except EncryptionError:
            return None

    def outbound_session(self, room_id: str) -> str | None:
        """The Megolm session this device encrypts with in a room."""
        assert self.client.olm
        session = self.client.olm.outbound_group_sessions.get(room_id)
        return session.id if session else None

    def device_keys(self, user_id: str) -> dict[str, str]:
        """Device id to Curve25519 key of somebody's devices, asked for afresh."""
        return _loop().run(self._device_keys(user_id))

    # The same on the event loop.

    async def _start(self) -> None:
        if self._client is not None:
            raise RuntimeError(f"{self!r} is started already")
        self._store.mkdir(parents=True, exist_ok=True)
        self._changed = asyncio.Condition()
        client = AsyncClient(
            self.homeserver,
            self.user_id,
            store_path=str(self._store),
            config=AsyncClientConfig(
                encryption_enabled=True,
                store_sync_tokens=True,
                request_timeout=REQUEST_TIMEOUT,
                max_timeout_retry_wait_time=0.5,
            ),
        )
        saved = self._store / "device.json"
        if saved.exists():
            known = json.loads(saved.read_text())
            client.restore_login(known["user_id"], known["device_id"], known["access_token"])
        else:
            answer = await client.login(self._password, device_name=self.device_name)
            if not isinstance(answer, LoginResponse):
                await client.close()
                raise RuntimeError(f"{self.user_id} could not log in: {answer}")
            saved.write_text(
                json.dumps(
                    {
                        "user_id": answer.user_id,
                        "device_id": answer.device_id,
                        "access_token": answer.access_token,
                    }
                )
            )
        client.add_event_callback(self._on_message, RoomMessage)
        client.add_event_callback(self._on_undecrypted, MegolmEvent)
        client.add_event_callback(self._on_bad, BadEvent)
        client.add_event_callback(self._on_invite, InviteMemberEvent)
        self._client = client
        await self._turn(timeout=0, full_state=True)
        self._syncing = asyncio.get_running_loop().create_task(self._sync_forever())

    async def _stop(self) -> None:
        task, self._syncing = self._syncing, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        client, self._client = self._client, None
        if client:
            await client.close()
            if client.store:
                client.store.database.close()

    async def _sync_forever(self) -> None:
        while True:
            try:
                await self._turn(timeout=30_000)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                # An outage must not end the client; a test that waits for something reports it.
                self._failure = error
                await asyncio.sleep(0.2)

    async def _turn(self, timeout: int, full_state: bool = False) -> None:
        """One sync and what follows from it.

        nio's own loop asks for keys beside the next long poll. Doing it at once
        and in order keeps each step of a test the same every time.
        """
        client = self.client
        answer = await client.sync(timeout=timeout, full_state=full_state)
        if not isinstance(answer, SyncResponse):
            raise RuntimeError(f"sync of {self!r} failed: {answer}")
        self._failure = None
        if client.outgoing_to_device_messages:
            await client.send_to_device_messages()
        if client.should_upload_keys:
            await client.keys_upload()
        if client.should_query_keys:
            await client.keys_query()
        if client.should_claim_keys:
            await client.keys_claim(client.get_users_for_key_claiming())
        self._retry_unread()
        assert self._changed
        async with self._changed:
            self._changed.notify_all()

    def _retry_unread(self) -> None:
        """Reads what came before its key; nio leaves that to the application."""
        assert self.client.olm
        store = self.client.olm.inbound_group_store
        for event_id, (event, message) in list(self._unread.items()):
            if not store.get(message.room_id, event.sender_key, event.session_id):
                continue
            try:
                read = self.client.olm.decrypt_megolm_event(event)
            except EncryptionError:
                continue
            del self._unread[event_id]
            message.text = getattr(read, "body", None)
            message.content = read.source.get("content", {})
            message.msgtype = message.content.get("msgtype", "")
            message.received = time.monotonic()

    async def _until(self, true: Any, timeout: float, what: str) -> None:
        """Waits for the sync that makes something true."""
        assert self._changed
        deadline = time.monotonic() + timeout
        async with self._changed:
            while not true():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(
                        f"{self!r} waited {timeout:g} s for {what}"
                        + (f"; its sync fails: {self._failure}" if self._failure else "")
                    )
                try:
                    await asyncio.wait_for(self._changed.wait(), left)
                except TimeoutError:
                    continue

    async def _create_room(self, encrypted: bool, invite: tuple[str, ...], name: str) -> str:
        state = [{"type": "m.room.encryption", "state_key": "", "content": ENCRYPTION}] if encrypted else []
        answer = await self.client.room_create(name=name, invite=invite, initial_state=state)
        if not isinstance(answer, RoomCreateResponse):
            raise RuntimeError(f"{self!r} could not make a room: {answer}")
        room_id = str(answer.room_id)

        def shown() -> bool:
            room = self.client.rooms.get(room_id)
            return room is not None and room.encrypted == encrypted

        await self._until(shown, 15, f"its new room {room_id}")
        return room_id

    async def _join(self, room_id: str) -> None:
        await self.client.join(room_id)
        await self._until(lambda: room_id in self.client.rooms, 15, f"the room {room_id} it joined")

    async def _encrypt(self, room_id: str) -> None:
        answer = await self.client.room_put_state(room_id, "m.room.encryption", ENCRYPTION)
        if not isinstance(answer, RoomPutStateResponse):
            raise RuntimeError(f"{self!r} could not encrypt the room: {answer}")
        await self._until(lambda: self.client.rooms[room_id].encrypted, 15, "the room to be encrypted")

    def _is_joined(self, room_id: str, user_id: str) -> bool:
        room = self.client.rooms.get(room_id)
        return room is not None and user_id in room.users and not room.users[user_id].invited

    async def _send(self, room_id: str, text: str) -> Sent:
        return await self._send_content(room_id, {"msgtype": "m.text", "body": text})

    async def _send_content(self, room_id: str, content: dict[str, Any]) -> Sent:
        client = self.client
        position = len(self._messages)
        began = time.monotonic()
        # nio encrypts for the devices it has heard of; a real client would also ask first.
        if client.should_query_keys:
            await client.keys_query()
        answer = await client.room_send(
            room_id, "m.room.message", dict(content), str(uuid.uuid4()), ignore_unverified_devices=True
        )
        acknowledged = time.monotonic()
        if not isinstance(answer, RoomSendResponse):
            raise RuntimeError(f"{self!r} could not send: {answer}")
        encrypted = client.rooms[room_id].encrypted
        return Sent(
            room_id,
            answer.event_id,
            str(content.get("body", "")),
            encrypted,
            began,
            acknowledged,
            position,
            self.outbound_session(room_id) if encrypted else None,
        )

    async def _send_plaintext(self, room_id: str, text: str) -> Sent:
        position = len(self._messages)
        began = time.monotonic()
        method, path, data = Api.room_send(
            self.client.access_token,
            room_id,
            "m.room.message",
            {"msgtype": "m.text", "body": text},
            uuid.uuid4(),
        )
        answer = await self.client._send(RoomSendResponse, method, path, data, (room_id,))
        if not isinstance(answer, RoomSendResponse):
            raise RuntimeError(f"{self!r} could not send: {answer}")
        return Sent(room_id, answer.event_id, text, False, began, time.monotonic(), position, None)

    async def _wait_replies(self, sent: Sent, sender: str, count: int, timeout: float) -> list[Reply]:
        def readable() -> list[Message]:
            return [message for message in self.replies(sent, sender) if message.text is not None]

        try:
            await self._until(lambda: len(readable()) >= count, timeout, f"{count} answer(s) to {sent.text!r}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it has {self.replies(sent, sender)!r}") from None
        return [Reply(message, message.received - sent.began) for message in readable()[:count]]

    async def _device_keys(self, user_id: str) -> dict[str, str]:
        assert self.client.olm
        self.client.olm.users_for_key_query.add(user_id)
        answer = await self.client.keys_query()
        if not isinstance(answer, KeysQueryResponse):
            raise RuntimeError(f"{self!r} could not ask for keys: {answer}")
        found: dict[str, Any] = answer.device_keys.get(user_id, {})
        return {device: keys["keys"][f"curve25519:{device}"] for device, keys in found.items()}

    # What nio calls.

    def _record(self, event: Event, room_id: str, text: str | None, encrypted: bool) -> Message | None:
        if event.event_id in self._seen:
            return None
        self._seen.add(event.event_id)
        content = event.source.get("content", {})
        message = Message(
            room_id=room_id,
            event_id=event.event_id,
            sender=event.sender,
            text=text,
            encrypted=encrypted,
            msgtype=content.get("msgtype", ""),
            session_id=getattr(event, "session_id", None),
            sender_key=getattr(event, "sender_key", None),
            server_ts=event.server_timestamp,
            received=time.monotonic(),
            content=content,
        )
        self._messages.append(message)
        return message

    async def _on_message(self, room: Any, event: RoomMessage) -> None:
        self._record(event, room.room_id, getattr(event, "body", None), bool(event.decrypted))

    async def _on_undecrypted(self, room: Any, event: MegolmEvent) -> None:
        message = self._record(event, room.room_id, None, True)
        if message:
            message.waited_for_key = True
            self._unread[event.event_id] = (event, message)

    async def _on_bad(self, room: Any, event: BadEvent) -> None:
        self._record(event, room.room_id, None, bool(event.decrypted))

    async def _on_invite(self, room: Any, event: InviteMemberEvent) -> None:
        if event.membership == "invite" and event.state_key == self.user_id:
            self.invites.add(room.room_id)
