"""What survives an end, a crash and a time away, and what must not happen twice."""

from __future__ import annotations

import re
import signal
import time

import pytest

from toggle_e2e import texts
from toggle_e2e.bot import run_to_end
from toggle_e2e.net import wait_for
from toggle_e2e.person import Person
from toggle_e2e.world import Stage, World

# Most of this can only go wrong between two processes on one volume: in containers, where they can be.
pytestmark = pytest.mark.usefixtures("as_image_if_static")

SETTLE = 1.0
SHORTEST_MAX_AGE = "5s"


def said_by_bot(stage: Stage) -> list[str | None]:
    """Everything the bot has said in the room, oldest first."""
    return [message.text for message in stage.person.messages(stage.room_id) if message.sender == stage.bot_id]


def test_a_restart_keeps_the_device_and_the_sessions(world: World, stage: Stage) -> None:
    person = stage.person
    first = person.ask(stage.room_id, "start", stage.bot_id)
    assert first.text == texts.ON
    session = person.outbound_session(stage.room_id)
    devices = set(world.synapse.devices(stage.bot_id))
    keys = person.device_keys(stage.bot_id)
    assert len(devices) == 1 and set(keys) == devices
    mark = world.synapse.log_mark()

    stage.bot.restart()

    second = person.ask(stage.room_id, "stop", stage.bot_id)
    assert (second.text, second.encrypted) == (texts.OFF, True)
    assert person.outbound_session(stage.room_id) == session, "the person was made to begin a new session"
    assert second.message.sender_key == first.message.sender_key
    assert set(world.synapse.devices(stage.bot_id)) == devices
    assert person.device_keys(stage.bot_id) == keys
    assert world.synapse.requests_since(mark, "POST", "/login") == [], "it logged in a second time"
    time.sleep(SETTLE)
    assert said_by_bot(stage) == [texts.ON, texts.OFF]
    assert world.scalings(stage.target) == [1, 0]


def test_many_restarts_neither_repeat_nor_forget(world: World, stage: Stage) -> None:
    expected: list[str] = []
    for round_number in range(4):
        for text, answer in (("start", texts.ON), ("stop", texts.OFF)):
            reply = stage.person.ask(stage.room_id, text, stage.bot_id)
            assert (reply.text, reply.encrypted, reply.message.waited_for_key) == (answer, True, False), round_number
            expected.append(answer)
        stage.bot.restart()
    time.sleep(SETTLE)
    assert said_by_bot(stage) == expected
    assert world.scalings(stage.target) == [1, 0] * 4


def test_a_person_who_restarts_is_understood(world: World, stage: Stage) -> None:
    """Their client begins a new session, which the bot has to take."""
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    before = stage.person.outbound_session(stage.room_id)
    stage.person.restart()
    reply = stage.person.ask(stage.room_id, "stop", stage.bot_id)
    assert (reply.text, reply.encrypted) == (texts.OFF, True)
    assert stage.person.outbound_session(stage.room_id) != before


def test_both_restart(world: World, stage: Stage) -> None:
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    stage.bot.end()
    stage.person.restart()
    stage.bot.start()
    assert stage.person.ask(stage.room_id, "stop", stage.bot_id).text == texts.OFF
    assert world.scalings(stage.target) == [1, 0]


def test_a_kill_after_the_answer_repeats_nothing(world: World, stage: Stage) -> None:
    for text, answer in (("start", texts.ON), ("stop", texts.OFF), ("start", texts.ON)):
        assert stage.person.ask(stage.room_id, text, stage.bot_id).text == answer
        stage.bot.kill()
        stage.bot.start()
    time.sleep(SETTLE)
    assert said_by_bot(stage) == [texts.ON, texts.OFF, texts.ON]
    assert world.scalings(stage.target) == [1, 0, 1]


def test_a_kill_between_scaling_and_answering(world: World, stage: Stage) -> None:
    """The homeserver hangs when the scaling is done, so the answer cannot go out; then the bot is killed."""
    assert stage.person.ask(stage.room_id, "help", stage.bot_id).text == texts.HELP
    world.cluster.pause()
    try:
        sent = stage.person.send(stage.room_id, "start")
        stage.bot.wait_log(f"start (encrypted, {sent.event_id})")
        world.synapse.pause()
    finally:
        world.cluster.resume()
    try:
        wait_for("the deployment to be scaled", lambda: world.replicas(stage.target) == 1, 30, detail=stage.bot.tail)
        time.sleep(0.5)
        stage.bot.kill()
    finally:
        world.synapse.resume()
    assert stage.person.replies(sent, stage.bot_id) == [], "the answer was out before the kill: the test proves nothing"
    stage.bot.start()
    reply = stage.person.wait_reply(sent, stage.bot_id)
    assert (reply.text, reply.encrypted) == (texts.ON, True)
    time.sleep(SETTLE)
    assert len(stage.person.replies(sent, stage.bot_id)) == 1
    assert world.scalings(stage.target) == [1], "what was done before the kill was done again"


def test_a_kill_while_scaling(world: World, stage: Stage) -> None:
    """The API server hangs, the request is under way, the bot is killed.

    Nobody can know whether that request still counts, so it may be made a
    second time: it sets a number and adds nothing. The answer comes once.
    """
    assert stage.person.ask(stage.room_id, "help", stage.bot_id).text == texts.HELP
    world.cluster.pause()
    try:
        sent = stage.person.send(stage.room_id, "start")
        time.sleep(1)
        stage.bot.kill()
    finally:
        world.cluster.resume()
    stage.bot.start()
    assert stage.person.wait_reply(sent, stage.bot_id).text == texts.ON
    time.sleep(SETTLE)
    assert len(stage.person.replies(sent, stage.bot_id)) == 1
    assert world.scalings(stage.target) in ([1], [1, 1])
    assert world.replicas(stage.target) == 1


def test_kills_at_any_moment_lose_and_repeat_nothing(world: World, stage: Stage) -> None:
    person = stage.person
    commands = [("start", texts.ON, 1), ("stop", texts.OFF, 0)] * 5
    for (text, answer, replicas), delay in zip(commands, [0, 5, 10, 15, 20, 30, 40, 60, 90, 150], strict=True):
        sent = person.send(stage.room_id, text)
        time.sleep(delay / 1000)
        stage.bot.kill()
        stage.bot.start()
        reply = person.wait_reply(sent, stage.bot_id)
        assert (reply.text, reply.encrypted) == (answer, True), f"killed {delay} ms after {text}"
        assert world.replicas(stage.target) == replicas
    time.sleep(SETTLE)
    assert said_by_bot(stage) == [answer for _, answer, _ in commands]
    done = world.scalings(stage.target)
    without_repeats = [number for at, number in enumerate(done) if at == 0 or number != done[at - 1]]
    assert without_repeats == [1, 0] * 5, "a command came back after a later one"


def test_a_second_device_reads_and_commands_too(world: World, stage: Stage) -> None:
    person = stage.person
    assert person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    account = next(account for account in world.accounts if account.user_id == person.user_id)
    tablet = world.person(account, "tablet")
    assert tablet.device_id != person.device_id

    def asks(device: Person, other: Person, text: str) -> list[tuple[str | None, bool, bool]]:
        there = other.mark(stage.room_id)
        replies = [device.ask(stage.room_id, text, stage.bot_id), other.wait_reply(there, stage.bot_id)]
        return [(reply.text, reply.encrypted, reply.message.waited_for_key) for reply in replies]

    assert asks(person, tablet, "stop") == [(texts.OFF, True, False)] * 2
    assert asks(tablet, person, "start") == [(texts.ON, True, False)] * 2
    assert asks(person, tablet, "help") == [(texts.HELP, True, False)] * 2
    stage.bot.restart()
    assert asks(tablet, person, "stop") == [(texts.OFF, True, False)] * 2
    assert world.scalings(stage.target) == [1, 0, 1, 0]


def test_a_device_added_while_the_bot_was_away_can_read(world: World, stage: Stage) -> None:
    person = stage.person
    assert person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    stage.bot.end()
    account = next(account for account in world.accounts if account.user_id == person.user_id)
    tablet = world.person(account, "tablet")
    stage.bot.start()
    there = tablet.mark(stage.room_id)
    assert person.ask(stage.room_id, "stop", stage.bot_id).text == texts.OFF
    reply = tablet.wait_reply(there, stage.bot_id)
    assert (reply.text, reply.encrypted) == (texts.OFF, True)


def test_who_has_left_cannot_read_what_follows(world: World, stage: Stage) -> None:
    """The bot must begin a new session when somebody leaves."""
    guest = world.person(world.account("guest"))
    stage.person.invite(stage.room_id, guest.user_id)
    guest.join(stage.room_id)
    stage.person.wait_sees_member(stage.room_id, guest.user_id)
    before = stage.person.ask(stage.room_id, "status", stage.bot_id)
    guest.leave(stage.room_id)
    wait_for("the guest to be gone", lambda: world.synapse.members(stage.room_id).get(guest.user_id) == "leave", 10)
    after = stage.person.ask(stage.room_id, "status", stage.bot_id)
    assert after.encrypted and before.encrypted
    assert after.message.session_id != before.message.session_id


def test_a_second_process_on_the_same_store_is_refused(world: World, stage: Stage) -> None:
    code, output = run_to_end(stage.bot.settings)
    assert code == 1, output
    assert re.search(r"another process|in use|locked|already", output, re.IGNORECASE), output
    assert stage.bot.settings["CRYPTO_STORE_PATH"] in output, "it does not say which store"
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("outage", [False, True], ids=["idle", "homeserver hangs"])
def test_a_signal_ends_it_cleanly_and_at_once(
    world: World, stage: Stage, number: signal.Signals, outage: bool
) -> None:
    assert stage.person.ask(stage.room_id, "help", stage.bot_id).text == texts.HELP
    if outage:
        world.synapse.pause()
    try:
        ended = stage.bot.end(number)
    finally:
        world.synapse.resume()
    assert ended.code == 0, stage.bot.tail()
    # What it could wait for takes ten seconds and more.
    assert ended.seconds < 5, f"it took {ended.seconds:.2f} s"


def test_a_command_from_while_it_was_away_is_executed_once(world: World, stage: Stage) -> None:
    stage.bot.end()
    sent = stage.person.send(stage.room_id, "start")
    time.sleep(1)
    stage.bot.start()
    reply = stage.person.wait_reply(sent, stage.bot_id)
    assert (reply.text, reply.encrypted) == (texts.ON, True)
    stage.bot.restart()
    time.sleep(SETTLE)
    assert len(stage.person.replies(sent, stage.bot_id)) == 1
    assert world.scalings(stage.target) == [1]


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "plain"])
def test_a_command_that_has_grown_old_is_told_and_not_executed(world: World, encrypted: bool) -> None:
    stage = world.stage(encrypted, COMMAND_MAX_AGE=SHORTEST_MAX_AGE)
    stage.bot.end()
    sent = stage.person.send(stage.room_id, "start")
    time.sleep(6.5)
    stage.bot.start()
    reply = stage.person.wait_reply(sent, stage.bot_id)
    assert reply.text is not None
    assert re.fullmatch(
        r'Your command "start" reached me \d+ s late, so I did not run it: '
        r"please send it again if you still want it\.",
        reply.text,
    ), reply.text
    assert reply.encrypted == encrypted
    assert world.replicas(stage.target) == 0
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    time.sleep(SETTLE)
    assert len(stage.person.replies(sent, stage.bot_id)) == 2
    assert world.scalings(stage.target) == [1]
