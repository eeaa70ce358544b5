"""A conversation with the bot, as it happens, on real servers.

`KEEP=1` leaves everything running afterwards, to be tried with any Matrix
client, until Ctrl-C. `--transcript FILE` writes down who said what, for
`picture.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from toggle_e2e.kubelet import BARE_NODE
from toggle_e2e.messages import Message, Sent, is_edit
from toggle_e2e.net import end_cleanly_on_sigterm, wait_for
from toggle_e2e.person import Person
from toggle_e2e.world import Manifest, Stage, World

NAMES = {True: "🔒", False: "  "}

ROOM = "Operations"
"""What a person names the room, unless told otherwise."""

REPORT = "report"
"""What does not come up."""


def print_line(who: str, encrypted: bool, text: str, more: str = "") -> None:
    """One message, now."""
    now = datetime.now().strftime("%H:%M:%S.%f")[:-3]
    first, *rest = text.splitlines() or [""]
    print(f"{now}  {who:<8} {NAMES[encrypted]}  {first:<52} {more}".rstrip())
    for line in rest:
        print(f"{'':<27}{line}")
    sys.stdout.flush()


class Transcript:
    """Prints what is said, by whom, and what the cluster makes of it, and keeps it less the times."""

    def __init__(self, world: World, stage: Stage) -> None:
        self._world = world
        self._stage = stage
        self._chapters: list[dict[str, Any]] = []

    def kept(self) -> dict[str, Any]:
        """What was said, in chapters."""
        return {"room": ROOM, "deployment": self._stage.target.deployment, "chapters": self._chapters}

    def chapter(self, name: str, note: str = "") -> None:
        """Begins a part of the conversation, with a line that says what it is about."""
        self._chapters.append({"name": name, "note": note, "lines": []})
        if note:
            print(f"\n  {note}\n", flush=True)

    def ask(self, text: str) -> None:
        """Says something to the bot and shows what comes back."""
        self._asked(self._stage.person.send(self._stage.room_id, text), text)

    def ask_in_plain_text(self, text: str) -> None:
        """The same from a client that does not encrypt."""
        self._asked(self._stage.person.send_plaintext(self._stage.room_id, text), text)

    def says_a_stranger(self, stranger: Person, text: str) -> None:
        """Says something as somebody who is not listened to."""
        mark = self._stage.person.mark(self._stage.room_id)
        sent = stranger.send(self._stage.room_id, text)
        print_line("mallory", sent.encrypted, text)
        self._keep("mallory", sent.encrypted, text)
        time.sleep(1.5)
        replies = self._stage.person.replies(mark, self._stage.bot_id)
        print_line("", False, f"({len(replies) or 'no'} answer in 1.5 s)", self._cluster())
        for reply in replies:
            self._keep("bot", reply.encrypted, reply.text or "")
        if not replies:
            self._keep("bot", False, None)

    def _asked(self, sent: Sent, text: str) -> None:
        print_line("alice", sent.encrypted, text)
        self._keep("alice", sent.encrypted, text)
        reply = self._stage.person.wait_reply(sent, self._stage.bot_id)
        message = reply.message
        print_line("bot", message.encrypted, message.text or "", f"{reply.seconds * 1000:4.0f} ms   {self._cluster()}")
        self._keep("bot", message.encrypted, message.text or "", self._world.replicas(self._stage.target))

    def _keep(self, who: str, encrypted: bool, text: str | None, replicas: int | None = None) -> None:
        line = {"who": who, "encrypted": encrypted, "text": text, "replicas": replicas}
        self._chapters[-1]["lines"].append(line)

    def _cluster(self) -> str:
        found = self._world.cluster.replicas(self._stage.target.namespace, self._stage.target.deployment)
        return f"replicas: {found['spec']}, ready: {found['ready']}"


def play(world: World, stage: Stage) -> dict[str, Any]:
    """The conversation, and what was said in it."""
    show = Transcript(world, stage)
    where = (stage.target.namespace, stage.target.deployment)
    print(f"\nroom {stage.room_id}, deployment {stage.target.namespace}/{stage.target.deployment}")
    print("🔒 encrypted end to end; right: time to the answer, and the deployment as the API server has it\n")
    show.chapter("help")
    show.ask("help")
    show.chapter("on and off")
    show.ask("status")
    show.ask("start")
    world.cluster.wait_replicas(*where, ready=1)
    show.ask("status")
    show.ask("stop")
    world.cluster.wait_replicas(*where, ready=0)
    show.chapter("restart", "The bot is ended and started again: same device, same keys")
    stage.bot.restart()
    show.ask("on")
    world.cluster.wait_replicas(*where, ready=1)
    show.chapter("plain text", "A client that forgot to encrypt")
    show.ask_in_plain_text("off")
    show.chapter("stranger", "Somebody who is in the room but not in ALLOWED_USERS")
    mallory = world.person(world.account("mallory"))
    stage.person.invite(stage.room_id, mallory.user_id)
    mallory.join(stage.room_id)
    mallory.wait_sees_member(stage.room_id, stage.bot_id)
    stage.person.wait_sees_member(stage.room_id, mallory.user_id)
    show.says_a_stranger(mallory, "off")
    show.ask("off")
    memory = stage.bot.memory()
    print(f"\nThe bot's process uses {memory.resident} kB, {memory.peak} kB at most.")
    return show.kept()


def play_targets(world: World) -> None:
    """Another bot, with two targets: one becomes ready, the other one cannot, for nobody has its image."""

    def granted(document: Manifest) -> Manifest:
        if document["kind"] == "Role":
            for rule in document["rules"]:
                rule["resourceNames"].append(REPORT)
            document["rules"].append({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]})
        return document

    target = world.target(change=granted)
    world.cluster.create_deployment(target.namespace, REPORT, 0, BARE_NODE)
    targets = [
        {"name": "worker", "object": target.deployment, "max": 3},
        {"name": REPORT, "object": REPORT, "readyTimeout": "10s"},
    ]
    file = world.workdir / f"{target.namespace}-targets.json"
    file.write_text(json.dumps({"targets": targets}))
    named = {"DEPLOYMENT_NAME": None, "TARGETS_FILE": str(file)}
    stage = world.stage(encrypted=True, target=target, **named)
    person, room = stage.person, stage.room_id
    print("\n  Another bot, with two targets\n", flush=True)
    shown: list[Message] = person.messages(room)

    def follow(command: str, end: str) -> None:
        """Shows a command and all that the bot says of it."""
        sent = person.send(room, command)
        print_line("alice", sent.encrypted, command)

        def ended() -> bool:
            for message in person.messages(room)[len(shown) :]:
                if message.text is None:
                    return False
                shown.append(message)
                if message.sender == stage.bot_id:
                    more = "(the message above, edited)" if is_edit(message) else ""
                    print_line("bot", message.encrypted, message.text.removeprefix("* "), more)
                    if end in message.text:
                        return True
            return False

        wait_for(f"the outcome of {command!r}", ended, 60, detail=stage.bot.tail)

    follow("start worker 3 for 2h", "worker is ready")
    follow(f"start {REPORT}", f"{REPORT} is not ready")
    follow("list", "Starting")


def keep(world: World, stage: Stage) -> None:
    """Leaves everything running for a person to try."""
    account = next(account for account in world.accounts if account.user_id == stage.person.user_id)
    print(
        f"""
Everything stays up until Ctrl-C. With any Matrix client:
  homeserver  {world.synapse.url}
  user        {account.user_id}
  password    {account.password}
  room        {stage.room_id}
  the bot     {stage.bot_id}
The cluster's address is {world.cluster.url}, its files are in {world.cluster.workdir}.
""",
        flush=True,
    )
    try:
        while stage.bot.running:
            time.sleep(0.5)
        print("the bot has ended:\n" + stage.bot.tail())
    except KeyboardInterrupt:
        print("\nending")


def main() -> None:
    """Sets the scene, plays, tidies up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transcript", metavar="FILE", type=Path, help="where to write who said what, as JSON")
    given = parser.parse_args()
    end_cleanly_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="toggle-demo-", ignore_cleanup_errors=True) as workdir:
        with World(Path(workdir), lean=True) as world:
            try:
                stage = world.stage(encrypted=True)
                said = play(world, stage)
                play_targets(world)
            except (Exception, SystemExit):
                for bot in world.bots[-1:]:
                    print("the end of the bot's log:\n" + bot.tail(), file=sys.stderr)
                raise
            if given.transcript:
                given.transcript.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")
            if os.environ.get("KEEP") == "1":
                keep(world, stage)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
