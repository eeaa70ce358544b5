"""What can be said of a binary without running it."""

from __future__ import annotations

import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .bot import NAME

REPOSITORY = Path(__file__).resolve().parents[3]
TRIPLES = ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl")

_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
_PT_DYNAMIC = 2
_PT_INTERP = 3
_DT_NULL = 0
_DT_NEEDED = 1


def release_binary(triple: str) -> Path:
    """Where `make release` leaves a binary."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return REPOSITORY / target / triple / "release" / NAME


@dataclass(frozen=True)
class Elf:
    """The facts of an ELF file that matter for an image with nothing else in it."""

    machine: str
    interpreter: bool
    needed: int

    @property
    def static(self) -> bool:
        """Whether it runs without a loader and without any library."""
        return not self.interpreter and self.needed == 0


def read_elf(path: Path) -> Elf:
    """Reads the program headers and the dynamic section."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path} is no 64-bit little-endian ELF file")
    machine = struct.unpack_from("<H", data, 18)[0]
    (headers,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    interpreter = False
    needed = 0
    for number in range(count):
        at = headers + number * size
        kind, _flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, at)
        if kind == _PT_INTERP:
            interpreter = True
        elif kind == _PT_DYNAMIC:
            for entry in range(offset, offset + length, 16):
                (tag,) = struct.unpack_from("<Q", data, entry)
                if tag == _DT_NULL:
                    break
                needed += tag == _DT_NEEDED
    return Elf(_MACHINES.get(machine, hex(machine)), interpreter, needed)


def normal_crates(triple: str) -> list[str]:
    """The crates that end up in the binary, our own not counted."""
    listed = subprocess.run(
        ["cargo", "tree", "--locked", "-e", "normal", "--target", triple, "--prefix", "none", "--format", "{p}"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    crates = {" ".join(line.replace("(*)", "").split()[:2]) for line in listed.splitlines() if line.strip()}
    return sorted(crate for crate in crates if crate.split()[0] != NAME)
