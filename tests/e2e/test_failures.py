"""What people and the log are told when a server fails or says no."""

from __future__ import annotations

import re
import time

from toggle_e2e import texts
from toggle_e2e.administrator import MERGE_PATCH
from toggle_e2e.world import Manifest, Stage, World


def without_patch(document: Manifest) -> Manifest:
    """The shipped role less the right to scale."""
    if "rules" in document:
        document["rules"] = [rule for rule in document["rules"] if rule["verbs"] != ["patch"]]
    return document


def test_the_shipped_rights_are_enough_and_no_more(world: World, stage: Stage) -> None:
    """Everything the bot asked the API server for was granted, and it could not do more."""
    for text in ("status", "start", "status", "stop", "help"):
        stage.person.ask(stage.room_id, text, stage.bot_id)
    refused = [event for event in world.audit(stage.target) if event["responseStatus"]["code"] == 403]
    assert refused == []
    token = (stage.target.account_dir / "token").read_text().strip()
    base = f"/apis/apps/v1/namespaces/{stage.target.namespace}/deployments"
    for method, path, body in [
        ("PATCH", f"{base}/{stage.target.deployment}", {"spec": {"replicas": 5}}),
        ("DELETE", f"{base}/{stage.target.deployment}", None),
        ("GET", f"{base}/another", None),
        ("PATCH", f"{base}/another/scale", {"spec": {"replicas": 1}}),
        ("GET", f"/api/v1/namespaces/{stage.target.namespace}/secrets", None),
    ]:
        status, _ = world.cluster.request(method, path, body, MERGE_PATCH, user=token)
        assert status == 403, f"{method} {path} is allowed"


def test_without_the_right_to_scale_room_and_log_say_so(world: World) -> None:
    stage = world.stage(True, world.target(change=without_patch))
    name, namespace = stage.target.deployment, stage.target.namespace
    stage.bot.wait_log("deployments/scale")
    warned = [line for line in stage.bot.lines() if re.search(r"\b(WARN|ERROR)\b", line) and "patch" in line]
    assert warned and name in warned[0], "the log does not say at start that a right is missing"
    for text in ("start", "stop"):
        reply = stage.person.ask(stage.room_id, text, stage.bot_id)
        assert reply.encrypted and reply.text is not None
        assert reply.text.startswith("Error: "), reply.text
        for part in (name, namespace, "patch", "deployments/scale"):
            assert part in reply.text, reply.text
        assert not re.search(r"[{}]|system:serviceaccount|https?://", reply.text), "a raw answer got into the room"
    assert stage.person.ask(stage.room_id, "status", stage.bot_id).text == texts.status("off", 0, 0, 0)
    assert world.replicas(stage.target) == 0


def test_a_deployment_that_is_not_there(world: World) -> None:
    target = world.target(deploy=False)
    stage = world.stage(True, target)
    for text in ("start", "status", "stop"):
        reply = stage.person.ask(stage.room_id, text, stage.bot_id)
        assert reply.encrypted and reply.text is not None
        assert reply.text.startswith("Error: "), reply.text
        assert target.deployment in reply.text and target.namespace in reply.text, reply.text
        assert not re.search(r"[{}]", reply.text), "a raw answer got into the room"
    world.cluster.create_deployment(target.namespace, target.deployment)
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON


def test_an_api_server_that_is_down_is_told_and_recovered_from(world: World, stage: Stage) -> None:
    assert stage.person.ask(stage.room_id, "status", stage.bot_id).text == texts.status("off", 0, 0, 0)
    world.cluster.stop_apiserver()
    try:
        for text in ("start", "status", "stop"):
            reply = stage.person.ask(stage.room_id, text, stage.bot_id, 60)
            assert reply.encrypted and reply.text is not None
            assert reply.text.startswith("Error: The Kubernetes API server"), reply.text
        assert stage.person.ask(stage.room_id, "help", stage.bot_id).text == texts.HELP
    finally:
        world.cluster.start_apiserver()
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    assert world.replicas(stage.target) == 1
    assert world.scalings(stage.target) == [1]


def test_an_api_server_that_hangs_does_not_stop_the_sync(world: World, stage: Stage) -> None:
    """Commands are done in order, so one that waits holds up those behind it, but nothing else."""
    person = stage.person
    world.cluster.pause()
    try:
        start = person.send(stage.room_id, "start")
        plain = person.create_room(False, (stage.bot_id,), "Beside")
        world.join(stage.bot, person, plain, stage.bot_id)
        behind = person.send(plain, "help")
    finally:
        world.cluster.resume()
    reply = person.wait_reply(start, stage.bot_id, 60)
    assert reply.text == texts.ON or (reply.text or "").startswith("Error: The Kubernetes API server"), reply.text
    assert person.wait_reply(behind, stage.bot_id, 60).text == texts.HELP


def test_an_api_server_that_hangs_for_long_is_told(world: World, stage: Stage) -> None:
    world.cluster.pause()
    try:
        reply = stage.person.ask(stage.room_id, "status", stage.bot_id, 90)
        assert (reply.text or "").startswith("Error: The Kubernetes API server"), reply.text
    finally:
        world.cluster.resume()
    assert stage.person.ask(stage.room_id, "start", stage.bot_id, 30).text == texts.ON


def test_a_homeserver_that_goes_and_comes_back(world: World, stage: Stage) -> None:
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    devices = set(world.synapse.devices(stage.bot_id))
    world.synapse.stop()
    time.sleep(3)
    assert stage.bot.running, "an outage of the homeserver must not end the bot"
    world.synapse.start()
    reply = stage.person.ask(stage.room_id, "stop", stage.bot_id, 60)
    assert (reply.text, reply.encrypted) == (texts.OFF, True)
    assert set(world.synapse.devices(stage.bot_id)) == devices
    assert world.scalings(stage.target) == [1, 0]


def test_a_homeserver_that_hangs_for_a_while(world: World, stage: Stage) -> None:
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    world.synapse.pause()
    time.sleep(4)
    world.synapse.resume()
    reply = stage.person.ask(stage.room_id, "stop", stage.bot_id, 60)
    assert (reply.text, reply.encrypted) == (texts.OFF, True)
    assert world.scalings(stage.target) == [1, 0]


def test_a_homeserver_that_is_down_at_the_start(world: World) -> None:
    person = world.person(world.account("alice"))
    account = world.account("bot")
    target = world.target()
    room_id = person.create_room(True, (account.user_id,))
    bot = world.bot(account, (person.user_id,), target)
    world.synapse.stop()
    try:
        bot.start(wait=False)
        time.sleep(2)
        assert bot.running, bot.tail()
    finally:
        world.synapse.start()
    bot.wait_listening(40)
    world.join(bot, person, room_id, account.user_id)
    assert person.ask(room_id, "start", account.user_id).text == texts.ON


def test_a_command_that_failed_is_not_executed_later(world: World, stage: Stage) -> None:
    """Told that it failed, a person decides anew; the bot does not do it behind their back."""
    world.cluster.stop_apiserver()
    try:
        reply = stage.person.ask(stage.room_id, "start", stage.bot_id, 60)
        assert (reply.text or "").startswith("Error: The Kubernetes API server")
    finally:
        world.cluster.start_apiserver()
    stage.bot.restart()
    time.sleep(2)
    assert world.scalings(stage.target) == []
    assert world.replicas(stage.target) == 0
