"""The conversation that docs/commands.md shows."""

from __future__ import annotations

import re

from .world import REPOSITORY

COMMANDS = REPOSITORY / "docs" / "commands.md"


def written() -> list[tuple[str, str]]:
    """Who says what in the conversation of docs/commands.md."""
    [block] = re.findall(r"^## A conversation\n.*?^```\n(.*?)^```$", COMMANDS.read_text(), re.MULTILINE | re.DOTALL)
    said: list[tuple[str, str]] = []
    for line in block.splitlines():
        who, text = line[:7].strip(), line[7:]
        if who:
            said.append((who, text))
        else:
            said[-1] = (said[-1][0], f"{said[-1][1]}\n{text}")
    return said


VARYING = [
    (r"(?:\d+ min )?\b\d+ s\b", "N s"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b", "DATE"),
    (r"\b(?:tomorrow |today |(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?\d\d:\d\d\b", "TIME"),
    (r"\(in \d[^)]*\)", "(in TIME)"),
    (r"yes [0-9A-Z]{4}\b", "yes CODE"),
    (r"@[a-z]+[-:][-:.\w]+", "@WHO"),
]
"""What is another one each time."""


def leveled(text: str) -> str:
    """A text without what is another one each time."""
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text)
    return text
