"""What is shipped for Prometheus and Grafana, by a real Prometheus that scrapes the running bot."""

from __future__ import annotations

import json
import re
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from toggle_e2e import texts
from toggle_e2e.manifests import CHART
from toggle_e2e.net import free_port, wait_for
from toggle_e2e.prometheus import JOB, Prometheus, impatient, promtool
from toggle_e2e.world import Stage, World

MONITORING = CHART / "files"
ALERTS = MONITORING / "alerts.yaml"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
}
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
TARGETS: list[dict[str, str]] = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]

SYNC_MAX_AGE = 45
"""Seconds; the least that there can be, since an idle sync takes 30."""

# What each alert is made of. Where all is well most alerts are empty, and so would be those with a wrong name in them.
_THERE = "count by (namespace, job) (present_over_time(openclaw_toggle_build_info[1h]))"
SIDES = {
    "OpenclawToggleMissing": [
        _THERE,
        "count by (namespace, job) (openclaw_toggle_build_info)",
        "openclaw_toggle_build_info",
    ],
    "OpenclawToggleNotReady": ["openclaw_toggle_ready"],
    "OpenclawToggleSyncOld": ["openclaw_toggle_sync_age_seconds"],
    "OpenclawToggleStoreNotWritable": [
        "openclaw_toggle_store_writable",
        "increase(openclaw_toggle_store_failures_total[15m])",
    ],
    "OpenclawToggleCommandsFail": ['increase(openclaw_toggle_commands_total{outcome="failed"}[15m])'],
    "OpenclawToggleMessagesUndecryptable": ["increase(openclaw_toggle_undecryptable_messages_total[30m])"],
    "OpenclawToggleOneTimeKeysLow": ["openclaw_toggle_one_time_keys", "openclaw_toggle_logged_in"],
    "OpenclawToggleMemoryHigh": ["process_resident_memory_bytes", "openclaw_toggle_build_info"],
    "OpenclawToggleRestarts": ["changes(process_start_time_seconds[1h])", "openclaw_toggle_build_info"],
}
_OPERATORS = {"absent", "or", "and", "unless", "on", "job", "instance"}


@dataclass
class Watched:
    """A bot, somebody who commands it, and the Prometheus that watches it."""

    stage: Stage
    prometheus: Prometheus
    address: str

    def get(self, path: str) -> tuple[int, str]:
        """What the bot's health port says."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ask(self, text: str, timeout: float = 30) -> str | None:
        """Says something to the bot and gives the answer."""
        return self.stage.person.ask(self.stage.room_id, text, self.stage.bot_id, timeout).text

    def count(self, name: str, **labels: str) -> float | None:
        """A number of the bot's, as Prometheus has it now."""
        chosen = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return self.prometheus.value(f"sum(openclaw_toggle_{name}{{{chosen}}})")

    def wait_count(self, expected: float, name: str, **labels: str) -> None:
        """Waits until a scrape has brought a number."""
        wait_for(f"{name}{labels} to be {expected:g}", lambda: self.count(name, **labels) == expected, 10)


@pytest.fixture(scope="module")
def watched(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A bot that does everything well, watched from its start."""
    workdir = tmp_path_factory.mktemp("prometheus")
    impatient(ALERTS, workdir / "alerts.yaml")
    address = f"127.0.0.1:{free_port()}"
    with Prometheus(workdir, [address], workdir / "alerts.yaml") as prometheus:
        stage = world.stage(encrypted=True, HEALTH_ADDR=address, HEALTH_SYNC_MAX_AGE=f"{SYNC_MAX_AGE}s")
        made = Watched(stage, prometheus, address)
        # Counters are told from the first scrape on: what was before it is no increase.
        wait_for("the first scrape", prometheus.scrapes, 15, detail=prometheus.tail)
        for text in ("start", "status", "stop", "help", "dance"):
            made.ask(text)
        # It takes two scrapes to tell an increase, and the commands may be done before the second.
        rate = "increase(openclaw_toggle_commands_total[1m])"
        wait_for("a second scrape", lambda: prometheus.query(rate), 15, detail=prometheus.tail)
        try:
            yield made
        finally:
            stage.bot.kill()
            stage.person.stop()


def test_the_rules_are_what_promtool_takes() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", str(ALERTS))
    for name, rule in RULES.items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert rule["annotations"].keys() == {"summary", "description"}, name
        assert "http" not in str(rule["annotations"]), name


def healthy(**changed: str) -> list[dict[str, str]]:
    """The series of a bot that is well, a value a minute for 40 minutes, but for the ones that are changed."""
    labels = f'job="{JOB}", instance="bot:8080", namespace="clawdbot"'
    series = {
        "build_info": (labels, "1x40"),
        "ready": (labels, "1x40"),
        "logged_in": (labels, "1x40"),
        "sync_age": (labels, "20x40"),
        "store_writable": (labels, "1x40"),
        "store_failures": (labels, "0x40"),
        "commands": (f'{labels}, command="start", outcome="failed"', "0x40"),
        "undecryptable": (f'{labels}, reason="missing_key"', "0x40"),
        "one_time_keys": (labels, "50x40"),
        "memory": (labels, "6000000x40"),
        "start_time": (labels, "1700000000x40"),
    }
    names = {
        "sync_age": "openclaw_toggle_sync_age_seconds",
        "store_failures": "openclaw_toggle_store_failures_total",
        "commands": "openclaw_toggle_commands_total",
        "undecryptable": "openclaw_toggle_undecryptable_messages_total",
        "memory": "process_resident_memory_bytes",
        "start_time": "process_start_time_seconds",
    }
    return [
        {"series": f"{names.get(name, f'openclaw_toggle_{name}')}{{{of}}}", "values": changed.get(name, values)}
        for name, (of, values) in series.items()
    ]


# What goes wrong from the fifth minute on, a minute at which no alert fires for it yet, and one at which it does.
FAULTS: dict[str, tuple[dict[str, str], int, int]] = {
    "OpenclawToggleMissing": ({"build_info": "1x4 stale"}, 9, 11),
    "OpenclawToggleNotReady": ({"ready": "1x4 0x35"}, 14, 16),
    "OpenclawToggleSyncOld": ({"sync_age": "20x4 60+60x35"}, 9, 13),
    "OpenclawToggleStoreNotWritable": ({"store_writable": "1x4 0x35"}, 5, 7),
    "OpenclawToggleCommandsFail": ({"commands": "0x4 1x35"}, 4, 6),
    "OpenclawToggleMessagesUndecryptable": ({"undecryptable": "0x4 1x35"}, 4, 6),
    "OpenclawToggleOneTimeKeysLow": ({"one_time_keys": "50x4 9x35"}, 19, 21),
    "OpenclawToggleMemoryHigh": ({"memory": "6000000x4 15000000x35"}, 19, 21),
    "OpenclawToggleRestarts": ({"start_time": "1700000000x4 1700000300+60x35"}, 6, 9),
}


@pytest.mark.parametrize("alert", RULES)
def test_each_alert_fires_for_its_fault_after_its_time_and_no_other_does(alert: str, tmp_path: Path) -> None:
    changed, before, after = FAULTS[alert]
    cases = [
        {
            "interval": "1m",
            "input_series": healthy(**changed),
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if firing else [],
                }
                for minute, firing in ((before, False), (after, True))
            ],
        }
    ]
    given = tmp_path / "tests.yaml"
    given.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": cases}))
    assert "SUCCESS" in promtool("test", "rules", str(given))


def test_a_bot_that_leaves_others_behind_is_missed_by_its_job(tmp_path: Path) -> None:
    """Several may be there; and a pod that is replaced has another instance, which is none that is missing."""
    others = [
        {"series": f'openclaw_toggle_build_info{{job="{job}", instance="{instance}"}}', "values": values}
        for job, instance, values in (
            ("gone", "a:8080", "1x4 stale"),
            ("replaced", "b:8080", "1x4 stale"),
            ("replaced", "c:8080", "_x4 1x35"),
        )
    ]
    case = {
        "interval": "1m",
        "input_series": others,
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, job) (ALERTS{alertstate="firing"})',
                "eval_time": "15m",
                "exp_samples": [{"labels": '{alertname="OpenclawToggleMissing", job="gone"}', "value": 1}],
            }
        ],
    }
    given = tmp_path / "tests.yaml"
    given.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": [case]}))
    assert "SUCCESS" in promtool("test", "rules", str(given))


def test_the_dashboard_can_be_imported_and_read() -> None:
    """By hand or from a ConfigMap: its one input is a variable that Grafana fills."""
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and "__inputs" not in DASHBOARD
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] and "id" not in DASHBOARD
    panels = DASHBOARD["panels"]
    assert 10 <= len(panels) <= 14
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for of in (panel, *panel["targets"]):
            assert of["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    used = set(re.findall(r"\$(\w+)", " ".join(target["expr"] for target in TARGETS)))
    assert used == {*variables} - {"datasource"} | {"__interval", "__rate_interval"}


def test_what_the_bot_exposes_is_what_promtool_takes(watched: Watched) -> None:
    code, text = watched.get("/metrics")
    assert code == 200
    promtool("check", "metrics", given=text)


def test_every_expression_of_the_dashboard_has_an_answer(watched: Watched) -> None:
    for target in TARGETS:
        expression = target["expr"]
        samples = watched.prometheus.answers(expression)
        assert samples, expression
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert all(label in sample.labels for sample in samples), f"{expression} has no label {label}"


def test_every_expression_of_the_alerts_has_an_answer_or_stands_for_one(watched: Watched) -> None:
    assert SIDES.keys() == RULES.keys()
    for name, rule in RULES.items():
        whole = left = " ".join(rule["expr"].split())
        watched.prometheus.query(whole)
        # The longest first: one may be a part of another.
        for side in sorted(SIDES[name], key=len, reverse=True):
            assert side in left, f"{name} has no {side}"
            left = left.replace(side, "")
            assert watched.prometheus.query(side), f"{name}: {side} is empty"
        assert set(re.findall(r"[A-Za-z_]+", left)) <= _OPERATORS, f"{name} has more in it: {left}"
        if "and on (job, instance)" in whole:
            joined = re.sub(r" > [\d.* ]+", " ", whole)
            assert watched.prometheus.query(joined), f"{name}: {joined} is empty"


def test_a_healthy_bot_raises_no_alert_and_counts_what_it_did(watched: Watched) -> None:
    for command in ("start", "stop", "status", "help"):
        watched.wait_count(1, "commands_total", command=command, outcome="done")
    watched.wait_count(1, "commands_total", command="none", outcome="unknown")
    watched.wait_count(2, "scale_duration_seconds_count", result="ok")
    assert watched.count("ready") == watched.count("logged_in") == watched.count("store_writable") == 1
    assert watched.prometheus.rule_faults() == []
    assert watched.prometheus.alerts() == {}


def test_what_goes_wrong_is_alerted(world: World, watched: Watched) -> None:
    """Keys that are lost, and an API server that says no."""
    stage = watched.stage
    stage.bot.end()
    with closing(sqlite3.connect(Path(stage.bot.settings["CRYPTO_STORE_PATH"]) / "store.sqlite3")) as store:
        for table in ("inbound_groups", "olm_sessions"):
            assert store.execute(f"DELETE FROM {table}").rowcount == 1
        store.commit()
    stage.bot.start()
    # One that failed before the first scrape would be no increase.
    watched.wait_count(0, "undecryptable_messages_total")
    assert watched.ask("stop") == texts.UNREADABLE
    watched.wait_count(1, "undecryptable_messages_total", reason="missing_key")
    stage.person.restart()
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{stage.target.namespace}/rolebindings"
    world.cluster.ensure("DELETE", f"{binding}/{stage.target.service_account}")
    wait_for("the rights to be gone", lambda: (watched.ask("status") or "").startswith("Error: "), 10)
    assert (watched.ask("start") or "").startswith("Error: ")
    watched.wait_count(1, "commands_total", command="start", outcome="failed")
    watched.wait_count(1, "scale_duration_seconds_count", result="failed")
    expected = {"OpenclawToggleCommandsFail": "firing", "OpenclawToggleMessagesUndecryptable": "firing"}
    wait_for("both alerts, and no other", lambda: watched.prometheus.alerts() == expected, 10)


def test_a_homeserver_that_is_down_makes_it_unready_and_is_no_reason_for_a_restart(
    world: World, watched: Watched
) -> None:
    """It hangs until the bot is unready, then it is gone: from a failure on, the bot tries again later and later."""
    bot = watched.stage.bot
    process = bot.pid
    assert watched.ask("help") == texts.HELP
    assert watched.get("/readyz")[0] == watched.get("/livez")[0] == 200
    world.synapse.pause()
    try:

        def unready() -> str:
            assert watched.get("/livez")[0] == 200, "the kubelet would restart it"
            code, text = watched.get("/readyz")
            return text if code == 503 else ""

        told = wait_for("the bot to be unready", unready, SYNC_MAX_AGE + 15, 0.5, bot.tail)
        assert re.search(rf"^sync: \d+ s ago, more than {SYNC_MAX_AGE} s$", told, re.MULTILINE), told
        assert "store: ok" in told, told
        mark = bot.log_mark()
        world.synapse.kill()
        wait_for("the alert", lambda: watched.prometheus.alerts().get("OpenclawToggleNotReady") == "firing", 10, 0.2)
        age = watched.count("sync_age_seconds")
        assert age is not None and age > SYNC_MAX_AGE
        bot.wait_log("sync", 10, mark)
        assert unready() and bot.running and bot.pid == process
    finally:
        world.synapse.kill()
        world.synapse.start()
    # Where nobody says anything, its next sync takes 30 s.
    assert watched.ask("help", 90) == texts.HELP
    wait_for("the bot to be ready again", lambda: watched.get("/readyz")[0] == 200, 40, 0.5, bot.tail)
    assert bot.running and bot.pid == process
    wait_for("the alert to end", lambda: "OpenclawToggleNotReady" not in watched.prometheus.alerts(), 10, 0.2)
