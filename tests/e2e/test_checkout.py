"""What a checkout on another system, or a tool that takes the tree from git, makes of these files."""

from __future__ import annotations

import re
import stat
import subprocess
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# Bytes of the fuzzer and pictures, which are taken as they are.
RAW = ("tests/fuzz/corpus/", "docs/waiting-page.png")


def git(*arguments: str, cwd: Path = REPOSITORY) -> str:
    """What git prints."""
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def listed() -> dict[str, str]:
    """The mode of each file as it is checked in."""
    return {line.split("\t")[1]: line.split()[0] for line in git("ls-files", "-s").splitlines()}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone by somebody whose git writes carriage returns, on a file system without run bits."""
    folder = tmp_path / "clone"
    git("clone", "--quiet", "--config", "core.autocrlf=true", str(REPOSITORY), str(folder))
    for path in folder.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o111)
    return folder


def test_there_are_no_links_and_no_two_names_that_differ_in_case() -> None:
    files = listed()
    assert {mode for mode in files.values()} == {"100644", "100755"}, "Flux drops links, Windows has none by default"
    assert [name for name, count in Counter(map(str.lower, files)).items() if count > 1] == []


def test_line_ends_stay_what_they_are(clone: Path) -> None:
    files = [name for name in git("ls-files", cwd=clone).splitlines() if not name.startswith(RAW)]
    assert len(files) > 100
    assert [name for name in files if b"\r\n" in (clone / name).read_bytes()] == []
    raw = git("ls-files", *RAW, cwd=clone).splitlines()
    assert raw and [name for name in raw if (clone / name).read_bytes() != (REPOSITORY / name).read_bytes()] == []


def test_scripts_can_be_run() -> None:
    scripts = {name: mode for name, mode in listed().items() if name.endswith(".sh") or name == ".ci/run"}
    assert [name for name, mode in scripts.items() if mode != "100755"] == []
    assert [name for name in scripts if not (REPOSITORY / name).read_text().startswith("#!/usr/bin/env bash\n")] == []


# A script at the beginning of a command, behind variables it is given.
CALL = re.compile(r"""(?:^[\t @]*|[;&|(] *|\bexec )(?:\w+="[^"]*" +)*"?(?:\$\w+/)?[\w./-]*\w\.sh\b""")


def test_make_needs_no_run_bits(clone: Path) -> None:
    """Of the targets, one that calls a script that calls others; of the calls, all."""
    done = subprocess.run(
        ["make", "tools"], cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    for call in ("{}tests/a.sh", '\t@A="b" {}a.sh', 'x="$({}tests/a.sh)"', '{}"$here/../a.sh" x', "a && {}b/c.sh"):
        assert CALL.search(call.format("")) and not CALL.search(call.format("bash ")), call
    scripts = [REPOSITORY / "Makefile", *(REPOSITORY / "tests").rglob("*.sh"), *(REPOSITORY / ".github").rglob("*.yml")]
    lines = [(path.name, line) for path in scripts for line in path.read_text().splitlines()]
    assert [line for line in lines if CALL.search(line[1])] == []
