"""Runs the floor beside the bot, with a room, a user and rights like the bot's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from .floor import Task
from .person import Person
from .world import World


class FloorProcess:
    """The floor as a process of its own."""

    def __init__(self, task: Task) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "toggle_e2e.floor"],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(task.to_json() + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError("the floor did not start; its error is above")

    def __enter__(self) -> FloorProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()


def start_floor(
    world: World, person: Person, homeserver: str | None = None, api: str | None = None
) -> tuple[FloorProcess, str, str]:
    """Gives the floor a user, a room like the bot's, and rights like the bot's.

    It speaks to the servers themselves where no other addresses are given.
    """
    account = world.account("floor")
    target = world.target()
    room_id = person.create_room(True, (account.user_id,), "Floor")
    login = world.synapse.call(
        "POST",
        "/_matrix/client/v3/login",
        {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": account.localpart},
            "password": account.password,
        },
    )
    world.synapse.call("POST", f"/_matrix/client/v3/join/{room_id}", {}, login["access_token"])
    person.wait_sees_member(room_id, account.user_id)
    task = Task(
        homeserver=homeserver or world.synapse.url,
        access_token=login["access_token"],
        room_id=room_id,
        person=person.user_id,
        api_url=api or world.cluster.url,
        ca_path=str(world.cluster.ca_path),
        api_token=(target.account_dir / "token").read_text().strip(),
        namespace=target.namespace,
        deployment=target.deployment,
    )
    return FloorProcess(task), room_id, account.user_id
