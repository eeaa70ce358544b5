"""The whole conversation on a homeserver of another family: Dendrite answers otherwise than Synapse where it may."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from toggle_e2e import texts
from toggle_e2e.homeserver import HttpError
from toggle_e2e.messages import Message
from toggle_e2e.net import wait_for
from toggle_e2e.person import Person
from toggle_e2e.scene import Elements, Login, make_scene
from toggle_e2e.world import Account, World

CLIENT_API = "/_matrix/client/v3"


def remove_device(world: World, account: Account, device: Person, by: Person) -> None:
    """Has a device signed out by another one of its user, as a person does who has lost a phone."""
    path, token = f"{CLIENT_API}/devices/{device.device_id}", by.access_token
    with pytest.raises(HttpError) as asked:
        world.homeserver.call("DELETE", path, {}, token)
    auth = {
        "type": "m.login.password",
        "session": json.loads(asked.value.body)["session"],
        "identifier": {"type": "m.id.user", "user": account.user_id},
        "password": account.password,
    }
    world.homeserver.call("DELETE", path, {"auth": auth}, token)


def test_at_element_with_an_identity(dendrite: World, elements: Elements) -> None:
    """Insecure devices are excluded in both directions: that the bot is heard at all needs its own identity."""
    scene = make_scene(dendrite, elements, Login(only_signed=True))
    namespace, deployment = scene.target.namespace, scene.target.deployment
    assert scene.ask("status").text == texts.status("off", 0, 0, 0)
    first = scene.ask("start")
    assert first.text == texts.ON
    dendrite.cluster.wait_replicas(namespace, deployment, ready=1)
    assert scene.ask("status").text == texts.status("running", 1, 1, 1)

    scene.bot.restart()
    assert scene.ask("stop").text == texts.OFF
    scene.bot.kill()
    scene.bot.start()
    last = scene.ask("start")
    assert (last.text, last.sender_key) == (texts.ON, first.sender_key)
    assert len(scene.person.device_keys(scene.bot_id)) == 1, "it has logged in a second time"
    assert scene.ask("help").text == texts.HELP

    tablet = elements(scene.account, "tablet", Login(cross_signing=False))
    mark = scene.person.mark(scene.room_id)
    refused = tablet.send(scene.room_id, "stop")
    assert scene.person.wait_reply(mark, scene.bot_id).text == texts.unverified(tablet.device_id)
    (shown,) = tablet.wait_unreadable(refused, scene.bot_id)
    assert shown.failure == "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE"
    scene.person.cross_sign(tablet.device_id)
    tablet.wait_signed(scene.account.user_id, tablet.device_id)
    assert scene.ask("stop", by=tablet, also=(scene.person,)).text == texts.OFF
    assert dendrite.scalings(scene.target) == [1, 0, 1, 0]


def ciphertext(world: World, person: Person, message: Message) -> str:
    """What a message is on the server."""
    path = f"{CLIENT_API}/rooms/{quote(message.room_id)}/event/{quote(message.event_id)}"
    return str(world.homeserver.call("GET", path, token=person.access_token)["content"]["ciphertext"])


def test_devices_rooms_and_ends(dendrite: World) -> None:
    """One bot through all that can become of a room, a device, and either of the two programs."""
    account = dendrite.account("alice")
    phone = dendrite.person(account)
    stage = dendrite.stage(person=phone)
    room, bot = stage.room_id, stage.bot_id
    assert phone.ask(room, "start", bot).text == texts.ON

    tablet = dendrite.person(account, "tablet")
    place = phone.mark(room)
    assert tablet.ask(room, "stop", bot).text == texts.OFF
    assert phone.wait_reply(place, bot).text == texts.OFF

    # Killed between the command and its answer: whatever was done then, it is answered once.
    sent = phone.send(room, "start")
    stage.bot.kill()
    stage.bot.start()
    assert phone.wait_reply(sent, bot).text == texts.ON
    dendrite.homeserver.stop()
    dendrite.homeserver.start()
    stop = phone.send(room, "stop")
    # Dendrite may forget the transaction of a request that is cut off while it takes the event in, as it was twice
    # here: what is sent again is another event then, which may come after the next command. It is the same message,
    # to the last bit of its ciphertext.
    wait_for("its answer", lambda: texts.OFF in [reply.text for reply in phone.replies(stop, bot)], 30)
    said = {ciphertext(dendrite, phone, reply) for reply in phone.replies(sent, bot)}
    assert len(said) == 2

    dendrite.homeserver.call("POST", f"{CLIENT_API}/rooms/{quote(room)}/kick", {"user_id": bot}, phone.access_token)
    wait_for("the bot to be out", lambda: bot not in dendrite.homeserver.joined(room, phone.access_token))
    phone.invite(room, bot)
    dendrite.join(stage.bot, phone, room, bot)
    tablet.wait_sees_member(room, bot)
    place = tablet.mark(room)
    assert phone.ask(room, "start", bot).text == texts.ON
    assert tablet.wait_reply(place, bot).text == texts.ON
    assert tablet.ask(room, "stop", bot).text == texts.OFF

    # Who holds the keys of a device that is no more can still encrypt, and the homeserver can pass it on.
    remove_device(dendrite, account, tablet, by=phone)
    dendrite.cluster.wait_replicas(stage.target.namespace, stage.target.deployment, ready=0)
    assert phone.ask(room, "status", bot).text == texts.status("off", 0, 0, 0)
    kind, content = tablet.client.encrypt(room, "m.room.message", {"msgtype": "m.text", "body": "start"})
    before, mark = dendrite.scalings(stage.target), phone.mark(room)
    dendrite.homeserver.call("PUT", f"{CLIENT_API}/rooms/{quote(room)}/send/{kind}/forged", content, phone.access_token)
    assert phone.wait_reply(mark, bot).text == texts.SIGNED_OUT_DEVICE
    assert dendrite.scalings(stage.target) == before
    assert [number for at, number in enumerate(before) if at == 0 or number != before[at - 1]] == [1, 0, 1, 0, 1, 0]
    assert phone.ask(room, "status", bot).text == texts.status("off", 0, 0, 0)
