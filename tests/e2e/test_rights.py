"""The bot with precisely the rights that are shipped: each is needed, and there are no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from toggle_e2e import manifests, texts
from toggle_e2e.administrator import MERGE_PATCH, Object
from toggle_e2e.bot import Bot
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.manifests import chart, kustomize, of_kind, pod_of
from toggle_e2e.net import free_port, wait_for
from toggle_e2e.person import Person
from toggle_e2e.rights import as_review, grant, of_everybody, own_rules, review, without
from toggle_e2e.world import NODE, World

READ = "grant my service account `get` on `deployments`."
SCALE = "grant my service account `patch` on `deployments/scale`."


@dataclass(frozen=True)
class Shipped:
    """What was applied, and a bot that runs as its Deployment says, in a room with a person."""

    cluster: ControlPlane
    documents: list[Object]
    token: str
    bot: Bot
    bot_id: str
    person: Person
    room_id: str

    @property
    def role(self) -> Object:
        """The Role that was applied."""
        return of_kind(self.documents, "Role")

    @property
    def target(self) -> tuple[str, str]:
        """Namespace and name of what is scaled."""
        return self.bot.settings["DEPLOYMENT_NAMESPACE"], self.bot.settings["DEPLOYMENT_NAME"]

    def answers(self, *commands: str) -> list[str | None]:
        """What the bot says to commands, one after the other."""
        return [self.person.ask(self.room_id, command, self.bot_id).text for command in commands]

    def grant(self, rules: list[Object]) -> None:
        """Replaces the Role's rules, and the API server goes by them."""
        grant(self.cluster, self.role, self.token, rules)


def from_kustomize(world: World, bot: str, person: str) -> tuple[str, list[Object]]:
    """The base, with an overlay's changes made by hand: its namespace, and who talks to whom."""
    namespace = f"e2e-{bot}"
    told = {"MATRIX_HOMESERVER": world.synapse.url, "MATRIX_USER": bot, "ALLOWED_USERS": person}
    told |= {"DEPLOYMENT_NAMESPACE": namespace}

    documents = kustomize()
    for document in documents:
        document["metadata"]["namespace"] = namespace
        for subject in document.get("subjects", []):
            subject["namespace"] = namespace
    for variable in manifests.container_of(pod_of(documents))["env"]:
        variable["value"] = told.get(variable["name"], variable["value"])
    return namespace, documents


def from_chart(world: World, bot: str, person: str) -> tuple[str, list[Object]]:
    """A release whose target is in another namespace."""
    namespace = f"e2e-{bot}"
    values = {
        "matrix": {"homeserver": world.synapse.url, "user": bot},
        "commands": {"allowedUsers": [person]},
        "targets": [{"name": "workload.v1", "namespace": f"{namespace}-target"}],
        "secrets": {"matrixPassword": {"name": manifests.SECRET}},
    }
    return namespace, chart(values, "toggle", namespace, "--no-hooks")


@pytest.fixture(params=[from_kustomize, from_chart], ids=["kustomize", "chart"])
def shipped(world: World, request: pytest.FixtureRequest, tmp_path: Path) -> Shipped:
    """Applied for real, with a bot that has the service account's token and the mounted files."""
    render: Callable[..., tuple[str, list[Object]]] = request.param
    account = world.account("bot")
    person = world.person(world.account("alice"))
    namespace, documents = render(world, account.localpart, person.user_id)
    cluster = world.cluster
    told = manifests.variables(pod_of(documents))
    for made in {namespace, told["DEPLOYMENT_NAMESPACE"]}:
        cluster.create_namespace(made)
    manifests.publish_root_ca(cluster, namespace)
    manifests.put_secret(cluster, namespace, manifests.SECRET, {"matrix-password": account.password})
    cluster.apply(documents)
    cluster.create_deployment(told["DEPLOYMENT_NAMESPACE"], told["DEPLOYMENT_NAME"], 0, NODE)

    laid = manifests.lay_out(cluster, namespace, pod_of(documents), tmp_path)
    # The other bot of these tests has the port of the manifests too.
    bot = laid.bot(HEALTH_ADDR=f"127.0.0.1:{free_port()}", ECHO_MODE="false")
    world.bots.append(bot)
    room_id = person.create_room(True, (account.user_id,))
    bot.start()
    world.join(bot, person, room_id, account.user_id)
    token = (Path(laid.settings["SERVICE_ACCOUNT_DIR"]) / "token").read_text()
    return Shipped(cluster, documents, token, bot, account.user_id, person, room_id)


def test_the_shipped_rights_are_needed_each_of_them(shipped: Shipped) -> None:
    """Taken away while the bot runs, and given back: it asks the API server each time."""
    rules = shipped.role["rules"]
    assert [(rule["resources"], rule["verbs"]) for rule in rules] == [
        (["deployments"], ["get"]),
        (["deployments/scale"], ["patch"]),
    ]
    off = texts.status("off", 0, 0, 0)
    assert shipped.answers("start", "stop") == [texts.ON, texts.OFF]
    wait_for("the end of its pod", lambda: shipped.answers("status") == [off], 20)

    namespace, name = shipped.target
    may_not = f"Error: I may not {{}} deployment {name} in namespace {namespace}: "
    for index, command, sentence, other, answer in [
        (0, "status", may_not.format("read") + READ, "stop", texts.OFF),
        (1, "start", may_not.format("scale") + SCALE, "status", off),
    ]:
        shipped.grant(without(rules, index))
        assert shipped.answers(command, other) == [sentence, answer]
        shipped.grant(rules)
    elsewhere = [{**rule, "resourceNames": ["another"]} for rule in rules]
    shipped.grant(elsewhere)
    assert shipped.answers("status", "stop") == [may_not.format("read") + READ, may_not.format("scale") + SCALE]
    shipped.grant(rules)
    assert shipped.answers("start") == [texts.ON]


def test_nothing_else_is_allowed(shipped: Shipped) -> None:
    """Beside the Role's rules there is only what every account has: to look at itself and at what there is."""
    assert own_rules(shipped.cluster, shipped.token, shipped.target[0]) == as_review(shipped.role["rules"])
    everybody = of_everybody(shipped.cluster, "default")
    for verbs, _, resources, _, urls in everybody:
        assert (verbs == ["create"] and all(one.startswith("selfsubject") for one in resources)) or (
            verbs == ["get"] and urls and not resources
        ), f"every account of this cluster may {verbs} {resources or urls}"
    assert everybody, "a review that shows nothing shows nothing else either"
    release = of_kind(shipped.documents, "ServiceAccount")["metadata"]["namespace"]
    for namespace in {release, "default", "kube-system"} - {shipped.target[0]}:
        assert review(shipped.cluster, shipped.token, namespace) == everybody


# The Role in the README of the Python program, for all Deployments of its namespace.
PYTHON_PROGRAM = [{"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get", "patch"]}]

IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.invalid/another:1"}]}}}}
REPLICAS = {"spec": {"replicas": 1}}

# What is asked for, and the answers to the Python program and to this one.
BESIDE: list[tuple[str, str, Object | None, int, int]] = [
    ("GET", "clawdbot", None, 200, 200),
    ("PATCH", "clawdbot/scale", REPLICAS, 200, 200),
    ("GET", "clawdbot/scale", None, 200, 403),
    ("PATCH", "clawdbot", IMAGE, 200, 403),
    ("GET", "another", None, 200, 403),
    ("PATCH", "another/scale", REPLICAS, 200, 403),
    ("PATCH", "another", IMAGE, 200, 403),
]


def test_the_rights_beside_those_of_the_python_program(world: World) -> None:
    targets = (world.target(), world.target())
    role = of_kind(kustomize(), "Role")
    world.cluster.apply([role | {"rules": PYTHON_PROGRAM}], namespace=targets[0].namespace)
    for target in targets:
        world.cluster.create_deployment(target.namespace, "another", 0, NODE)
    for method, path, body, *wanted in BESIDE:
        answers = []
        for target in targets:
            token = (target.account_dir / "token").read_text()
            url = f"/apis/apps/v1/namespaces/{target.namespace}/deployments/{path}"
            dry = "?dryRun=All" if body else ""
            kind = "application/strategic-merge-patch+json" if body is IMAGE else MERGE_PATCH
            answers.append(world.cluster.request(method, url + dry, body, kind, user=token)[0])
        assert answers == wanted, f"{method} {path}"
