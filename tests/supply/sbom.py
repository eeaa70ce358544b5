"""Writes what the release binaries and their image are made of, as CycloneDX 1.6.

    sbom.py TRIPLE…

Into target/sbom go one file a binary and one for the image. Beside the crates
stands what no tool that reads Cargo.lock can see: the C sources inside crates,
the C library and the compiler's run-time that are linked in, Mozilla's roots.
The same sources give the same bytes: a time is written only where
SOURCE_DATE_EPOCH says which. Runs under the Python of the tests' environment,
since the linker that it describes is installed there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "openclaw-k8s-toggle-operator"
IMAGE = f"ghcr.io/vroomfondel/{NAME}"
ARCHITECTURES = {"x86_64-unknown-linux-musl": "amd64", "aarch64-unknown-linux-musl": "arm64"}

Json = dict[str, Any]


def target_dir() -> Path:
    """Where Cargo builds."""
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def binary(triple: str) -> Path:
    """The release binary."""
    return target_dir() / triple / "release" / NAME


def output(*command: str) -> str:
    """What a program prints; its errors are seen by whoever runs this."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


@dataclass(frozen=True, order=True)
class Crate:
    """A package of the lock file."""

    name: str
    version: str

    @property
    def ref(self) -> str:
        """Its name everywhere: the package URL."""
        return f"pkg:cargo/{self.name}@{self.version}"


@dataclass
class Tree:
    """What a binary depends on, as Cargo resolves it for one target."""

    edges: dict[Crate, set[Crate]] = field(default_factory=dict)
    # In the binary, macros and build scripts apart.
    linked: set[Crate] = field(default_factory=set)


def cargo_tree(triple: str, kinds: str) -> dict[Crate, set[Crate]]:
    """The crates with what each needs, over edges of some kinds."""
    edges: dict[Crate, set[Crate]] = {}
    path: list[Crate] = []
    text = output("cargo", "tree", "--locked", "--target", triple, "-e", kinds, "--prefix", "depth")
    for line in text.splitlines():
        found = re.match(r"(\d+)(\S+) v(\S+)", line)
        if not found:
            raise SystemExit(f"cargo tree printed a line of an unknown form: {line}")
        depth, crate = int(found[1]), Crate(found[2], found[3])
        edges.setdefault(crate, set())
        path[depth:] = [crate]
        if depth:
            edges[path[depth - 1]].add(crate)
    return edges


def read_tree(triple: str) -> Tree:
    """Both readings of Cargo's tree for a target."""
    linked = cargo_tree(triple, "normal,no-proc-macro")
    return Tree(cargo_tree(triple, "normal,build"), set(linked))


def packages() -> dict[Crate, Json]:
    """What the manifests of all crates say."""
    found = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1"))
    return {Crate(one["name"], one["version"]): one for one in found["packages"]}


def checksums() -> dict[Crate, str]:
    """The hashes of the lock file, which Cargo holds each download against."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {Crate(one["name"], one["version"]): one["checksum"] for one in lock["package"] if "checksum" in one}


def licence(expression: str) -> list[Json]:
    """Old manifests separate licences by a slash."""
    return [{"expression": expression.replace("/", " OR ").replace("  ", " ")}]


def crate_component(crate: Crate, package: Json, checksum: str, linked: bool) -> Json:
    """A crate; what runs at build time alone is excluded from the binary."""
    component: Json = {
        "type": "library",
        "bom-ref": crate.ref,
        "name": crate.name,
        "version": crate.version,
        "scope": "required" if linked else "excluded",
        "hashes": [{"alg": "SHA-256", "content": checksum}],
        "licenses": licence(package["license"]),
        "purl": crate.ref,
    }
    if package.get("repository"):
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    if crate.name == "ring":
        component["pedigree"] = {
            "ancestors": [
                {
                    "type": "library",
                    "name": "boringssl",
                    "purl": "pkg:github/google/boringssl",
                    "licenses": licence("Apache-2.0"),
                },
                {
                    "type": "library",
                    "name": "fiat-crypto",
                    "purl": "pkg:github/mit-plv/fiat-crypto",
                    "licenses": licence("MIT OR Apache-2.0 OR BSD-1-Clause"),
                },
            ],
            "notes": "The C and assembly sources of the crate, which it names no versions of, are compiled in.",
        }
    return component


def defined(header: Path, name: str) -> str:
    """The text that a C header defines a name as."""
    found = re.search(rf'^#define {name}\s+"([^"]+)"', header.read_text(errors="replace"), re.MULTILINE)
    if not found:
        raise SystemExit(f"{header} does not say which version it is: look where {name} is now")
    return found[1]


def foreign(
    name: str, version: str, licensed: str, purl: str, used_by: list[str], **more: object
) -> tuple[Json, list[str]]:
    """Something that is no crate, with the references of what it is a part of."""
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "scope": "required",
        "licenses": licence(licensed),
        "purl": purl,
        **more,
    }
    return component, used_by


def musl_version(triple: str) -> str:
    """That of the C library that is linked, as it says itself."""
    archive = Path(output("rustc", "--print", "sysroot").strip(), f"lib/rustlib/{triple}/lib/self-contained/libc.a")
    versions = set(re.findall(rb"\0(\d+\.\d+\.\d+)\0", archive.read_bytes()))
    if len(versions) != 1:
        raise SystemExit(f"{archive} does not say which version it is: {versions or 'nothing is found'}")
    return versions.pop().decode()


def foreign_components(triple: str, tree: Tree, found: dict[Crate, Json], root: Crate) -> list[tuple[Json, list[str]]]:
    """What is linked in and stands in no lock file."""
    said = output("rustc", "-vV")
    rust = re.search(r"^release: (\S+)$", said, re.MULTILINE)
    llvm = re.search(r"^LLVM version: (\S+)$", said, re.MULTILINE)
    if not rust or not llvm:
        raise SystemExit("rustc -vV does not say which release and which LLVM it is")
    by_name = {crate.name: crate for crate in tree.linked}
    sqlite_crate, roots_crate = by_name["libsqlite3-sys"], by_name["webpki-roots"]
    sqlite = defined(Path(found[sqlite_crate]["manifest_path"]).parent / "sqlite3" / "sqlite3.h", "SQLITE_VERSION")
    musl = musl_version(triple)
    return [
        foreign(
            "rust-std",
            rust[1],
            "MIT OR Apache-2.0",
            f"pkg:github/rust-lang/rust@{rust[1]}",
            [root.ref],
            description="Rust's standard library, as rustup ships it",
        ),
        foreign(
            "sqlite",
            sqlite,
            "blessing",
            f"pkg:generic/sqlite@{sqlite}",
            [sqlite_crate.ref],
            cpe=f"cpe:2.3:a:sqlite:sqlite:{sqlite}:*:*:*:*:*:*:*",
            description="The amalgamation inside libsqlite3-sys",
        ),
        foreign(
            "mozilla-roots",
            roots_crate.version,
            "MPL-2.0",
            f"pkg:generic/mozilla-roots@{roots_crate.version}",
            [roots_crate.ref],
            type="data",
            description="The certificate authorities that Mozilla trusts, of the date of webpki-roots",
        ),
        foreign(
            "musl",
            musl,
            "MIT",
            f"pkg:generic/musl@{musl}",
            [root.ref],
            cpe=f"cpe:2.3:a:musl-libc:musl:{musl}:*:*:*:*:*:*:*",
            description="The C library, which comes with Rust's standard library for the target",
        ),
        foreign(
            "llvm-libunwind",
            llvm[1],
            "Apache-2.0 WITH LLVM-exception",
            f"pkg:github/llvm/llvm-project@llvmorg-{llvm[1]}#libunwind",
            [root.ref],
            description="The unwinder, which comes with it too; linked as far as it is used",
        ),
    ]


def program(triple: str, package: Json) -> Json:
    """The binary itself."""
    return {
        "type": "application",
        "bom-ref": f"{NAME}-{triple}",
        "name": NAME,
        "version": package["version"],
        "description": package["description"],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(binary(triple).read_bytes()).hexdigest()}],
        "licenses": licence(package["license"]),
        "purl": f"pkg:github/vroomfondel/{NAME}@v{package['version']}#{triple}",
        "externalReferences": [{"type": "vcs", "url": package["repository"]}],
        "properties": [{"name": "cargo:target", "value": triple}],
    }


def document(root: Json, components: Iterable[Json], edges: dict[str, set[str]]) -> Json:
    """A whole bill of materials, in an order that depends on what is in it alone."""
    metadata: Json = {"lifecycles": [{"phase": "build"}], "component": root}
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        metadata = {"timestamp": datetime.fromtimestamp(int(epoch), UTC).isoformat(), **metadata}
    bom: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": sorted(components, key=lambda one: str(one["bom-ref"])),
        "dependencies": [{"ref": ref, "dependsOn": sorted(edges[ref])} for ref in sorted(edges)],
    }
    digest = hashlib.sha256(json.dumps(bom, sort_keys=True).encode()).hexdigest()
    bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, digest).urn
    return bom


@dataclass
class Parts:
    """What one binary is made of."""

    program: Json
    components: dict[str, Json]
    edges: dict[str, set[str]]


def parts(triple: str, found: dict[Crate, Json], sums: dict[Crate, str]) -> Parts:
    """The crates and the rest for one target."""
    tree = read_tree(triple)
    root = next(crate for crate in tree.edges if crate.name == NAME)
    named = program(triple, found[root])
    components = {
        crate.ref: crate_component(crate, found[crate], sums[crate], crate in tree.linked)
        for crate in tree.edges
        if crate != root
    }
    edges = {crate.ref: {one.ref for one in needs} for crate, needs in tree.edges.items()}
    for component, used_by in foreign_components(triple, tree, found, root):
        components[component["bom-ref"]] = component
        edges[component["bom-ref"]] = set()
        for ref in used_by:
            edges[ref].add(component["bom-ref"])
    edges[named["bom-ref"]] = edges.pop(root.ref)
    return Parts(named, components, edges)


def image(made: dict[str, Parts]) -> Json:
    """The image has one file an architecture, and nothing below it."""
    first = next(iter(made.values())).program
    components: dict[str, Json] = {}
    edges: dict[str, set[str]] = {}
    for triple, one in made.items():
        # What is linked for one architecture is required, whatever it is for the other.
        for ref, component in one.components.items():
            if component["scope"] == "required" or ref not in components:
                components[ref] = component
        for ref, needs in one.edges.items():
            edges.setdefault(ref, set()).update(needs)
        components[one.program["bom-ref"]] = {
            **one.program,
            "type": "file",
            "name": f"/{NAME}",
            "properties": [
                *one.program["properties"],
                {"name": "oci:platform", "value": f"linux/{ARCHITECTURES[triple]}"},
            ],
        }
    root = {
        "type": "container",
        "bom-ref": f"{NAME}-image",
        "name": IMAGE,
        "version": first["version"],
        "description": "FROM scratch, with the one file of the platform",
        "licenses": first["licenses"],
        "purl": f"pkg:oci/{NAME}?repository_url={IMAGE}&tag={first['version']}",
        "externalReferences": first["externalReferences"],
    }
    edges[root["bom-ref"]] = {one.program["bom-ref"] for one in made.values()}
    return document(root, components.values(), edges)


def write(path: Path, bom: Json) -> None:
    """One file, and a line that says what is in it."""
    path.write_text(json.dumps(bom, indent=2, sort_keys=True) + "\n")
    required = sum(one.get("scope") == "required" for one in bom["components"])
    print(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}: {required} linked in, "
          f"{len(bom['components']) - required} for the build or files")


def main(triples: list[str]) -> None:
    """Writes them all."""
    unknown = [triple for triple in triples if triple not in ARCHITECTURES]
    if unknown or not triples:
        raise SystemExit(f"name the targets, of {', '.join(ARCHITECTURES)}")
    for triple in triples:
        if not binary(triple).is_file():
            raise SystemExit(f"there is no binary at {binary(triple)}: make release builds it")
    found, sums = packages(), checksums()
    folder = target_dir() / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    made = {triple: parts(triple, found, sums) for triple in triples}
    for triple, one in made.items():
        write(folder / f"{NAME}-{triple}.cdx.json", document(one.program, one.components.values(), one.edges))
    write(folder / f"{NAME}-image.cdx.json", image(made))


if __name__ == "__main__":
    main(sys.argv[1:])
