"""What deploy/build-container-multiarch.sh runs, told by stand-ins for all it could run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from toggle_e2e.binary import REPOSITORY, TRIPLES
from toggle_e2e.bot import NAME

SCRIPT = REPOSITORY / "deploy" / "build-container-multiarch.sh"
IMAGE = "registry.example.com/toggle"
PASSWORD = "correct-horse-battery"
MACHINES = dict(zip(TRIPLES, (62, 183), strict=True))
TOOLS = pytest.mark.parametrize("tool", ["buildah", "podman", "docker"])

# Records how it was called and what it was told, says what a real one would be asked for, and fails if told to.
STAND_IN = """#!{python} -IS
import json, os, pathlib, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
told = "" if sys.stdin.isatty() or "--password-stdin" not in arguments else sys.stdin.read()
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([name, *arguments]), file=calls)
with open(os.environ["CALLS"] + ".told", "a") as calls:
    calls.write(told)
    calls.write(os.environ.get("REGISTRY_PASSWORD", ""))
if "--digestfile" in arguments:
    pathlib.Path(arguments[arguments.index("--digestfile") + 1]).write_text("sha256:0123")
if "inspect" in arguments:
    print("sha256:0123")
if name == "make":
    for file, machine in json.loads(os.environ["BINARIES"]).items():
        pathlib.Path(file).write_bytes(bytes(18) + bytes([machine, 0]))
sys.exit(name in os.environ.get("BROKEN", "").split())
"""


class Bench:
    """A target directory, stand-ins on the path, and what became of them."""

    def __init__(self, workdir: Path) -> None:
        self.target = workdir / "target"
        self.calls = workdir / "calls"
        self.bin = workdir / "bin"
        self.bin.mkdir()
        self.binaries = {self.target / triple / "release" / NAME: number for triple, number in MACHINES.items()}
        for file, machine in self.binaries.items():
            file.parent.mkdir(parents=True)
            self.write(file, machine)
        for name in ("buildah", "podman", "docker", "make"):
            (self.bin / name).write_text(STAND_IN.format(python=sys.executable))
            (self.bin / name).chmod(0o755)

    @staticmethod
    def write(file: Path, machine: int) -> None:
        """As much of an ELF file as says what machine it is for."""
        file.write_bytes(bytes(18) + bytes([machine, 0]))

    def environment(self, **settings: str) -> dict[str, str]:
        """Nothing of the caller's but where programs are."""
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "CARGO_TARGET_DIR": str(self.target),
            "BINARIES": json.dumps({str(file): number for file, number in self.binaries.items()}),
            "IMAGE": IMAGE,
            "VERSION": "1.2.3",
            **settings,
        }

    def run(self, *arguments: str, told: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs the script, with what it is told on standard input."""
        return self._run(["bash", str(SCRIPT), *arguments], told, settings)

    def paste(self, text: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs what a dry run has printed, as somebody would who pastes it."""
        return self._run(["bash", "-euo", "pipefail", "-c", text], "", settings)

    def _run(self, command: list[str], told: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.environment(**settings),
            input=told,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def called(self) -> list[list[str]]:
        """The calls since the last time this was asked, less the question whether a tool works."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return [call for call in map(json.loads, lines) if call[1:] != ["info"]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Both binaries are there and newer than any source."""
    return Bench(tmp_path)


@TOOLS
@pytest.mark.parametrize("mode", [(), ("onlylocal",), ("login",)], ids=["push", "onlylocal", "login"])
def test_a_dry_run_prints_precisely_what_a_run_does(bench: Bench, tool: str, mode: tuple[str, ...]) -> None:
    who = {"REGISTRY_USER": "some body", "REGISTRY_PASSWORD": PASSWORD, "CONTAINER_TOOL": tool}
    dry = bench.run("--dry-run", *mode, **who)
    assert dry.returncode == 0, dry.stderr
    assert bench.called() == [], "a dry run ran something"
    assert PASSWORD not in dry.stdout + dry.stderr
    assert not (bench.target / "image").exists(), "a dry run made something"

    done = bench.run(*mode, **who)
    assert done.returncode == 0, done.stderr
    calls = bench.called()
    assert calls and {call[0] for call in calls} == {tool}
    assert PASSWORD not in done.stdout + done.stderr + json.dumps(calls)

    pasted = bench.paste(dry.stdout, **who)
    assert pasted.returncode == 0, pasted.stderr
    assert bench.called() == calls


@TOOLS
def test_both_architectures_are_built_and_pushed_under_both_tags(bench: Bench, tool: str) -> None:
    done = bench.run(CONTAINER_TOOL=tool)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "sha256:0123", "the digest is not what it ends with"
    calls = [shlex.join(call) for call in bench.called()]
    for platform in ("amd64", "arm64"):
        (build,) = [call for call in calls if f"--platform linux/{platform}" in call]
        assert f"TARGETARCH={platform}" in build and "VERSION=1.2.3" in build
        assert re.search(r"REVISION=([0-9a-f]{40}(-dirty)?|unknown) ", build), build
        assert f"--tag {IMAGE}:1.2.3-{platform}" in build
    if tool == "docker":
        (create,) = [call for call in calls if "imagetools create" in call]
        assert f"--tag={IMAGE}:1.2.3 --tag={IMAGE}:latest" in create
        assert f"{IMAGE}:1.2.3-amd64 {IMAGE}:1.2.3-arm64" in create
        return
    for tag in ("1.2.3", "latest"):
        create = f"manifest create {IMAGE}:{tag}"
        assert any(create in call and "-amd64" in call and "-arm64" in call for call in calls), calls
        assert any(call.endswith(f"{IMAGE}:{tag} docker://{IMAGE}:{tag}") for call in calls), calls


@TOOLS
def test_what_comes_before_a_release_is_not_the_latest(bench: Bench, tool: str) -> None:
    assert bench.run(CONTAINER_TOOL=tool, VERSION="1.2.3-rc.1").returncode == 0
    calls = [shlex.join(call) for call in bench.called()]
    assert any(f"{IMAGE}:1.2.3-rc.1" in call for call in calls)
    assert not [call for call in calls if "latest" in call]


def test_only_local_logs_in_and_pushes_nowhere(bench: Bench) -> None:
    for tool in ("buildah", "podman", "docker"):
        assert bench.run("onlylocal", CONTAINER_TOOL=tool, REGISTRY_USER="me", REGISTRY_PASSWORD="x").returncode == 0
        calls = [shlex.join(call) for call in bench.called()]
        assert calls and not [call for call in calls if re.search(r"\b(push|login|imagetools)\b", call)]


@TOOLS
@pytest.mark.parametrize("source", ["environment", "standard input"])
def test_the_password_is_told_to_nobody_but_the_tool_by_its_input(bench: Bench, tool: str, source: str) -> None:
    given = {"REGISTRY_PASSWORD": PASSWORD} if source == "environment" else {}
    told = "" if given else PASSWORD + "\n"
    done = bench.run("login", told=told, CONTAINER_TOOL=tool, REGISTRY_USER="me", **given)
    assert done.returncode == 0, done.stderr
    assert bench.called() == [[tool, "login", "--username", "me", "--password-stdin", "registry.example.com"]]
    heard = Path(f"{bench.calls}.told").read_text()
    assert heard == PASSWORD + "\n", "once, on standard input, and not in the environment"


def test_the_first_tool_that_works_is_taken(bench: Bench) -> None:
    for broken, tool in [("", "buildah"), ("buildah", "podman"), ("buildah podman", "docker")]:
        assert bench.run("onlylocal", BROKEN=broken).returncode == 0
        assert {call[0] for call in bench.called()} == {tool}


def test_binaries_are_built_when_they_are_missing_or_old(bench: Bench) -> None:
    make = ["make", "--no-print-directory", "release"]
    assert bench.run("onlylocal").returncode == 0
    assert make not in bench.called()
    file = next(iter(bench.binaries))
    os.utime(file, (1, 1))
    assert make not in (bench.run("onlylocal", SKIP_BUILD="1"), bench.called())[1]
    done = bench.run("onlylocal")
    assert done.returncode == 0 and "newer than" in done.stderr, done.stderr
    assert bench.called()[0] == make
    file.unlink()
    done = bench.run("onlylocal")
    assert done.returncode == 0 and f"there is no {file}" in done.stderr, done.stderr
    assert bench.called()[0] == make


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "said"),
    [
        (("everything",), {}, 2, "everything is no mode"),
        ((), {"IMAGE": f"{IMAGE}:1.0"}, 1, "set that as VERSION"),
        ((), {"VERSION": "1/2"}, 1, "VERSION cannot be a tag"),
        ((), {"PLATFORMS": "s390x"}, 1, "amd64, arm64 or both"),
        ((), {"CONTAINER_TOOL": "kaniko"}, 1, "buildah, podman or docker"),
        ((), {"CONTAINER_TOOL": "docker", "BROKEN": "docker"}, 1, "docker does not work here"),
        ((), {"BROKEN": "buildah podman docker"}, 1, "apt-get install buildah"),
        ((), {"CONTAINER_TOOL": "docker", "TLS_VERIFY": "false"}, 1, "insecure-registries"),
        (("login",), {}, 1, "REGISTRY_USER is not set"),
        (("login",), {"REGISTRY_USER": "me"}, 1, "REGISTRY_PASSWORD is not set"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_said_in_one_sentence(
    bench: Bench, arguments: tuple[str, ...], settings: dict[str, str], code: int, said: str
) -> None:
    done = bench.run(*arguments, **settings)
    assert done.returncode == code, done.stderr
    assert said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert bench.called() == []


def test_a_binary_that_is_missing_or_of_another_machine_goes_into_no_image(bench: Bench) -> None:
    file = list(bench.binaries)[1]
    bench.write(file, 62)
    done = bench.run("onlylocal")
    assert done.returncode == 1 and f"{file} is not for arm64" in done.stderr, done.stderr
    file.unlink()
    done = bench.run("onlylocal", SKIP_BUILD="1")
    assert done.returncode == 1 and "make release builds it" in done.stderr, done.stderr
    assert bench.called() == []


def test_help_names_every_variable(bench: Bench) -> None:
    told = bench.run("--help").stdout
    text = SCRIPT.read_text()
    for name in set(re.findall(r"\$\{([A-Z_]+)[:}]", text)) - {"BASH_SOURCE", "CARGO_TARGET_DIR"}:
        assert name in told, f"--help does not tell of {name}"
