"""What a person at matrix-nio sees where keys and members change; at Element the same is in test_element."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from toggle_e2e import texts
from toggle_e2e.scene import Elements
from toggle_e2e.world import Stage, World


def store_of(stage: Stage) -> Path:
    """The folder with all the bot knows."""
    return Path(stage.bot.settings["CRYPTO_STORE_PATH"])


def test_who_leaves_cannot_read_until_they_are_back(world: World, stage: Stage) -> None:
    guest = world.person(world.account("guest"))

    def enter() -> None:
        stage.person.invite(stage.room_id, guest.user_id)
        guest.join(stage.room_id)
        guest.wait_sees_member(stage.room_id, stage.bot_id)
        stage.person.wait_sees_member(stage.room_id, guest.user_id)

    enter()
    before = stage.person.ask(stage.room_id, "start", stage.bot_id).message
    guest.leave(stage.room_id)
    away = stage.person.ask(stage.room_id, "stop", stage.bot_id).message
    assert away.session_id != before.session_id
    enter()
    mark = guest.mark(stage.room_id)
    back = stage.person.ask(stage.room_id, "start", stage.bot_id).message
    assert guest.wait_reply(mark, stage.bot_id).text == back.text == texts.ON
    read = [guest.decrypt(world.synapse.event(message.event_id)) for message in (before, away, back)]
    assert read == [texts.ON, None, texts.ON], "what was said meanwhile is not theirs"
    assert stage.person.decrypt(world.synapse.event(away.event_id)) == texts.OFF, "the trial itself does not work"
    assert world.scalings(stage.target) == [1, 0, 1]


def test_a_person_who_logs_out_and_in_goes_on(world: World, stage: Stage) -> None:
    person = stage.person
    assert person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    person.log_out()
    account = next(account for account in world.accounts if account.user_id == person.user_id)
    again = world.person(account, "phone again")
    assert again.ask(stage.room_id, "stop", stage.bot_id).text == texts.OFF
    assert world.scalings(stage.target) == [1, 0]


def test_a_lost_store_is_recovered(world: World, elements: Elements) -> None:
    """nio asks for no signature: what it sees is a new device of the bot's that reads and answers."""
    bot_account = world.account("bot")
    maker = elements(bot_account, "browser")
    recovery_key = maker.set_up_recovery()
    maker.log_out()
    person, target = world.person(world.account("alice")), world.target()
    bot = world.bot(bot_account, (person.user_id,), target, MATRIX_RECOVERY_KEY=recovery_key)
    room_id = person.create_room(True, (bot_account.user_id,))
    bot.start()
    world.join(bot, person, room_id, bot_account.user_id)
    first = person.ask(room_id, "start", bot_account.user_id)
    bot.end()
    shutil.rmtree(bot.settings["CRYPTO_STORE_PATH"])
    bot.start()
    second = person.ask(room_id, "stop", bot_account.user_id)
    assert (first.text, second.text) == (texts.ON, texts.OFF)
    assert first.message.sender_key != second.message.sender_key
    assert world.scalings(target) == [1, 0]


def test_lost_keys_are_told(world: World, stage: Stage) -> None:
    """nio gives a key once and begins a session at each start: until then each message is answered so.

    The next key comes in the Olm session that the bot opened, since its old one is gone.
    """
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    stage.bot.end()
    with closing(sqlite3.connect(store_of(stage) / "store.sqlite3")) as store:
        for table in ("inbound_groups", "olm_sessions"):
            assert store.execute(f"DELETE FROM {table}").rowcount == 1
        store.commit()
    stage.bot.start()
    assert stage.person.ask(stage.room_id, "stop", stage.bot_id).text == texts.UNREADABLE
    assert stage.person.ask(stage.room_id, "stop", stage.bot_id).text == texts.UNREADABLE
    assert world.scalings(stage.target) == [1]
    stage.person.restart()
    assert stage.person.ask(stage.room_id, "stop", stage.bot_id).text == texts.OFF
    assert world.scalings(stage.target) == [1, 0]
