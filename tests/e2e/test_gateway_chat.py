"""A gateway and the bot in the chat before the same workloads: what visitors wake, and what people want instead.

Both are by the chart, with rights of their own, and agree by the same Leases and the same
counts of a real API server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from toggle_e2e.administrator import MERGE_PATCH
from toggle_e2e.backend import Backend
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.gateway import (
    NAME,
    Answer,
    Gateway,
    Installed,
    ask,
    bearer,
    count,
    install,
    pod_token,
    pods,
    workload,
)
from toggle_e2e.named import Talk, release
from toggle_e2e.net import wait_for
from toggle_e2e.podnet import PodNetwork
from toggle_e2e.redaction import given_away
from toggle_e2e.world import World

NAMESPACE = "e2e-gateway-chat"
GATEWAY, CHAT = "openclaw-gateway", "openclaw-k8s-toggle-operator"
"""The names under which both set numbers of replicas."""

SHORT = {"idle": "10s", "minUp": "0s"}
LONG = {"idle": "30m"}
TARGETS: dict[str, dict[str, Any]] = {
    "woken": SHORT,
    "seen": LONG,
    "kept": SHORT,
    "left": SHORT,
    "held": LONG,
    "handed": SHORT,
    "returned": SHORT,
}
ANNOUNCED = ("woken", "held", "handed")
"""Those that are there in the room that is told."""

VISITOR = f"sa {NAMESPACE}/worker"
SWITCHED_OFF = "it was switched off by a person"


def entry(name: str, more: dict[str, Any]) -> dict[str, Any]:
    """A target of the gateway's file."""
    usual = {"name": name, "namespace": NAMESPACE, "host": f"{name}.example.org", "service": name, "port": "http"}
    return usual | more


CONFIG = {
    "k8sTrust": {
        "enabled": True,
        "allowedIdentities": [{"namespace": NAMESPACE, "serviceAccount": "worker", "allowedRoles": ["node"]}],
    },
    "roles": {"node": {"targets": ["*"], "verbs": ["status", "wake", "connect", "start"]}},
    "targets": {name: entry(name, more) for name, more in TARGETS.items()},
}


@dataclass(frozen=True)
class Both:
    """A gateway, a bot, a visitor of the one and a person who commands the other."""

    release: Installed
    gateway: Gateway
    token: str
    talk: Talk
    news: Talk
    """The same person in the room that is told."""

    def visit(self, target: str) -> Answer:
        """A request through the proxy."""
        return ask(self.gateway.proxy, "GET", "/", {"Host": f"{target}.example.org", **bearer(self.token)})

    def state(self, target: str) -> dict[str, Any]:
        """How the gateway sees a target."""
        found: dict[str, Any] = self.gateway.call("GET", f"/v1/targets/{target}", self.token).json()
        return found

    def wait_off(self, target: str) -> None:
        """Waits until the gateway sees that a target is off."""
        wait_for(f"{target} to be off", lambda: self.state(target)["phase"] == "off", detail=self.gateway.tail)

    def wait_counted(self, target: str) -> None:
        """Waits until the controller has counted the pod, which may be later than the pod answers."""
        self.release.cluster.wait_replicas(NAMESPACE, target, ready=1)

    def replicas(self, target: str) -> int:
        """How many a target should have."""
        return count(self.release.cluster, NAMESPACE, target)

    def wait_idle_stop(self, target: str) -> None:
        """Waits until nobody has used a target for long enough."""
        wait_for("the idle stop", lambda: self.replicas(target) == 0, 60, every=0.2, detail=self.gateway.tail)

    def owners(self, target: str) -> set[str]:
        """Who has set the number of replicas, as the API server keeps it."""
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{target}"
        fields = self.release.cluster.ensure("GET", path)["metadata"]["managedFields"]
        return {one["manager"] for one in fields if "f:replicas" in one["fieldsV1"].get("f:spec", {})}

    def told(self, target: str, name: str) -> str:
        """What the Lease of a target says in an annotation; nothing where it has none."""
        annotations = self.release.lease(target)["metadata"]["annotations"]
        return str(annotations.get(f"openclaw-k8s-toggle-operator/{name}", ""))

    def events(self, event: str) -> dict[str, str]:
        """The targets of the lines of one kind in the gateway's audit log, with the last reason of each."""
        return {one["target"]: one.get("reason", "") for one in self.gateway.audit(event)}

    def announced(self) -> list[str]:
        """The lines in the room that is told."""
        return [line for one in self.news.heard() for line in (one.text or "").splitlines()]


def watches(cluster: ControlPlane) -> int:
    """How many follow the Leases of a namespace now, as the API server counts them."""
    _, text = cluster.request("GET", "/metrics")
    lines = [line for line in str(text).splitlines() if line.startswith("apiserver_longrunning_requests{")]
    parts = ('resource="leases"', 'scope="namespace"', 'verb="WATCH"')
    return sum(int(float(line.split()[-1])) for line in lines if all(part in line for part in parts))


@pytest.fixture(scope="module")
def both(world: World, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both of them before targets that are off, and a room beside that of the commands."""
    cluster = world.cluster
    alice, account = world.person(world.account("alice")), world.account("bot")
    room, news = (alice.create_room(True, (account.user_id,)) for _ in range(2))
    with PodNetwork() as network:
        cluster.pod_network = network
        cluster.create_namespace(NAMESPACE)
        for name in TARGETS:
            workload(cluster, NAMESPACE, name, backend)
        workload(cluster, NAMESPACE, "worker", replicas=1, account="worker")
        made = install(cluster, NAMESPACE, tmp_path_factory.mktemp("gateway"), CONFIG)
        entries = [
            {"name": name, "object": name, "rooms": [room, news] if name in ANNOUNCED else [room]} for name in TARGETS
        ]
        leases = f"{NAMESPACE}/{NAME}-"
        chat = release(cluster, NAMESPACE, entries, (alice.user_id,), leases=leases, announce_room=news)
        settings = chat.settings | {"PROGRESS": "false"}
        bot = world.bot(account, (alice.user_id,), chat.identity, **settings)
        before = watches(cluster)
        try:
            [gateway] = made.started()
            bot.start()
            for one in (room, news):
                world.join(bot, alice, one, account.user_id)
            # What happens before that is not told.
            wait_for("both to follow the Leases", lambda: watches(cluster) >= before + 2, detail=bot.tail)
            [pod, *_] = wait_for("a worker's pod", lambda: pods(cluster, NAMESPACE, "worker"))
            talk = Talk(alice, room, bot, account.user_id)
            yield Both(made, gateway, pod_token(cluster, NAMESPACE, pod, 3600), talk, talk.beside(news))
        finally:
            made.stop()
            bot.kill()
            alice.stop()
            cluster.pod_network = None
    found = given_away(bot.settings, (line.text for line in bot.log))
    assert not found, f"the log holds {found}"


@pytest.fixture(scope="module", autouse=True)
def woken(both: Both) -> None:
    """A target that a visitor has woken: begun early, since a room has one line a minute about it."""
    assert both.visit("woken").status == 200


def test_a_status_in_the_room_says_who_woke_a_target_and_when_it_sleeps(both: Both) -> None:
    """As the gateway says itself, and until then as of any target that is off."""
    assert both.talk.ask("status seen").startswith("seen is off.")
    assert both.visit("seen").status == 200
    assert both.replicas("seen") == 1
    assert both.owners("seen") == {GATEWAY}
    told = both.talk.ask("status seen").splitlines()
    assert told[0] == "seen is on: 1 of 1 ready."
    started = rf"Started by {VISITOR} \w+ \d+:\d+ UTC \(.+\)\."
    sleeps = r"It sleeps at about \w+ \d+:\d+ UTC \(in (29|30) min\) unless it is used\."
    assert re.fullmatch(f"{started} {sleeps}", told[1]), told
    state = both.state("seen")
    assert state["startedBy"] == f"sa:{NAMESPACE}/worker" and 1700 < state["sleepsIn"] <= 1800, state


def test_what_a_visitor_woke_and_a_person_starts_stays_on(both: Both) -> None:
    """By the Lease, and where that has lost it, by the API server, which knows whose number it is."""
    alice = both.talk.person.user_id
    assert both.visit("kept").status == 200
    assert both.owners("kept") == {GATEWAY}
    both.wait_counted("kept")
    assert both.talk.ask("start kept").startswith("kept is already on: 1 of 1 ready.")
    assert both.owners("kept") == {GATEWAY, CHAT}
    assert both.told("kept", "keep-by") == f"chat:{alice}"
    assert f"\nKept on by {alice}: it does not sleep." in both.talk.ask("status kept")
    # Another one that is woken later, and left alone as long, is stopped.
    assert both.visit("left").status == 200
    both.wait_idle_stop("left")
    assert both.replicas("kept") == 1
    assert "kept" not in both.events("kept"), "it was tried to stop what a person keeps on"

    lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{NAME}-kept"
    lost = {"metadata": {"annotations": {"openclaw-k8s-toggle-operator/keep-by": None}}}
    both.release.cluster.ensure("PATCH", lease, lost, MERGE_PATCH)
    wait_for("it to be tried", lambda: "kept" in both.events("kept"), 60, every=0.2, detail=both.gateway.tail)
    assert CHAT in both.events("kept")["kept"]
    assert both.replicas("kept") == 1 and "kept" not in both.events("idle-stop")


def test_what_is_held_off_is_woken_by_nobody_until_it_is_started(both: Both) -> None:
    alice = both.talk.person.user_id
    assert both.visit("held").status == 200
    both.wait_counted("held")
    answer = both.talk.ask("stop held hold")
    assert answer == "held is stopping: 1 → 0 replicas. No visitor wakes it until it is started here."
    assert both.owners("held") == {CHAT} and both.told("held", "held") == "true"
    both.wait_off("held")
    refused = both.visit("held")
    assert (refused.status, refused.body.decode()) == (503, f"{SWITCHED_OFF}\n"), refused
    assert "retry-after" in refused.headers
    by_api = both.gateway.call("POST", "/v1/targets/held/start", both.token)
    assert (by_api.status, by_api.json()["detail"]) == (409, SWITCHED_OFF)
    assert f"\nHeld off by {alice}: no visitor wakes it." in both.talk.ask("status held")
    # It is as it was for who stops it once more.
    assert both.talk.ask("stop held") == "held is already off."
    assert both.visit("held").status == 503
    assert both.replicas("held") == 0 and both.owners("held") == {CHAT}

    assert both.talk.ask("start held") == "held is starting: 0 → 1 replicas."
    wait_for("it to be reached", lambda: both.visit("held").status == 200, detail=both.gateway.tail)
    both.wait_counted("held")
    assert both.talk.ask("stop held") == "held is stopping: 1 → 0 replicas."
    both.wait_off("held")
    assert both.visit("held").status == 200, "what was stopped and not held is not woken"
    assert both.owners("held") == {GATEWAY}


def test_what_a_person_starts_idle_is_stopped_when_nobody_uses_it(both: Both) -> None:
    """Be it off before, or on and a person's own."""
    asleep = "It sleeps when nobody uses it."
    assert both.talk.ask("start returned") == "returned is starting: 0 → 1 replicas."
    assert GATEWAY not in both.owners("returned")
    assert both.talk.ask("start handed idle") == f"handed is starting: 0 → 1 replicas. {asleep}"
    assert both.owners("handed") == {GATEWAY}
    answer = both.talk.ask("start returned idle")
    assert answer.startswith("returned is already on: ") and answer.endswith(asleep), answer
    for name in ("handed", "returned"):
        assert both.told(name, "keep-by") == "" and both.told(name, "handed-back")
    for name in ("handed", "returned"):
        both.wait_idle_stop(name)
    assert both.events("idle-stop").keys() >= {"handed", "returned"}
    assert both.visit("handed").status == 200, "it does not wake again"
    assert both.owners("handed") == {GATEWAY}


def test_the_room_is_told_once_of_each_wake_and_sleep_that_the_chat_did_not_ask_for(both: Both) -> None:
    """Of a target that is there, in a line of the encrypted room."""
    woke, slept = f"woken woke up ({VISITOR})", "woken went to sleep after less than a minute without use"
    wait_for("both lines", lambda: slept in both.announced(), 120, every=0.2, detail=both.talk.bot.tail)
    lines = both.announced()
    assert [line for line in lines if line.startswith("woken ")] == [woke, slept]
    assert all(one.encrypted for one in both.news.heard())
    assert not [line for line in lines if line.startswith("held went")], "what the chat has stopped was told"
    assert not [line for line in lines if not line.startswith(ANNOUNCED)], "what is not there was told"
