"""Targets with names, on the real servers: the conversation of docs/commands.md, and what can go wrong.

All tests share one bot. Its targets are in four namespaces, with the rights that the
chart gives to it there; its three rooms have their own.
"""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from toggle_e2e.administrator import MERGE_PATCH, Object
from toggle_e2e.bot import Bot
from toggle_e2e.documented import leveled, written
from toggle_e2e.kubelet import BARE_NODE, NODE, running
from toggle_e2e.messages import is_edit
from toggle_e2e.named import Release, Talk, release
from toggle_e2e.net import wait_for
from toggle_e2e.redaction import given_away
from toggle_e2e.rights import WIDGETS
from toggle_e2e.world import World

HERE, QUOTA, STRICT, SLOW = "e2e-town", "e2e-town-quota", "e2e-town-strict", "e2e-town-slow"

OF_WIDGETS = f"/apis/e2e.example.com/v1/namespaces/{HERE}/widgets"

ELSEWHERE = "elsewhere"
"""A node that nobody plays: its pods wait for ever."""

MAY_NOT = rf"^Error: I may not scale deployment slow in namespace {SLOW}: grant .* `patch` on `deployments/scale`\.$"

HOOK_SECONDS = 8
"""After so long the API server gives up on a webhook that does not answer; too long for the bot to try again."""


@dataclass(frozen=True)
class Town:
    """A bot, and its rooms as people have them."""

    world: World
    bot: Bot
    targets: Release
    alice: Talk
    """In the room of the conversation."""
    vera: Talk
    """There, too; she may only look."""
    anna: Talk
    """In the room of the others; she may command all of them."""
    bob: Talk
    """There, too; he may command most."""
    lab: Talk
    """Anna in a room where one target more is there."""


def make_targets(world: World) -> None:
    """The workloads, and what keeps some of them from coming up."""
    cluster = world.cluster
    for namespace in (HERE, QUOTA, STRICT, SLOW):
        cluster.create_namespace(namespace)
    for name, node in {
        "openclaw-worker": NODE,
        "openclaw-report": BARE_NODE,
        "shop": ELSEWHERE,
        "quick": NODE,
        "secret": NODE,
    }.items():
        cluster.create_deployment(HERE, name, 0, node)
    cluster.create_deployment(HERE, "openclaw-gateway", 0, NODE, "StatefulSet")
    for name in ("late", "scaled"):
        cluster.create_deployment(HERE, name, 0, ELSEWHERE)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    cluster.create_deployment(
        HERE,
        "ledger",
        1,
        kind="StatefulSet",
        volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": claim}],
        persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete"},
    )
    cluster.apply([WIDGETS])
    wait_for("widgets to be served", lambda: cluster.request("GET", OF_WIDGETS)[0] == 200)
    web = {"apiVersion": "e2e.example.com/v1", "kind": "Widget", "metadata": {"name": "web"}, "spec": {"replicas": 0}}
    cluster.ensure("POST", OF_WIDGETS, web)
    cluster.create_deployment(SLOW, "slow")
    cluster.create_deployment(QUOTA, "batch")
    cluster.create_deployment(STRICT, "strict", kind="StatefulSet")
    # The controller that counts what a quota has used is played.
    hard = {"pods": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}
    path = f"/api/v1/namespaces/{QUOTA}/resourcequotas"
    cluster.ensure("POST", path, quota)
    counted = quota | {"status": {"hard": hard, "used": {"pods": "0"}}}
    cluster.ensure("PATCH", f"{path}/q/status", counted, MERGE_PATCH)
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.ensure("PATCH", f"/api/v1/namespaces/{STRICT}", label, MERGE_PATCH)


def entries(ops: str, lab: str, talk: str, anna: str) -> list[Object]:
    """The targets, as the chart's values have them."""
    here = {"rooms": [talk]}
    there = {"rooms": [ops, lab], "viewers": []}
    hidden = {"rooms": [lab], "users": [anna], "viewers": []}
    return [
        {"name": "worker", "object": "openclaw-worker", "max": 3, **here},
        {"name": "gateway", "object": "openclaw-gateway", "kind": "statefulset", "max": 2, **here},
        {"name": "report", "object": "openclaw-report", "readyTimeout": "10s", **here},
        {"name": "quick", "object": "quick", **there},
        {"name": "shop", "object": "shop", **there},
        {"name": "slow", "object": "slow", "namespace": SLOW, **there},
        {"name": "batch", "object": "batch", "namespace": QUOTA, "max": 2, "readyTimeout": "10s", **there},
        {
            **{"name": "strict", "object": "strict", "kind": "statefulset", "namespace": STRICT},
            **{"readyTimeout": "10s", **there},
        },
        {"name": "secret", "object": "secret", **hidden},
        {"name": "late", "object": "late", **hidden},
        {"name": "scaled", "object": "scaled", "max": 2, **hidden},
        {"name": "ledger", "object": "ledger", "kind": "statefulset", **hidden},
        {"name": "web", "object": "web", "kind": "e2e.example.com/v1/widgets", **hidden},
    ]


@pytest.fixture(scope="module")
def town(world: World) -> Iterator[Town]:
    """The bot, in its rooms; what does not come up is asked for first, since that takes its time."""
    make_targets(world)
    account = world.account("bot")
    people = {name: world.person(world.account(name)) for name in ("alice", "vera", "anna", "bob")}
    alice, vera, anna, bob = people.values()
    talk = alice.create_room(True, (account.user_id, vera.user_id))
    ops, lab = (anna.create_room(True, (account.user_id, bob.user_id, vera.user_id)) for _ in range(2))
    allowed = tuple(person.user_id for person in (alice, anna, bob))
    targets = release(world.cluster, HERE, entries(ops, lab, talk, anna.user_id), allowed, (vera.user_id,))
    bot = world.bot(account, allowed, targets.identity, VIEWERS=vera.user_id, **targets.settings)
    bot.start()
    for room, maker, others in ((talk, alice, (vera,)), (ops, anna, (bob, vera)), (lab, anna, (bob, vera))):
        for person in others:
            person.join(room)
        world.join(bot, maker, room, account.user_id)
        for person in (maker, *others):
            for other in (maker, *others):
                person.wait_sees_member(room, other.user_id)
            person.wait_sees_member(room, account.user_id)
    of_anna = Talk(anna, ops, bot, account.user_id)
    made = Town(
        world,
        bot,
        targets,
        Talk(alice, talk, bot, account.user_id),
        Talk(vera, talk, bot, account.user_id),
        of_anna,
        Talk(bob, ops, bot, account.user_id),
        of_anna.beside(lab),
    )
    for command in ("start batch 2", "start strict"):
        made.lab.say(command)
    yield made
    bot.kill()
    for person in people.values():
        person.stop()
    found = given_away(bot.settings, (line.text for line in bot.log))
    assert not found, f"the log holds {found}"


def test_the_conversation_of_the_documentation_takes_place(town: Town) -> None:
    """Word by word, but for times, codes and ids, and for the order in which targets stop side by side."""
    script = written()
    assert {who for who, _ in script} == {"alice", "vera", "bot"}
    speakers = {"alice": town.alice, "vera": town.vera}
    code = ""
    for is_bot, lines in itertools.groupby(script, lambda line: line[0] == "bot"):
        if is_bot:
            wanted = [leveled(text) for _, text in lines]
            said = [town.alice.next(40).text or "" for _ in wanted]
            assert sorted(map(leveled, said)) == sorted(wanted)
            code = next(iter(re.findall(r"yes ([0-9A-Z]{4})$", said[0])), code)
            continue
        for who, text in lines:
            # One code is wrong on purpose.
            is_code = re.fullmatch(r"yes [0-9A-Z]{4}", text) and text != "yes 0000"
            speakers[who].say(f"yes {code}" if is_code else text)


def test_an_outcome_is_a_message_of_its_own_that_mentions_who_asked(town: Town) -> None:
    anna, bob = town.anna, town.bob
    asked = bob.say("start quick")
    answer = anna.wait(r"^quick is starting: 0 → 1 replicas\.$")
    assert answer.content["m.relates_to"] == {"m.in_reply_to": {"event_id": asked.event_id}}
    outcome = anna.wait(r"^quick is ready: 1 of 1 after \d+ s\.$")
    assert outcome.content["m.mentions"] == {"user_ids": [bob.person.user_id]}
    assert outcome.event_id != answer.event_id
    # A person without rights to it reads none of it in their own room, and gets no answer about it.
    assert not any("quick" in (message.text or "") for message in town.alice.heard())


def test_what_is_followed_is_watched_and_not_asked_for(town: Town) -> None:
    """From one answer to the outcome the API server gets one watch; what takes its time is read, but seldom."""
    anna, cluster = town.anna, town.world.cluster

    def asked() -> list[str]:
        """The verbs of all requests about the target so far."""
        account = town.targets.identity.service_account
        about = [one for one in cluster.audit(account) if "quick" in one["requestURI"]]
        # The end of a watch has an entry, too.
        begun = {"watch": "ResponseStarted"}
        return [one["verb"] for one in about if one["stage"] == begun.get(one["verb"], "ResponseComplete")]

    for command, outcome in (("stop", r"^quick has stopped, after "), ("start", r"^quick is ready: 1 of 1 after ")):
        before = asked()
        anna.say(f"{command} quick")
        anna.wait(outcome)
        verbs = asked()[len(before) :]
        assert [verb for verb in verbs if verb != "get"] == ["patch", "watch"] and len(verbs) <= 4, (command, verbs)


def test_an_answer_stands_where_the_question_was(town: Town) -> None:
    """In its thread, with the bot mentioned; what was edited is not run."""
    anna = town.anna
    root = anna.say("Is it up?")
    anna.wait(r"^I do not know that command")
    in_thread = {"rel_type": "m.thread", "event_id": root.event_id}
    mention = {"user_ids": [anna.bot_id]}
    anna.say(f"{anna.bot_id}: status quick", **{"m.mentions": mention, "m.relates_to": in_thread})
    answer = anna.wait(r"^quick is on: 1 of 1 ready\.")
    assert answer.content["m.relates_to"]["rel_type"] == "m.thread"
    assert answer.content["m.relates_to"]["event_id"] == root.event_id
    asked = anna.say("status quick")
    anna.wait(r"^quick is on: 1 of 1 ready\.")
    stop = {"msgtype": "m.text", "body": "stop quick"}
    edit = {"rel_type": "m.replace", "event_id": asked.event_id}
    anna.say("stop quick", **{"m.new_content": stop, "m.relates_to": edit})
    anna.wait(r"^I do not run commands that were edited")
    assert town.world.cluster.replicas(HERE, "quick")["spec"] == 1


def hanging() -> tuple[socket.socket, list[socket.socket]]:
    """A server that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def take() -> None:
        try:
            while True:
                taken.append(listener.accept()[0])
        except OSError:
            return

    threading.Thread(target=take, daemon=True).start()
    return listener, taken


def test_a_webhook_that_hangs_in_one_namespace_holds_up_no_other(town: Town) -> None:
    listener, taken = hanging()
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "hang"},
        "webhooks": [
            {
                "name": "hang.e2e.example.com",
                "clientConfig": {"url": f"https://127.0.0.1:{listener.getsockname()[1]}/"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SLOW}},
                "rules": [
                    {
                        **{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"]},
                        "resources": ["deployments/scale"],
                    }
                ],
                "timeoutSeconds": HOOK_SECONDS,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    cluster = town.world.cluster
    cluster.apply([hook])
    path = f"/apis/apps/v1/namespaces/{SLOW}/deployments/slow/scale?dryRun=All"
    try:
        # Until the API server goes by it, which takes it a moment.
        def is_asked() -> bool:
            with suppress(TimeoutError):
                cluster.request("PATCH", path, {"spec": {"replicas": 0}}, MERGE_PATCH, timeout=1)
            return bool(taken)

        wait_for("the webhook to be asked", is_asked)
        before = len(taken)
        began = time.monotonic()
        town.anna.say("start slow")
        wait_for("the webhook to be asked", lambda: len(taken) > before, 10)
        town.bob.say("stop quick")
        town.anna.wait(r"^quick is stopping: 1 → 0 replicas\.$", 10)
        assert time.monotonic() - began < HOOK_SECONDS
        assert len(taken) == before + 1
        town.anna.wait(r"^Error: The Kubernetes API server failed \(status 500\)", 20)
        assert time.monotonic() - began > HOOK_SECONDS
    finally:
        cluster.ensure("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hang")
        listener.close()
        for connection in taken:
            connection.close()


def test_a_target_that_was_created_again_is_another_object(town: Town) -> None:
    cluster, anna = town.world.cluster, town.anna
    path = f"/apis/apps/v1/namespaces/{HERE}/deployments"
    anna.say("start shop for 2h")
    anna.wait(r"^shop is starting: 0 → 1 replicas\. It stops ")
    cluster.ensure("DELETE", f"{path}/shop", {"propagationPolicy": "Background"})
    anna.wait(r"^shop is not there any more: it was deleted\.$")
    anna.say("status shop")
    anna.wait(r"^Error: There is no deployment shop in namespace e2e-town: check the target's entry\.$")
    # Whoever made it again has its replicas as they wish; its name still holds.
    cluster.create_deployment(HERE, "shop")
    anna.say("start shop")
    anna.wait(r"^shop is starting: 0 → 1 replicas\.")
    anna.wait(r"^shop is ready: 1 of 1 after \d+ s\.$")


def test_what_one_may_not_see_does_not_exist(town: Town) -> None:
    """The answers about a target that is hidden from somebody and about one that nobody has are the same bytes."""
    anna, bob = town.anna, town.bob
    for talk, hidden, commands in (
        (anna, "secret", ("scale {} 1", "history {}")),
        (bob, "secret", ("stop {}",)),
        (bob.beside(town.lab.room_id), "secret", ("stop {}", "status {}")),
        (town.vera.beside(anna.room_id), "quick", ("status {}",)),
    ):
        for command in commands:
            answers = []
            for name in (hidden, "vexing"[: len(hidden)]):
                asked = talk.say(command.format(name))
                message = talk.answer(asked)
                assert message.content["m.relates_to"] == {"m.in_reply_to": {"event_id": asked.event_id}}
                parts = {key: value for key, value in message.content.items() if key != "m.relates_to"}
                answers.append({key: str(value).replace(name, "NAME") for key, value in parts.items()})
            assert answers[0] == answers[1]
            assert "There is no target" in answers[0]["body"]


def test_one_target_that_may_not_be_touched_leaves_the_others_alone(town: Town) -> None:
    cluster, anna = town.world.cluster, town.anna
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SLOW}/rolebindings"
    for binding in cluster.ensure("GET", bindings)["items"]:
        cluster.ensure("DELETE", f"{bindings}/{binding['metadata']['name']}")
    path = f"/apis/apps/v1/namespaces/{SLOW}/deployments/slow"
    token = (town.targets.identity.account_dir / "token").read_text()
    wait_for("the right to be gone", lambda: cluster.request("GET", path, user=token)[0] == 403)
    anna.say("list")
    listed = (anna.wait(r"Not known").text or "").splitlines()
    assert listed[-1] == "Not known (1): slow"
    assert sum(int(count) for count in re.findall(r"\((\d+)\):", "\n".join(listed))) == 5, listed
    anna.say("start slow")
    anna.wait(MAY_NOT)


def test_stop_all_takes_the_code_of_the_question(town: Town) -> None:
    """One answer for all; what may not be stopped has its line in it."""
    anna, bob = town.anna, town.bob
    anna.say("start quick")
    anna.wait(r"^quick is ready")
    anna.say("stop all")
    question = anna.wait(r"^Shall I stop (.+)\? To confirm, write within a minute: yes \w{4}$")
    text = question.text or ""
    assert "secret" not in text and "worker" not in text
    code = text[-4:]
    bob.say(f"yes {code}")
    anna.wait(r"^There is nothing to confirm")
    anna.say(f"yes {code}")
    summary = anna.wait(r"(?m)^quick is stopping: 1 → 0 replicas\.$").text or ""
    lines = summary.splitlines()
    assert len(lines) == 5 and [bool(re.search(MAY_NOT, line)) for line in lines] == [False, False, True, False, False]
    assert town.world.cluster.replicas(HERE, "quick")["spec"] == 0


def test_an_autoscaler_that_sets_another_number_is_told_and_a_stop_holds(town: Town) -> None:
    cluster, lab = town.world.cluster, town.lab
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "scaled", "namespace": HERE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"},
            "minReplicas": 2,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
        },
    }
    cluster.apply([scaler])
    lab.say("start scaled")
    lab.wait(r"^scaled is starting: 0 → 1 replicas\.$")
    lab.wait(r"^scaled was set from 1 to 2 by something else, \d+ s after the command\.$")
    lab.say("stop scaled")
    lab.wait(r"^scaled is stopping: 2 → 0 replicas\.$")

    def rests() -> bool:
        path = f"/apis/autoscaling/v2/namespaces/{HERE}/horizontalpodautoscalers/scaled"
        conditions = cluster.ensure("GET", path).get("status", {}).get("conditions", [])
        return any(one.get("reason") == "ScalingDisabled" for one in conditions)

    wait_for("the autoscaler to see that it is off", rests)
    assert cluster.replicas(HERE, "scaled")["spec"] == 0


def test_what_would_lose_its_volumes_is_left_alone(town: Town) -> None:
    answer = town.lab.answer(town.lab.say("stop ledger")).text or ""
    assert answer.startswith("I did not touch ledger: scaling it down deletes its volumes."), answer
    found = town.world.cluster.ensure("GET", f"/apis/apps/v1/namespaces/{HERE}/statefulsets/ledger")
    assert found["spec"]["replicas"] == 1
    claim = town.world.cluster.ensure("GET", f"/api/v1/namespaces/{HERE}/persistentvolumeclaims/data-ledger-0")
    assert "deletionTimestamp" not in claim["metadata"]


def test_another_kind_of_object_is_scaled_by_its_scale_alone(town: Town) -> None:
    cluster, lab = town.world.cluster, town.lab
    lab.say("start web")
    lab.wait(r"^web is starting: 0 → 1 replicas\.$")
    # What runs it says so.
    cluster.ensure("PATCH", f"{OF_WIDGETS}/web", {"status": {"replicas": 1}}, MERGE_PATCH)
    lab.wait(r"^web is up: 1 pod after \d+ s\. Whether they are ready, I cannot tell of this kind\.$")


def test_an_outcome_is_told_once_by_a_bot_that_was_killed_meanwhile(town: Town) -> None:
    cluster, lab = town.world.cluster, town.lab
    lab.say("start late")
    lab.wait(r"^late is starting: 0 → 1 replicas\.$")
    town.bot.kill()
    pods = f"/api/v1/namespaces/{HERE}/pods"
    [pod] = wait_for("its pod", lambda: cluster.ensure("GET", f"{pods}?labelSelector=app%3Dlate")["items"])
    cluster.ensure("PATCH", f"{pods}/{pod['metadata']['name']}/status", {"status": running(pod)}, MERGE_PATCH)
    town.bot.start()
    lab.wait(r"^late is ready: 1 of 1 after \d+ s\.$")
    answer = lab.answer(lab.say("status late")).text or ""
    assert answer.startswith("late is on: 1 of 1 ready."), answer


def test_what_keeps_a_start_from_coming_up_is_told(town: Town) -> None:
    lab = town.lab
    told = lab.all_of(r"is not ready", 2)
    assert sorted(re.sub(r"after .*?:", "after N s:", message.text or "") for message in told) == [
        "batch is not ready after N s: 1 of 2; its pods cannot be made: a quota or limit of the namespace."
        " I keep watching for an hour.",
        "strict is not ready after N s: 0 of 1; its pods cannot be made: the security policy of the namespace."
        " I keep watching for an hour.",
    ]
    for message in told:
        assert message.content["m.mentions"] == {"user_ids": [lab.person.user_id]}
    # What the first answers were edited to before.
    answer = next(one for one in lab.heard() if (one.text or "").startswith("strict is starting"))
    edits = lab.edits(answer)
    assert edits and edits[-1].startswith("strict: 0 of 1 ready"), edits
    # In words that give nothing of the cluster away.
    texts = " ".join(one.text or "" for one in lab.person.messages(lab.room_id) if one.sender == lab.bot_id)
    for internal in (QUOTA, STRICT, "PodSecurity", "exceeded", "example.invalid"):
        assert internal not in texts
    # An edit rings nobody's bell; the invite did.
    vera = town.vera.person

    def badge() -> tuple[int, int]:
        """The number she sees, and that of what there is without the edits; 0 while they are not there."""
        messages = vera.messages(lab.room_id)
        rung = [message for message in messages if not is_edit(message)]
        seen: int = vera.client.rooms[lab.room_id].unread_notifications
        return seen, 1 + len(rung) if len(messages) - len(rung) >= 2 else 0

    def is_right() -> bool:
        seen, wanted = badge()
        return seen == wanted > 0

    wait_for("her badge to have its number", is_right, detail=lambda: str(badge()))
    # Bells that ring for edits might have been on their way.
    time.sleep(1)
    assert is_right(), badge()
