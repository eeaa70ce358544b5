"""From the Python operator to this one and back: docs/migrating.md, step by step, on the real servers."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toggle_e2e import texts
from toggle_e2e.bot import default_binary
from toggle_e2e.gotools import tool
from toggle_e2e.manifests import REPOSITORY
from toggle_e2e.person import Person
from toggle_e2e.world import Account, Target, World

GUIDE = REPOSITORY / "docs" / "migrating.md"
NAME = "openclaw-toggle-operator"
OLD_USER, OLD_GROUP = 1200, 1201
"""Who the image of the Python program runs as."""
USER = 65532
"""Who ours runs as."""


def environment_of_the_python_program(world: World, account: Account, allowed: str, target: Target) -> dict[str, str]:
    """Its variables, all of those that a login by password looks at, and what Kubernetes sets in every container."""
    return {
        "MATRIX_HOMESERVER": world.synapse.url,
        "MATRIX_USER": account.localpart,
        "MATRIX_PASSWORD": account.password,
        "ALLOWED_USERS": f"{allowed} , ",
        "AUTH_METHOD": "password",
        "SSO_IDP_ID": "keycloak",
        "DEPLOYMENT_NAME": target.deployment,
        "DEPLOYMENT_NAMESPACE": target.namespace,
        "ECHO_MODE": "true",
        "LOGURU_LEVEL": "DEBUG",
        "KUBERNETES_SERVICE_HOST": world.cluster.host,
        "KUBERNETES_SERVICE_PORT": str(world.cluster.port),
        "SERVICE_ACCOUNT_DIR": str(target.account_dir),
        # Of the Python image, and of no meaning to the bot.
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": "/app",
    }


def checksums(folder: Path) -> dict[str, str]:
    """What is in the files of matrix-nio."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("@*")}


def test_the_old_environment_and_volume_serve_and_the_way_back_stays_open(
    world: World, alice: Person, bot_account: Account, target: Target, tmp_path: Path
) -> None:
    volume = tmp_path / "crypto_store"
    old = Person(world.synapse.url, bot_account.user_id, bot_account.password, volume, NAME)
    world.people.append(old.start())
    device = old.device_id
    room_id = alice.create_room(True, (bot_account.user_id,))
    old.join(room_id)
    alice.wait_sees_member(room_id, bot_account.user_id)
    mark = old.mark(room_id)
    alice.send(room_id, "help")
    assert old.wait_reply(mark, alice.user_id).text == "help", "the old store was never in use"
    old.stop()
    # Where the Python program keeps its token; the client of the tests has another name for the same.
    (volume / "device.json").rename(volume / "session.json")
    before = checksums(volume)
    assert f"{bot_account.user_id}_{device}.db" in before

    bot = world.bot(bot_account, (alice.user_id,), target)
    settings = environment_of_the_python_program(world, bot_account, alice.user_id, target)
    bot.settings = settings | {"CRYPTO_STORE_PATH": str(volume)}
    bot.start()
    for text, answer in (("start", texts.ON), ("status", None), ("stop", texts.OFF)):
        echo, said = alice.wait_replies(alice.send(room_id, text), bot_account.user_id, 2)
        assert echo.text == texts.echo(text) and echo.encrypted and said.encrypted
        assert said.text == answer or answer is None
    assert world.scalings(target) == [1, 0]
    (ours,) = set(world.synapse.devices(bot_account.user_id)) - {device}

    def told() -> list[str]:
        return [line for line in bot.lines() if "Python program" in line]

    assert len(told()) == 1 and "WARN" in told()[0], bot.tail()
    _, at, what = told()[0].partition("CRYPTO_STORE_PATH holds")
    example = (at + what).replace(device, "ABCDEFGHIJ").replace(bot_account.user_id, "@clawdbot-operator:example.com")
    assert f"WARN {example}\n" in GUIDE.read_text(), "the guide shows another line"
    assert checksums(volume) == before, "the old store was touched"
    assert (volume / "store.sqlite3").exists()

    # Back: the old program goes on as the device it was.
    assert bot.end().code == 0
    (volume / "session.json").rename(volume / "device.json")
    old.start()
    assert old.device_id == device
    mark = old.mark(room_id)
    alice.send(room_id, "status")
    assert old.wait_reply(mark, alice.user_id).text == "status"
    answered = alice.mark(room_id)
    old.send(room_id, "Deployment is off")
    assert alice.wait_reply(answered, bot_account.user_id).text == "Deployment is off"

    # And for good: the device is removed, and then its files.
    old.log_out()
    bot.start()
    assert len(told()) == 1, "the files are still there"
    # What was said a moment ago it answers as well: it was given the key, and the command is young.
    late = [reply.text for reply in alice.wait_replies(answered, bot_account.user_id, 3)]
    assert late[1:] == [texts.echo("status"), texts.status("off", 0, 0, 0)]
    bot.end()
    for path in [*volume.glob("@*"), volume / "device.json"]:
        path.unlink()
    bot.start()
    assert told() == []
    assert alice.wait_replies(alice.send(room_id, "start"), bot_account.user_id, 2)[1].text == texts.ON
    assert set(world.synapse.devices(bot_account.user_id)) == {ours}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can get to, with the binary in it."""
    folder = Path(tempfile.mkdtemp(prefix="toggle-volume-"))
    folder.chmod(0o755)
    shutil.copy(default_binary(), folder / "bot")
    yield folder
    shutil.rmtree(folder)


def start_as(place: Path, volume: Path, user: int | None, group: int | None) -> str:
    """Starts the bot as somebody, with no homeserver to be found, and gives what it says until the store is open."""
    account_dir = place / "account"
    settings = {
        "MATRIX_HOMESERVER": "http://127.0.0.1:9",
        "MATRIX_USER": "@bot:localhost",
        "MATRIX_PASSWORD": "secret",
        "ALLOWED_USERS": "@alice:localhost",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "9",
        # Looked at after the store: that it is missing is how this ends where the store is fine.
        "SERVICE_ACCOUNT_DIR": str(account_dir),
        "CRYPTO_STORE_PATH": str(volume),
    }
    done = subprocess.run(
        [str(place / "bot")], env=settings, cwd="/", user=user, group=group, extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    return done.stdout.strip().splitlines()[-1]


STORE_IS_FINE = "the service account cannot be used"


def test_a_volume_that_another_user_owns_is_told(place: Path) -> None:
    """Without root there is nobody else to be: then a folder of one's own that nobody may write to says the same."""
    root = os.geteuid() == 0
    volume = place / "volume"
    volume.mkdir()
    (volume / "@bot:localhost_OLD.db").touch()
    volume.chmod(0o755 if root else 0o555)
    if root:
        os.chown(volume, OLD_USER, OLD_GROUP)
    told = start_as(place, volume, *((USER, USER) if root else (None, None)))
    volume.chmod(0o755)
    assert "ERROR" in told and f"CRYPTO_STORE_PATH: cannot write to {volume}" in told, told
    assert "Permission denied" in told and f"user id {USER if root else os.geteuid()}" in told, told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a volume to another user")
@pytest.mark.parametrize("cure", ["fsGroup", "runAsUser", "chown"])
def test_each_cure_for_a_volume_of_another_user_cures(place: Path, cure: str) -> None:
    volume = place / "volume"
    volume.mkdir(mode=0o755)
    old = volume / "@bot:localhost_OLD.db"
    old.touch()
    for path in (volume, old):
        os.chown(path, OLD_USER, OLD_GROUP)
    user, group = USER, USER
    if cure == "fsGroup":
        # What a kubelet does: the group is the pod's, may write, and is handed on to what is made in there.
        for path, mode in ((volume, 0o2775), (old, 0o664)):
            os.chown(path, OLD_USER, USER)
            path.chmod(mode)
    elif cure == "chown":
        os.chown(volume, USER, USER)
    else:
        user, group = OLD_USER, OLD_GROUP
    for _ in range(2):
        told = start_as(place, volume, user, group)
        assert STORE_IS_FINE in told, told
    made = volume / "store.sqlite3"
    assert made.stat().st_uid == user and made.stat().st_mode & 0o777 == 0o600
    assert old.exists()


def old_objects(target: Target) -> list[dict[str, Any]]:
    """What runs the Python program, by the names of its own manifest."""
    head = {"name": NAME, "namespace": target.namespace}
    labels = {"app": NAME}
    group = "rbac.authorization.k8s.io"
    container = {
        "name": "operator",
        "image": "docker.io/example/python-operator:0.0.19",
        "env": [
            {"name": "MATRIX_USER", "value": "clawdbot-operator"},
            {"name": "MATRIX_PASSWORD", "valueFrom": {"secretKeyRef": {"name": NAME, "key": "matrix-password"}}},
        ],
        "volumeMounts": [{"name": "crypto-store", "mountPath": "/data/crypto_store"}],
    }
    volume = {"name": "crypto-store", "persistentVolumeClaim": {"claimName": f"{NAME}-crypto"}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": head},
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": head,
            "rules": [
                {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get", "patch"]}
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": head,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", **head}],
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {**head, "name": f"{NAME}-crypto"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": head, "stringData": {"matrix-password": "secret"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": head,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"serviceAccountName": NAME, "containers": [container], "volumes": [volume]},
                },
            },
        },
    ]


def steps(heading: str) -> list[str]:
    """The commands under a heading of the guide that are there to be typed."""
    section = GUIDE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^ *```sh\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)


def test_the_steps_of_the_guide_lead_there_and_back(world: World, tmp_path: Path) -> None:
    """On the real API server, by kubectl; also that each step is needed."""
    target = world.target()
    namespace = target.namespace
    shutil.copytree(REPOSITORY / "deploy" / "k8s", tmp_path / "deploy" / "k8s")
    for path in (tmp_path / "deploy").rglob("*.yaml"):
        path.write_text(path.read_text().replace("namespace: clawdbot\n", f"namespace: {namespace}\n"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").symlink_to(tool("kubectl"))
    settings = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "KUBECONFIG": str(world.cluster.kubeconfig()),
    }

    def run(commands: str, fails: bool = False) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace("-n clawdbot ", f"-n {namespace} ")],
            cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90,
            check=False,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, f"{commands}\n{done.stdout}"
        return done.stdout

    def found(kind: str, name: str = NAME) -> dict[str, Any]:
        answer: dict[str, Any] = yaml.safe_load(run(f"kubectl -n {namespace} get {kind} {name} -o yaml"))
        return answer

    applied = "---\n".join(yaml.safe_dump(document) for document in old_objects(target))
    (tmp_path / "theirs.yaml").write_text(applied)
    # The target's own is as shipped, and theirs would only be merged into it.
    run(f"kubectl -n {namespace} delete serviceaccount {NAME}")
    run("kubectl apply -f theirs.yaml")
    old = found("deployment")
    claim, secret = found("pvc", f"{NAME}-crypto"), found("secret")

    keep, away, leave_out, apply = steps("Step by step")
    run(keep)
    refused = run(apply, fails=True)
    assert re.search(rf'"{NAME}" is invalid: spec.selector: .*field is immutable', refused), refused
    assert f'"{NAME}-crypto" is invalid: spec: Forbidden: spec is immutable' in refused, refused
    # That try has left what it could: the steps begin where a person would, with the old objects.
    run(f"kubectl apply -f theirs.yaml; kubectl -n {namespace} delete networkpolicy {NAME}")
    for step in (away, leave_out, apply):
        run(step)
    assert "tini" not in str(found("deployment"))
    assert found("deployment")["spec"]["strategy"]["type"] == "Recreate"
    assert all(rule.get("resourceNames") for rule in found("role")["rules"]), "the wide rights are still there"
    assert found("pvc", f"{NAME}-crypto")["metadata"]["uid"] == claim["metadata"]["uid"]
    assert found("secret")["data"] == secret["data"]
    assert found("serviceaccount")["automountServiceAccountToken"] is False

    for step in steps("Back to the Python program"):
        run(step)
    back = found("deployment")
    assert back["spec"]["template"]["spec"]["containers"] == old["spec"]["template"]["spec"]["containers"]
    assert found("role")["rules"] == old_objects(target)[1]["rules"]
    # Or the Python program's pod would have no token.
    assert "automountServiceAccountToken" not in found("serviceaccount")
    assert found("pvc", f"{NAME}-crypto")["metadata"]["uid"] == claim["metadata"]["uid"]
