"""The Helm chart: what it renders, what the API server makes of it, and several releases beside each other."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import yaml

from toggle_e2e import manifests
from toggle_e2e.administrator import Object
from toggle_e2e.bot import run_to_end
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.manifests import CHART, chart, container_of, install, lay_out, of_kind, pod_of, variables
from toggle_e2e.redaction import given_away
from toggle_e2e.releases import LEAST, SETS, Values, changed, with_names_like_numbers
from toggle_e2e.world import World


def test_helm_finds_nothing_to_complain_about() -> None:
    for values in SETS.values():
        said, warned = manifests.run("helm", "lint", str(CHART), "--strict", "-f", "-", given=json.dumps(values))
        assert "1 chart(s) linted, 0 chart(s) failed" in said
        assert not re.search(r"\[(WARNING|ERROR)\]", said), said
        assert not warned
    assert not manifests.run("helm", "template", "toggle", str(CHART), "-f", "-", given=json.dumps(LEAST))[1]


@pytest.mark.parametrize("name", SETS)
def test_the_api_server_takes_it(world: World, name: str) -> None:
    """All of it but the kinds of the Prometheus operator, which this cluster does not know."""
    namespace = f"e2e-chart-{name}"
    cluster = world.cluster
    documents = [
        document
        for document in chart(SETS[name], "toggle", namespace)
        if document["apiVersion"] != "monitoring.coreos.com/v1"
    ]
    for made in {namespace, *(document["metadata"].get("namespace", namespace) for document in documents)}:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made, "labels": labels}}])
    for dry_run in (True, False):
        cluster.apply(documents, dry_run=dry_run)
    # The level counts for pods, of which only the test's was applied above.
    assert manifests.try_pod(cluster, namespace, pod_of(documents)) == (201, "")


def test_a_name_that_looks_like_a_number_is_a_name(world: World) -> None:
    """The API server takes no number for one."""
    cluster = world.cluster
    documents = [
        document
        for document in chart(with_names_like_numbers(), "123", "456")
        if document["apiVersion"] != "monitoring.coreos.com/v1"
    ]
    for made in ("456", "55"):
        cluster.create_namespace(made)
    for document in documents:
        # Its admission wants the classes to be there, which is not what is looked at.
        document.get("spec", {}).get("template", {}).get("spec", {}).pop("priorityClassName", None)
    cluster.apply(documents, dry_run=True)


@pytest.mark.parametrize("there", [True, False], ids=["without-its-key", "not-there"])
def test_each_file_that_is_missing_is_named_in_the_log(world: World, there: bool, tmp_path: Path) -> None:
    """The pod starts and says so, instead of waiting for ever."""
    namespace = f"e2e-missing-{'key' if there else 'object'}"
    world.cluster.create_namespace(namespace)
    if there:
        manifests.put_secret(world.cluster, namespace, "short", {"another": "key"})
        manifests.put_config_map(world.cluster, namespace, "short", {"another": "key"})
    named = set()
    for name, base in SETS.items():
        values = changed("authorities", {which: {"configMap": "short"} for which in ("extra", "only")}, base)
        values["secrets"] = {secret: {"name": "short"} for secret in base["secrets"]}
        documents = chart(values, "toggle", namespace)
        pod = pod_of(documents)
        container = container_of(pod)
        container["volumeMounts"] = [
            mount for mount in container["volumeMounts"] if mount["name"] in ("secrets", "authorities", "targets")
        ]
        world.cluster.apply(document for document in documents if document["kind"] == "ConfigMap")
        laid = lay_out(world.cluster, namespace, pod, tmp_path / name)
        files = {
            variable
            for variable, value in laid.settings.items()
            if any(value.startswith(f"{place}/") for place in laid.mounts.values()) and not Path(value).exists()
        }
        code, output = run_to_end(laid.settings, ("check-config",))
        assert code == 1, output
        said = set(re.findall(r"configuration error: ([A-Z_]+) names \S+, which cannot be read", output))
        assert said == files, output
        named |= files
    assert len(named) == len(yaml.safe_load((CHART / "values.yaml").read_text())["secrets"]) + 2


def test_one_release_of_everything_says_what_it_was_told() -> None:
    values = SETS["everything"]
    documents = chart(values, "toggle", "here")
    pod = pod_of(documents)
    container = container_of(pod)
    assert container["image"] == f"registry.example.com:5000/bot@sha256:{'0' * 64}"
    told = variables(pod)
    assert told["ALLOWED_USERS"] == "@alice:example.com,@bob:example.com"
    assert told["PINNED_IDENTITIES"] == f"@bob:example.com={'A' * 43}"
    assert told["NO_PROXY"] == "10.0.0.0/8,.svc"
    assert told["DEPLOYMENT_NAMESPACE"] == "elsewhere" and told["DEPLOYMENT_NAME"] == "web.v1"
    assert told["HEALTH_ADDR"] == ":9090" and container["ports"] == [{"name": "health", "containerPort": 9090}]
    for kind in ("Role", "RoleBinding"):
        assert of_kind(documents, kind)["metadata"]["namespace"] == "elsewhere"
    assert of_kind(documents, "RoleBinding")["subjects"] == [
        {"kind": "ServiceAccount", "name": "its-own", "namespace": "here"}
    ]
    assert of_kind(documents, "PersistentVolumeClaim")["spec"]["storageClassName"] == ""
    assert {53, 443, 6443, 8448, 9443} <= ports(documents), "ports in URLs are not open"
    assert json.loads(next(iter(of_kind(documents, "ConfigMap")["data"].values())))["title"]


def ports(documents: list[Object], protocol: str = "TCP") -> set[int]:
    """The ports that the bot may open connections to."""
    rules = of_kind(documents, "NetworkPolicy")["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule.get("ports", []) if port["protocol"] == protocol}


@pytest.mark.parametrize(
    ("what", "protocol", "wanted"),
    [
        ("OpenShift's name servers", "UDP", 5353),
        ("OpenShift's name servers", "TCP", 5353),
        ("Gardener's name servers", "UDP", 8053),
        ("any name server", "UDP", 53),
        ("Minikube's API server", "TCP", 8443),
        ("MicroK8s' API server", "TCP", 16443),
        ("a homeserver's federation port", "TCP", 8448),
        ("Traefik before plain HTTP", "TCP", 8000),
        ("Squid", "TCP", 3128),
    ],
)
def test_ports_are_open_as_pods_have_them(what: str, protocol: str, wanted: int) -> None:
    """A network plugin looks at a connection when a Service's address has become a pod's."""
    for documents in (chart(LEAST), manifests.kustomize()):
        assert wanted in ports(documents, protocol), f"{what} is shut off"


def test_chart_and_manifests_open_the_same_ports() -> None:
    for protocol in ("TCP", "UDP"):
        assert ports(chart(LEAST), protocol) == ports(manifests.kustomize(), protocol)


@pytest.mark.parametrize(
    ("path", "url", "wanted"),
    [
        ("matrix.homeserver", "https://matrix.example.com", {443}),
        ("matrix.homeserver", "http://[fd00::8]:6167/", {6167}),
        ("matrix.homeserver", "HTTP://matrix.example.com/at:99/path", {80}),
        ("matrix.homeserver", "example.com", set()),
        ("keycloak.url", "https://keycloak.example.com:9443/auth", {9443}),
        ("proxy.url", "http://proxy.example.com:8118", {8118}),
        ("secrets.httpsProxy", {"value": "http://user:pass@proxy.example.com:8118"}, {8118}),
    ],
)
def test_the_ports_of_urls_are_open(path: str, url: object, wanted: set[int]) -> None:
    closed = {"egressPorts": [1], "apiServerPorts": [2], "dnsPorts": [3]}
    values = changed("networkPolicy", closed, changed("matrix.homeserver", "example.com", LEAST))
    assert ports(chart(changed(path, url, values))) == {1, 2, 3} | wanted


@pytest.mark.parametrize("lost", ["missing", "empty"])
def test_a_chart_without_its_files_says_so(tmp_path: Path, lost: str) -> None:
    """As a tool leaves it that drops what it does not know, such as symbolic links."""
    folder = shutil.copytree(CHART, tmp_path / "chart", symlinks=True)
    for path in (folder / "files").iterdir():
        path.unlink()
        if lost == "empty":
            path.touch()
    assert chart(LEAST, folder=folder)
    values = changed("metrics", {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}, LEAST)
    with pytest.raises(manifests.Refused) as refused:
        chart(values, folder=folder)
    for name in ("alerts.yaml", "dashboard.json"):
        assert f"files/{name} of this chart is missing or empty: take the whole chart" in str(refused.value)


def test_a_secret_in_the_values_is_in_a_secret_alone_and_a_change_restarts_the_pod() -> None:
    def rendered(value: str) -> list[Object]:
        return chart(changed("secrets.matrixPassword", {"value": value}))

    first, second = rendered("hunter2"), rendered("hunter3")
    assert of_kind(first, "Secret")["data"] == {"matrix-password": "aHVudGVyMg=="}
    assert "hunter2" not in json.dumps([document for document in first if document["kind"] != "Secret"])
    checksums = [pod_of(one)["metadata"]["annotations"]["checksum/secrets"] for one in (first, second)]
    assert checksums[0] != checksums[1]
    assert not [document for document in chart(LEAST) if document["kind"] == "Secret"]


def test_nothing_of_monitoring_is_there_unless_asked_for() -> None:
    kinds = {document["kind"] for document in chart(LEAST)}
    assert kinds.isdisjoint({"Service", "PodMonitor", "PrometheusRule", "ConfigMap", "PodDisruptionBudget"})
    documents = chart(SETS["token"])
    monitor, rule = of_kind(documents, "PodMonitor"), of_kind(documents, "PrometheusRule")
    for document in (monitor, rule):
        assert document["metadata"]["labels"]["release"] == "prometheus"
    pod = pod_of(documents)
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == (container_of(pod)["ports"][0]["name"], "/metrics")
    shipped = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert rule["spec"] == shipped and shipped["groups"]


@pytest.mark.parametrize(
    ("limit", "in_bytes", "told"),
    [
        ("16Mi", 16 * 1024**2, "of 16 MiB,"),
        ("64Mi", 64 * 1024**2, "of 64 MiB,"),
        ("1.5Gi", 1.5 * 1024**3, "of 1.5 GiB,"),
        ("65536Ki", 65536 * 1024, "of 65536 KiB,"),
        ("128M", 128 * 1000**2, "of 128 MB,"),
        ("67108864", 67108864, "of 67108864 B,"),
        (67108864, 67108864, "of 67108864 B,"),
    ],
)
def test_the_alert_on_memory_goes_by_the_limit(limit: str | int, in_bytes: float, told: str) -> None:
    values = changed("resources.limits.memory", limit, SETS["token"])
    alert = alerts(values)["OpenclawToggleMemoryHigh"]
    factors = re.search(r"> 0\.85 \* ([0-9. *]+)$", alert["expr"], re.MULTILINE)
    assert factors is not None, alert["expr"]
    assert math.prod(float(factor) for factor in factors[1].split(" * ")) == in_bytes
    assert told in alert["annotations"]["description"]


def test_without_a_limit_on_memory_no_alert_tells_of_one() -> None:
    for path in ("resources.limits", "resources.limits.memory", "resources"):
        left = alerts(changed(path, None, SETS["token"]))
        assert alerts(SETS["token"]).keys() - left.keys() == {"OpenclawToggleMemoryHigh"}, path


def alerts(values: Values) -> dict[str, Object]:
    """The alerts of a release by their names."""
    [group] = of_kind(chart(values), "PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_releases_stand_side_by_side(world: World) -> None:
    """Installed by helm itself, which refuses to take over what another release has."""
    cluster = world.cluster
    for namespace in ("e2e-side", "e2e-side-2", "e2e-side-target"):
        cluster.create_namespace(namespace)
    common = changed("targets", [{"name": "clawdbot", "namespace": "e2e-side-target"}])
    for release, namespace in [("toggle", "e2e-side"), ("toggle", "e2e-side-2"), ("other", "e2e-side")]:
        said = install(cluster, common, release, namespace)
        assert f"helm test {release} -n {namespace} --logs" in said
    roles = cluster.ensure("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/e2e-side-target/roles")["items"]
    assert len(roles) == 3
    deployments = cluster.ensure("GET", "/apis/apps/v1/namespaces/e2e-side/deployments")["items"]
    selectors = [one["spec"]["selector"]["matchLabels"] for one in deployments]
    assert len(selectors) == 2
    for mine, other in [(0, 1), (1, 0)]:
        labels = deployments[other]["spec"]["template"]["metadata"]["labels"]
        assert not selectors[mine].items() <= labels.items(), "one release's selector fits the other's pods"

    install(cluster, changed("commands.echo", False, common), "other", "e2e-side", command="upgrade")
    echo = [
        variables(one["spec"]["template"])["ECHO_MODE"]
        for one in cluster.ensure("GET", "/apis/apps/v1/namespaces/e2e-side/deployments")["items"]
    ]
    assert sorted(echo) == ["false", "true"]
    manifests.run("helm", "uninstall", "toggle", "-n", "e2e-side", kubeconfig=cluster.kubeconfig())
    claims = cluster.ensure("GET", "/api/v1/namespaces/e2e-side/persistentvolumeclaims")["items"]
    assert len(claims) == 2, "the keys were deleted with the release"
    install(cluster, common, "toggle", "e2e-side")


def test_long_names_stay_apart_and_short_enough() -> None:
    names = set()
    for release in ("a" * 52 + "b", "a" * 52 + "c"):
        for document in chart(LEAST, release):
            name = document["metadata"]["name"]
            assert len(name) <= 63
            names.add((document["kind"], name))
    assert len(names) == 2 * len(chart(LEAST))


def notes(cluster: ControlPlane, values: Values) -> str:
    """What is told after an installation."""
    return install(cluster, values, "toggle", "default", "--dry-run=server").split("NOTES:")[1]


def test_the_notes_warn_of_what_is_off(world: World) -> None:
    plain = notes(world.cluster, LEAST)
    assert "WARNING" not in plain and "commands.allowedRooms is empty" in plain
    assert "As @alice:example.com, invite the bot" in plain
    assert "pods in namespace monitoring may ask the health port" in plain

    looser = {"requireEncryption": False, "deviceTrust": "tofu", "allowedRooms": ["!a:example.com"]}
    values = LEAST | {
        "commands": LEAST["commands"] | looser,
        "secrets": {"matrixPassword": {"value": "hunter2"}},
        "networkPolicy": {"enabled": False},
    }
    said = notes(world.cluster, values)
    for warning in ("requireEncryption is off", "deviceTrust is tofu", "secrets.*.value", "networkPolicy.enabled is"):
        assert warning in said
    assert "allowedRooms" not in said and "ingressFrom" not in said
    closed = changed("networkPolicy.monitoringNamespace", "")
    assert "health port" not in notes(world.cluster, closed)
    hidden = notes(world.cluster, changed("secrets.httpsProxy", {"name": "proxy"}))
    assert "the proxy's port is in a Secret" in hidden and "the proxy's port" not in plain
    scraped = notes(world.cluster, closed | {"metrics": {"service": {"enabled": True}}})
    assert "No Prometheus may ask the health port" in scraped


def test_the_notes_name_each_target(world: World) -> None:
    said = notes(world.cluster, changed("rbac.create", False, SETS["targets"]))
    for sentence in (
        "worker, which is deployment openclaw-worker in namespace openclaw",
        "gateway, which is statefulset openclaw-gateway in namespace default",
        "canary, which is argoproj.io/v1alpha1/rollouts web in namespace argo",
        "in each namespace for its targets alone",
    ):
        assert sentence in said, said
    assert "scales deployment clawdbot in namespace default" in notes(world.cluster, LEAST)


def test_helm_test_logs_in_and_leaves_no_device(world: World, tmp_path: Path) -> None:
    account = world.account("bot")
    namespace = f"e2e-{account.localpart}"
    world.cluster.create_namespace(namespace)
    manifests.put_secret(world.cluster, namespace, "bot-secrets", {"matrix-password": account.password})
    values = changed("matrix", {"homeserver": world.synapse.url, "user": account.localpart})
    pod = of_kind(chart(values, "toggle", namespace), "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    laid = lay_out(world.cluster, namespace, pod, tmp_path)
    assert list(laid.mounts) == ["/var/run/secrets/operator"], "it has more than its secrets"
    before = set(world.synapse.devices(account.user_id))
    code, output = run_to_end(laid.settings, laid.arguments)
    assert code == 0 and "is gone again" in output, output
    assert set(world.synapse.devices(account.user_id)) == before
    assert not given_away({"MATRIX_PASSWORD": account.password}, output.splitlines())
