"""That what looks through the dependencies would find what it looks for, and that
the binaries and their bills of materials say what is in them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import referencing

from toggle_e2e.cache import cache_root, lock

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SUPPLY = REPOSITORY / "tests" / "supply"
NAME = "openclaw-k8s-toggle-operator"
TARGET = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target")
TRIPLES = ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl")
BUILT = [triple for triple in TRIPLES if (TARGET / triple / "release" / NAME).is_file()]


# What reproducible.sh calls: make --no-print-directory -C FOLDER binary.
MAKE = r"""#!/usr/bin/env bash
set -eu
folder="$3/target/$(uname -m)-unknown-linux-musl/release"
[ -f "$3/Cargo.lock" ] && [ "$CARGO_HOME" != "$HOME/.cargo" ] && [ "$(umask)" = 0077 ]
mkdir -p "$folder"
echo "one binary" | tr n CHANGED >"$folder/openclaw-k8s-toggle-operator"
"""


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


@pytest.fixture(scope="module")
def tools() -> str:
    """A search path with cargo-deny, which is built where it is missing."""
    folder = subprocess.run(["bash", SUPPLY / "tool.sh", "cargo-deny"], check=True, stdout=subprocess.PIPE, text=True)
    return f"{folder.stdout.strip()}:{os.environ['PATH']}"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The program's manifest and lock file with the rules, and no code."""
    folder = tmp_path / "workspace"
    for name in ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/deny.toml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "src").mkdir()
    for name in ("lib.rs", "main.rs"):
        (folder / "src" / name).touch()
    return folder


def add_crate(folder: Path, name: str, version: str, licence: str, where: Path | None = None) -> None:
    """A crate of nothing, which the program depends on unless it lies elsewhere."""
    crate = (where or folder) / name
    (crate / "src").mkdir(parents=True)
    (crate / "src" / "lib.rs").touch()
    (crate / "Cargo.toml").write_text(
        f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2024"\nlicense = "{licence}"\n'
    )
    if where is None:
        depend(folder, f'stranger = {{ package = "{name}", path = "{name}" }}')


def depend(folder: Path, line: str) -> None:
    """Adds a line to the program's dependencies."""
    manifest = folder / "Cargo.toml"
    manifest.write_text(manifest.read_text().replace("[dependencies]\n", f"[dependencies]\n{line}\n", 1))


def deny(folder: Path, tools: str, *checks: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """cargo-deny's answer, as tests/supply/audit.sh asks it."""
    command = ["cargo", "deny", "--color", "never", *options, "check", "--hide-inclusion-graph", "--deny", "warnings"]
    return run(*command, *checks, cwd=folder, PATH=tools)


def test_the_rules_let_the_tree_pass(workspace: Path, tools: str) -> None:
    done = deny(workspace, tools, "licenses", "bans", "sources", options=("--offline", "--locked"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("check", "name", "version", "licence", "found"),
    [
        ("bans", "openssl", "0.10.0", "Apache-2.0", r"error\[banned\]: crate 'openssl = 0.10.0' is explicitly banned"),
        ("licenses", "stranger", "1.0.0", "AGPL-3.0-only", r"error\[rejected\]: failed to satisfy license"),
        ("bans", "ring", "0.16.0", "Apache-2.0", r"error\[duplicate\]: found 2 duplicate entries for crate 'ring'"),
    ],
    ids=["banned", "foreign licence", "second version"],
)
def test_the_rules_stop_a_crate(
    workspace: Path, tools: str, check: str, name: str, version: str, licence: str, found: str
) -> None:
    add_crate(workspace, name, version, licence)
    done = deny(workspace, tools, check, options=("--offline",))
    assert done.returncode != 0
    assert re.search(found, done.stdout) and name in done.stdout, done.stdout


def test_the_rules_stop_a_build_script(workspace: Path, tools: str) -> None:
    add_crate(workspace, "stranger", "1.0.0", "MIT")
    (workspace / "stranger" / "build.rs").write_text("fn main() {}\n")
    done = deny(workspace, tools, "bans", options=("--offline",))
    assert done.returncode != 0
    assert "build-script-not-allowed" in done.stdout and "stranger" in done.stdout, done.stdout


def test_the_rules_stop_another_source(workspace: Path, tools: str, tmp_path: Path) -> None:
    add_crate(workspace, "stranger", "1.0.0", "MIT", where=tmp_path / "elsewhere")
    repository(tmp_path / "elsewhere" / "stranger")
    depend(workspace, f'stranger = {{ git = "file://{tmp_path}/elsewhere/stranger" }}')
    done = deny(workspace, tools, "sources")
    assert done.returncode != 0
    assert "source-not-allowed" in done.stdout and "elsewhere/stranger" in done.stdout, done.stdout


def repository(folder: Path) -> None:
    """Makes a git repository of what lies there."""
    who = {f"GIT_{one}_{what}": "test@example.com" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for command in (["init", "--quiet", "--initial-branch", "main"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        done = run("git", *command, cwd=folder, **who)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("crate", "code"), [("rustls", 1), ("no-crate-of-ours", 0)])
def test_the_audit_reads_the_advisories(tmp_path: Path, crate: str, code: int) -> None:
    advisory = tmp_path / "crates" / crate / "RUSTSEC-2099-0001.md"
    advisory.parent.mkdir(parents=True)
    advisory.write_text(
        f'```toml\n[advisory]\nid = "RUSTSEC-2099-0001"\npackage = "{crate}"\ndate = "2099-01-01"\n\n'
        '[versions]\npatched = []\n```\n\n# Made for this test\n\nIt says nothing.\n'
    )
    repository(tmp_path)
    done = run("bash", SUPPLY / "audit.sh", "--advisories", "Cargo.toml", ADVISORY_DB=str(tmp_path))
    assert done.returncode == code, done.stdout
    assert ("RUSTSEC-2099-0001" in done.stdout) == bool(code)
    said = "FAILED" if code else "ok, the database of "
    assert re.search(rf"^advisories: +{said}", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--advisories"], 1)])
def test_the_audit_says_what_it_did_not_look_at(tmp_path: Path, options: list[str], code: int) -> None:
    done = run("bash", SUPPLY / "audit.sh", *options, "Cargo.toml", ADVISORY_DB=str(tmp_path / "none"))
    assert done.returncode == code, done.stdout
    assert re.search(r"^licences, bans, sources: +ok$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^advisories: +not checked: ADVISORY_DB, ", done.stdout, re.MULTILINE), done.stdout


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    """The script that writes the bills of materials."""
    spec = importlib.util.spec_from_file_location("sbom", SUPPLY / "sbom.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["sbom"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the script writes for the binaries there are, written twice and the same."""
    assert BUILT, f"there is no release binary below {TARGET}: make release builds them"
    written = []
    for _ in range(2):
        done = run(sys.executable, "-B", SUPPLY / "sbom.py", *BUILT)
        assert done.returncode == 0, done.stdout
        written.append({path.name: path.read_text() for path in sorted((TARGET / "sbom").glob("*.cdx.json"))})
    assert written[0] == written[1]
    return {name: json.loads(text) for name, text in written[0].items()}


@pytest.fixture(scope="module")
def schema() -> jsonschema.protocols.Validator:
    """CycloneDX's own schema, with the two it refers to."""
    requirements = SUPPLY / "requirements.txt"
    target = cache_root() / f"cyclonedx-{re.findall(r'==(.*?) ', requirements.read_text())[0]}"
    with lock(target.with_suffix(".lock")):
        if not target.is_dir():
            partial = target.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            options = ["--quiet", "--no-input", "--no-deps", "--require-hashes", "--target", str(partial)]
            done = run(sys.executable, "-m", "pip", "install", *options, "-r", requirements)
            assert done.returncode == 0, done.stdout
            partial.rename(target)
    folder = target / "cyclonedx" / "schema" / "_res"

    def read(name: str) -> dict[str, Any]:
        return json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text())

    registry: referencing.Registry[Any] = referencing.Registry()
    for name in ("spdx", "jsf-0.82"):
        text = read(name)
        registry = registry.with_resource(text["$id"], referencing.Resource.from_contents(text))
        registry = registry.with_resource(
            f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json", referencing.Resource.from_contents(text)
        )
    return jsonschema.Draft7Validator(read("bom-1.6"), registry=registry)


def test_the_bills_are_cyclonedx(bills: dict[str, dict[str, Any]], schema: jsonschema.protocols.Validator) -> None:
    assert len(bills) >= len(BUILT) + 1
    for name, bill in bills.items():
        assert not [f"{name}: {error.json_path}: {error.message}" for error in schema.iter_errors(bill)]
        broken = {**bill, "components": [{**bill["components"][0], "type": "no such type"}]}
        assert not schema.is_valid(broken)


def locked() -> dict[tuple[str, str], str]:
    """The crates of the lock file with their hashes."""
    packages = tomllib.loads((REPOSITORY / "Cargo.lock").read_text())["package"]
    return {(one["name"], one["version"]): one.get("checksum", "") for one in packages}


def tree(triple: str, kinds: str) -> set[tuple[str, str]]:
    """The crates that Cargo says are needed, ourselves apart."""
    done = run("cargo", "tree", "--locked", "--target", triple, "-e", kinds, "--prefix", "none", "--no-dedupe")
    assert done.returncode == 0, done.stdout
    found = re.findall(r"^(\S+) v(\S+)", done.stdout, re.MULTILINE)
    return {(name, version) for name, version in found if name != NAME}


def resolved(triple: str) -> set[tuple[str, str]]:
    """The same as `cargo metadata` has it, over the edges that are not for tests alone."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", triple]
    graph = json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout)
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    seen: set[str] = set()
    waiting = [graph["resolve"]["root"]]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            for needs in nodes[one]["deps"]:
                if any(kind["kind"] in (None, "build") for kind in needs["dep_kinds"]):
                    waiting.append(needs["pkg"])
    return {(one["name"], one["version"]) for one in graph["packages"] if one["id"] in seen and one["name"] != NAME}


def crates(bill: dict[str, Any], scope: str) -> set[tuple[str, str]]:
    """A bill's crates of a scope."""
    return {
        (one["name"], one["version"])
        for one in bill["components"]
        if one.get("scope") == scope and one["purl"].startswith("pkg:cargo/")
    }


@pytest.mark.parametrize("triple", BUILT)
def test_a_bill_names_what_is_in_the_binary(bills: dict[str, dict[str, Any]], sbom: ModuleType, triple: str) -> None:
    bill = bills[f"{NAME}-{triple}.cdx.json"]
    binary = (TARGET / triple / "release" / NAME).read_bytes()
    digest = hashlib.sha256(binary).hexdigest()
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert crates(bill, "required") == tree(triple, "normal,no-proc-macro")
    assert crates(bill, "excluded") == tree(triple, "normal,build") - crates(bill, "required")
    sums = locked()
    for one in bill["components"]:
        if one["purl"].startswith("pkg:cargo/"):
            assert one["hashes"] == [{"alg": "SHA-256", "content": sums[one["name"], one["version"]]}]
    others = {one["name"]: one for one in bill["components"] if not one["purl"].startswith("pkg:cargo/")}
    assert set(others) == {"llvm-libunwind", "mozilla-roots", "musl", "rust-std", "sqlite"}
    assert others["sqlite"]["version"].encode() in binary
    # Everything named is reached from the program, and nothing is that is not named.
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    seen, waiting = set(), [bill["metadata"]["component"]["bom-ref"]]
    while waiting:
        ref = waiting.pop()
        if ref not in seen:
            seen.add(ref)
            waiting += needs[ref]
    assert seen == set(needs)
    assert seen - {bill["metadata"]["component"]["bom-ref"]} == {one["bom-ref"] for one in bill["components"]}


def test_the_images_bill_is_that_of_its_files(bills: dict[str, dict[str, Any]]) -> None:
    bill = bills[f"{NAME}-image.cdx.json"]
    assert bill["metadata"]["component"]["type"] == "container"
    files = {one["bom-ref"]: one for one in bill["components"] if one["type"] == "file"}
    assert set(files) == {f"{NAME}-{triple}" for triple in BUILT}
    required: set[tuple[str, str]] = set()
    for triple in BUILT:
        own = bills[f"{NAME}-{triple}.cdx.json"]
        assert files[f"{NAME}-{triple}"]["hashes"] == own["metadata"]["component"]["hashes"]
        required |= crates(own, "required")
    assert crates(bill, "required") == required


def section(binary: bytes, name: bytes) -> bytes:
    """The contents of a section of a 64-bit little-endian ELF file."""
    headers, size, count, names_at = *struct.unpack_from("<Q", binary, 40), *struct.unpack_from("<HHH", binary, 58)
    # Of a header: where its name is, then offset and length of the contents.
    table = [struct.unpack_from("<I20xQQ", binary, headers + size * index) for index in range(count)]
    names = table[names_at]
    for at, offset, length in table:
        start = names[1] + at
        if binary[start : binary.index(b"\0", start)] == name:
            return binary[offset : offset + length]
    raise AssertionError(f"there is no section {name.decode()}")


@pytest.mark.parametrize("triple", BUILT)
def test_the_binary_names_its_crates(triple: str) -> None:
    binary = (TARGET / triple / "release" / NAME).read_bytes()
    listed = json.loads(zlib.decompress(section(binary, b".dep-v0")))["packages"]
    assert [one["name"] for one in listed if one.get("root")] == [NAME]
    embedded = {(one["name"], one["version"]) for one in listed if one["name"] != NAME}
    runtime = {(one["name"], one["version"]) for one in listed if one.get("kind", "runtime") == "runtime"}
    assert tree(triple, "normal,no-proc-macro") <= runtime
    # It is told by `cargo metadata`, which does not leave out what a feature of a test asks for.
    assert tree(triple, "normal,build") <= embedded == resolved(triple)


@pytest.mark.parametrize("triple", BUILT)
def test_the_binary_does_not_say_where_it_was_built(triple: str) -> None:
    binary = (TARGET / triple / "release" / NAME).read_bytes()
    cargo = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
    for folder in (REPOSITORY, cargo, cache_root(), Path.home() / ".rustup"):
        assert str(folder).encode() not in binary


@pytest.mark.parametrize("changed", [False, True])
def test_a_second_build_that_differs_is_told(tmp_path: Path, changed: bool) -> None:
    """With a `make` that builds nothing: what is compared, and what comes of it."""
    triple = f"{os.uname().machine}-unknown-linux-musl"
    for name, text in (("bin/make", MAKE), (f"target/{triple}/release/{NAME}", "one binary\n")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text.replace("CHANGED", "y" if changed else "n"))
    (tmp_path / "bin" / "make").chmod(0o755)
    (tmp_path / "cargo" / "registry" / "index").mkdir(parents=True)
    (tmp_path / "cargo" / "registry" / "cache").mkdir()
    given = {"CARGO_TARGET_DIR": str(tmp_path / "target"), "CARGO_HOME": str(tmp_path / "cargo")}
    done = run("bash", SUPPLY / "reproducible.sh", PATH=f"{tmp_path}/bin:{os.environ['PATH']}", **given)
    assert done.returncode == int(changed), done.stdout
    assert ("they differ in 2 bytes" in done.stdout) == changed, done.stdout
    assert len(set(re.findall(r"^[0-9a-f]{64}", done.stdout, re.MULTILINE))) == 1 + int(changed)


SCRIPTS = sorted(
    path
    for path in [
        REPOSITORY / "Makefile",
        REPOSITORY / ".ci" / "run",
        *(REPOSITORY / ".github").rglob("*.yml"),
        *(REPOSITORY / "deploy").rglob("*.sh"),
        *(REPOSITORY / "tests").rglob("*.sh"),
        *(REPOSITORY / "tests").rglob("*.py"),
    ]
    if path != Path(__file__)
)
# What resolves dependencies; `fmt`, `clean` and `pkgid` do not.
RESOLVING = "(?:auditable )?((?:zig)?build|bench|check|clippy|deny|doc|fetch|install|metadata|run|rustc|test|tree)"


def cargo_calls(text: str) -> list[tuple[str, str]]:
    """Each call of Cargo in a script, with its subcommand."""
    text = text.replace("\\\n", " ")
    # At the beginning of a command: of a line, after an operator, a keyword or a variable's value.
    value = r"""\b\w+=(?:"[^"]*"|'[^']*'|[^\s"']+)"""
    shell = rf"(?:^|[;&|{{(]|\b(?:exec|nice|then|do|run|env)\b|{value})[ \t@]*(cargo {RESOLVING}\b[^\n;|]*)"
    python = r"""(["']cargo["'], *["']([\w-]+)["'][^\])]*)"""
    return re.findall(shell, text, re.MULTILINE) + re.findall(python, text)


def test_calls_of_cargo_are_found() -> None:
    text = '\t@x=1; cargo test\nRUSTFLAGS="-a b" cargo build \\\n --locked\n(nice cargo install a)\n["cargo", "tree"]'
    assert [name for _, name in cargo_calls(text)] == ["test", "build", "install", "tree"]
    assert ["--locked" in call for call, _ in cargo_calls(text)] == [False, True, False, False]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_cargo_keeps_to_the_lock_file(path: Path) -> None:
    calls = cargo_calls(path.read_text())
    assert not [call for call, _ in calls if "--locked" not in call]


def test_the_toolchain_is_pinned() -> None:
    channel = tomllib.loads((REPOSITORY / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", channel)
    package = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["package"]
    assert channel.startswith(package["rust-version"] + ".")
