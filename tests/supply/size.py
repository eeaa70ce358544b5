"""What the release binaries are made of: `make size`, after `make release`.

The linker's map says what went in where. Code is counted for the crate whose
function it is, so a generic function of one crate that another uses counts for
the first; constants mostly bear no name. The table over time and the reasons are
in docs/dependencies.md; `--check` fails where it does not match the binaries.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "openclaw-k8s-toggle-operator"
OURS = NAME.replace("-", "_")
TRIPLES = ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl")
DOCUMENT = REPOSITORY / "docs/dependencies.md"
LARGEST = 20
NAMELESS = "constants without a name"
MIB = 1 << 20

# What differs between two machines or two weeks, before the table has to be renewed.
TOLERANCE = 0.01

_STANDARD = {"core", "alloc", "std", "panic_abort", "std_detect", "compiler_builtins"}
# What the standard library reads backtraces with.
_STANDARD |= {"addr2line", "gimli", "miniz_oxide", "rustc_demangle"}
# Crates that are called otherwise in code.
_PACKAGES = {"webpki": "rustls-webpki"}
_ENTRY = re.compile(r"^ *[0-9a-f]+ +[0-9a-f]+ +([0-9a-f]+) +\d+ (.*)$")
_INPUT = re.compile(r"^ {8}(\S.*):\((\S+?)\)$")
_OUTPUT = re.compile(r"^(\.\S+)$")
_CRATE = re.compile(r"(?<![\w$:.])([a-z][a-z0-9_]*)(?:::|\.\.)")

# A crate's name in the two ways a symbol is written: `Cs1a2b_4core`, `_ZN4core3fmt…E`.
_V0 = re.compile(r"Cs[0-9A-Za-z]*_(\d+)_?([a-z]\w*)")
_LEGACY = re.compile(r"_ZN(\d.*)E")
_ESCAPES = (("$LT$", "<"), ("$GT$", ">"), ("$RF$", "&"), ("$u20$", " "), ("$C$", ","), ("$u5b$", "["), ("$LP$", "("))


def path_of(legacy: str) -> str:
    """The path in a symbol of the older form, whose parts come after their lengths."""
    parts = []
    while found := re.match(r"\d+", legacy):
        length = int(found[0])
        parts.append(legacy[found.end() : found.end() + length])
        legacy = legacy[found.end() + length :]
    path = "::".join(parts)
    for escaped, plain in _ESCAPES:
        path = path.replace(escaped, plain)
    return re.sub(r"^_(?=<)", "", path)


def crate_of(section: str) -> str:
    """The crate of a function: the first in its name that is not the standard library."""
    if legacy := _LEGACY.search(section):
        found = [name for name in _CRATE.findall(path_of(legacy[1])) if name not in ("dyn", "mut", "impl")]
    else:
        found = [name[: int(length)] for length, name in _V0.findall(section)]
    for name in found:
        if name not in _STANDARD:
            return name
    return "std" if found else ""


def sections(linker_map: Path) -> Iterator[tuple[str, str, str, int]]:
    """Output section, file, name and bytes of each section that was linked in."""
    output = ""
    for line in linker_map.read_text(errors="replace").splitlines():
        entry = _ENTRY.match(line)
        if not entry:
            continue
        if inside := _INPUT.match(entry[2]):
            yield output, inside[1], inside[2], int(entry[1], 16)
        elif outside := _OUTPUT.match(entry[2]):
            output = outside[1]


def owner(file: str, section: str) -> str:
    """Whose bytes these are."""
    if f"{OURS}." in file:
        return crate_of(section) or NAMELESS
    if archive := re.search(r"lib(\w+)-[0-9a-f]{16}\.rlib", file):
        return "std" if archive[1] in _STANDARD else archive[1]
    return "musl" if "/self-contained/" in file else NAMELESS


def measure(triple: str) -> tuple[int, Counter[str], Counter[str]]:
    """A binary's bytes, and those of its parts: by section, and by crate."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    binary = REPOSITORY / target / triple / "release" / NAME
    linker_map = REPOSITORY / "target" / f"{triple}.map"
    for path in (binary, linker_map):
        if not path.is_file():
            sys.exit(f"there is no {path}: make release builds it")
    by_section: Counter[str] = Counter()
    by_crate: Counter[str] = Counter()
    for output, file, section, size in sections(linker_map):
        if output.startswith((".bss", ".tbss", ".comment", ".debug", ".symtab", ".strtab", ".relro_padding")):
            continue
        by_section[output] += size
        by_crate[owner(file, section)] += size
    return binary.stat().st_size, by_section, by_crate


def least() -> int | None:
    """The bytes of the binary without the default features, where `make least` has built it."""
    binary = REPOSITORY / "target/least" / TRIPLES[0] / "release" / NAME
    return binary.stat().st_size if binary.is_file() else None


def crates(triple: str, kinds: str) -> set[tuple[str, str]]:
    """Names and versions in the tree, ourselves not counted."""
    command = ["cargo", "tree", "--locked", "-e", kinds, "--target", triple, "--prefix", "none", "--format", "{p}"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    found = {tuple(line.split()[:2]) for line in listed.splitlines() if line.strip()}
    return {(name, version.removeprefix("v")) for name, version in found if name != NAME}


def row(sizes: dict[str, int], tree: int, built_in: int) -> str:
    """Today's line of the table over time."""
    bytes_of = " | ".join(f"{sizes[triple]:,}" for triple in TRIPLES)
    mib = " / ".join(f"{sizes[triple] / MIB:.2f}" for triple in TRIPLES)
    return f"| {date.today()} | {bytes_of} | {mib} | {tree} | {built_in} | |"


def history() -> list[list[str]]:
    """The table over time as it stands in the document, cells as text."""
    rows = [line.strip("|").split("|") for line in DOCUMENT.read_text().splitlines() if re.match(r"\| 20\d\d-", line)]
    return [[cell.strip() for cell in cells] for cells in rows]


def faults(sizes: dict[str, int], tree: int, built_in: int, largest: list[str]) -> list[str]:
    """What the document says otherwise."""
    rows = history()
    if not rows:
        return [f"{DOCUMENT.name} has no table over time"]
    found = []
    for triple, cell in zip(TRIPLES, rows[-1][1:3], strict=True):
        told = int(cell.replace(",", ""))
        if abs(sizes[triple] - told) > told * TOLERANCE:
            found.append(f"{triple}: the binary has {sizes[triple]:,} bytes, the last row says {told:,}")
    if (told_crates := [int(cell) for cell in rows[-1][4:6]]) != [tree, built_in]:
        found.append(f"crates: there are {tree} and {built_in}, the last row says {told_crates}")
    explained = set(re.findall(r"^\| `([\w-]+)` \| [\d.]+ KB", DOCUMENT.read_text(), re.MULTILINE))
    for crate in largest:
        if crate not in explained:
            found.append(f"{crate} is one of the {LARGEST} largest crates, and nothing is said of it")
    return found


def main() -> int:
    """Prints all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where docs/dependencies.md says otherwise")
    options = parser.parse_args()
    sizes: dict[str, int] = {}
    parts: Counter[str] = Counter()
    for triple in TRIPLES:
        sizes[triple], by_section, by_crate = measure(triple)
        told = ", ".join(f"{name} {size / 1000:.0f}" for name, size in by_section.most_common(6))
        print(f"{triple}: {sizes[triple]:,} bytes = {sizes[triple] / MIB:.2f} MiB; KB: {told}")
        parts = parts or by_crate
    if smaller := least():
        apart = sizes[TRIPLES[0]] - smaller
        print(f"{TRIPLES[0]} without default features: {smaller:,} bytes = {smaller / MIB:.2f} MiB, {apart:,} less")
    tree = crates(TRIPLES[0], "normal")
    built_in = crates(TRIPLES[0], "normal,no-proc-macro")
    versions = dict(sorted(built_in))
    named = {name.replace("-", "_"): name for name in versions} | _PACKAGES
    print(f"\nThe {LARGEST} largest crates in {TRIPLES[0]}, of {len(built_in)} built in and {len(tree)} in the tree:\n")
    ranked = [(name, size) for name, size in parts.most_common() if name in named]
    largest = [named[name] for name, _ in ranked[:LARGEST]]
    for name, size in ranked[:LARGEST]:
        print(f"| `{named[name]}` | {size / 1000:.1f} KB | {versions[named[name]]} |")
    rest = sum(size for _, size in ranked[LARGEST:])
    print(f"\nthe other {len(ranked) - LARGEST} with code: {rest / 1000:.1f} KB")
    for name in (OURS, "std", "musl", NAMELESS):
        print(f"{name}: {parts[name] / 1000:.1f} KB")
    print("\n| date | x86_64 | aarch64 | MiB | crates in the tree | of these built in | why |")
    for cells in history():
        print(f"| {' | '.join(cells)} |")
    print(f"{row(sizes, len(tree), len(built_in))}  ← now")
    found = faults(sizes, len(tree), len(built_in), largest) if options.check else []
    for fault in found:
        print(f"docs/dependencies.md: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
