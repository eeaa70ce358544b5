"""The values of the gateway in the Helm chart: what is missing or wrong is refused, in words."""

from __future__ import annotations

import json
import re

import pytest
from jsonschema import Draft202012Validator

from toggle_e2e.bot import default_binary, run_to_end
from toggle_e2e.gateway_file import TABLE, files
from toggle_e2e.manifests import CHART, REPOSITORY, Refused, chart, container_of, of_kind, pod_of, variables
from toggle_e2e.releases import GATEWAY, GATEWAY_ALONE, LEAST, ROLES, TRUST, Values, changed, gateway_file
from toggle_e2e.schemas import shape

BACKEND = {"host": "web.example.org", "service": "web", "port": "http"}

OIDC = {
    "issuerURL": "http://sso.id.svc.cluster.local:8080/realms/main",
    "audience": "gateway",
    "allowedClients": ["web"],
}


def target(**fields: object) -> Values:
    """Values with a target that has more fields."""
    return changed("gateway.config.targets.worker", {"name": "openclaw-worker"} | fields, GATEWAY_ALONE)


def both(of_the_bot: Values) -> Values:
    """Values of a bot with this target, beside a gateway."""
    return changed("targets", [of_the_bot], LEAST) | {"gateway": GATEWAY_ALONE["gateway"]}


def refusal(values: Values, *options: str) -> str:
    """Why the chart is not rendered."""
    with pytest.raises(Refused) as refused:
        chart(values, "toggle", "default", *options)
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "sentences"),
    [
        ({"bot": {"enabled": False}}, ["bot.enabled and gateway.enabled are both off: set one of them"]),
        (changed("gateway.config", {}, GATEWAY_ALONE), ["gateway.config.targets is empty: "]),
        (
            gateway_file(k8sTrust={"enabled": True, "allowedIdentities": []}),
            ["gateway.config's k8sTrust is enabled and its allowedIdentities is empty: "],
        ),
        (
            gateway_file(gateway={"auth": {"k8sTrust": TRUST}}),
            ["k8sTrust gives ci/deploy the role node, which gateway.config.roles does not have: add node: "],
        ),
        (
            gateway_file(roles={"node": {"targets": ["app"], "verbs": ["status"]}}),
            ["gateway.config.roles.node names the target app, which gateway.config.targets does not have"],
        ),
        (
            gateway_file(roles=ROLES, oidcRoles={"user": ["admin"]}),
            [
                "gateway.config.oidcRoles.user names the role admin, which gateway.config.roles does not have: ",
                "gateway.config.oidcRoles is set, and gateway.oidc.issuerURL is not: ",
            ],
        ),
        (
            changed("gateway.oidc", {"issuerURL": "https://keycloak.example.com/realms/a"}, GATEWAY_ALONE),
            ["gateway.oidc.audience is not set: ", "gateway.oidc.allowedClients is not set: "],
        ),
        (
            changed("gateway.oidc", {"audience": "a"}, GATEWAY_ALONE),
            ["gateway.oidc.audience is set, and gateway.oidc.issuerURL is not"],
        ),
        (
            gateway_file(targets={"a": {"name": "web"}, "b": {"name": "web", "kind": "Deployment"}}),
            ["gateway.config.targets names apps/deployments default/web twice, as a and as b: keep one of them"],
        ),
        (
            gateway_file(targets={"a": {"name": "a"} | BACKEND, "b": {"name": "b"} | BACKEND | {"service": "b"}}),
            ["gateway.config.targets names the host web.example.org twice, as a and as b: "],
        ),
        (
            gateway_file(
                targets={
                    "a": {"name": "a"} | BACKEND,
                    "b": {"name": "b", "service": "b", "port": 80, "hosts": ["b", "web.example.org"]},
                }
            ),
            ["gateway.config.targets names the host web.example.org twice, as a and as b: "],
        ),
        (
            gateway_file(
                targets={"a": {"name": "a"} | BACKEND, "b": {"name": "b"} | BACKEND | {"host": "b", "port": 81}}
            ),
            ["gateway.config.targets names the Service default/web twice, as a and as b: "],
        ),
        (target(idle="30m"), ["gateway.config.targets.worker has idle and no host: "]),
        (target(onCold="page"), ["gateway.config.targets.worker has onCold and no host: "]),
        (target(minUp="1m"), ["gateway.config.targets.worker has minUp and no idle: "]),
        (target(**BACKEND, hosts=["web"]), ["gateway.config.targets.worker has host and hosts: "]),
        (target(hosts=["web"]), ["gateway.config.targets.worker has hosts alone: "]),
        (target(host="web.example.org"), ["gateway.config.targets.worker has host alone: "]),
        (target(name="toggle-openclaw-k8s-toggle-operator"), ["which is the bot itself: "]),
        (target(name="toggle-openclaw-k8s-toggle-operator-gateway"), ["which is the gateway itself: "]),
        *(
            (
                changed("gateway.oidc", OIDC, target(**fields)),
                ["gateway.config.targets.worker is what gateway.oidc.issuerURL leads to: "],
            )
            for fields in (
                {"namespace": "id", "name": "sso"},
                {"namespace": "id"} | BACKEND | {"service": "sso"},
            )
        ),
        (
            changed("gateway.ports", {"api": 8080}, GATEWAY_ALONE),
            ["gateway.ports.api and gateway.ports.proxy are one port: "],
        ),
        (
            changed("gateway.maxHeld", 2000, GATEWAY_ALONE),
            ["gateway.maxHeld is 2000, and gateway.maxConnections is 640: "],
        ),
        (
            changed("gateway.leases", "gateways/openclaw-gateway-", GATEWAY_ALONE),
            ["gateway.leases is for a gateway of another release"],
        ),
        (changed("gateway.ingress.enabled", True, GATEWAY_ALONE), ["gateway.ingress.enabled leads to no target: "]),
        (
            changed("gateway.isolate", {"worker": {"podLabels": {"a": "b"}}}, GATEWAY_ALONE),
            ["gateway.isolate.worker is no target with a service: "],
        ),
        (
            changed("gateway.autoscalers", {"other": {"maxReplicas": 3}}, GATEWAY_ALONE),
            ["gateway.autoscalers.other is no target"],
        ),
        (
            changed("gateway.autoscalers", {"worker": {"minReplicas": 4, "maxReplicas": 3}}, GATEWAY_ALONE),
            ["gateway.autoscalers.worker has a minReplicas of 4, and its maxReplicas is 3: "],
        ),
        (
            changed("gateway.service", {"port": 8081}, GATEWAY_ALONE),
            ["gateway.service.port and gateway.service.apiPort are one port: "],
        ),
        (
            changed("gateway.maxConnections", 641, GATEWAY_ALONE),
            ["gateway.resources.limits.memory is 32Mi, and gateway.maxConnections of 641 need 32800Ki: "],
        ),
        (
            changed("gateway.resources", {"limits": {"memory": 33000000}}, GATEWAY_ALONE),
            ["gateway.resources.limits.memory is 33000000, and gateway.maxConnections of 640 need 32768Ki: "],
        ),
        (
            both({"name": "worker", "object": "other"}),
            ["have other objects by the name worker, in targets apps/deployments default/other: "],
        ),
        (
            both({"name": "workers", "object": "openclaw-worker"}),
            ["targets names apps/deployments default/openclaw-worker workers, and gateway.config.targets names it worker"],
        ),
        (
            changed("gateway.serviceAccount", {"create": False}, GATEWAY_ALONE),
            ["gateway.serviceAccount.name is not set: "],
        ),
        (
            changed("gateway.extraEnv", [{"name": "API_ADDR", "value": ":1"}], GATEWAY_ALONE),
            ["gateway.extraEnv names API_ADDR, which another value sets already: "],
        ),
        (
            changed("commands.announceRoom", "!ops:example.com"),
            ["commands.announceRoom is set, and there is no gateway whose doings could be told: "],
        ),
        (
            changed("gateway", {"leases": "gateways/openclaw-gateway-"}),
            ["gateway.leases is set, and no target has an object: "],
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_what_to_do(values: Values, sentences: list[str]) -> None:
    said = refusal(values)
    for sentence in sentences:
        assert sentence in said
    assert len(re.findall(r"^  \S", said, re.MULTILINE)) == len(sentences), said


def test_a_name_that_no_service_can_have_is_refused() -> None:
    with pytest.raises(Refused, match="gateway.enabled makes a Service, and .* is no name for one: set "):
        chart(GATEWAY_ALONE, "1toggle")


SLIPS: list[tuple[str, object]] = [
    ("gateway.replica", 2),
    ("gateway.replicas", -1),
    ("gateway.config.targets", {"a": {}}),
    ("gateway.config.targets", {"idle": {"name": "a"}}),
    ("gateway.config.targets.Worker", {"name": "a"}),
    ("gateway.config.targets.worker.name", "A"),
    ("gateway.config.targets.worker.image", "a"),
    ("gateway.config.targets.worker.kind", "DaemonSet"),
    ("gateway.config.targets.worker.idleStop", "always"),
    ("gateway.config.targets.worker.idle", 30),
    ("gateway.config.targets.worker.idle", "9s"),
    ("gateway.config.targets.worker.readyTimeout", "2d"),
    ("gateway.config.worker", {}),
    ("gateway.config.targets.worker.onCold", "wait"),
    ("gateway.config.targets.worker.pageStatus", 404),
    ("gateway.config.targets.worker.anonymous", ["read"]),
    ("gateway.config.targets.worker.anonymous", ["start"]),
    ("gateway.config.targets.worker.kind", "argoproj.io/v1alpha1/rollouts"),
    ("gateway.config.targets.worker.host", "Web.example.org"),
    ("gateway.config.targets.worker.host", "web.example.org:443"),
    ("gateway.config.targets.worker.host", "1.2.3.4"),
    ("gateway.config.targets.worker.hosts", []),
    ("gateway.config.targets.worker.hosts", ["web", "Web.example.org"]),
    ("gateway.config.roles", {"node": {"targets": ["worker"]}}),
    ("gateway.config.roles", {"node": {"targets": ["worker"], "verbs": ["restart"]}}),
    ("gateway.config.k8sTrust", {"enabled": True}),
    ("gateway.config.k8sTrust", TRUST | {"ephemeralSessions": False}),
    ("gateway.config.k8sTrust", TRUST | {"allowedIdentities": [{"namespace": "ci", "serviceAccount": "a"}]}),
    ("gateway.config.gateway", {"auth": {"k8sTrust": TRUST | {"enable": True}}}),
    ("gateway.trustedProxies", ["0.0.0.0/0"]),
    ("gateway.trustedProxies", ["ingress"]),
    ("gateway.tokenAudience", ""),
    ("gateway.oidc.issuerURL", "http://keycloak.example.com/realms/a"),
    ("gateway.oidc.issuerURL", "http://svc/realms/a"),
    ("gateway.oidc.issuerURL", "http://keycloak.svc.example.com/realms/a"),
    ("gateway.oidc.algorithms", ["none"]),
    ("gateway.oidc.algorithms", ["HS256"]),
    ("gateway.oidc.algorithms", []),
    ("gateway.drainTimeout", "soon"),
    ("gateway.maxConnections", 8),
    ("gateway.ports.proxy", 80),
    ("gateway.tls.secretName", "gateway_tls"),
    ("gateway.tls.secret", "gateway-tls"),
    ("gateway.isolate", {"worker": {"podLabels": {}}}),
    ("gateway.leases", "gateways"),
    ("gateway.podLabels", {"app.kubernetes.io/component": "bot"}),
    ("commands.announceRoom", "#ops:example.com"),
]


@pytest.mark.parametrize(("path", "value"), SLIPS)
def test_a_slip_is_refused(path: str, value: object) -> None:
    assert "values don't meet the specifications of the schema" in refusal(changed(path, value, GATEWAY_ALONE))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("gateway.resources", {"limits": {"memory": None}}),
        ("gateway.resources", {"limits": {"memory": "33.6M"}}),
        ("gateway.maxConnections", 9),
        *[
            ("gateway.oidc", {"issuerURL": url, "audience": "a", "allowedClients": ["b"]})
            for url in (
                "https://keycloak.example.com/realms/a",
                "http://keycloak.identity.svc:8080/realms/a",
                "http://Keycloak.identity.svc.cluster.local/realms/a",
                "http://127.0.0.1:8080/realms/a",
                "http://[::1]/realms/a",
            )
        ],
    ],
)
def test_what_the_program_takes_is_no_slip(path: str, value: object) -> None:
    assert chart(changed("gateway.maxHeld", 9, changed(path, value, GATEWAY_ALONE)))


def test_targets_are_isolated_whether_the_gateway_is_or_not() -> None:
    values = changed("gateway.networkPolicy", {"enabled": False}, target(**BACKEND))
    isolated = changed("gateway.isolate", {"worker": {"podLabels": {"app": "worker"}}}, values)
    policies = [one["metadata"]["name"] for one in chart(isolated) if one["kind"] == "NetworkPolicy"]
    assert policies == ["toggle-openclaw-k8s-toggle-operator-gateway.worker"]


def test_one_name_for_one_object_is_right_for_bot_and_gateway() -> None:
    assert chart(both({"name": "worker", "object": "openclaw-worker"}))
    assert chart(both({"name": "other", "object": "other"}))


def schemas() -> tuple[Values, Values]:
    """Those of the chart's values and of the gateway's file."""
    ours = json.loads((CHART / "values.schema.json").read_text())
    return ours, json.loads((REPOSITORY / "docs" / "gateway.schema.json").read_text())


def test_both_schemas_take_and_refuse_what_the_program_does() -> None:
    """The program's tests go through the same table.

    What differs and stays is in columns of its own, each with the reason.
    """
    ours, theirs = schemas()
    of_the_chart = Draft202012Validator({"$ref": "#/$defs/gatewayFile", "$defs": ours["$defs"]})
    wrong = []
    for validator, taken, refused in (
        (of_the_chart, ("taken", "left", "sentence"), ("refused", "strict")),
        (Draft202012Validator(theirs), ("taken", "left"), ("refused", "strict", "sentence")),
    ):
        validator.check_schema(validator.schema)
        wrong += [called for called, file in files(*taken) if not validator.is_valid(file)]
        wrong += [called for called, file in files(*refused) if validator.is_valid(file)]
    assert not wrong
    for row in TABLE["rows"]:
        assert ("left" in row) == ("why" in row)
        assert ("strict" in row) == ("strict_why" in row)


def test_what_the_schema_leaves_to_the_templates_is_said_by_them() -> None:
    for called, file in files("sentence"):
        assert "gateway.config.targets.db has " in refusal(changed("gateway.config", file, GATEWAY_ALONE)), called


def test_one_schema_is_in_two_places() -> None:
    """The file is the same in the values, but that a target has the release's namespace unless it names one.

    What a name may be is a pattern there, and here the one of the bot's targets, too. Which keys of a target go
    together the chart says in sentences of its own.
    """
    ours, theirs = schemas()
    sides = [shape(ours["$defs"]["gatewayFile"], ours), shape(theirs, theirs)]
    for side in sides:
        side["properties"]["targets"].pop("propertyNames")
        target = side["properties"]["targets"]["additionalProperties"]
        for part in (side, target):
            part.pop("required", None)
        for key in ("kind", "namespace"):
            assert target["properties"].pop(key)
        for key in ("dependentRequired", "oneOf"):
            target.pop(key, None)
        for key in ("$schema", "title", "$defs"):
            side.pop(key, None)
    assert sides[0] == sides[1]


def test_the_keys_of_the_other_program_in_the_file_are_left_in_it() -> None:
    """The file is taken as it is; the gateway says which keys it does not use."""
    seed = {"mode": "local", "port": 18789, "bind": "lan", "auth": {"mode": "token", "k8sTrust": TRUST}}
    documents = chart(gateway_file(gateway=seed, roles=ROLES))
    assert json.loads(of_kind(documents, "ConfigMap")["data"]["gateway.json"])["gateway"] == seed


def gateway_variables() -> dict[str, str]:
    """The variables that `gateway --help` tells of, with what it says behind their names."""
    _, text = run_to_end({}, ("gateway", "--help"), binary=default_binary())
    known = dict(re.findall(r"^  ([A-Z][A-Z0-9_]+) \((.*)\)$", text, re.MULTILINE))
    assert known, text
    return known


def test_every_variable_of_the_gateway_can_be_set() -> None:
    known = gateway_variables()
    both = [GATEWAY, changed("proxy.url", "http://proxy:1", changed("secrets", {}, GATEWAY))]
    given = {one["name"] for values in both for one in container_of(pod_of(chart(values)))["env"]}
    of_the_cluster = {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG", "KUBE_CONTEXT"}
    wanted = {name for name in known if f"{name}_FILE" not in known or name in given}
    assert wanted - given <= of_the_cluster


def test_the_defaults_are_the_programs() -> None:
    known = gateway_variables()
    oidc = {"issuerURL": "https://a/b", "audience": "a", "allowedClients": ["c"]}
    told = variables(pod_of(chart(changed("gateway.oidc", oidc, GATEWAY_ALONE))))
    defaults = {name: said.removeprefix("default ") for name, said in known.items() if said.startswith("default ")}
    others = {name for name in defaults.keys() & told.keys() if told[name] != defaults[name]}
    # Of each release.
    assert others <= {"LEASE_PREFIX"}
