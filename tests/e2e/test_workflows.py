"""What the GitHub workflows may do, and what they run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toggle_e2e.gotools import tool

REPOSITORY = Path(__file__).resolve().parent.parent.parent
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.y*ml"))
EACH = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)

# What a job may do beyond reading the code, and which jobs.
RIGHTS = {
    ("chart.yml", "publish"): {"packages": "write", "id-token": "write"},
    ("release.yml", "image"): {"packages": "write", "id-token": "write", "attestations": "write"},
    ("release.yml", "chart"): {"packages": "write", "id-token": "write"},
    ("release.yml", "release"): {"contents": "write"},
}


def load(path: Path) -> dict[str, Any]:
    """A workflow; YAML reads the key `on` as true."""
    workflow = yaml.safe_load(path.read_text())
    workflow["on"] = workflow.pop(True)
    return workflow


def jobs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Its jobs by name."""
    yield from load(path)["jobs"].items()


def steps(path: Path) -> Iterator[dict[str, Any]]:
    """The steps of all jobs."""
    for _, job in jobs(path):
        yield from job.get("steps", [])


def actionlint(*files: Path) -> subprocess.CompletedProcess[str]:
    """What actionlint says of some files; shellcheck, which not every machine has, is left out."""
    command = [str(tool("actionlint")), "-no-color", "-shellcheck=", "-pyflakes=", *map(str, files)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_actionlint_finds_nothing() -> None:
    done = actionlint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text((REPOSITORY / ".github/workflows/audit.yml").read_text().replace("runs-on:", "run-on:"))
    done = actionlint(broken)
    assert done.returncode == 1 and "run-on" in done.stdout, done.stdout + done.stderr


@EACH
def test_actions_are_pinned_by_commit(path: Path) -> None:
    used = re.findall(r"^ *(?:- )?uses: *(.*)$", path.read_text(), re.MULTILINE)
    assert used
    for one in used:
        assert re.fullmatch(r"\./\.github/workflows/\w+\.yml|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


def test_an_action_has_one_version() -> None:
    found: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for name, version in re.findall(r"uses: *([\w./-]+)@(.*)$", path.read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in found.items() if len(versions) != 1} == {}


@EACH
def test_each_job_has_the_rights_it_needs_and_a_limit(path: Path) -> None:
    assert load(path)["permissions"] == {}
    for name, job in jobs(path):
        expected = RIGHTS.get((path.name, name), {})
        assert job["permissions"] in ({"contents": "read", **expected}, expected), name
        # One that calls a workflow cannot have a limit of its own.
        assert "uses" in job or 0 < job["timeout-minutes"] <= 120, name


@EACH
def test_runs_do_not_pile_up(path: Path) -> None:
    assert load(path)["concurrency"]["group"]


@EACH
def test_the_checkout_keeps_no_credentials(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@EACH
def test_no_stranger_runs_with_rights(path: Path) -> None:
    triggers = load(path)["on"]
    assert not set(triggers) & {"pull_request_target", "workflow_run", "issue_comment", "issues"}
    # A pull request runs its own code: no right to write may be within its reach.
    if "pull_request" in triggers:
        for name, job in jobs(path):
            writes = "write" in job["permissions"].values()
            assert not writes or job["if"].startswith("startsWith(github.ref, 'refs/tags/"), name


@EACH
def test_nothing_is_pasted_into_a_script(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step["run"]
    assert "secrets." not in path.read_text()


def test_a_release_waits_for_tests_and_audit() -> None:
    named = dict(jobs(REPOSITORY / ".github/workflows/release.yml"))

    def before(name: str) -> set[str]:
        needs = named[name].get("needs", [])
        needs = [needs] if isinstance(needs, str) else needs
        return set(needs).union(*(before(one) for one in needs))

    published = {name for name, job in named.items() if "write" in job["permissions"].values()}
    assert published == {"image", "chart", "release"}
    for name in published:
        assert before(name) >= {"test", "audit", "build"}, name
