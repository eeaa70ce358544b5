"""What is shipped for Prometheus and Grafana about the gateway, by a real Prometheus that scrapes it while it runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from toggle_e2e.backend import Backend
from toggle_e2e.gateway import AUDIENCE, Gateway, ask, install, workload
from toggle_e2e.manifests import CHART
from toggle_e2e.net import wait_for
from toggle_e2e.podnet import PodNetwork
from toggle_e2e.prometheus import Prometheus, impatient, promtool
from toggle_e2e.world import World

NAMESPACE = "e2e-watched"
FILES = CHART / "files"
ALERTS = FILES / "gateway-alerts.yaml"
RULES: dict[str, str] = {
    rule["alert"]: rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
}
TARGETS: list[dict[str, str]] = [
    target
    for panel in json.loads((FILES / "gateway-dashboard.json").read_text())["panels"]
    for target in panel["targets"]
]
GUIDE = CHART.parents[2] / "docs" / "gateway.md"


def entry(name: str, **more: Any) -> dict[str, Any]:
    """A target that anybody may wake."""
    usual = {"namespace": NAMESPACE, "name": name, "host": f"{name}.example.org", "service": name, "port": "http"}
    return usual | {"anonymous": ["connect", "wake"], "onCold": "hold"} | more


CONFIG: dict[str, Any] = {
    "k8sTrust": {
        "enabled": True,
        "allowedIdentities": [
            {"namespace": NAMESPACE, "serviceAccount": "worker", "allowedRoles": ["reader"], "allowUnbound": True}
        ],
    },
    "roles": {"reader": {"targets": ["*"], "verbs": ["status"]}},
    # The pod of the second takes no connection.
    "targets": {"app": entry("app"), "never": entry("never", hold="1s")},
}


@dataclass
class Watched:
    """A replica, a token that it takes and one that it does not, and the Prometheus that watches it."""

    gateway: Gateway
    token: str
    foreign: str
    prometheus: Prometheus

    def get(self, target: str) -> int:
        """The status of a request through the proxy."""
        return ask(self.gateway.proxy, "GET", "/", {"Host": f"{target}.example.org"}).status

    def status(self, token: str) -> int:
        """The status of a request to the API."""
        return self.gateway.call("GET", "/v1/targets/app", token).status

    def alerts(self) -> str:
        """Those that there are."""
        return str(self.prometheus.alerts())

    def wait_more(self, series: str) -> None:
        """Waits until a scrape has brought an increase."""
        what = f"increase({series}[5m]) > 0"
        wait_for(what, lambda: self.prometheus.query(what), 15, detail=self.prometheus.tail)


@pytest.fixture(scope="module")
def watched(world: World, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A gateway that is used as it should be, watched from its start."""
    cluster, workdir = world.cluster, tmp_path_factory.mktemp("gateway")
    with PodNetwork() as network, Backend() as never:
        cluster.pod_network = network
        cluster.create_namespace(NAMESPACE)
        workload(cluster, NAMESPACE, "app", backend)
        workload(cluster, NAMESPACE, "never", never)
        workload(cluster, NAMESPACE, "worker", account="worker")
        made = install(cluster, NAMESPACE, workdir, CONFIG)
        impatient(ALERTS, workdir / "alerts.yaml")
        try:
            [gateway] = made.started()
            address = gateway.settings["HEALTH_ADDR"]
            with Prometheus(workdir / "prometheus", [address], workdir / "alerts.yaml") as prometheus:
                # Counters are told from the first scrape on: what was before it is no increase.
                wait_for("the first scrape", prometheus.scrapes, 15, detail=prometheus.tail)
                token, foreign = (
                    cluster.token(NAMESPACE, "worker", 3600, (audience,)) for audience in (AUDIENCE, "another")
                )
                one = Watched(gateway, token, foreign, prometheus)
                assert one.get("app") == 200
                assert one.status(token) == 200
                one.wait_more('openclaw_gateway_requests_total{target="app", class="2xx"}')
                one.wait_more('openclaw_k8s_auth_attempts_total{result="success"}')
                yield one
        finally:
            made.stop()
            cluster.pod_network = None


def test_what_it_exposes_is_what_promtool_takes(watched: Watched) -> None:
    code, text = watched.gateway.health("/metrics")
    assert code == 200
    promtool("check", "metrics", given=text)


def test_each_value_of_a_label_that_an_expression_names_is_there_from_the_start(watched: Watched) -> None:
    """A series that is there under another name, or begins with its first event, raises no alert."""
    found = 0
    for text in [*RULES.values(), *(target["expr"] for target in TARGETS)]:
        for name, labels in re.findall(r"(\w+)\{([^}]*)\}", text):
            for label, values in re.findall(r'(\w+)=~?"([^$"]+)"', labels):
                for value in values.split("|"):
                    found += 1
                    assert watched.prometheus.query(f'{name}{{{label}="{value}"}}'), f"{name} has no {label} {value}"
    assert found > 8


def test_each_reason_for_turning_somebody_away_is_in_the_guide(watched: Watched) -> None:
    samples = watched.prometheus.query("openclaw_gateway_rejected_total")
    reasons = {sample.labels["reason"] for sample in samples}
    assert len(reasons) == len(samples) > 20
    [documented] = re.findall(r"^`reason` is (.*)$", GUIDE.read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", documented)) == reasons


def test_one_that_is_well_raises_no_alert(watched: Watched) -> None:
    assert watched.prometheus.rule_faults() == []
    assert watched.prometheus.alerts() == {}


def test_what_goes_wrong_is_alerted_and_every_panel_has_something_to_show(watched: Watched) -> None:
    """A target that does not come up, and a token for somebody else."""
    assert watched.status(watched.foreign) == 401
    assert watched.get("never") == 503
    expected = {"OpenclawGatewayTurnsAway": "firing", "OpenclawGatewayAuthFails": "firing"}
    wait_for(f"the alerts {expected}", lambda: watched.prometheus.alerts() == expected, 15, detail=watched.alerts)
    turned_away = watched.prometheus.query('ALERTS{alertname="OpenclawGatewayTurnsAway"}')
    assert [sample.labels["reason"] for sample in turned_away] == ["hold_timeout"]
    for target in TARGETS:
        samples = watched.prometheus.answers(target["expr"])
        assert samples, target["expr"]
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert all(label in sample.labels for sample in samples), f"{target['expr']} has no label {label}"
