"""The right to restart workloads pod by pod: what the chart's policy takes, and what it refuses.

The requests are sent with the token of the release's account, which has `patch` on these workloads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from toggle_e2e.administrator import Object
from toggle_e2e.controlplane import ControlPlane
from toggle_e2e.manifests import SECRET, chart, kustomize
from toggle_e2e.named import Talk, release as release_of
from toggle_e2e.net import wait_for
from toggle_e2e.world import World

HERE, BESIDE, ROLLING = "e2e-restart", "e2e-restart-beside", "e2e-restart-rolling"
"""Namespaces: of the release with a Deployment, of a StatefulSet, and of what a bot restarts."""

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
STEPS = "application/json-patch+json"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

VALUES = {
    "matrix": {"user": "bot"},
    "commands": {"allowedUsers": ["@alice:example.com"]},
    "secrets": {"matrixPassword": {"name": SECRET}},
    "targets": [
        {"name": "worker", "object": "worker"},
        {"name": "gateway", "object": "gateway", "kind": "statefulset", "namespace": BESIDE},
    ],
    "rights": {"restart": True},
}

PATHS = {
    "Deployment": f"/apis/apps/v1/namespaces/{HERE}/deployments/worker",
    "StatefulSet": f"/apis/apps/v1/namespaces/{BESIDE}/statefulsets/gateway",
}
GUARDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
GUARDS_AS_RESOURCES = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


@dataclass(frozen=True)
class Release:
    """The account of a release of the chart, with the right and the policy."""

    cluster: ControlPlane
    token: str

    def patch(self, path: str, body: Any, body_type: str = STRATEGIC, dry: bool = True) -> tuple[int, str]:
        """The status of a patch, and what is said to a refused one."""
        query = f"?fieldManager=e2e{'&dryRun=All' if dry else ''}"
        status, answer = self.cluster.request("PATCH", path + query, body, body_type, user=self.token)
        return status, str(answer.get("message", "")) if status >= 300 else ""


def of_template(metadata: Object | None = None, spec: Object | None = None) -> Object:
    """A patch of a pod template."""
    return {"spec": {"template": {"metadata": metadata or {}, "spec": spec or {}}}}


def restart(at: str) -> Object:
    """The patch by which pods are replaced."""
    return of_template({"annotations": {RESTARTED_AT: at}})


IMAGE = of_template(spec={"containers": [{"name": "main", "image": "example.invalid/another:1"}]})


@pytest.fixture(scope="module")
def release(world: World) -> Iterator[Release]:
    """Applied for real, beside what it is for; the policy is in force."""
    cluster = world.cluster
    for namespace in (HERE, BESIDE):
        cluster.create_namespace(namespace)
        cluster.create_deployment(namespace, "worker", 1)
    cluster.create_deployment(BESIDE, "gateway", 1, kind="StatefulSet")
    for path in PATHS.values():
        theirs = {"metadata": {"annotations": {"theirs": "1"}, "labels": {"theirs": "1"}}}
        cluster.ensure("PATCH", path, theirs | of_template({"annotations": {"theirs": "1"}}), STRATEGIC)

    documents = chart(VALUES, "toggle", HERE)
    wanted = [one for one in documents if one["kind"] in ("ServiceAccount", "Role", "RoleBinding", *GUARDS)]
    cluster.apply(wanted)
    [account] = [one["metadata"]["name"] for one in wanted if one["kind"] == "ServiceAccount"]
    made = Release(cluster, cluster.token(HERE, account))
    for path in PATHS.values():
        wait_for("the policy to be in force", lambda path=path: made.patch(path, IMAGE)[0] == 422, 30)
    yield made
    for document in wanted:
        if document["kind"] in GUARDS:
            plural = GUARDS_AS_RESOURCES[GUARDS.index(document["kind"])]
            cluster.request("DELETE", f"{ADMISSION}/{plural}/{document['metadata']['name']}")


# What somebody could do with `patch`, each for both kinds, and a word of the refusal.
REFUSED: dict[str, tuple[Any, str, str]] = {
    "image": (IMAGE, STRATEGIC, "nothing of the pods"),
    "image with a restart": (
        of_template({"annotations": {RESTARTED_AT: "1"}}, IMAGE["spec"]["template"]["spec"]),
        STRATEGIC,
        "nothing of the pods",
    ),
    "another container": (
        of_template(spec={"containers": [{"name": "other", "image": "example.invalid/other:1"}]}),
        STRATEGIC,
        "nothing of the pods",
    ),
    "variable": (
        of_template(spec={"containers": [{"name": "main", "env": [{"name": "A", "value": "b"}]}]}),
        STRATEGIC,
        "nothing of the pods",
    ),
    "account": (of_template(spec={"serviceAccountName": "another"}), STRATEGIC, "nothing of the pods"),
    "label": ({"metadata": {"labels": {"own": "1"}}}, MERGE, "of the object"),
    "label taken away": ({"metadata": {"labels": {"theirs": None}}}, MERGE, "of the object"),
    "annotation": ({"metadata": {"annotations": {"own": "1"}}}, MERGE, "of the object"),
    "annotation changed": ({"metadata": {"annotations": {"theirs": "2"}}}, MERGE, "of the object"),
    "restartedAt of the object": ({"metadata": {"annotations": {RESTARTED_AT: "1"}}}, MERGE, "of the object"),
    "finalizer": ({"metadata": {"finalizers": ["example.com/stays"]}}, MERGE, "of the object"),
    "owner": (
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}]}},
        MERGE,
        "of the object",
    ),
    "label of the pods": (of_template({"labels": {"own": "1"}}), MERGE, "no label of the pods"),
    "annotation of the pods": (of_template({"annotations": {"own": "1"}}), MERGE, "no annotation of the pods but"),
    "annotation of the pods changed": (
        of_template({"annotations": {"theirs": "2", RESTARTED_AT: "1"}}),
        MERGE,
        "no annotation of the pods but",
    ),
    "annotation of the pods taken away": (
        of_template({"annotations": {"theirs": None}}),
        MERGE,
        "no annotation of the pods but",
    ),
    "annotations of the pods taken away": (
        [{"op": "remove", "path": "/spec/template/metadata/annotations"}],
        STEPS,
        "no annotation of the pods but",
    ),
    "replicas": ({"spec": {"replicas": 2}}, MERGE, "by its scale"),
    "history": ({"spec": {"revisionHistoryLimit": 1}}, MERGE, "by its scale"),
    "patience": ({"spec": {"minReadySeconds": 5}}, MERGE, "by its scale"),
}

# What only one of the kinds has.
OF_ONE: list[tuple[str, Object]] = [
    ("Deployment", {"spec": {"paused": True}}),
    ("Deployment", {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}),
    ("Deployment", {"spec": {"progressDeadlineSeconds": 7}}),
    ("StatefulSet", {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}),
    ("StatefulSet", {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}}),
    ("StatefulSet", {"spec": {"ordinals": {"start": 3}}}),
]


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_restart_is_refused(release: Release, kind: str, what: str) -> None:
    body, body_type, word = REFUSED[what]
    # An administrator may, so that it is the policy that refuses.
    status, answer = release.cluster.request("PATCH", f"{PATHS[kind]}?dryRun=All", body, body_type)
    assert status == 200 or what == "owner", answer
    status, said = release.patch(PATHS[kind], body, body_type)
    assert (status, "ValidatingAdmissionPolicy" in said, word in said) == (422, True, True), said


@pytest.mark.parametrize(("kind", "body"), OF_ONE)
def test_what_only_one_of_the_kinds_has_is_refused_too(release: Release, kind: str, body: Object) -> None:
    release.cluster.ensure("PATCH", f"{PATHS[kind]}?dryRun=All", body, MERGE)
    status, said = release.patch(PATHS[kind], body, MERGE)
    assert (status, "by its scale" in said) == (422, True), said


@pytest.mark.parametrize("kind", PATHS)
def test_a_restart_goes_through_and_so_does_the_scale(release: Release, kind: str) -> None:
    path = PATHS[kind]
    before = release.cluster.ensure("GET", path)
    patch = restart("2026-11-29T15:00:00.123Z") | {"metadata": {"uid": before["metadata"]["uid"]}}
    assert release.patch(path, patch, MERGE, dry=False) == (200, "")
    after = release.cluster.ensure("GET", path)
    annotations = {"theirs": "1", RESTARTED_AT: "2026-11-29T15:00:00.123Z"}
    assert after["spec"]["template"]["metadata"]["annotations"] == annotations
    generation = after["metadata"]["generation"]
    assert generation == before["metadata"]["generation"] + 1

    # Once more is no second restart; another time, or that of another tool, is.
    assert release.patch(path, patch, MERGE, dry=False) == (200, "")
    assert release.cluster.ensure("GET", path)["metadata"]["generation"] == generation
    assert release.patch(path, restart("2026-11-29T15:00:01.000Z"), MERGE) == (200, "")
    another = patch | {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}}
    assert release.patch(path, another, MERGE)[0] == 422
    status, answer = release.cluster.request("PATCH", f"{path}?dryRun=All", another, MERGE)
    assert (status, "metadata.uid" in answer["message"]) == (422, True), "also without the policy"

    assert release.patch(f"{path}/scale", {"spec": {"replicas": 2}}, MERGE) == (200, "")
    assert release.patch(f"{path}/scale", {"spec": {"replicas": 0}}, MERGE) == (200, "")


def test_others_are_not_held_by_the_policy(release: Release) -> None:
    for path in PATHS.values():
        release.cluster.ensure("PATCH", f"{path}?dryRun=All", IMAGE, STRATEGIC)
    worker = f"/apis/apps/v1/namespaces/{BESIDE}/deployments/worker"
    assert release.patch(worker, restart("1"))[0] == 403, "it is no target"


def test_the_api_server_finds_no_fault_with_the_expressions(release: Release) -> None:
    [policy] = [one for one in chart(VALUES, "toggle", HERE) if one["kind"] == GUARDS[0]]
    path = f"{ADMISSION}/{GUARDS_AS_RESOURCES[0]}/{policy['metadata']['name']}"

    def checked() -> Object | None:
        found = release.cluster.ensure("GET", path)
        return found if found.get("status", {}).get("observedGeneration") else None

    status = wait_for("the policy to be checked", checked, 20)["status"]
    assert status.get("typeChecking", {}).get("expressionWarnings", []) == []


def may_patch(documents: list[Object]) -> set[tuple[str, str]]:
    """The namespaces and the workloads themselves that may be patched there."""
    return {
        (role["metadata"]["namespace"], resource)
        for role in documents
        if role["kind"] == "Role"
        for rule in role["rules"]
        if not {"patch", "update", "*"}.isdisjoint(rule["verbs"])
        for resource in rule["resources"]
        if not resource.endswith("/scale")
    }


def guarded(documents: list[Object]) -> tuple[list[str], list[str]]:
    """The account that a policy is about, and its namespaces; neither where there is none."""
    policies = [one for one in documents if one["kind"] == GUARDS[0]]
    bindings = [one for one in documents if one["kind"] == GUARDS[1]]
    assert [one["metadata"]["name"] for one in policies] == [one["spec"]["policyName"] for one in bindings]
    assert all(one["spec"]["validationActions"] == ["Deny"] for one in bindings)
    conditions = [condition["expression"] for one in policies for condition in one["spec"]["matchConditions"]]
    selectors = [one["spec"]["matchResources"]["namespaceSelector"] for one in bindings]
    return conditions, [name for one in selectors for found in one["matchExpressions"] for name in found["values"]]


def test_the_right_comes_with_the_policy_or_not_at_all() -> None:
    with_it, without = chart(VALUES, "toggle", HERE), chart(VALUES | {"rights": {}}, "toggle", HERE)
    assert (may_patch(without), guarded(without)) == (set(), ([], []))
    assert may_patch(with_it) == {(HERE, "deployments"), (BESIDE, "statefulsets")}
    account = "toggle-openclaw-k8s-toggle-operator"
    user = f"request.userInfo.username == 'system:serviceaccount:{HERE}:{account}'"
    conditions, namespaces = guarded(with_it)
    assert (conditions, sorted(namespaces)) == ([user], [HERE, BESIDE])


def test_the_manifests_have_the_same_policy() -> None:
    ours = kustomize("overlays/restart")
    [policy] = [one for one in ours if one["kind"] == GUARDS[0]]
    [theirs] = [one for one in chart(VALUES, "toggle", HERE) if one["kind"] == GUARDS[0]]
    for part in ("failurePolicy", "matchConstraints", "variables", "validations"):
        assert policy["spec"][part] == theirs["spec"][part], part
    conditions, namespaces = guarded(ours)
    assert conditions == ["request.userInfo.username == 'system:serviceaccount:clawdbot:openclaw-toggle-operator'"]
    assert {namespace for namespace, _ in may_patch(ours)} == set(namespaces) == {"clawdbot", "gateways"}
    assert (may_patch(kustomize("overlays/targets")), guarded(kustomize("overlays/targets"))) == (set(), ([], []))


def pods(cluster: ControlPlane, name: str) -> set[str]:
    """The uids of a workload's pods that stay."""
    found = cluster.ensure("GET", f"/api/v1/namespaces/{ROLLING}/pods?labelSelector=app%3D{name}")["items"]
    return {one["metadata"]["uid"] for one in found if not one["metadata"].get("deletionTimestamp")}


def test_the_bot_replaces_all_pods_and_never_has_none(world: World) -> None:
    cluster = world.cluster
    cluster.create_namespace(ROLLING)
    kinds = {"worker": "Deployment", "gateway": "StatefulSet"}
    for name, kind in kinds.items():
        cluster.create_deployment(ROLLING, name, 3, kind=kind)
    targets = [{"name": name, "object": name, "kind": kind.lower(), "max": 3} for name, kind in kinds.items()]
    made = release_of(cluster, ROLLING, targets, ("@alice:example.com",), restart=True)
    stage = world.stage(target=made.identity, **made.settings)
    talk = Talk(stage.person, stage.room_id, stage.bot, stage.bot_id)
    for name in kinds:
        wait_for("all to be ready", lambda name=name: f"{name} is on: 3 of 3" in talk.ask(f"status {name}"), 30)
        before = pods(cluster, name)
        asked = f"{name} is restarting: new pods for 3 replicas, one after another."
        assert talk.ask(f"restart {name}") == asked
        talk.wait(rf"^{name} is ready: 3 of 3 after \d+ s\.$")
        after = pods(cluster, name)
        assert (len(before), len(after), before & after) == (3, 3, set())

    paused = {"spec": {"paused": True}}
    cluster.ensure("PATCH", f"/apis/apps/v1/namespaces/{ROLLING}/deployments/worker", paused, MERGE)
    assert talk.ask("restart worker").startswith("I did not restart worker: its rollout is paused")
    talk.say("stop worker")
    talk.wait(r"^worker has stopped")
    assert talk.ask("restart worker") == "worker is off: there is nothing to restart."
