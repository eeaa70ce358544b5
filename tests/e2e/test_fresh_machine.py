"""What a machine is told, and given, where little or nothing of what the tests need is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from toggle_e2e.gotools import BUILD, tool

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PREREQUISITES = REPOSITORY / "tests" / "e2e" / "prerequisites.sh"
PLAIN = ("awk", "bash", "cat", "cut", "dirname", "env", "find", "grep", "head", "mkdir", "mktemp", "rm", "sed", "sort")
PACKAGES = "python3 python3-venv make build-essential default-jre-headless podman buildah qemu-user-static chromium wrk"


def run(*command: str | Path, cwd: Path = REPOSITORY, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end and keeps what it says."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def program(folder: Path, name: str, text: str) -> None:
    """A script that stands for a program."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs that a machine has on which nothing was installed; its user is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PLAIN:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    program(folder, "id", "echo 0")
    program(folder, "uname", "echo x86_64")
    return folder


def test_what_is_missing_is_named_all_at_once(bare: Path, tmp_path: Path) -> None:
    done = run("bash", PREREQUISITES, PATH=str(bare), OPENCLAW_TEST_CACHE=str(tmp_path / "cache"), JAVA_HOME="")
    assert done.returncode == 1
    compilers = ("Rust", "Go", "python3", "make", "a C compiler", "a C++ compiler", "Java")
    for what in (*compilers, "podman", "qemu", "Chromium", "nginx"):
        assert re.search(rf"^missing: {re.escape(what)}", done.stdout, re.MULTILINE), f"{what}: {done.stdout}"


def test_what_debian_has_is_installed_at_once_and_not_asked_for(bare: Path, tmp_path: Path) -> None:
    log = tmp_path / "apt"
    program(bare, "apt-get", f'echo "$@" >>{log}')
    run("bash", PREREQUISITES, PATH=str(bare), OPENCLAW_TEST_CACHE=str(tmp_path / "cache"), JAVA_HOME="")
    updated, installed = log.read_text().splitlines()
    assert updated.startswith("update")
    assert set(PACKAGES.split()) <= set(installed.split())


def test_what_can_be_added_to_rust_is_added(bare: Path, tmp_path: Path) -> None:
    """A rustup with another toolchain than the pinned one, and no library for the targets."""
    log = tmp_path / "rustup"
    program(bare, "cargo", f"[ -d {tmp_path}/toolchain ]")
    program(bare, "rustc", f'echo {tmp_path}/"$4"')
    program(bare, "rustup", f'echo "$@" >>{log}; mkdir -p {tmp_path}/toolchain "{tmp_path}/${{3:-toolchain}}"')
    done = run("bash", PREREQUISITES, "cargo", PATH=str(bare))
    assert done.returncode == 0, done.stdout
    assert log.read_text().splitlines() == [
        "toolchain install",
        "target add x86_64-unknown-linux-musl",
        "target add aarch64-unknown-linux-musl",
    ]


def test_the_first_line_says_what_is_made_and_how_long_that_takes(tmp_path: Path) -> None:
    empty = tmp_path / "cache"
    given = {"OPENCLAW_TEST_CACHE": str(empty), "CARGO_TARGET_DIR": str(tmp_path / "target"), "KUBEBUILDER_ASSETS": ""}
    done = run("bash", REPOSITORY / "tests" / "e2e" / "announce.sh", **given)
    assert done.returncode == 0, done.stdout
    [line] = done.stdout.splitlines()
    assert line.startswith("make demo: makes first, and keeps: the homeserver and a client, the bot, etcd, kube-api")
    found = re.search(r"That takes about (\d+) min on (\d+) processors", line)
    assert found and int(found[1]) >= 1 and int(found[2]) == len(os.sched_getaffinity(0))
    assert [path for path in empty.rglob("*") if path.is_file()] == [], "to announce is not to make"
    again = run("bash", REPOSITORY / "tests" / "e2e" / "announce.sh", KUBEBUILDER_ASSETS="")
    assert "etcd" not in again.stdout and "a client" not in again.stdout, again.stdout


def test_programs_of_the_machine_are_taken(tmp_path: Path) -> None:
    for name in ("etcd", "kube-apiserver"):
        program(tmp_path, name, "true")
    given = {"KUBEBUILDER_ASSETS": str(tmp_path), "OPENCLAW_TEST_CACHE": str(tmp_path / "cache")}
    done = run("bash", BUILD, "--quick", "etcd", "kube-apiserver", **given)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/etcd\n{tmp_path}/kube-apiserver\n")
    missing = run("bash", BUILD, "--missing", "etcd", "kube-apiserver", "kube-controller-manager", **given)
    assert missing.stdout == "kube-controller-manager\n"


def test_a_quick_program_is_not_built_beside_a_good_one() -> None:
    assert tool("etcd", quick=True) == tool("etcd")


@pytest.mark.parametrize(
    "target", "smoke size sbom bench e2e memory reproducible demo picture waiting-page guide".split()
)
def test_targets_make_what_they_run(target: str) -> None:
    done = run("make", "-n", target)
    assert done.returncode == 0, done.stdout
    assert re.search(r"zigbuild|\bbinary\b", done.stdout), f"make {target} takes a binary that it does not make"


def test_crates_are_fetched_before_the_rules_are_asked_offline() -> None:
    commands = run("make", "-n", "e2e").stdout
    assert "cargo fetch" in commands and "tests/fuzz/Cargo.toml" in commands
    assert commands.index("cargo fetch") < commands.index("-m pytest")
