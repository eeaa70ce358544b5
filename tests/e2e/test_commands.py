"""What each command does, says, and how it comes."""

from __future__ import annotations

import pytest

from toggle_e2e import texts
from toggle_e2e.messages import Message
from toggle_e2e.world import Stage, World

pytestmark = pytest.mark.usefixtures("as_image_if_static")

ROOM_KINDS = pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "plain"])


def answer(world: World, stage: Stage, text: str, encrypted: bool, count: int = 1) -> list[str | None]:
    """Says something and gives what the bot said to it, having looked at how it came."""
    sent = stage.person.send(stage.room_id, text)
    assert sent.encrypted == encrypted
    replies = stage.person.wait_replies(sent, stage.bot_id, count)
    for reply in replies:
        check_envelope(stage, reply.message, encrypted)
    return [reply.text for reply in replies]


def check_envelope(stage: Stage, message: Message, encrypted: bool) -> None:
    """An answer must be as private as its room, and readable the moment it comes."""
    assert message.encrypted == encrypted, message
    assert not message.waited_for_key, "the answer came before the key to read it"
    assert message.msgtype in ("m.text", "m.notice"), message
    if encrypted:
        assert message.sender_key in stage.person.device_keys(stage.bot_id).values()


@ROOM_KINDS
def test_each_command_and_what_the_cluster_says_after_it(world: World, encrypted: bool) -> None:
    stage = world.stage(encrypted)
    namespace, deployment = stage.target.namespace, stage.target.deployment

    def says(text: str) -> str | None:
        return answer(world, stage, text, encrypted)[0]

    assert says("status") == texts.status("off", 0, 0, 0)
    assert says("start") == texts.ON
    assert world.replicas(stage.target) == 1
    world.cluster.wait_replicas(namespace, deployment, ready=1)
    assert says("status") == texts.status("running", 1, 1, 1)
    assert says("stop") == texts.OFF
    assert world.replicas(stage.target) == 0
    world.cluster.wait_replicas(namespace, deployment, ready=0)
    assert says("on") == texts.ON
    assert world.replicas(stage.target) == 1
    assert says("off") == texts.OFF
    assert world.replicas(stage.target) == 0
    world.cluster.wait_replicas(namespace, deployment, ready=0)
    assert says("status") == texts.status("off", 0, 0, 0)
    assert says("help") == texts.HELP
    assert says("dance") == texts.unknown("dance")
    assert world.replicas(stage.target) == 0

    assert world.scalings(stage.target) == [1, 0, 1, 0]
    said = [message for message in stage.person.messages(stage.room_id) if message.sender == stage.bot_id]
    assert len(said) == 9, "one answer a command, no more"


@ROOM_KINDS
def test_case_and_white_space_do_not_matter(world: World, encrypted: bool) -> None:
    stage = world.stage(encrypted)
    for text, expected in [
        ("  START\n", texts.ON),
        ("\tOff ", texts.OFF),
        ("On", texts.ON),
        (" sToP", texts.OFF),
        ("HELP", texts.HELP),
        (" Dance now ", texts.unknown("Dance now")),
    ]:
        assert answer(world, stage, text, encrypted) == [expected], text
    assert world.scalings(stage.target) == [1, 0, 1, 0]


@ROOM_KINDS
@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_echo_mode_repeats_each_message_first(world: World, encrypted: bool, value: str) -> None:
    stage = world.stage(encrypted, ECHO_MODE=value)
    for text, expected in [
        ("start", texts.ON),
        ("Stop ", texts.OFF),
        ("help", texts.HELP),
        ("what?", texts.unknown("what?")),
    ]:
        assert answer(world, stage, text, encrypted, 2) == [texts.echo(text), expected]
    assert world.scalings(stage.target) == [1, 0]


def test_echo_is_on_unless_told_otherwise(world: World) -> None:
    stage = world.stage(True, ECHO_MODE=None)
    assert answer(world, stage, "status", True, 2) == [texts.echo("status"), texts.status("off", 0, 0, 0)]


def test_a_start_is_told_as_starting_until_a_pod_is_ready(world: World) -> None:
    target = world.target(deploy=False)
    # No node of this name exists, so no pod ever gets ready.
    world.cluster.create_deployment(target.namespace, target.deployment, 0, "nowhere")
    stage = world.stage(True, target)
    assert answer(world, stage, "start", True) == [texts.ON]
    assert answer(world, stage, "status", True) == [texts.status("starting", 1, 0, 0)]


def test_two_rooms_are_served_each_in_its_own_way(world: World, stage: Stage) -> None:
    """An answer goes where the command came from, and stays as private as that room."""
    plain = stage.person.create_room(False, (stage.bot_id,), "Open")
    world.join(stage.bot, stage.person, plain, stage.bot_id)
    in_secret = stage.person.mark(stage.room_id)
    reply = stage.person.ask(plain, "start", stage.bot_id)
    assert (reply.text, reply.encrypted) == (texts.ON, False)
    assert stage.person.replies(in_secret, stage.bot_id) == []
    in_public = stage.person.mark(plain)
    reply = stage.person.ask(stage.room_id, "stop", stage.bot_id)
    assert (reply.text, reply.encrypted) == (texts.OFF, True)
    assert stage.person.replies(in_public, stage.bot_id) == []
    assert world.scalings(stage.target) == [1, 0]


def test_commands_in_quick_succession_are_all_answered_in_order(world: World, stage: Stage) -> None:
    mark = stage.person.mark(stage.room_id)
    for text in ("start", "stop", "help", "start", "stop"):
        stage.person.send(stage.room_id, text)
    replies = stage.person.wait_replies(mark, stage.bot_id, 5)
    assert [reply.text for reply in replies] == [texts.ON, texts.OFF, texts.HELP, texts.ON, texts.OFF]
    assert world.replicas(stage.target) == 0
    assert world.scalings(stage.target) == [1, 0, 1, 0]
