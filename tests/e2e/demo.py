"""A conversation with the bot, as it happens, on real servers.

`KEEP=1` leaves everything running afterwards, to be tried with any Matrix
client, until Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from toggle_e2e.net import end_cleanly_on_sigterm
from toggle_e2e.person import Message, Person
from toggle_e2e.world import Stage, World

NAMES = {True: "🔒", False: "  "}


class Transcript:
    """Prints what is said, by whom, and what the cluster makes of it."""

    def __init__(self, world: World, stage: Stage) -> None:
        self._world = world
        self._stage = stage

    def note(self, text: str) -> None:
        """A line between the messages."""
        print(f"\n  {text}\n", flush=True)

    def line(self, who: str, encrypted: bool, text: str, more: str = "") -> None:
        """One message."""
        now = datetime.now().strftime("%H:%M:%S.%f")[:-3]
        first, *rest = text.splitlines() or [""]
        print(f"{now}  {who:<8} {NAMES[encrypted]}  {first:<52} {more}".rstrip())
        for line in rest:
            print(f"{'':<27}{line}")
        sys.stdout.flush()

    def ask(self, text: str) -> None:
        """Says something to the bot and shows what comes back."""
        sent = self._stage.person.send(self._stage.room_id, text)
        self.line("alice", sent.encrypted, text)
        reply = self._stage.person.wait_reply(sent, self._stage.bot_id)
        self._answered(reply.message, reply.seconds)

    def ask_in_plain_text(self, text: str) -> None:
        """The same from a client that does not encrypt."""
        sent = self._stage.person.send_plaintext(self._stage.room_id, text)
        self.line("alice", False, text)
        reply = self._stage.person.wait_reply(sent, self._stage.bot_id)
        self._answered(reply.message, reply.seconds)

    def says_a_stranger(self, stranger: Person, text: str) -> None:
        """Says something as somebody who is not listened to."""
        mark = self._stage.person.mark(self._stage.room_id)
        sent = stranger.send(self._stage.room_id, text)
        self.line("mallory", sent.encrypted, text)
        time.sleep(1.5)
        said = len(self._stage.person.replies(mark, self._stage.bot_id))
        self.line("", False, f"({said or 'no'} answer in 1.5 s)", self._cluster())

    def _answered(self, message: Message, seconds: float) -> None:
        self.line("bot", message.encrypted, message.text or "", f"{seconds * 1000:4.0f} ms   {self._cluster()}")

    def _cluster(self) -> str:
        found = self._world.cluster.replicas(self._stage.target.namespace, self._stage.target.deployment)
        return f"replicas: {found['spec']}, ready: {found['ready']}"


def play(world: World, stage: Stage) -> None:
    """The conversation."""
    show = Transcript(world, stage)
    where = (stage.target.namespace, stage.target.deployment)
    print(f"\nroom {stage.room_id}, deployment {stage.target.namespace}/{stage.target.deployment}")
    print("🔒 encrypted end to end; right: time to the answer, and the deployment as the API server has it\n")
    show.ask("help")
    show.ask("status")
    show.ask("start")
    world.cluster.wait_replicas(*where, ready=1)
    show.ask("status")
    show.ask("stop")
    world.cluster.wait_replicas(*where, ready=0)
    show.ask("status")
    show.note("The bot is ended and started again on its store: same device, same keys.")
    stage.bot.restart()
    show.ask("on")
    world.cluster.wait_replicas(*where, ready=1)
    show.ask("status")
    show.note("A client that forgot to encrypt:")
    show.ask_in_plain_text("off")
    show.note("Somebody who is in the room but not in ALLOWED_USERS:")
    mallory = world.person(world.account("mallory"))
    stage.person.invite(stage.room_id, mallory.user_id)
    mallory.join(stage.room_id)
    mallory.wait_sees_member(stage.room_id, stage.bot_id)
    stage.person.wait_sees_member(stage.room_id, mallory.user_id)
    show.says_a_stranger(mallory, "off")
    show.ask("off")
    memory = stage.bot.memory()
    print(f"\nThe bot's process uses {memory.resident} kB, {memory.peak} kB at most.")


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
    end_cleanly_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="toggle-demo-", ignore_cleanup_errors=True) as workdir:
        with World(Path(workdir)) as world:
            try:
                stage = world.stage(encrypted=True)
                play(world, stage)
            except (Exception, SystemExit):
                for bot in world.bots[-1:]:
                    print("the end of the bot's log:\n" + bot.tail(), file=sys.stderr)
                raise
            if os.environ.get("KEEP") == "1":
                keep(world, stage)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
