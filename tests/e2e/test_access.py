"""Who is listened to, and where."""

from __future__ import annotations

import time
from collections.abc import Callable

from toggle_e2e import texts
from toggle_e2e.bot import Bot
from toggle_e2e.person import Person
from toggle_e2e.world import Account, Stage, Target, World

# How long a bot that should stay silent is given to break its silence, on top of a command it did answer.
SILENCE = 1.0


def test_an_invite_from_before_the_start_is_taken(
    world: World, alice: Person, bot_account: Account, make_bot: Callable[..., Bot]
) -> None:
    room_id = alice.create_room(True, (bot_account.user_id,))
    with make_bot() as bot:
        world.join(bot, alice, room_id, bot_account.user_id)
        reply = alice.ask(room_id, "help", bot_account.user_id)
        assert (reply.text, reply.encrypted) == (texts.HELP, True)


def test_an_invite_to_a_running_bot_is_taken(
    world: World, alice: Person, bot_account: Account, make_bot: Callable[..., Bot]
) -> None:
    with make_bot() as bot:
        for encrypted in (True, False):
            room_id = alice.create_room(encrypted, (bot_account.user_id,))
            world.join(bot, alice, room_id, bot_account.user_id)
            reply = alice.ask(room_id, "help", bot_account.user_id)
            assert (reply.text, reply.encrypted) == (texts.HELP, encrypted)


def test_an_invite_of_a_stranger_is_not_taken(
    world: World, alice: Person, mallory: Person, bot_account: Account, make_bot: Callable[..., Bot]
) -> None:
    before = mallory.create_room(True, (bot_account.user_id,))
    with make_bot() as bot:
        later = mallory.create_room(False, (bot_account.user_id,))
        # Taking a later invite of somebody who may invite shows that the others were seen and left alone.
        room_id = alice.create_room(True, (bot_account.user_id,))
        world.join(bot, alice, room_id, bot_account.user_id)
        time.sleep(SILENCE)
        for left_alone in (before, later):
            assert world.synapse.members(left_alone)[bot_account.user_id] == "invite"
        bot.wait_log(mallory.user_id, 2)


def test_a_stranger_in_the_room_is_ignored_without_a_word(world: World, stage: Stage, mallory: Person) -> None:
    for encrypted in (True, False):
        room_id = stage.person.create_room(encrypted, (stage.bot_id, mallory.user_id))
        world.join(stage.bot, stage.person, room_id, stage.bot_id)
        mallory.join(room_id)
        mallory.wait_sees_member(room_id, stage.bot_id)
        stage.person.wait_sees_member(room_id, mallory.user_id)
        mark = stage.person.mark(room_id)
        for text in ("start", "help", "status", "dance"):
            mallory.send(room_id, text)
        asked = stage.person.send(room_id, "status")
        assert stage.person.wait_reply(asked, stage.bot_id).text == texts.status("off", 0, 0, 0)
        time.sleep(SILENCE)
        assert len(stage.person.replies(mark, stage.bot_id)) == 1, "only the one who may ask is answered"
    assert world.replicas(stage.target) == 0
    assert world.scalings(stage.target) == []


def test_a_stranger_reads_what_is_said_but_steers_nothing(world: World, stage: Stage, mallory: Person) -> None:
    """Whoever is in the room may read the answers: the bot must share its keys with all members."""
    stage.person.invite(stage.room_id, mallory.user_id)
    mallory.join(stage.room_id)
    stage.person.wait_sees_member(stage.room_id, mallory.user_id)
    mark = mallory.mark(stage.room_id)
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    assert mallory.wait_reply(mark, stage.bot_id).text == texts.ON
    mallory.send(stage.room_id, "stop")
    time.sleep(SILENCE)
    assert world.scalings(stage.target) == [1]


def test_a_plaintext_command_in_an_encrypted_room_is_refused(world: World, stage: Stage) -> None:
    for text in ("start", "stop", "on"):
        sent = stage.person.send_plaintext(stage.room_id, text)
        reply = stage.person.wait_reply(sent, stage.bot_id)
        assert reply.text == texts.PLAINTEXT_REFUSED
        assert reply.encrypted, "even the refusal is as private as the room"
    assert world.replicas(stage.target) == 0
    assert world.scalings(stage.target) == []
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON


def test_a_plaintext_command_of_a_stranger_in_an_encrypted_room_gets_no_answer(
    world: World, stage: Stage, mallory: Person
) -> None:
    stage.person.invite(stage.room_id, mallory.user_id)
    mallory.join(stage.room_id)
    mark = stage.person.mark(stage.room_id)
    mallory.send_plaintext(stage.room_id, "start")
    assert stage.person.ask(stage.room_id, "help", stage.bot_id).text == texts.HELP
    time.sleep(SILENCE)
    assert len(stage.person.replies(mark, stage.bot_id)) == 1
    assert world.scalings(stage.target) == []


def test_a_room_that_becomes_encrypted_stays_so(world: World, alice: Person) -> None:
    stage = world.stage(encrypted=False, person=alice)
    assert alice.ask(stage.room_id, "start", stage.bot_id).encrypted is False
    alice.encrypt(stage.room_id)
    reply = alice.ask(stage.room_id, "stop", stage.bot_id)
    assert (reply.text, reply.encrypted) == (texts.OFF, True)
    refused = alice.wait_reply(alice.send_plaintext(stage.room_id, "start"), stage.bot_id)
    assert (refused.text, refused.encrypted) == (texts.PLAINTEXT_REFUSED, True)
    assert world.scalings(stage.target) == [1, 0]


def test_an_edit_is_no_command(world: World, stage: Stage) -> None:
    """Otherwise an old message could be turned into a command by rewriting it."""
    original = stage.person.send(stage.room_id, "help")
    assert stage.person.wait_reply(original, stage.bot_id).text == texts.HELP
    stage.person.send_content(
        stage.room_id,
        {
            "msgtype": "m.text",
            "body": "start",
            "m.new_content": {"msgtype": "m.text", "body": "start"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": original.event_id},
        },
    )
    time.sleep(SILENCE)
    assert stage.person.ask(stage.room_id, "status", stage.bot_id, 10).encrypted
    assert world.replicas(stage.target) == 0
    assert world.scalings(stage.target) == []


def test_what_was_said_before_the_first_start_is_not_executed(
    world: World, alice: Person, bot_account: Account, target: Target, make_bot: Callable[..., Bot]
) -> None:
    room_id = alice.create_room(False, (bot_account.user_id,))
    alice.send(room_id, "start")
    with make_bot() as bot:
        world.join(bot, alice, room_id, bot_account.user_id)
        mark = alice.mark(room_id)
        assert alice.ask(room_id, "help", bot_account.user_id).text == texts.HELP
        time.sleep(SILENCE)
        assert len(alice.replies(mark, bot_account.user_id)) == 1
    assert world.replicas(target) == 0
    assert world.scalings(target) == []
