"""What an account may do in a namespace, as the API server says itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .administrator import Object
from .controlplane import ControlPlane
from .net import wait_for

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.e2e.example.com"},
    "spec": {
        "group": "e2e.example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
                "subresources": {
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
                },
            }
        ],
    },
}
"""A kind of object that Kubernetes does not know, and that can be scaled."""


def review(cluster: ControlPlane, token: str, namespace: str) -> list[Any]:
    """All that the owner of a token may do in a namespace, as the API server answers the owner."""
    status, answer = cluster.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        },
        user=token,
    )
    assert status == 201 and not answer["status"]["incomplete"], answer
    rules = answer["status"]["resourceRules"] + answer["status"]["nonResourceRules"]
    return sorted(
        [
            sorted(rule["verbs"]),
            rule.get("apiGroups", []),
            rule.get("resources", []),
            rule.get("resourceNames", []),
            rule.get("nonResourceURLs", []),
        ]
        for rule in rules
    )


def as_review(rules: Iterable[Object]) -> list[Any]:
    """The rules of a Role in the form that a review gives them."""
    return sorted(
        [sorted(rule["verbs"]), rule["apiGroups"], rule["resources"], rule.get("resourceNames", []), []]
        for rule in rules
    )


def of_everybody(cluster: ControlPlane, namespace: str) -> list[Any]:
    """What every account may do in a namespace."""
    return review(cluster, cluster.token("default", "default"), namespace)


def own_rules(cluster: ControlPlane, token: str, namespace: str) -> list[Any]:
    """What the owner of a token may do in a namespace beside what every account may."""
    everybody = of_everybody(cluster, namespace)
    return [rule for rule in review(cluster, token, namespace) if rule not in everybody]


def grant(cluster: ControlPlane, role: Object, token: str, rules: list[Object]) -> None:
    """Replaces a Role's rules and waits until the API server goes by them, for the owner of a token."""
    cluster.apply([{**role, "rules": rules}])
    namespace = role["metadata"]["namespace"]
    wait_for("the rights to change", lambda: own_rules(cluster, token, namespace) == as_review(rules), 10)


def without(rules: list[Object], index: int) -> list[Object]:
    """All but one of the rules."""
    return rules[:index] + rules[index + 1 :]
