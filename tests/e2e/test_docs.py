"""docs/keycloak.md prints what the login tests run, and docs/gateway-operations.md what is shipped."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from toggle_e2e.keycloak import REPOSITORY
from toggle_e2e.manifests import kustomize, named

GUIDE = (REPOSITORY / "docs" / "keycloak.md").read_text()
FILES = sorted(path for name in ("keycloak", "synapse") for path in (REPOSITORY / "deploy" / name).iterdir())
OPERATIONS = (REPOSITORY / "docs" / "gateway-operations.md").read_text()
PRINTED = dict(re.findall(r"^`(deploy/[^`]+)`:\n\n```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_guide_prints_the_files_that_are_tested(path: Path) -> None:
    assert PRINTED.get(str(path.relative_to(REPOSITORY))) == path.read_text()


def test_the_guide_prints_nothing_else() -> None:
    assert set(PRINTED) == {str(path.relative_to(REPOSITORY)) for path in FILES}


def schema_of_a_target() -> dict[str, Any]:
    """What the gateway's file may say of a target."""
    schema = json.loads((REPOSITORY / "docs" / "gateway.schema.json").read_text())
    target: dict[str, Any] = schema["$defs"]["target"]
    return target


def default_of(key: str, target: dict[str, Any]) -> str:
    """What a key of a target is where it is not said, as the table has it."""
    found = target["properties"][key].get("default")
    if found is None:
        return "required" if key in target["required"] else ""
    values = found if isinstance(found, list) else [found]
    return ", ".join(f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in values)


def test_the_keys_of_a_target_are_those_of_the_schema() -> None:
    target = schema_of_a_target()
    rows = [
        f"| `{key}` | {default_of(key, target)} | {said['description'].replace('|', chr(92) + '|')} |"
        for key, said in target["properties"].items()
    ]
    wanted = "\n".join(["| key | default | meaning |", "|---|---|---|", *rows]) + "\n"
    found = re.search(r"^<!-- target keys -->\n(.*?)^<!-- /target keys -->$", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert found and found[1] == wanted, f"write between the marks:\n{wanted}"


def example(name: str, language: str) -> str:
    """The block that follows a mark, without the indentation of the list that it is in."""
    found = re.search(rf"^ *<!-- {name} -->\n *```{language}\n(.*?)^ *```$", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert found, f"there is no block {name}"
    return textwrap.dedent(found[1])


def test_a_target_of_ones_own_has_what_it_needs() -> None:
    entries = json.loads(example("own target", "json"))
    schema = json.loads((REPOSITORY / "docs" / "gateway.schema.json").read_text())
    Draft202012Validator(schema).validate({"k8sTrust": {"enabled": False}, "targets": entries})
    [(name, entry)] = entries.items()
    gateway = kustomize("gateway")
    account = named(gateway, "ServiceAccount", "openclaw-toggle-gateway")["metadata"]
    labels = named(gateway, "Deployment", "openclaw-toggle-gateway")["spec"]["template"]["metadata"]["labels"]

    role, binding = yaml.safe_load_all(example("own rights", "yaml"))
    rules = [(one["resources"], one.get("resourceNames"), one["verbs"]) for one in role["rules"]]
    assert rules == [
        (["deployments"], [entry["name"]], ["get"]),
        (["deployments/scale"], [entry["name"]], ["get", "patch"]),
        (["services"], [entry["service"]], ["get"]),
        (["endpointslices"], None, ["list", "watch"]),
    ]
    [subject] = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == entry["namespace"]

    lease = yaml.safe_load(example("own lease", "yaml"))["metadata"]
    others = [one["metadata"] for one in gateway if one["kind"] == "Lease"]
    assert lease == others[0] | {"name": f"openclaw-gateway-{name}"}

    [egress] = yaml.safe_load(example("own egress", "yaml"))
    policy = yaml.safe_load(example("own ingress", "yaml"))
    [out], [[into]] = egress["to"], [rule["from"] for rule in policy["spec"]["ingress"]]
    assert out["podSelector"] == policy["spec"]["podSelector"]
    assert into["podSelector"]["matchLabels"] == labels
    spaces = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in (out, into)]
    assert spaces == [entry["namespace"], account["namespace"]]


def test_what_is_removed_is_there_and_is_all_of_the_gateway() -> None:
    """But for what the app and the workers go on to need."""
    gateway = kustomize("gateway")
    kept = {"Namespace", "StatefulSet", "HorizontalPodAutoscaler"}
    there = {(one["kind"].lower(), one["metadata"]["name"]) for one in gateway if one["kind"] not in kept}
    there -= {("deployment", "openclaw-worker"), ("service", "openclaw-app"), ("service", "openclaw-gateway")}
    there -= {("serviceaccount", "openclaw-worker"), ("serviceaccount", "openclaw-operator")}
    commands = example("remove front", "sh") + example("remove rest", "sh")
    deleted = {(kind, name) for kind, name in re.findall(r" ([a-z]+)/(openclaw[-:a-z]+)", commands)}
    for file in re.findall(r"delete -f (\S+)", commands):
        documents = yaml.safe_load_all((REPOSITORY / file).read_text())
        deleted |= {(one["kind"].lower(), one["metadata"]["name"]) for one in documents}
    assert deleted == there
    patched = re.search(r"patch service (\S+) -p '(.*)'", commands)
    assert patched
    selector = named(gateway, "Service", patched[1])["spec"]["selector"] | json.loads(patched[2])["spec"]["selector"]
    assert selector == named(gateway, "Service", "openclaw-app")["spec"]["selector"]
