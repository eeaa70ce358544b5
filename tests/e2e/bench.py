"""What the bot and the gateway cost, measured, and whether that is within the budgets.

Latency is measured against a floor in the same run: a bare client that answers
each message with the same API-server call and nothing else. Bot and floor are
asked in turn, each in an encrypted room of its own, by the same person at the
same client.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toggle_e2e import texts
from toggle_e2e.binary import TRIPLES, normal_crates, read_elf, release_binary
from toggle_e2e.bot import Bot, default_binary
from toggle_e2e.cost import used
from toggle_e2e.fifty import measure_targets
from toggle_e2e.floor import CYCLE
from toggle_e2e.floor_process import start_floor
from toggle_e2e.gateway_bench import measure_gateway
from toggle_e2e.gateway_table import table
from toggle_e2e.hermetic import Row, computing, measure_fifty, measure_hostile, measure_large
from toggle_e2e.net import end_cleanly_on_sigterm
from toggle_e2e.paired import Times, all_of, is_within, of_medians, ratio
from toggle_e2e.syncs import launcher
from toggle_e2e.tap import Tap, own_share
from toggle_e2e.world import Stage, World

MIB = 1024 * 1024
BUDGET_BINARY = 5 * MIB
BUDGET_CRATES = 170
BUDGET_RESIDENT_KB = 7_000
BUDGET_KEPT_START = 0.15
BUDGET_RATIO = 1.05
# Of what the bare client takes, beside which it stands on the same machine.
BUDGET_SHARE_RATIO = 3
# An SD card takes 10 to 50 ms for each.
BUDGET_SYNCS = 3

COMMANDS = 60
# The homeserver's own times spread by a fifth: a median of 60 is good to some
# percent, so a ratio over the budget is judged on up to four times as many.
MORE_ROUNDS = 3
KEPT_STARTS = 11
FIRST_STARTS = 5
# Enough for a checkpoint among them.
COUNTED_COMMANDS = 80
SESSIONS = 1_500
# Commands of each kind whose own share is measured, and seconds of doing nothing.
SHARED_ROUNDS = 10
IDLE = 60
# Lets a scaling's aftermath (pods made, pods deleted) pass before the next command is timed.
PAUSE = 0.25


def say(text: str) -> None:
    """Progress."""
    print(f"[bench] {text}", file=sys.stderr, flush=True)


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all stays at or below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def measure_files() -> tuple[list[Row], dict[str, Any]]:
    """Sizes, linkage and crates: what needs no server."""
    rows: list[Row] = []
    facts: dict[str, Any] = {"binaries": {}}
    for triple in TRIPLES:
        path = release_binary(triple)
        if not path.is_file():
            raise SystemExit(f"there is no binary at {path}: make release builds it")
        size = path.stat().st_size
        elf = read_elf(path)
        static = elf.static and elf.machine == triple.split("-")[0]
        facts["binaries"][triple] = {"bytes": size, **asdict(elf)}
        rows.append(
            Row(f"binary {triple}", f"{size / MIB:.2f} MiB", f"≤ {BUDGET_BINARY / MIB:g} MiB", size <= BUDGET_BINARY)
        )
        rows.append(
            Row(
                f"  linked statically, for {elf.machine}",
                "yes" if static else f"interpreter: {elf.interpreter}, libraries: {elf.needed}",
                "yes",
                static,
            )
        )
    crates = normal_crates(TRIPLES[0])
    facts["crates"] = len(crates)
    rows.append(Row("crates in the binary", str(len(crates)), f"≤ {BUDGET_CRATES}", len(crates) <= BUDGET_CRATES))
    return rows, facts


def expected(command: str) -> Callable[[str | None], bool]:
    """What the bot has to answer: a wrong answer has no latency."""
    return {
        "start": lambda text: text == texts.ON,
        "stop": lambda text: text == texts.OFF,
        "help": lambda text: (text or "").startswith(texts.COMMANDS),
        "status": lambda text: (text or "").startswith("Deployment is "),
    }[command]


def time_commands(
    stage: Stage,
    floor_room: str,
    floor_id: str,
    rounds: int,
    phrase: Callable[[str], str] = str,
    check: Callable[[str], Callable[[str | None], bool]] = expected,
    pause: float = PAUSE,
) -> tuple[Times, Times]:
    """Asks bot and floor in turn and gives the seconds of each, by command.

    Who is asked first changes from command to command, since what a scaling
    sets going falls on whoever comes next.
    """
    bot: Times = {command: [] for command in CYCLE}
    floor: Times = {command: [] for command in CYCLE}

    def ask_bot(command: str) -> None:
        reply = stage.person.ask(stage.room_id, phrase(command), stage.bot_id)
        if not reply.encrypted or not check(command)(reply.text):
            raise SystemExit(f"the bot answered {command!r} with {reply!r}")
        bot[command].append(reply.seconds)

    def ask_floor(command: str) -> None:
        floor[command].append(stage.person.ask(floor_room, command, floor_id).seconds)

    for number in range(rounds):
        for at, command in enumerate(CYCLE):
            first, second = (ask_bot, ask_floor) if (number + at) % 2 else (ask_floor, ask_bot)
            first(command)
            time.sleep(pause)
            second(command)
            time.sleep(pause)
    return bot, floor


def measure_running(world: World, commands: int) -> tuple[list[Row], dict[str, Any]]:
    """Latency, memory and starts."""
    say("a person, a bot and a floor, each bot in an encrypted room of its own")
    stage = world.stage(encrypted=True)
    rounds = max(1, commands // len(CYCLE))
    process, floor_room, floor_id = start_floor(world, stage.person)
    with process:
        time_commands(stage, floor_room, floor_id, 1)  # the first messages carry keys
        say(f"{rounds * len(CYCLE)} commands each, in turn")
        bot, floor = time_commands(stage, floor_room, floor_id, rounds)
        memory = stage.bot.memory()
        answered = (rounds + 1) * len(CYCLE)
        for _ in range(MORE_ROUNDS):
            if is_within(bot, floor, BUDGET_RATIO):
                break
            say("over the budget: as many again, to tell noise from cost")
            more_bot, more_floor = time_commands(stage, floor_room, floor_id, rounds)
            bot = {command: bot[command] + more_bot[command] for command in CYCLE}
            floor = {command: floor[command] + more_floor[command] for command in CYCLE}

    say(f"{KEPT_STARTS} starts with a kept session")
    kept: list[float] = []
    for _ in range(KEPT_STARTS):
        stage.bot.end()
        stage.bot.start(wait=False)
        kept.append(stage.bot.wait_listening())
    small = stage.bot.memory().resident
    check = stage.person.ask(stage.room_id, "help", stage.bot_id)
    if not expected("help")(check.text):
        raise SystemExit(f"after {KEPT_STARTS} starts the bot answered {check!r}")
    stage.bot.end()

    say(f"as many with {SESSIONS} sessions of others in the store")
    fill_with_sessions(stage.bot, stage.room_id)
    full: list[float] = []
    for _ in range(KEPT_STARTS):
        stage.bot.start(wait=False)
        full.append(stage.bot.wait_listening())
        large = stage.bot.memory().resident
        stage.bot.end()

    say(f"{FIRST_STARTS} first starts, each with a login")
    first: list[float] = []
    for _ in range(FIRST_STARTS):
        fresh = world.bot(world.account("bot"), (stage.person.user_id,), stage.target)
        fresh.start(wait=False)
        first.append(fresh.wait_listening())
        fresh.end()

    bot_median, floor_median = statistics.median(all_of(bot)), statistics.median(all_of(floor))
    over = ratio(bot, floor)
    kept_median, full_median = statistics.median(kept), statistics.median(full)
    rows = [
        Row(
            f"resident memory after {answered} encrypted commands",
            f"{memory.resident} kB",
            f"≤ {BUDGET_RESIDENT_KB} kB",
            memory.resident <= BUDGET_RESIDENT_KB,
        ),
        Row("  of it anonymous, and the peak", f"{memory.anonymous} kB, {memory.peak} kB"),
        Row(
            "process start → listening, kept session (median)",
            f"{kept_median:.3f} s",
            f"≤ {BUDGET_KEPT_START} s",
            kept_median <= BUDGET_KEPT_START,
        ),
        Row(
            f"  with {SESSIONS:,} sessions of others in the store",
            f"{full_median:.3f} s",
            f"≤ {BUDGET_KEPT_START} s",
            full_median <= BUDGET_KEPT_START,
        ),
        Row("  resident memory then, and after a start without", f"{large} kB, {small} kB"),
        Row("process start → listening, first login (median)", f"{statistics.median(first):.3f} s"),
        Row(
            "command → answer, the bot (median, p95)",
            f"{bot_median * 1000:.1f} ms, {percentile(all_of(bot), 0.95) * 1000:.1f} ms",
        ),
        Row(
            "command → answer, the floor (median, p95)",
            f"{floor_median * 1000:.1f} ms, {percentile(all_of(floor), 0.95) * 1000:.1f} ms",
        ),
        Row(
            "  the bot over the floor, of medians and by pairs",
            f"{of_medians(bot, floor):.3f}, {over:.3f}",
            f"≤ {BUDGET_RATIO}",
            is_within(bot, floor, BUDGET_RATIO),
        ),
    ]
    rows += [
        Row(
            f"  {command}",
            f"{statistics.median(bot[command]) * 1000:.1f} ms, floor {statistics.median(floor[command]) * 1000:.1f} ms",
        )
        for command in CYCLE
    ]
    facts = {
        "memory_kb": asdict(memory),
        "commands": len(all_of(bot)),
        "kept_start_s": kept,
        "full_start_s": full,
        "full_start_resident_kb": large,
        "first_start_s": first,
        "bot_s": bot,
        "floor_s": floor,
        "ratio": over,
        "floor": "Python aiohttp: no encryption, no store, the same API-server call and one send",
    }
    return rows, facts


def measure_syncs(world: World) -> tuple[list[Row], dict[str, Any]]:
    """How often the bot makes the disk wait for it, by command."""
    say(f"{COUNTED_COMMANDS} commands to a bot whose system calls are counted")
    person, account = world.person(world.account("alice")), world.account("bot")
    bot = world.bot(account, (person.user_id,), world.target())
    bot.binary, counts = launcher(world.workdir, bot.binary)
    room_id = person.create_room(True, (account.user_id,))
    bot.start()
    world.join(bot, person, room_id, account.user_id)
    each: dict[str, list[int]] = {command: [] for command in CYCLE}
    for number in range(COUNTED_COMMANDS // len(CYCLE) + 1):
        for command in CYCLE:
            before = counts.stat().st_size
            reply = person.ask(room_id, command, account.user_id)
            if not expected(command)(reply.text):
                raise SystemExit(f"the bot answered {command!r} with {reply!r}")
            # The sync that shows the bot its own answer belongs to the command.
            time.sleep(2 * PAUSE)
            if number:  # the first messages carry keys
                each[command].append(counts.stat().st_size - before)
    bot.end()
    found = [count for counts in each.values() for count in counts]
    average = statistics.mean(found)
    rows = [
        Row(
            "fsyncs a command, checkpoints included (average)",
            f"{average:.2f}",
            f"≤ {BUDGET_SYNCS}",
            average <= BUDGET_SYNCS,
        ),
        Row("  the most for one, and the usual", f"{max(found)}, {statistics.median(found):g}"),
    ]
    return rows, {"syncs": each}


def shares_of(tap: Tap, ask: Callable[[str], None], rounds: int) -> Times:
    """The own shares of the commands that are asked, by command."""
    shares: Times = {command: [] for command in CYCLE}
    for _ in range(rounds):
        for command in CYCLE:
            began = time.monotonic()
            ask(command)
            time.sleep(PAUSE)
            share = own_share(tap.since(began))
            if share is None:
                raise SystemExit(f"no reply to {command!r} passed the tap")
            shares[command].append(share)
    return shares


def measure_own_share(world: World) -> tuple[list[Row], dict[str, Any]]:
    """What a command takes without the servers and the person: of the bot, and of the floor."""
    say(f"{SHARED_ROUNDS * len(CYCLE)} commands each to a bot and a floor with a tap before both servers")
    homeserver = urlsplit(world.synapse.url)
    servers = ((homeserver.hostname or "", homeserver.port or 80), (world.cluster.host, world.cluster.port))
    with Tap(*servers) as tap, Tap(*servers) as floor_tap:
        url = f"http://127.0.0.1:{tap.ports['homeserver']}"
        stage = world.stage(
            MATRIX_HOMESERVER=url,
            KUBERNETES_SERVICE_HOST="127.0.0.1",
            KUBERNETES_SERVICE_PORT=str(tap.ports["api"]),
        )

        def ask_bot(command: str) -> None:
            reply = stage.person.ask(stage.room_id, command, stage.bot_id)
            if not expected(command)(reply.text):
                raise SystemExit(f"the bot answered {command!r} with {reply!r}")

        shares_of(tap, ask_bot, 1)  # the first messages carry keys
        time.sleep(PAUSE)
        before = used(stage.bot.pid)
        bot = shares_of(tap, ask_bot, SHARED_ROUNDS)
        after = used(stage.bot.pid)
        time.sleep(5)  # the write-ahead log is emptied
        idle_before, began = used(stage.bot.pid), time.monotonic()
        process, floor_room, floor_id = start_floor(
            world,
            stage.person,
            homeserver=f"http://127.0.0.1:{floor_tap.ports['homeserver']}",
            api=f"https://127.0.0.1:{floor_tap.ports['api']}",
        )
        with process:

            def ask_floor(command: str) -> None:
                stage.person.ask(floor_room, command, floor_id)

            shares_of(floor_tap, ask_floor, 1)
            floor = shares_of(floor_tap, ask_floor, SHARED_ROUNDS)
        say(f"the rest of {IDLE} s of doing nothing")
        time.sleep(max(0.0, began + IDLE - time.monotonic()))
        idle, minutes = used(stage.bot.pid), (time.monotonic() - began) / 60
    commands = SHARED_ROUNDS * len(CYCLE)
    cpu = (after.cpu - before.cpu) / commands
    share, floor_share = statistics.median(all_of(bot)), statistics.median(all_of(floor))
    by_command = ", ".join(f"{command} {statistics.median(bot[command]) * 1000:.1f}" for command in CYCLE)
    rows = [
        Row("own share of a command, between the real servers (median)", f"{share * 1000:.2f} ms ({by_command})"),
        Row(
            "  the floor's, and how often the bot's is that",
            f"{floor_share * 1000:.2f} ms, {share / floor_share:.2f}",
            f"≤ {BUDGET_SHARE_RATIO:g}",
            share <= BUDGET_SHARE_RATIO * floor_share,
        ),
        Row("  computing for a command, kernel included (average)", f"{cpu * 1000:.1f} ms"),
        Row(
            "a minute of doing nothing",
            f"{(idle.cpu - idle_before.cpu) / minutes * 1000:.1f} ms of computing, "
            f"{(idle.wakes - idle_before.wakes) / minutes:.0f} wake-ups",
        ),
    ]
    facts = {"own_share_s": bot, "floor_share_s": floor, "command_cpu_s": cpu, "idle": [asdict(idle_before), asdict(idle)]}
    stage.bot.end()
    return rows, facts


def fill_with_sessions(bot: Bot, room_id: str) -> None:
    """Gives a bot that has ended as many Megolm sessions of others as a busy year."""
    with sqlite3.connect(Path(bot.settings["CRYPTO_STORE_PATH"]) / "store.sqlite3") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(inbound_groups)")]
        picked = ", ".join("'session-' || n" if column == "session_id" else column for column in columns)
        database.execute(
            f"INSERT INTO inbound_groups ({', '.join(columns)}) "
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {SESSIONS}) "
            f"SELECT {picked} FROM numbers, "
            "(SELECT * FROM inbound_groups WHERE room_id = ? LIMIT 1)",
            (room_id,),
        )
        (count,) = database.execute("SELECT count(*) FROM inbound_groups").fetchone()
    database.close()
    if count < SESSIONS:
        raise SystemExit(f"the store has {count} sessions only")


def show(rows: list[Row]) -> None:
    """Prints the table."""
    width = max(len(row.what) for row in rows)
    middle = max(len(row.measured) for row in rows)
    for row in rows:
        verdict = {True: "ok", False: "BROKEN", None: ""}[row.kept]
        print(f"{row.what:<{width}}  {row.measured:<{middle}}  {row.budget:<12} {verdict}".rstrip())


@contextmanager
def servers() -> Iterator[World]:
    """A homeserver and a cluster; where something fails, the ends of their logs are told."""
    with tempfile.TemporaryDirectory(prefix="toggle-bench-", ignore_cleanup_errors=True) as workdir:
        # The server's own cost of a password, as a first login pays it.
        with World(Path(workdir), log=say, bcrypt_rounds=12) as world:
            try:
                yield world
            except (Exception, SystemExit):
                for bot in world.bots[-1:]:
                    say("the end of the bot's log:\n" + bot.tail())
                say("the end of the homeserver's log:\n" + world.synapse.tail(20))
                say(f"the ends of the cluster's logs:\n{world.cluster.tail_logs(20)}")
                raise


def measure_all(commands: int) -> tuple[list[Row], dict[str, Any]]:
    """Everything there is to measure."""
    rows, facts = measure_files()
    say("a room with 1,000 devices, and messages one by one, at a homeserver that costs nothing")
    large, more = measure_large()
    facts |= more
    say("50 targets: commands, lists, and changes that are followed")
    many, more = measure_fifty()
    facts |= more
    say("what strangers may send: floods, claimed keys, and the largest answers of each endpoint")
    hostile, more = measure_hostile()
    facts |= more
    with servers() as world:
        measured, more = measure_running(world, commands)
        named, of_names = measure_targets(world, commands // 2, time_commands, BUDGET_RATIO)
        shared, own = measure_own_share(world)
        counted, syncs = measure_syncs(world)
        proxied, of_gateway = measure_gateway(world, say)
    floor_ms = statistics.median(all_of(own["floor_share_s"])) * 1000
    large.insert(1, computing(facts["own_share"], floor_ms))
    rows += measured + named + shared + counted + large + many + hostile + proxied
    return rows, facts | more | of_names | own | syncs | of_gateway


def main() -> int:
    """Measures, prints, and with `--check` fails on a broken budget."""
    end_cleanly_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is broken")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write all figures there")
    parser.add_argument("--commands", type=int, default=COMMANDS, help=f"commands to bot and floor each ({COMMANDS})")
    parser.add_argument("--gateway", action="store_true", help="the gateway alone, and the table of docs/gateway.md")
    given = parser.parse_args()
    if given.gateway:
        with servers() as world:
            rows, facts = measure_gateway(world, say)
    else:
        rows, facts = measure_all(given.commands)
    facts["machine"] = {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "load": os.getloadavg(),
    }
    print(f"\n{os.cpu_count()} CPUs, Linux {platform.release()}, {platform.machine()}, load {os.getloadavg()[0]:.1f}")
    print("Latency: from the person's return key to the readable answer; Synapse, its database and the person's")
    print("client included. The bot's answers are encrypted and the person decrypts them, the floor's are plain;")
    print("the floor is Python with aiohttp. The gateway and the proxies beside it have a processor to themselves,")
    print("load, backend and control plane another; the time of kube-proxy and of a pod network is in none of them.\n")
    show(rows)
    if given.gateway:
        print(f"\n{table(facts)}")
    if given.json:
        given.json.write_text(json.dumps(facts, indent=2) + "\n")
    broken = [row.what.strip() for row in rows if row.kept is False]
    if broken:
        print("\nbroken budgets: " + "; ".join(broken))
    return 1 if broken and given.check else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
