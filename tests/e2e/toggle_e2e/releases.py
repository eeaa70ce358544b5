"""Values that the Helm chart is tried with: the examples beside it."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from .manifests import CHART

Values = dict[str, Any]

_END = "-values.yaml"

_ALL: dict[str, Values] = {
    path.name.removesuffix(_END): yaml.safe_load(path.read_text()) for path in sorted((CHART / "ci").glob(f"*{_END}"))
}

GATEWAY = _ALL["gateway"]
"""A gateway alone, with everything that can be set of it."""

# Of the bot: one for each way to log in; together they set everything there is to set.
SETS: dict[str, Values] = {name: values for name, values in _ALL.items() if values is not GATEWAY}
LEAST = SETS["least"]


def changed(path: str, value: object, base: Values = LEAST) -> Values:
    """Values with one of them set, by its path with dots."""
    values = copy.deepcopy(base)
    *holders, last = path.split(".")
    holder = values
    for name in holders:
        holder = holder.setdefault(name, {})
    holder[last] = value
    return values


def with_names_like_numbers() -> Values:
    """Everything, with names that a program reading YAML takes for something else unless they are quoted."""
    values = copy.deepcopy(SETS["everything"])
    for secret in values["secrets"].values():
        if "name" in secret:
            secret["name"] = "123"
    for path, value in {
        "nameOverride": "on",
        "fullnameOverride": "null",
        "imagePullSecrets": [{"name": "1e3"}],
        "serviceAccount.name": "77",
        "targets": [{"name": "0x1f", "namespace": "55"}],
        "authorities.extra.configMap": "9",
        "authorities.only.configMap": "2001-01-01",
        "store.existingClaim": "8",
        "priorityClassName": "7",
        "podLabels": {"team": "42"},
        "metrics.podMonitor.enabled": True,
        "metrics.prometheusRule.enabled": True,
    }.items():
        values = changed(path, value, values)
    return values

GATEWAY_ALONE: Values = {
    "bot": {"enabled": False},
    "gateway": {"enabled": True, "config": {"targets": {"worker": {"name": "openclaw-worker"}}}},
}
"""What has to be set for a gateway alone."""

TRUST: Values = {
    "enabled": True,
    "allowedIdentities": [{"namespace": "ci", "serviceAccount": "deploy", "allowedRoles": ["node"]}],
}
ROLES: Values = {"node": {"targets": ["worker"], "verbs": ["status", "start"]}}


def gateway_file(**parts: object) -> Values:
    """Values with other parts of the gateway's file."""
    return changed("gateway.config", GATEWAY_ALONE["gateway"]["config"] | parts, GATEWAY_ALONE)
