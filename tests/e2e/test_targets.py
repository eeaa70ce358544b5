"""Targets with names, on the real servers: a start that becomes ready, a restart that is confirmed, a stop."""

from __future__ import annotations

import re

from toggle_e2e.net import wait_for
from toggle_e2e.world import Stage, World


def said(stage: Stage) -> list[str]:
    """What the bot said so far, as the person reads it."""
    messages = stage.person.messages(stage.room_id)
    return [message.text or "" for message in messages if message.sender == stage.bot_id]


def wait_said(stage: Stage, pattern: str, timeout: float = 60) -> re.Match[str]:
    """Waits for a message of the bot that matches, and gives the last one."""

    def found() -> re.Match[str] | None:
        matches = [re.search(pattern, text) for text in said(stage)]
        return next((match for match in reversed(matches) if match), None)

    return wait_for(f"the bot to say {pattern!r}", found, timeout, detail=lambda: "\n".join(said(stage)))


def test_a_target_is_started_restarted_and_stopped_and_what_came_of_it_is_told(world: World) -> None:
    target = world.target()
    stage = world.stage(
        target=target,
        DEPLOYMENT_NAME=None,
        DEPLOYMENT_NAMESPACE=None,
        TARGETS=f"worker={target.namespace}/deployment/{target.deployment}:3",
    )
    person, room = stage.person, stage.room_id

    person.send(room, "start worker 3 for 2h")
    wait_said(stage, r"^worker is starting: 0 → 3 replicas\. It stops \w+ \d\d:\d\d UTC \(in 2 h\)\.$")
    wait_said(stage, r"^worker is ready: 3 of 3 after \d+ s\.")
    assert world.replicas(target) == 3

    # A start lowers nothing, and what is too much is refused.
    person.send(room, "start worker 4")
    wait_said(stage, r"^worker takes 1 to 3 replicas\.$")
    person.send(room, "start worker 1")
    wait_said(stage, r"^worker is already on: 3 of 3 ready\.")
    assert world.replicas(target) == 3

    person.send(room, "restart worker")
    code = wait_said(stage, r"yes (\w{4})$").group(1)
    person.send(room, "yes 0000" if code != "0000" else "yes 1111")
    wait_said(stage, r"^That is not the code of my question")
    assert world.scalings(target) == [3]
    person.send(room, f"yes {code}")
    wait_said(stage, r"^worker is starting again: 0 → 3 replicas\.$", 90)
    assert world.scalings(target) == [3, 0, 3]

    person.send(room, "stop worker")
    wait_said(stage, r"^worker is stopping: 3 → 0 replicas\.$")
    wait_said(stage, r"^worker has stopped")
    assert world.replicas(target) == 0

    person.send(room, "history worker")
    history = wait_said(stage, r"(?s)^worker:\n(.*)$").group(1).splitlines()
    assert [re.sub(r"^\s*\S+ \S+ UTC ", "", line).split(" by ")[0] for line in history] == [
        "stop 3 → 0",
        "restart 0 → 3",
        "start",
        "start 0 → 3",
    ]
