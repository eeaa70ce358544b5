"""The bot outside a cluster: a kubeconfig as kubectl prints it leads to a real API server."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from toggle_e2e import texts
from toggle_e2e.bot import run_to_end
from toggle_e2e.gotools import tool
from toggle_e2e.pki import Authority
from toggle_e2e.world import Stage, Target, World

CONTEXT = "kind-kind"

# What a pod has and a laptop does not.
NOTHING_OF_A_POD = {"KUBERNETES_SERVICE_HOST": None, "KUBERNETES_SERVICE_PORT": None, "SERVICE_ACCOUNT_DIR": None}

Way = Callable[[World, Target], dict[str, str]]


def encoded(path: Path) -> str:
    """A file as the fields `…-data` have it."""
    return base64.b64encode(path.read_bytes()).decode()


def by_token(world: World, target: Target) -> dict[str, str]:
    """The token that `kubectl create token` prints for the bot's service account."""
    return {"token": world.cluster.token(target.namespace, target.service_account)}


def by_certificate(world: World, target: Target) -> dict[str, str]:
    """An administrator's pair, as kind and k3s put one into their files."""
    pair = world.cluster.kubeconfig().parent
    return {
        "client-certificate-data": encoded(pair / "admin.crt"),
        "client-key-data": encoded(pair / "admin.key"),
    }


def write(world: World, path: Path, user: dict[str, str]) -> dict[str, str | None]:
    """Writes what kubectl prints of a file with this user, and gives the environment of a bot that has it."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {"server": world.cluster.url, "certificate-authority": str(world.cluster.ca_path)},
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "namespace": "kube-system", "user": CONTEXT}}],
        "current-context": CONTEXT,
        "users": [{"name": CONTEXT, "user": user}],
    }
    given = path.with_suffix(".json")
    given.write_text(json.dumps(config))
    command = [tool("kubectl"), "config", "view", "--flatten", "--raw", "--kubeconfig", given]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.startswith("apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: "), printed
    path.touch(mode=0o600)
    path.write_text(printed)
    return {**NOTHING_OF_A_POD, "KUBECONFIG": str(path)}


def ask(stage: Stage, command: str) -> str | None:
    """The answer to a command."""
    return stage.person.ask(stage.room_id, command, stage.bot_id).text


@pytest.mark.parametrize(
    ("way", "proof"),
    [(by_token, "by a token"), (by_certificate, "by a client certificate valid until ")],
    ids=["token", "certificate"],
)
def test_a_kubeconfig_leads_to_the_cluster(world: World, target: Target, tmp_path: Path, way: Way, proof: str) -> None:
    user = way(world, target)
    stage = world.stage(target=target, **write(world, tmp_path / "config", user))
    assert ask(stage, "start") == texts.ON
    assert world.replicas(target) == 1
    world.cluster.wait_replicas(target.namespace, target.deployment, ready=1)
    assert ask(stage, "status") == texts.status("running", 1, 1, 1)
    assert ask(stage, "stop") == texts.OFF
    assert world.replicas(target) == 0
    log = "\n".join(line.text for line in stage.bot.log)
    assert f'context "{CONTEXT}": {world.cluster.url}, {proof}' in log
    for secret in user.values():
        assert secret not in log

    code, said = run_to_end(stage.bot.settings, ("check-config",))
    assert code == 0 and f'context "{CONTEXT}": {world.cluster.url}, {proof}' in said, said
    assert "stands in" not in said and not any(secret in said for secret in user.values())


def test_a_certificate_of_another_authority_and_a_missing_right_are_told(
    world: World, target: Target, tmp_path: Path
) -> None:
    """Then the file is put right, and the running bot takes it up by itself."""
    Authority(tmp_path / "pki").client("stranger")
    strange = {
        "client-certificate-data": encoded(tmp_path / "pki" / "stranger.crt"),
        "client-key-data": encoded(tmp_path / "pki" / "stranger.key"),
    }
    path = tmp_path / "config"
    stage = world.stage(target=target, **write(world, path, strange))
    assert ask(stage, "start") == (
        "Error: The Kubernetes API server does not accept the client certificate of my kubeconfig: check that this "
        "cluster's authority issued it."
    )
    write(world, path, {"token": world.cluster.token("default", "default")})
    answer = ask(stage, "status")
    assert answer is not None and answer.endswith("grant the user of my kubeconfig `get` on `deployments`."), answer
    write(world, path, by_token(world, target))
    # A refused right is an answer: only a refused proof has the files read again at once.
    stage.bot.restart()
    assert ask(stage, "start") == texts.ON
