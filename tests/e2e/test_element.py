"""What a person at Element sees: its own SDK reads all the bot says, and the bot reads all it sends."""

from __future__ import annotations

import pytest

from toggle_e2e import texts
from toggle_e2e.administrator import MERGE_PATCH, Object
from toggle_e2e.kubelet import BARE_NODE, running
from toggle_e2e.net import wait_for
from toggle_e2e.scene import Elements, Login, Scene, set_up
from toggle_e2e.world import World

# Element as it comes, "exclude insecure devices", and a person who never made an identity.
MODES = {
    "default": Login(),
    "only-signed": Login(only_signed=True),
    "no-identity": Login(cross_signing=False),
}


def requests_of_bot(scene: Scene, mark: int, path: str) -> list[str]:
    """What the bot has sent there since a mark in the homeserver's log, one line each."""
    return [line for line in scene.world.synapse.requests_since(mark, "POST", path) if scene.bot_id in line]


@pytest.mark.parametrize("scene", MODES.values(), ids=MODES.keys(), indirect=True)
def test_transcript_of_each_command(world: World, scene: Scene, request: pytest.FixtureRequest) -> None:
    """Shown with `-s`: `make e2e ARGS="-k transcript -s"`."""
    namespace, deployment = scene.target.namespace, scene.target.deployment
    try:
        assert scene.ask("status").text == texts.status("off", 0, 0, 0)
        assert scene.ask("start").text == texts.ON
        world.cluster.wait_replicas(namespace, deployment, ready=1)
        assert scene.ask("status").text == texts.status("running", 1, 1, 1)
        assert scene.ask("stop").text == texts.OFF
        assert world.replicas(scene.target) == 0
        assert scene.ask("help").text == texts.HELP
        assert scene.ask("dance").text == texts.unknown("dance")
    finally:
        print(scene.told(request.node.callspec.id))
    assert world.scalings(scene.target) == [1, 0]
    assert len(scene.answered()) == 6, "one answer a command, no more"


@pytest.mark.parametrize("scene", [MODES["only-signed"]], ids=["only-signed"], indirect=True)
def test_a_restarted_bot_goes_on(world: World, scene: Scene) -> None:
    first = scene.ask("start")
    device, mark = scene.bot_device(), world.synapse.log_mark()
    once = ("/keys/signatures/upload", "/keys/device_signing/upload", "/login")
    assert all(requests_of_bot(scene, 0, step) for step in once[:2]), "the log does not tell who asks"
    scene.bot.restart()
    second = scene.ask("stop")
    assert (first.text, second.text) == (texts.ON, texts.OFF)
    assert second.sender_key == first.sender_key
    scene.bot.kill()
    scene.bot.start()
    assert scene.ask("start").text == texts.ON
    assert scene.bot_device() == device
    assert not any(requests_of_bot(scene, mark, step) for step in once), "it signed or logged in once more"
    assert world.scalings(scene.target) == [1, 0, 1]


def test_a_new_device_commands_once_it_is_verified(world: World, scene: Scene, elements: Elements) -> None:
    """A new device is one that the person has not signed yet, which is how each begins."""
    recovery_key = scene.person.set_up_recovery()
    assert scene.ask("start").text == texts.ON
    tablet = elements(scene.account, "tablet", Login(cross_signing=False))
    place, mark = tablet.mark(scene.room_id), scene.person.mark(scene.room_id)

    refused = tablet.send(scene.room_id, "stop")
    told = scene.person.wait_reply(mark, scene.bot_id)
    scene.check(scene.person, told)
    assert told.text == texts.unverified(tablet.device_id)
    (shown,) = tablet.wait_unreadable(refused, scene.bot_id)
    assert shown.failure == "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE"
    assert world.scalings(scene.target) == [1]

    tablet.verify_with_recovery_key(recovery_key)
    assert scene.ask("stop", by=tablet, also=(scene.person,)).text == texts.OFF
    assert scene.ask("start", also=(tablet,)).text == texts.ON
    scene.bot.restart()
    assert scene.ask("stop", by=tablet, also=(scene.person,)).text == texts.OFF
    assert len([reply for reply in tablet.replies(place, scene.bot_id) if reply.text]) == 3
    assert world.scalings(scene.target) == [1, 0, 1, 0]


def test_a_person_who_logs_out_and_in_goes_on(world: World, scene: Scene, elements: Elements) -> None:
    recovery_key = scene.person.set_up_recovery()
    assert scene.ask("start").text == texts.ON
    scene.person.log_out()
    again = elements(scene.account, "laptop", Login(cross_signing=False, only_signed=True))
    again.verify_with_recovery_key(recovery_key)
    again.wait_sees_member(scene.room_id, scene.bot_id)
    assert scene.ask("stop", by=again).text == texts.OFF
    assert world.scalings(scene.target) == [1, 0]


def test_a_person_at_another_client_reads_the_same(world: World, scene: Scene) -> None:
    other = world.person(world.account("bob"))
    scene.person.invite(scene.room_id, other.user_id)
    other.join(scene.room_id)
    scene.person.wait_sees_member(scene.room_id, other.user_id)
    for text, expected in (("start", texts.ON), ("help", texts.HELP), ("stop", texts.OFF)):
        mark = other.mark(scene.room_id)
        reply = scene.ask(text)
        seen = other.wait_reply(mark, scene.bot_id).message
        assert (reply.text, seen.text, seen.event_id) == (expected, reply.text, reply.event_id)
        assert seen.encrypted and not seen.waited_for_key
    assert world.scalings(scene.target) == [1, 0]


def test_who_leaves_cannot_read_until_they_are_back(world: World, scene: Scene, elements: Elements) -> None:
    """Handing the answer to the one who left is what a homeserver that wants to listen would do."""
    guest = elements(world.account("guest"), "laptop")
    scene.person.invite(scene.room_id, guest.user_id)
    guest.join(scene.room_id)
    scene.person.wait_sees_member(scene.room_id, guest.user_id)
    before = scene.ask("start", also=(guest,))
    guest.leave(scene.room_id)
    away = scene.ask("stop")
    assert (before.text, away.text) == (texts.ON, texts.OFF)
    assert away.session_id != before.session_id

    assert guest.decrypt(world.synapse.event(before.event_id)).text == texts.ON, "the trial itself does not work"
    trial = guest.decrypt(world.synapse.event(away.event_id))
    assert (trial.text, trial.failure) == (None, "MEGOLM_UNKNOWN_INBOUND_SESSION_ID")
    assert scene.person.decrypt(world.synapse.event(away.event_id)).text == texts.OFF

    scene.person.invite(scene.room_id, guest.user_id)
    guest.join(scene.room_id)
    scene.person.wait_sees_member(scene.room_id, guest.user_id)
    back = scene.ask("start", also=(guest,))
    assert back.text == texts.ON
    assert guest.decrypt(world.synapse.event(away.event_id)).text is None, "what was said meanwhile is not theirs"


def test_a_lost_key_costs_one_message(world: World, scene: Scene) -> None:
    """The bot opens a new Olm session; Element takes that as a sign and gives it the key again by itself."""
    assert scene.ask("start").text == texts.ON
    scene.lose("inbound_groups")
    assert scene.ask("stop").text == texts.UNREADABLE
    assert scene.ask("stop").text == texts.OFF
    mine = [said for said in scene.person.messages(scene.room_id) if said.sender == scene.account.user_id]
    assert len(mine) == 3 and len({said.session_id for said in mine}) == 1, "the key came with a new session only"
    assert world.scalings(scene.target) == [1, 0]


def test_lost_olm_sessions_cost_one_message(world: World, scene: Scene) -> None:
    """The person's next key comes in an Olm session that the bot no longer has."""
    assert scene.ask("start").text == texts.ON
    scene.lose("inbound_groups", "olm_sessions")
    scene.person.discard_session(scene.room_id)
    assert scene.ask("stop").text == texts.UNREADABLE
    assert scene.ask("stop").text == texts.OFF
    assert world.scalings(scene.target) == [1, 0]


def test_a_followed_start_is_one_message_that_changes_and_one_ping(world: World, elements: Elements) -> None:
    target = world.target(deploy=False)
    world.cluster.create_deployment(target.namespace, target.deployment, 0, BARE_NODE)
    account = world.account("alice")
    named = {"DEPLOYMENT_NAME": None, "TARGETS": f"worker={target.deployment}:2"}
    scene = set_up(world, account, elements(account, "laptop"), world.account("bot"), target, **named)
    scene.say("start worker 2")
    pods = f"/api/v1/namespaces/{target.namespace}/pods"

    def made() -> list[Object] | None:
        items = world.cluster.ensure("GET", pods)["items"]
        return items if len(items) == 2 else None

    def run(pod: Object) -> None:
        path = f"{pods}/{pod['metadata']['name']}/status"
        world.cluster.ensure("PATCH", path, {"status": running(pod)}, MERGE_PATCH)

    def shown() -> list[tuple[str, bool]]:
        screen = scene.person.screen(scene.room_id)
        return [(one["text"], one["edited"]) for one in screen["messages"] if one["sender"] == scene.bot_id]

    first, second = wait_for("the pods", made)
    begun = [("worker is starting: 0 → 2 replicas.", False)]
    wait_for("the answer", lambda: shown() == begun, detail=lambda: str(shown()))
    run(first)
    changed = ("worker: 1 of 2 ready, waits for the others", True)
    wait_for("the answer to change", lambda: shown() == [changed], detail=lambda: str(shown()))
    run(second)
    answer, outcome = wait_for("the outcome", lambda: shown() if len(shown()) > 1 else None)
    assert answer == changed
    assert outcome[0].startswith("worker is ready: 2 of 2 after ") and not outcome[1]
    screen = scene.person.screen(scene.room_id)
    assert (screen["unread"], screen["highlights"]) == (2, 1)
