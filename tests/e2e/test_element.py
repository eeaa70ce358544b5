"""What a person at Element sees: its own SDK reads all the bot says, and the bot reads all it sends."""

from __future__ import annotations

import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from toggle_e2e import texts
from toggle_e2e.bot import Bot
from toggle_e2e.element import Element, Shown, lay_out
from toggle_e2e.world import Account, Target, World

# Gives a device of a user at Element, with new cross-signing keys if told so.
Elements = Callable[[Account, str, bool], Element]


@dataclass(frozen=True)
class Scene:
    """A running bot in an encrypted room that a person made with Element."""

    bot: Bot
    bot_id: str
    account: Account
    person: Element
    room_id: str
    target: Target


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client beside its packages, which are installed where they are missing."""
    return lay_out(tmp_path_factory.mktemp("element"))


@pytest.fixture
def elements(
    world: World, script: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> Iterator[Elements]:
    """Makes devices at Element, ends them, and tells which shields they drew beside the bots' answers."""
    made: list[Element] = []
    bots = len(world.bots)

    def make(account: Account, device: str, cross_signing: bool) -> Element:
        element = Element(script, world.synapse.url, account.user_id, account.password, device)
        made.append(element)
        return element.start(cross_signing)

    yield make
    for element in made:
        element.stop()
    senders = {world.synapse.mxid(bot.settings["MATRIX_USER"]) for bot in world.bots[bots:]}
    shields = Counter(
        f"{message.shield} {message.shield_reason}" if message.failure is None else message.failure
        for element in made
        for message in element.seen()
        if message.sender in senders
    )
    told = ", ".join(f"{count} x {shield}" for shield, count in sorted(shields.items()))
    record_property("shields", told)
    with capsys.disabled():
        print(f" [shields: {told}] ", end="")


@pytest.fixture
def scene(world: World, elements: Elements, request: pytest.FixtureRequest) -> Scene:
    """Element makes cross-signing keys at the first login, so the person here has them unless told otherwise."""
    account, bot_account, target = world.account("alice"), world.account("bot"), world.target()
    person = elements(account, "laptop", getattr(request, "param", True))
    room_id = person.create_room(True, (bot_account.user_id,))
    bot = world.bot(bot_account, (account.user_id,), target).start()
    world.synapse.wait_membership(room_id, bot_account.user_id)
    person.wait_sees_member(room_id, bot_account.user_id)
    return Scene(bot, bot_account.user_id, account, person, room_id, target)


def ask(scene: Scene, text: str, by: Element | None = None, also: tuple[Element, ...] = ()) -> Shown:
    """Says something encrypted and gives the answer, having looked at how it came at each device in the room."""
    asker = by or scene.person
    marks = [(other, other.mark(scene.room_id)) for other in also]
    sent = asker.send(scene.room_id, text)
    assert sent.encrypted
    reply = asker.wait_reply(sent, scene.bot_id)
    check(scene, asker, reply)
    for other, mark in marks:
        seen = other.wait_reply(mark, scene.bot_id)
        check(scene, other, seen)
        assert (seen.event_id, seen.text) == (reply.event_id, reply.text)
    return reply


def check(scene: Scene, device: Element, message: Shown) -> None:
    """An answer must be encrypted, readable the moment it comes, and come from the bot's device."""
    assert message.encrypted, message
    assert message.failure is None and not message.waited_for_key, "the answer came before the key to read it"
    assert message.msgtype in ("m.text", "m.notice"), message
    assert message.sender_key in device.device_keys(scene.bot_id).values()


def raw_event(world: World, event_id: str) -> dict[str, object]:
    """An event as the server keeps it, which no client could be kept from getting hold of."""
    event = world.synapse.admin("GET", f"/_synapse/admin/v1/fetch_event/{urllib.parse.quote(event_id)}")["event"]
    assert event["type"] == "m.room.encrypted"
    return dict(event)


@pytest.mark.parametrize("scene", [True, False], ids=["cross-signed", "unsigned"], indirect=True)
def test_each_command_is_done_and_answered(world: World, scene: Scene) -> None:
    namespace, deployment = scene.target.namespace, scene.target.deployment
    assert ask(scene, "status").text == texts.status("off", 0, 0, 0)
    assert ask(scene, "start").text == texts.ON
    world.cluster.wait_replicas(namespace, deployment, ready=1)
    assert ask(scene, "status").text == texts.status("running", 1, 1, 1)
    assert ask(scene, "stop").text == texts.OFF
    assert world.replicas(scene.target) == 0
    assert ask(scene, "help").text == texts.HELP
    assert ask(scene, "dance").text == texts.unknown("dance")
    assert world.scalings(scene.target) == [1, 0]
    said = [message for message in scene.person.messages(scene.room_id) if message.sender == scene.bot_id]
    assert len(said) == 6, "one answer a command, no more"


def test_a_restarted_bot_goes_on(world: World, scene: Scene) -> None:
    first = ask(scene, "start")
    scene.bot.restart()
    second = ask(scene, "stop")
    assert (first.text, second.text) == (texts.ON, texts.OFF)
    assert second.sender_key == first.sender_key
    scene.bot.kill()
    scene.bot.start()
    assert ask(scene, "start").text == texts.ON
    assert world.scalings(scene.target) == [1, 0, 1]


def test_a_new_device_reads_what_follows_and_commands_too(world: World, scene: Scene, elements: Elements) -> None:
    """The new device is one the person has not signed yet, which is how each begins."""
    assert ask(scene, "start").text == texts.ON
    tablet = elements(scene.account, "tablet", False)
    there = tablet.mark(scene.room_id)
    assert ask(scene, "stop", also=(tablet,)).text == texts.OFF
    assert ask(scene, "start", by=tablet, also=(scene.person,)).text == texts.ON
    scene.bot.restart()
    assert ask(scene, "stop", by=tablet, also=(scene.person,)).text == texts.OFF
    assert len(tablet.replies(there, scene.bot_id)) == 3
    assert world.scalings(scene.target) == [1, 0, 1, 0]


def test_a_person_at_another_client_reads_the_same(world: World, scene: Scene) -> None:
    other = world.person(world.account("bob"))
    scene.person.invite(scene.room_id, other.user_id)
    other.join(scene.room_id)
    scene.person.wait_sees_member(scene.room_id, other.user_id)
    for text, expected in (("start", texts.ON), ("help", texts.HELP), ("stop", texts.OFF)):
        mark = other.mark(scene.room_id)
        reply = ask(scene, text)
        seen = other.wait_reply(mark, scene.bot_id).message
        assert (reply.text, seen.text, seen.event_id) == (expected, expected, reply.event_id)
        assert seen.encrypted and not seen.waited_for_key
    assert world.scalings(scene.target) == [1, 0]


def test_who_has_left_cannot_read_what_follows(world: World, scene: Scene, elements: Elements) -> None:
    """Handing the answer to the one who left is what a homeserver that wants to listen would do."""
    guest = elements(world.account("guest"), "laptop", True)
    scene.person.invite(scene.room_id, guest.user_id)
    guest.join(scene.room_id)
    scene.person.wait_sees_member(scene.room_id, guest.user_id)
    before = ask(scene, "start", also=(guest,))
    guest.leave(scene.room_id)
    after = ask(scene, "stop")
    assert (before.text, after.text) == (texts.ON, texts.OFF)
    assert after.session_id != before.session_id

    assert guest.decrypt(raw_event(world, before.event_id)).text == texts.ON, "the trial itself does not work"
    trial = guest.decrypt(raw_event(world, after.event_id))
    assert (trial.text, trial.failure) == (None, "MEGOLM_UNKNOWN_INBOUND_SESSION_ID")
    assert scene.person.decrypt(raw_event(world, after.event_id)).text == texts.OFF
