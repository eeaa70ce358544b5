"""What a guide shows of commands and their answers: it is run, compared, and written anew.

A part of a guide stands between `<!-- NAME -->` and `<!-- /NAME -->`. Each block `sh` in
it has commands, one a line, and the block `text` behind it what they printed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)


def part(guide: str, name: str) -> str:
    """What stands between the marks of a part."""
    found = re.search(rf"^<!-- {name} -->\n(.*?)^<!-- /{name} -->$", guide, re.MULTILINE | re.DOTALL)
    assert found, f"the guide has no part {name}"
    return found[1]


def commands(text: str) -> list[str]:
    """The commands of a part, one after the other."""
    return [line for block in BLOCK.finditer(text) for line in block["commands"].splitlines() if line]


def written(text: str, run: Callable[[str], str]) -> str:
    """A part with what its commands print now."""

    def block(found: re.Match[str]) -> str:
        printed = "".join(run(line) for line in found["commands"].splitlines() if line)
        shown = f"```sh\n{found['commands']}```\n"
        return f"{shown}\n```text\n{printed}```\n" if printed else shown

    return BLOCK.sub(block, text)


class Shell:
    """A shell that is given one command after the other, as at a terminal: what is set stays set."""

    def __init__(self, environment: Mapping[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            ["bash", "-u", "-o", "pipefail"], cwd=cwd, env=dict(environment),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_of_an_error: object) -> None:
        self._process.kill()
        self._process.wait()

    def run(self, command: str, timeout: float = 120) -> str:
        """What a command prints, on either stream; one that fails is an error."""
        assert self._process.stdin and self._process.stdout
        end = "--- the end of a command: "
        # The command has nothing to read, or it would read the next one.
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '%s\\n' \"{end}$?\"\n")
        self._process.stdin.flush()
        timer = threading.Timer(timeout, self._process.kill)
        timer.start()
        printed = ""
        try:
            for line in self._process.stdout:
                before, ended, code = line.partition(end)
                # The last line may have no end.
                printed += before
                if ended:
                    assert code.strip() == "0", f"{command}\n{printed}\nended with {code}"
                    return f"{printed}\n" if before else printed
        finally:
            timer.cancel()
        raise AssertionError(f"the shell ended, or it took more than {timeout:g} s:\n{command}\n{printed}")


DAY = datetime(2026, 11, 30, 8, tzinfo=UTC)
"""When all that a guide shows took place."""

MIDDLE = 12
"""Lines of which all are shown; of more, the first and the last ones."""

_SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""What the made-up parts of names consist of."""

_POD = re.compile(rf"\b((?:[a-z]+-)+)[{_SAFE}]{{6,10}}-([{_SAFE}]{{5}})\b")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
_HTTP_DATE = re.compile(r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")

_SPANS = [
    (r'"durationMs":\d+', '"durationMs":3'),
    (r'"sleepsIn":\d+', '"sleepsIn":1790'),
    (r"\bsleeps in (?:29|30) min\b", "sleeps in 30 min"),
    (r"\bafter \d+\.\d{6} s\b", "after 1.284107 s"),
    (r'"remoteIp":"127\.0\.0\.1"', '"remoteIp":"10.244.1.5"'),
    (r'"requestId":"[0-9a-f]{16}"', '"requestId":"7d6a1f0c52b98e34"'),
]
"""Spans of time, and whoever asks and by which request: others each time, or those of this machine."""


class Stable:
    """Puts what is another one each time into a form that stays: the same thing is named alike all along.

    Names, ids and times are told apart as they were: a pod is the same one wherever it
    is named, and a time is so many full hours after the beginning.
    """

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._known: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """A text in this form."""
        # What `kubectl rollout status` says on the way is longer on a slow machine.
        lines = [line for line in text.splitlines() if not line.startswith("Waiting for deployment ")]
        text = "".join(f"{line}\n" for line in _shortened(lines))
        text = _POD.sub(self._pod, text)
        text = _UUID.sub(lambda found: self._name(found[0], "uid", _uuid), text)
        text = _TIME.sub(self._time, text)
        text = _HTTP_DATE.sub(lambda _: DAY.strftime("%a, %d %b %Y %H:%M:%S GMT"), text)
        for pattern, stable in _SPANS:
            text = re.sub(pattern, stable, text)
        return _table(text) if text.startswith("NAME ") else text

    def _pod(self, found: re.Match[str]) -> str:
        owner = found[1]
        made = _letters(owner, 10)
        return owner + made + "-" + self._name(found[0], owner, lambda name: _letters(name, 5))

    def _time(self, found: re.Match[str]) -> str:
        after = datetime.fromisoformat(f"{found[1]}+00:00") - self._began
        shown = DAY + timedelta(hours=round(after / timedelta(hours=1)))
        return shown.strftime("%Y-%m-%dT%H:%M:%S") + (".000Z" if found[2] else "Z")

    def _name(self, found: str, kind: str, make: Callable[[str], str]) -> str:
        """The same for the same, and for another one the next."""
        if found not in self._known:
            self._counts[kind] = number = self._counts.get(kind, 0) + 1
            self._known[found] = make(f"{kind} {number}")
        return self._known[found]


def _shortened(lines: list[str]) -> list[str]:
    left_out = len(lines) - MIDDLE
    if left_out <= 1:
        return lines
    half = MIDDLE // 2
    return [*lines[:half], f"… {left_out} more", *lines[-half:]]


def _letters(of: str, count: int) -> str:
    return "".join(_SAFE[byte % len(_SAFE)] for byte in hashlib.sha256(of.encode()).digest()[:count])


def _uuid(of: str) -> str:
    # The version and the variant that random ones have.
    digits = hashlib.sha256(of.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


def _table(text: str) -> str:
    """A table of kubectl whose ages are alike, with columns as wide as their cells then."""
    rows = [re.split(r"\s{2,}", line.rstrip()) for line in text.splitlines()]
    if rows[0][-1] == "AGE":
        for row in rows[1:]:
            row[-1] = "12s"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "".join(f"{line.rstrip()}\n" for line in lines)
