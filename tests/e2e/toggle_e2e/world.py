"""Everything around the bot, put together: homeserver, cluster, people, rights."""

from __future__ import annotations

import itertools
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from .bot import Bot
from .controlplane import ControlPlane
from .homeserver import Homeserver
from .kubelet import NODE
from .net import wait_for
from .person import Person
from .synapse import Synapse

REPOSITORY = Path(__file__).resolve().parents[3]
MANIFESTS = REPOSITORY / "deploy" / "k8s" / "base"

# What of the manifests gives the bot its rights; the rest runs it in a cluster, where here the tests run it.
_RIGHTS = ("ServiceAccount", "Role", "RoleBinding")

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """A user of a homeserver."""

    user_id: str
    localpart: str
    password: str


@dataclass(frozen=True)
class Target:
    """What a bot is to scale, and the identity it does so with."""

    namespace: str
    deployment: str
    service_account: str
    account_dir: Path


@dataclass(frozen=True)
class Stage:
    """A running bot in a room with a person who may command it."""

    bot: Bot
    bot_id: str
    person: Person
    room_id: str
    target: Target


def shipped_rights() -> list[Manifest]:
    """The service account, role and binding as `deploy/k8s` ships them."""
    found: list[Manifest] = []
    for path in sorted(MANIFESTS.glob("*.yaml")):
        found += [
            document
            for document in yaml.safe_load_all(path.read_text())
            if isinstance(document, dict) and document.get("kind") in _RIGHTS
        ]
    if sorted(document["kind"] for document in found) != sorted(_RIGHTS):
        raise RuntimeError(f"{MANIFESTS} does not have one ServiceAccount, Role and RoleBinding each")
    return found


class World:
    """One homeserver and one cluster, and what tests make in them.

    Each test gets users, rooms and a namespace of its own, so that none can
    see or disturb what another one did. A world `beside` another one has a
    homeserver of its own and shares the other's cluster. A `lean` one has a
    cluster that is quick to build.
    """

    def __init__(
        self,
        workdir: Path,
        log: Callable[[str], None] | None = None,
        bcrypt_rounds: int = 4,
        homeserver: Homeserver | None = None,
        beside: World | None = None,
        lean: bool = False,
    ) -> None:
        self.workdir = workdir
        self._log = log or (lambda text: print(text, file=sys.stderr, flush=True))
        self.homeserver: Homeserver = homeserver or Synapse(workdir / "synapse", bcrypt_rounds)
        self._owns_cluster = beside is None
        self.cluster: ControlPlane = (
            beside.cluster if beside else ControlPlane(workdir / "cluster", self._log, lean)
        )
        self._numbers: itertools.count[int] = beside._numbers if beside else itertools.count(1)
        self.accounts: list[Account] = []
        self.people: list[Person] = []
        self.bots: list[Bot] = []
        self.make_bot: Callable[[dict[str, str]], Bot] = beside.make_bot if beside else Bot
        """What `bot` makes: a process, unless a test wants the image."""

    @property
    def synapse(self) -> Synapse:
        """The homeserver where it is one that the tests can ask for more than a client can."""
        assert isinstance(self.homeserver, Synapse)
        return self.homeserver

    def __enter__(self) -> World:
        started = time.monotonic()
        try:
            self.homeserver.launch()
            if self._owns_cluster:
                self.cluster.start()
                self.cluster.create_node(NODE)
            self.homeserver.wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._log(f"homeserver and cluster are up after {time.monotonic() - started:.1f} s")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bot in self.bots:
            bot.kill()
        for person in self.people:
            try:
                person.stop()
            except Exception as failure:
                # The servers below must be ended whatever a client does.
                self._log(f"{person!r} could not be stopped: {failure}")
        self.homeserver.stop()
        if self._owns_cluster:
            self.cluster.stop()

    def account(self, name: str) -> Account:
        """Registers a user nobody has used before."""
        localpart = f"{name}-{next(self._numbers)}"
        password = f"secret-{secrets.token_hex(8)}"
        account = Account(self.homeserver.register(localpart, password), localpart, password)
        self.accounts.append(account)
        return account

    def person(self, account: Account, device: str = "phone") -> Person:
        """Logs a user in at a new device."""
        store = self.workdir / "people" / f"{account.localpart}-{device}-{next(self._numbers)}"
        person = Person(self.homeserver.url, account.user_id, account.password, store, device)
        self.people.append(person)
        return person.start()

    def target(
        self,
        replicas: int = 0,
        deploy: bool = True,
        change: Callable[[Manifest], Manifest] | None = None,
    ) -> Target:
        """Makes a namespace with the shipped rights and a deployment in it.

        Only the namespace of the shipped manifests is replaced; `change` may
        alter one to see what the bot does with fewer rights.
        """
        namespace = f"e2e-{next(self._numbers)}"
        self.cluster.create_namespace(namespace)
        applied = self.cluster.apply(shipped_rights(), namespace=namespace, change=change)
        service_account = next(one["metadata"]["name"] for one in applied if one["kind"] == "ServiceAccount")
        rules = next(one["rules"] for one in applied if one["kind"] == "Role")
        deployment = str(rules[0]["resourceNames"][0])
        if deploy:
            self.cluster.create_deployment(namespace, deployment, replicas, NODE)
        account_dir = self.cluster.service_account_dir(namespace, service_account)
        return Target(namespace, deployment, service_account, account_dir)

    def settings(
        self, account: Account, allowed: tuple[str, ...], target: Target, **overrides: str | None
    ) -> dict[str, str]:
        """The environment of a bot; an override of `None` leaves a variable out."""
        store = self.workdir / "stores" / f"{account.localpart}-{next(self._numbers)}"
        store.parent.mkdir(parents=True, exist_ok=True)
        wanted: dict[str, str | None] = {
            "MATRIX_HOMESERVER": self.homeserver.url,
            "MATRIX_USER": account.localpart,
            "MATRIX_PASSWORD": account.password,
            "ALLOWED_USERS": ",".join(allowed),
            "DEPLOYMENT_NAME": target.deployment,
            "DEPLOYMENT_NAMESPACE": target.namespace,
            "CRYPTO_STORE_PATH": str(store),
            "ECHO_MODE": "false",
            "COMMAND_MAX_AGE": "120",
            "KUBERNETES_SERVICE_HOST": self.cluster.host,
            "KUBERNETES_SERVICE_PORT": str(self.cluster.port),
            "SERVICE_ACCOUNT_DIR": str(target.account_dir),
            "RUST_LOG": "info",
            **overrides,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def bot(self, account: Account, allowed: tuple[str, ...], target: Target, **overrides: str | None) -> Bot:
        """A bot that is not started yet."""
        bot = self.make_bot(self.settings(account, allowed, target, **overrides))
        self.bots.append(bot)
        return bot

    def stage(
        self,
        encrypted: bool = True,
        target: Target | None = None,
        person: Person | None = None,
        **overrides: str | None,
    ) -> Stage:
        """A person, a room and a bot that has joined it."""
        person = person or self.person(self.account("alice"))
        account = self.account("bot")
        target = target or self.target()
        bot = self.bot(account, (person.user_id,), target, **overrides)
        room_id = person.create_room(encrypted, (account.user_id,))
        bot.start()
        self.join(bot, person, room_id, account.user_id)
        return Stage(bot, account.user_id, person, room_id, target)

    def join(self, bot: Bot, person: Person, room_id: str, bot_id: str) -> None:
        """Waits until the bot has taken its invite and the person sees it."""
        wait_for(
            f"{bot_id} to join {room_id}",
            lambda: bot_id in self.homeserver.joined(room_id, person.access_token),
            15,
            detail=bot.tail,
        )
        person.wait_sees_member(room_id, bot_id)

    def replicas(self, target: Target) -> int:
        """The wanted replicas as the API server has them."""
        return int(self.cluster.replicas(target.namespace, target.deployment)["spec"])

    def scalings(self, target: Target) -> list[int | None]:
        """Each scaling that was really done in a target's namespace, oldest first.

        Read from the API server's audit log, so that one done twice shows even
        where it left the same number. The entry is the number that was set.
        """
        return [
            _wanted_replicas(event)
            for event in self.audit(target)
            if event.get("verb") in ("patch", "update")
            and event["objectRef"]["resource"] == "deployments"
            and 200 <= event.get("responseStatus", {}).get("code", 0) < 300
            and "dryRun" not in event.get("requestURI", "")
        ]

    def audit(self, target: Target) -> list[dict[str, Any]]:
        """What a target's service account has asked the API server for, and what it got."""
        who = f"system:serviceaccount:{target.namespace}:{target.service_account}"
        return [event for event in self.cluster.audit(user_contains=who) if event["stage"] == "ResponseComplete"]


def _wanted_replicas(event: dict[str, Any]) -> int | None:
    asked = event.get("requestObject", {})
    if isinstance(asked, list):
        # A JSON Patch: its tests name a number, too.
        values = [step["value"] for step in asked if step["op"] != "test" and step["path"] == "/spec/replicas"]
        replicas = values[0] if values else None
    else:
        replicas = asked.get("spec", {}).get("replicas")
    return None if replicas is None else int(replicas)
