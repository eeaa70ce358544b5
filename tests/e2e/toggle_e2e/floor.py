"""The floor: the least any bot has to do, to measure a real one against.

It does no cryptography and keeps nothing. It cannot read what it is sent, so it
is told the order of the commands: each message event gets the API-server call
of the next command and one `PUT …/send` in plain text. Python's aiohttp with
connections that stay open, in a process of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import sys
import uuid
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

CYCLE = ("status", "start", "stop", "help")
FILTER = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {
        "account_data": {"types": []},
        "ephemeral": {"types": []},
        "timeline": {"limit": 20},
    },
}


@dataclass(frozen=True)
class Task:
    """Where the floor listens, to whom, and what it scales."""

    homeserver: str
    access_token: str
    room_id: str
    person: str
    api_url: str
    ca_path: str
    api_token: str
    namespace: str
    deployment: str

    def to_json(self) -> str:
        """The form in which it is handed to the process."""
        return json.dumps(asdict(self))


class Floor:
    """A client of two servers that answers without knowing what it was asked."""

    def __init__(self, task: Task, homeserver: aiohttp.ClientSession, api: aiohttp.ClientSession) -> None:
        self._task = task
        self._homeserver = homeserver
        self._api = api
        self._commands = itertools.cycle(CYCLE)
        base = f"/apis/apps/v1/namespaces/{task.namespace}/deployments/{task.deployment}"
        self._deployment = base
        self._scale = f"{base}/scale"

    async def run(self) -> None:
        """Answers until it is ended."""
        since = (await self._sync(None))["next_batch"]
        async with self._api.get(self._deployment) as answer:
            answer.raise_for_status()
        print("ready", flush=True)
        while True:
            batch = await self._sync(since)
            since = batch["next_batch"]
            room = batch.get("rooms", {}).get("join", {}).get(self._task.room_id, {})
            for event in room.get("timeline", {}).get("events", []):
                if event["sender"] == self._task.person and event["type"] in ("m.room.encrypted", "m.room.message"):
                    await self._answer(next(self._commands))

    async def _sync(self, since: str | None) -> dict[str, Any]:
        query = {"timeout": "30000" if since else "0", "filter": json.dumps(FILTER)}
        if since:
            query["since"] = since
        async with self._homeserver.get("/_matrix/client/v3/sync", params=query) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    async def _answer(self, command: str) -> None:
        text = command
        if command in ("start", "stop"):
            body = json.dumps({"spec": {"replicas": 1 if command == "start" else 0}})
            kind = {"Content-Type": "application/merge-patch+json"}
            async with self._api.patch(self._scale, data=body, headers=kind) as answer:
                answer.raise_for_status()
                text = f"replicas: {(await answer.json())['spec'].get('replicas', 0)}"
        elif command == "status":
            async with self._api.get(self._deployment) as answer:
                answer.raise_for_status()
                text = f"replicas: {(await answer.json())['spec']['replicas']}"
        path = f"/_matrix/client/v3/rooms/{quote(self._task.room_id, safe='')}/send/m.room.message/{uuid.uuid4()}"
        async with self._homeserver.put(path, json={"msgtype": "m.text", "body": text}) as answer:
            answer.raise_for_status()
            await answer.read()


async def main() -> None:
    """Reads its task from standard input."""
    task = Task(**json.loads(sys.stdin.readline()))
    trust = ssl.create_default_context(cafile=task.ca_path)
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(
            task.homeserver, headers={"Authorization": f"Bearer {task.access_token}"}, timeout=timeout
        ) as homeserver,
        aiohttp.ClientSession(
            task.api_url,
            headers={"Authorization": f"Bearer {task.api_token}"},
            connector=aiohttp.TCPConnector(ssl=trust, keepalive_timeout=300),
            timeout=timeout,
        ) as api,
    ):
        await Floor(task, homeserver, api).run()


if __name__ == "__main__":
    asyncio.run(main())
