"""A bot with 50 targets against the floor, on the real servers."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from .floor import CYCLE
from .floor_process import start_floor
from .hermetic import Row
from .paired import Times, all_of, is_within, of_medians, ratio
from .world import World

TARGETS = 50
# Where one is over the budget, that many more rounds tell noise from cost.
MORE_ROUNDS = 6
# One person may ask a bot with targets for something every three seconds.
PAUSE_OF_ONE = 1.5


def of_worker(command: str) -> str:
    """The command where targets have names."""
    return command if command == "help" else f"{command} worker"


def expected_of_worker(command: str) -> Callable[[str | None], bool]:
    """As `expected`, where targets have names."""
    beginning = {
        "start": "worker is starting: 0 → 1 ",
        "stop": "worker is stopping: 1 → 0 ",
        "help": "",
        "status": "worker is ",
    }[command]
    return lambda text: bool(text) and str(text).startswith(beginning)


def measure_targets(
    world: World, commands: int, time_commands: Callable[..., tuple[Times, Times]], budget: float
) -> tuple[list[Row], dict[str, Any]]:
    """Latency with 50 targets, of which one is there."""
    target = world.target()
    others = [f"t{number:02}={target.namespace}/deployment/t{number:02}" for number in range(TARGETS - 1)]
    stage = world.stage(
        target=target,
        DEPLOYMENT_NAME=None,
        DEPLOYMENT_NAMESPACE=None,
        TARGETS=", ".join([f"worker={target.namespace}/deployment/{target.deployment}", *others]),
        PROGRESS="false",
    )
    rounds = max(1, commands // len(CYCLE))
    process, floor_room, floor_id = start_floor(world, stage.person)
    with process:
        bot: Times = {command: [] for command in CYCLE}
        floor: Times = {command: [] for command in CYCLE}
        for number in range(1 + MORE_ROUNDS):
            measured = time_commands(
                stage, floor_room, floor_id, rounds + (not number), of_worker, expected_of_worker, PAUSE_OF_ONE
            )
            for all_times, times in zip((bot, floor), measured, strict=True):
                for command in CYCLE:
                    # The first messages carry keys.
                    all_times[command] += times[command][0 if number else 1 :]
            if is_within(bot, floor, budget):
                break
    stage.bot.end()
    bot_median, floor_median = statistics.median(all_of(bot)), statistics.median(all_of(floor))
    rows = [
        Row(
            f"{TARGETS} targets: command → answer, the bot and the floor (median)",
            f"{bot_median * 1000:.1f} ms, {floor_median * 1000:.1f} ms",
        ),
        Row(
            "  the bot over the floor, of medians and by pairs",
            f"{of_medians(bot, floor):.3f}, {ratio(bot, floor):.3f}",
            f"≤ {budget}",
            is_within(bot, floor, budget),
        ),
    ]
    return rows, {"targets_bot_s": bot, "targets_floor_s": floor}
