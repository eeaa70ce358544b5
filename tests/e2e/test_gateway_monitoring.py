"""What is shipped for Prometheus and Grafana about the gateway, on numbers that are made up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from toggle_e2e.manifests import CHART
from toggle_e2e.prometheus import promtool

FILES = CHART / "files"
ALERTS = FILES / "gateway-alerts.yaml"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
}
DASHBOARD: dict[str, Any] = json.loads((FILES / "gateway-dashboard.json").read_text())
TARGETS: list[dict[str, str]] = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]

SEED = (
    'rate(openclaw_k8s_auth_attempts_total{result="success"}[5m]) / rate(openclaw_k8s_auth_attempts_total[5m])',
    "openclaw_k8s_sessions_active",
    'increase(openclaw_k8s_auth_attempts_total{result="failed"}[5m]) > 0',
)
"""Queries of dashboards that are there already."""

LABELS = 'job="gateway", instance="gateway:8082", namespace="claw"'


def series(**changed: str) -> list[dict[str, str]]:
    """The series of a gateway that is well, a value a minute for 90 minutes, but for the ones that are changed."""
    values = {
        "openclaw_gateway_build_info{%s, version=\"1\"}": "1x90",
        "openclaw_gateway_ready{%s}": "1x90",
        "openclaw_gateway_held{%s}": "0x90",
        "openclaw_gateway_config_refused{%s}": "0x90",
        'openclaw_gateway_rejected_total{%s, reason="full"}': "0x90",
        'openclaw_gateway_requests_total{%s, target="app", class="2xx"}': "0+60x90",
        'openclaw_gateway_requests_total{%s, target="app", class="5xx"}': "0x90",
        'openclaw_gateway_idle_stops_total{%s, target="app", outcome="failed"}': "0x90",
        'openclaw_gateway_wake_seconds_bucket{%s, target="app", le="5"}': "0+1x90",
        'openclaw_gateway_wake_seconds_bucket{%s, target="app", le="+Inf"}': "0+1x90",
        'openclaw_gateway_wake_seconds_count{%s, target="app"}': "0+1x90",
        'openclaw_k8s_auth_attempts_total{%s, result="success"}': "0+1x90",
        'openclaw_k8s_auth_attempts_total{%s, result="failed"}': "0x90",
        "process_start_time_seconds{%s}": "1700000000x90",
        "process_resident_memory_bytes{%s}": "6000000x90",
    }
    made = [
        {"series": name % LABELS, "values": next((new for part, new in changed.items() if part in name), value)}
        for name, value in values.items()
    ]
    # The namespace is the worker's, as it is written: the monitor honours labels.
    worker = 'openclaw_k8s_sessions_active{job="gateway", instance="gateway:8082", namespace="openclaw"}'
    return [*made, {"series": worker, "values": "3x90"}]


def judged(folder: Path, given: list[dict[str, str]], expected: list[dict[str, Any]]) -> None:
    """Has Prometheus evaluate expressions."""
    case = {"interval": "1m", "input_series": given, "promql_expr_test": expected}
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": [case]}))
    assert "SUCCESS" in promtool("test", "rules", str(file))


# What goes wrong from the fifth minute on, a minute at which no alert fires for it yet, and one at which it does.
FAULTS: dict[str, tuple[dict[str, str], int, int]] = {
    "OpenclawGatewayMissing": ({"build_info": "1x4 stale"}, 9, 11),
    "OpenclawGatewayNotReady": ({"gateway_ready": "1x4 0x85"}, 14, 16),
    "OpenclawGatewayConfigRefused": ({"config_refused": "0x4 1x85"}, 14, 16),
    "OpenclawGatewayAuthFails": ({'result="failed"': "0x4 1+1x85"}, 13, 17),
    "OpenclawGatewayTurnsAway": ({'reason="full"': "0x4 1+1x85"}, 13, 17),
    "OpenclawGatewayErrors": ({'class="5xx"': "0x4 60+60x85"}, 13, 20),
    "OpenclawGatewayIdleStopsFail": ({'outcome="failed"': "0x4 1 2 3 4x80"}, 5, 9),
    "OpenclawGatewayRestarts": ({"start_time": "1700000000x4 1700000300+60x85"}, 7, 10),
}


def test_the_rules_are_what_promtool_takes() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", str(ALERTS))
    assert RULES.keys() == FAULTS.keys()
    for name, rule in RULES.items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert rule["annotations"].keys() == {"summary", "description"}, name
        assert "http" not in str(rule["annotations"]), name


@pytest.mark.parametrize("alert", RULES)
def test_each_alert_fires_for_its_fault_after_its_time_and_no_other_does(alert: str, tmp_path: Path) -> None:
    changed, before, after = FAULTS[alert]
    firing = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if fires else [],
        }
        for minute, fires in ((before, False), (after, True))
    ]
    judged(tmp_path, series(**changed), firing)


def test_the_queries_of_dashboards_that_are_there_work_as_they_are(tmp_path: Path) -> None:
    rate, active, failed = SEED
    of = '{job="gateway", instance="gateway:8082", namespace="claw", result="%s"}'
    labels = '{__name__="openclaw_k8s_sessions_active", job="gateway", instance="gateway:8082", namespace="openclaw"}'
    judged(
        tmp_path,
        series(**{'result="failed"': "0+1x90"}),
        [
            {"expr": rate, "eval_time": "30m", "exp_samples": [{"labels": of % "success", "value": 1}]},
            {"expr": active, "eval_time": "30m", "exp_samples": [{"labels": labels, "value": 3}]},
            {"expr": failed, "eval_time": "30m", "exp_samples": [{"labels": of % "failed", "value": 5}]},
        ],
    )
    assert RULES["OpenclawGatewayAuthFails"]["expr"] == failed


def test_the_dashboard_can_be_imported_and_read() -> None:
    """By hand or from a ConfigMap: its one input is a variable that Grafana fills."""
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and "__inputs" not in DASHBOARD
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] and "id" not in DASHBOARD
    panels = DASHBOARD["panels"]
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


def test_every_metric_that_is_named_is_one_of_the_gateways() -> None:
    sources = CHART.parents[2] / "src" / "telemetry"
    known = "".join((sources / f"{name}.rs").read_text() for name in ("gateway_metrics", "gateway_health", "process"))
    text = " ".join([target["expr"] for target in TARGETS] + [rule["expr"] for rule in RULES.values()])
    names = set(re.findall(r"\b(?:openclaw|process)_\w+", text))
    assert len(names) > 8
    for name in names:
        assert re.sub(r"_(bucket|count)$", "", name) in known, name
