"""Targets with names of their own in the Helm chart: their file, and the rights in each of their namespaces."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from toggle_e2e.administrator import Object
from toggle_e2e.bot import run_to_end
from toggle_e2e.manifests import CHART, REPOSITORY, Refused, chart, container_of, of_kind, pod_of, variables
from toggle_e2e.releases import LEAST, SETS, Values, changed
from toggle_e2e.schemas import shape

SEVERAL = SETS["targets"]
OBJECT = {"name": "worker", "object": "openclaw-worker"}


def with_target(**fields: object) -> Values:
    """Values with one target that has a name of its own."""
    return changed("targets", [OBJECT | fields])


def roles(documents: list[Object]) -> dict[str, list[tuple[str, str, list[str], list[str]]]]:
    """Of each namespace its Role's rules: API group, resource, names and verbs."""
    found: dict[str, list[tuple[str, str, list[str], list[str]]]] = {}
    for role in (document for document in documents if document["kind"] == "Role"):
        assert role["metadata"]["namespace"] not in found, "a namespace has two Roles"
        found[role["metadata"]["namespace"]] = [
            (group, resource, rule.get("resourceNames", []), rule["verbs"])
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        ]
    return found


def target_file(documents: list[Object]) -> Any:
    """What the bot reads as its targets."""
    return json.loads(of_kind(documents, "ConfigMap")["data"]["targets.json"])


def test_each_namespace_has_a_role_for_its_targets_alone() -> None:
    assert roles(chart(changed("rights", {}, SEVERAL), "toggle", "here")) == {
        "openclaw": [
            ("apps", "deployments", ["openclaw-worker", "web.v1"], ["get"]),
            ("apps", "deployments/scale", ["openclaw-worker", "web.v1"], ["patch"]),
        ],
        "here": [
            ("apps", "statefulsets", ["openclaw-gateway"], ["get"]),
            ("apps", "statefulsets/scale", ["openclaw-gateway"], ["patch"]),
        ],
        "argo": [("argoproj.io", "rollouts/scale", ["web"], ["get", "patch"])],
    }


def test_names_are_granted_for_their_own_kind_alone() -> None:
    targets = [
        {"name": "a", "object": "web"},
        {"name": "b", "object": "gateway", "kind": "statefulset"},
        {"name": "c", "object": "worker", "kind": "apps/v1/deployments"},
        {"name": "d", "object": "old", "kind": "example.com/v1/deployments"},
    ]
    assert roles(chart(changed("targets", targets))) == {
        "default": [
            ("apps", "deployments", ["web", "worker"], ["get"]),
            ("apps", "deployments/scale", ["web", "worker"], ["patch"]),
            ("apps", "statefulsets", ["gateway"], ["get"]),
            ("apps", "statefulsets/scale", ["gateway"], ["patch"]),
            ("example.com", "deployments/scale", ["old"], ["get", "patch"]),
        ]
    }


def test_each_role_is_bound_to_the_account_of_the_release() -> None:
    documents = chart(SEVERAL, "toggle", "here")
    bindings = {one["metadata"]["namespace"]: one for one in documents if one["kind"] == "RoleBinding"}
    named = {one["metadata"]["namespace"]: one["metadata"]["name"] for one in documents if one["kind"] == "Role"}
    assert {namespace: one["roleRef"]["name"] for namespace, one in bindings.items()} == named
    account = of_kind(documents, "ServiceAccount")["metadata"]
    for one in bindings.values():
        [subject] = one["subjects"]
        assert (subject["kind"], subject["namespace"], subject["name"]) == ("ServiceAccount", "here", account["name"])
    assert not {"Role", "RoleBinding"} & {
        document["kind"] for document in chart(changed("rbac.create", False, SEVERAL))
    }


PODS = [("", "pods", [], ["list"])]
EVENTS = [("", "events", [], ["list"])]
WRITTEN = [("", "events", [], ["create"])]
AUTOSCALERS = [("autoscaling", "horizontalpodautoscalers", [], ["list"])]


@pytest.mark.parametrize(
    ("right", "wanted"),
    [
        # Of the other kinds there is one, which is read by its name.
        ("list", {"openclaw": [("apps", "deployments", [], ["list"])]}),
        ("pods", {"openclaw": PODS, "here": PODS, "argo": PODS}),
        ("events", {"openclaw": EVENTS, "here": EVENTS, "argo": EVENTS}),
        (
            "watch",
            {
                "openclaw": [("apps", "deployments", ["openclaw-worker", "web.v1"], ["watch"])],
                "here": [("apps", "statefulsets", ["openclaw-gateway"], ["watch"])],
            },
        ),
        ("writeEvents", {"openclaw": WRITTEN, "here": WRITTEN, "argo": WRITTEN}),
        ("autoscalers", {"openclaw": AUTOSCALERS, "here": AUTOSCALERS, "argo": AUTOSCALERS}),
        ("podsByName", {"here": [("", "pods", ["openclaw-gateway-0"], ["get"])]}),
        # With a policy, as `test_restart_policy.py` has it.
        (
            "restart",
            {
                "openclaw": [("apps", "deployments", ["openclaw-worker", "web.v1"], ["patch"])],
                "here": [("apps", "statefulsets", ["openclaw-gateway"], ["patch"])],
            },
        ),
    ],
)
def test_a_switch_adds_its_rule_and_no_other(right: str, wanted: dict[str, list[Any]]) -> None:
    off = changed("rights", {}, SEVERAL)
    without = roles(chart(off, "toggle", "here"))
    granted = roles(chart(changed(f"rights.{right}", True, off), "toggle", "here"))
    assert granted == {namespace: rules + wanted.get(namespace, []) for namespace, rules in without.items()}


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 1),
        ({"max": 3}, 3),
        ({"start": 2}, 2),
        ({"start": "previous"}, 1),
        ({"start": 2, "max": 4}, 4),
        ({"max": 50}, 20),
    ],
)
def test_pods_are_named_that_a_stateful_set_may_have(fields: dict[str, object], count: int) -> None:
    values = with_target(kind="statefulset", **fields) | {"rights": {"podsByName": True}}
    names = [f"openclaw-worker-{ordinal}" for ordinal in range(count)]
    assert ("", "pods", names, ["get"]) in roles(chart(values))["default"]
    assert ("", "pods", names, ["get"]) not in roles(chart(changed("rights.pods", True, values)))["default"]


def test_nothing_is_granted_that_could_change_what_runs() -> None:
    for rules in roles(chart(changed("rights.restart", False, SEVERAL), "toggle", "here")).values():
        for _, resource, names, verbs in rules:
            assert set(verbs) <= {"create", "get", "list", "watch", "patch"}
            assert ("patch" in verbs) <= resource.endswith("/scale")
            assert ("create" in verbs) <= (resource == "events")
            assert bool(names) == (verbs not in (["list"], ["create"]))
            assert "*" not in {resource, *names, *verbs}


def test_the_file_has_the_targets_as_they_are_given_and_their_namespaces() -> None:
    documents = chart(SEVERAL, "toggle", "here")
    assert target_file(documents) == {"targets": [{"namespace": "here"} | one for one in SEVERAL["targets"]]}
    assert target_file(chart(with_target(namespace=""), "toggle", "here"))["targets"][0]["namespace"] == "here"

    pod = pod_of(documents)
    [mount] = [one for one in container_of(pod)["volumeMounts"] if one["name"] == "targets"]
    [volume] = [one for one in pod["spec"]["volumes"] if one["name"] == "targets"]
    assert mount["readOnly"] and variables(pod)["TARGETS_FILE"] == f"{mount['mountPath']}/targets.json"
    assert volume["configMap"]["name"] == of_kind(documents, "ConfigMap")["metadata"]["name"]


def test_events_say_who_asked_only_if_that_is_wanted() -> None:
    values = with_target() | {"rights": {"writeEvents": True}}
    assert variables(pod_of(chart(values)))["WORKLOAD_EVENTS"] == "true"
    told = variables(pod_of(chart(changed("commands.eventsNameUsers", True, values))))
    assert told["WORKLOAD_EVENTS"] == "users"


def test_the_bot_is_told_of_its_targets_by_the_file_alone() -> None:
    told = variables(pod_of(chart(SEVERAL)))
    assert not {"DEPLOYMENT_NAME", "DEPLOYMENT_NAMESPACE", "TARGETS"} & set(told)
    wanted = {
        "VIEWERS": "@carol:example.com",
        "COMMAND_PREFIX": "!bot",
        "TZ": "Europe/Berlin",
        "MAX_FOR": "7d",
        "PROGRESS": "false",
        "WORKLOAD_EVENTS": "users",
    }
    assert {name: told.get(name) for name in wanted} == wanted
    least = variables(pod_of(chart(LEAST)))
    assert not {"TARGETS_FILE", *wanted} & set(least)
    assert least["DEPLOYMENT_NAME"] == "clawdbot"


def test_a_changed_target_restarts_the_pod_and_nothing_else_does() -> None:
    def annotations(values: Values) -> dict[str, str]:
        found: dict[str, str] = pod_of(chart(values))["metadata"].get("annotations", {})
        return found

    first = annotations(with_target(max=2))
    assert list(first) == ["checksum/targets"]
    assert annotations(with_target(max=3)) != first
    assert annotations(changed("rights.pods", True, with_target(max=2))) == first
    assert annotations(LEAST) == {}


def program(values: Values, tmp_path: Path, *options: str) -> tuple[int, str]:
    """What the program says to the targets that the chart makes of values."""
    documents = chart(values, "toggle", "default", *options)
    (tmp_path / "targets.json").write_text(json.dumps(target_file(documents)))
    (tmp_path / "password").write_text("correct horse battery staple")
    settings = variables(pod_of(documents)) | {
        "TARGETS_FILE": str(tmp_path / "targets.json"),
        "MATRIX_PASSWORD_FILE": str(tmp_path / "password"),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "1",
    }
    return run_to_end(settings, ("check-config",))


# A field and a value that neither the schema nor the program takes.
BAD: list[tuple[str, object]] = [
    ("name", "Worker"),
    ("name", "worker.v1"),
    ("name", "a" * 64),
    ("name", "all"),
    ("name", "tomorrow"),
    ("name", "2h"),
    ("object", "Worker"),
    ("namespace", "a.b"),
    ("kind", "Deployment"),
    ("kind", "daemonset"),
    ("kind", "v1/pods"),
    ("kind", "argoproj.io/v1alpha1/rollouts/web"),
    ("start", 0),
    ("start", 1.5),
    ("start", "2"),
    ("start", "before"),
    ("max", 0),
    ("max", 1001),
    ("users", ["alice"]),
    ("users", []),
    ("viewers", ["@carol"]),
    ("rooms", ["#ops:example.com"]),
    ("defaultIn", ["ops"]),
    ("for", "soon"),
    ("for", 90),
    ("maxFor", ""),
    ("confirm", "never"),
    ("data", "lose"),
    ("readyTimeout", "-1m"),
    ("details", "all"),
    ("schedule", "Mon-Fri 08:00-18:00"),
    ("schedule", []),
    ("timeZone", 1),
    ("allowSelfHarm", "yes"),
    ("image", "another"),
]

GOOD: list[dict[str, object]] = [
    {},
    {"name": "a" * 63, "object": "web.v1-2", "namespace": "a-b"},
    {"kind": "statefulset", "data": "disposable"},
    {"kind": "argoproj.io/v1alpha1/rollouts", "max": 1000},
    {"start": 3, "max": 3},
    {"start": "previous", "max": 5},
    {"for": "90m", "maxFor": "1d", "readyTimeout": "90s", "confirm": "always", "details": "full"},
    {"users": ["@alice:example.com"], "rooms": ["!abc:example.com"], "defaultIn": ["!abc:example.com"]},
    {"schedule": ["Mon-Fri 08:00-18:00"], "timeZone": "Europe/Berlin"},
    {"viewers": [], "allowSelfHarm": True},
]


def side_by_side(cases: list[dict[str, object]]) -> Values:
    """Values with a target for each case, told apart by what the case does not say."""
    return changed("targets", [{"name": f"target-{n}", "object": f"object-{n}"} | one for n, one in enumerate(cases)])


def test_the_schema_refuses_what_the_program_refuses(tmp_path: Path) -> None:
    values = side_by_side([{field: value} for field, value in BAD])
    with pytest.raises(Refused) as refused:
        chart(values)
    said = str(refused.value)
    assert "values don't meet the specifications of the schema" in said
    code, output = program(values, tmp_path, "--skip-schema-validation")
    assert code == 1, output
    for number, (field, value) in enumerate(BAD):
        assert re.search(rf"'/targets/{number}\b", said), f"{field}={value!r} is taken: {said}"
        called = value if field == "name" else f"target-{number}"
        fault = rf'configuration error: TARGETS_FILE has "?{called}"?[, ].*{field}'
        assert re.search(fault, output), f"{field}={value!r} is taken: {output}"


def test_the_schema_takes_what_the_program_takes(tmp_path: Path) -> None:
    for values in (side_by_side(GOOD), SEVERAL):
        code, output = program(values, tmp_path)
        assert code == 0, output


def test_one_schema_is_in_two_places() -> None:
    """What a target may have is the same in the values and in the file, but for the patterns of texts."""
    ours = json.loads((CHART / "values.schema.json").read_text())
    theirs = json.loads((REPOSITORY / "docs" / "targets.schema.json").read_text())
    assert shape(ours["$defs"]["target"], ours) == shape(theirs["$defs"]["target"], theirs)
    most = [one["properties"]["targets"]["maxItems"] for one in (ours, theirs)]
    assert most[0] == most[1]


@pytest.mark.parametrize(
    ("values", "sentences"),
    [
        (
            changed("targets", [OBJECT, {"name": "a"}, {"name": "b"}]),
            ["targets has several entries, and a, b without an object: give each the name of what it scales as object"],
        ),
        (
            changed("targets", [OBJECT, OBJECT | {"name": "other"}]),
            ["targets names apps/deployments default/openclaw-worker twice, as worker and as other: keep one of them"],
        ),
        (
            changed("targets", [OBJECT, OBJECT | {"kind": "apps/v1/deployments", "name": "other"}]),
            ["targets names apps/deployments default/openclaw-worker twice, as worker and as other: keep one of them"],
        ),
        (
            changed("targets", [OBJECT, OBJECT | {"object": "other"}]),
            ["targets has two entries with the name worker: give each a name of its own"],
        ),
        (
            with_target(object="toggle-openclaw-k8s-toggle-operator"),
            ["apps/deployments default/toggle-openclaw-k8s-toggle-operator, which is the bot itself"],
        ),
        (
            changed("rights", {"list": True, "pods": True}),
            ["rights.list is on, and nothing uses it: ", "rights.pods is on, and nothing uses it: "],
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(values: Values, sentences: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        chart(values)
    for sentence in sentences:
        assert sentence in str(refused.value)
    assert str(refused.value).count("\n  ") == len(sentences), str(refused.value)


def test_a_field_of_a_target_without_an_object_is_refused() -> None:
    """It is no field of the one Deployment that is scaled by its own name."""
    with pytest.raises(Refused, match="values don't meet the specifications of the schema"):
        chart(changed("targets", [{"name": "clawdbot", "max": 2}]))
