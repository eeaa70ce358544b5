"""How much there is to read: `make lines`.

Lines of our own code in `src/` for each folder: without tests, fakes, comments and
empty lines; the number of files, the longest one, and the error types.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "src"
# As in tests/integration/layers.rs: what no release is built from.
_TESTS = re.compile(r"(^|/)(tests/|\w*tests\.rs$|\w*_table\.rs$|fake\w*\.rs$)")
_TEST_MODULE = "#[cfg(test)]\nmod tests {"
_ERROR = re.compile(r"#\[derive\([^)]*\b(?:thiserror::)?Error\b[^)]*\)\]")


def code_of(source: str) -> list[str]:
    """The lines of a file that are code of the program."""
    lines = source.partition(_TEST_MODULE)[0].splitlines()
    return [line for line in lines if line.strip() and not line.strip().startswith("//")]


def folder_of(name: str) -> str:
    """The folder that a file is counted for, as docs/architecture.md lists them."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] == "matrix" and len(parts) > 2 else parts[0]


def main() -> None:
    """Prints the table."""
    files = {
        name: code_of(path.read_text())
        for path in sorted(SOURCES.rglob("*.rs"))
        if not _TESTS.search(name := path.relative_to(SOURCES).as_posix())
    }
    folders: dict[str, list[int]] = {}
    for name, lines in files.items():
        folders.setdefault(folder_of(name), []).append(len(lines))
    for folder, sizes in folders.items():
        sys.stdout.write(f"{folder:<16}{sum(sizes):>7,} lines in {len(sizes):>2} files\n")
    longest = max(files, key=lambda name: len(files[name]))
    errors = sum(len(_ERROR.findall("\n".join(lines))) for lines in files.values())
    sys.stdout.write(
        f"own code: {sum(map(len, files.values())):,} lines in {len(files)} files, "
        f"{len(files[longest])} the longest (src/{longest}); {errors} error types\n"
    )


if __name__ == "__main__":
    main()
