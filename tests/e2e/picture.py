"""Draws the conversation of the demo: what was said in the room, and beside it the Deployment's replicas.

    picture.py TRANSCRIPT SVG

The transcript is what `demo.py --transcript` writes. There are no times in the
picture, so that the same conversation gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

WIDTH = 740
HEADER = 64
MARGIN = 24
CHAT_RIGHT = 540
RAIL = 596
"""Where the line of the replicas is."""

SIZE = 13
LINE = 19
PADDING = 12
GAP = 8
LONGEST = 62
"""Characters in a line of a bubble."""

# Nobody knows which font draws it: widths are those of a wide one, so that no text leaves its bubble.
_NARROW, _WIDE = "ijlIft.,:;'|!()[] ", "mwMW@—"
_EM_NARROW, _EM, _EM_WIDE = 0.36, 0.62, 0.98

STYLE = """
text { font: 13px -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.small { font-size: 11.5px; fill: #59636e }
.note { font-size: 12px; fill: #59636e; text-anchor: middle }
.mine { fill: #ffffff }
.warn { fill: #b35900 }
.count { font-weight: 600 }
"""

LOCK = (
    '<symbol id="lock" viewBox="0 0 12 12"><path d="M3.5 5V3.6a2.5 2.5 0 0 1 5 0V5" fill="none" stroke="currentColor"'
    ' stroke-width="1.4"/><rect x="2" y="5" width="8" height="6" rx="1.3" fill="currentColor"/></symbol>'
)
OPEN_LOCK = (
    '<symbol id="open" viewBox="0 0 12 12"><path d="M3.5 5V3a2.5 2.5 0 0 1 4.8-.9" fill="none" stroke="currentColor"'
    ' stroke-width="1.4"/><rect x="2" y="5" width="8" height="6" rx="1.3" fill="currentColor"/></symbol>'
)

ON, OFF = "#1a7f37", "#afb8c1"
GREEN, ORANGE = "#1a7f37", "#b35900"


@dataclass(frozen=True)
class Side:
    """How what one of them says is drawn."""

    left: bool
    fill: str
    text: str = ""


SIDES = {
    "alice": Side(False, "#0b57d0", "mine"),
    "bot": Side(True, "#eef1f5"),
    "mallory": Side(True, "#fff1e0"),
}


@dataclass
class Drawing:
    """What is drawn so far, from top to bottom."""

    y: float = HEADER + 16
    parts: list[str] = field(default_factory=list)
    replicas: list[tuple[float, float, int]] = field(default_factory=list)
    """Where the Deployment was seen to have how many: the bubble's right end, its height, the number."""
    named: set[str] = field(default_factory=set)
    """Whose name stands above their first bubble already."""
    right: float = 0
    """Where the last bubble ends, with its lock."""
    middle: float = 0
    """How far down its middle is."""

    def note(self, text: str) -> None:
        """A line between the bubbles."""
        self.y += 8
        middle = (MARGIN + CHAT_RIGHT) / 2
        half = _width(text) / 2
        for start, end in ((MARGIN, middle - half - 8), (middle + half + 8, CHAT_RIGHT)):
            if end > start:
                self.parts.append(f'<path d="M{start:g} {self.y + 5:g}H{end:g}" stroke="#d1d9e0"/>')
        self.parts.append(f'<text class="note" x="{middle:g}" y="{self.y + 9:g}">{escape(text)}</text>')
        self.y += 18 + GAP

    def message(self, who: str, encrypted: bool, text: str) -> None:
        """A bubble."""
        side = SIDES[who]
        if who not in self.named:
            self._name(who, side)
        lines = _wrapped(text)
        width = max(_width(line) for line in lines) + 2 * PADDING
        height = len(lines) * LINE + PADDING
        x = MARGIN if side.left else CHAT_RIGHT - width
        self.parts.append(
            f'<rect x="{x:g}" y="{self.y:g}" width="{width:g}" height="{height:g}" rx="12" fill="{side.fill}"/>'
        )
        for number, line in enumerate(lines):
            style = f' class="{side.text}"' if side.text else ""
            at = self.y + PADDING / 2 + LINE * number + 14
            # Spaces at the start of a line are part of what the bot says, and renderers leave them out.
            start = x + PADDING + _width(" " * (len(line) - len(line.lstrip())))
            self.parts.append(f'<text{style} x="{start:g}" y="{at:g}">{_text(line.lstrip())}</text>')
        lock, colour = ("lock", GREEN) if encrypted else ("open", ORANGE)
        beside = x + width + 6 if side.left else x - 18
        self.right, self.middle = beside + 18, self.y + height / 2
        self.parts.append(
            f'<use href="#{lock}" x="{beside:g}" y="{self.middle - 6:g}" width="12" height="12" color="{colour}"/>'
        )
        if not encrypted:
            self.parts.append(
                f'<text class="small warn" x="{beside - 6:g}" y="{self.middle + 4:g}" text-anchor="end">'
                "not encrypted</text>"
            )
        self.y += height + GAP

    def _name(self, who: str, side: Side) -> None:
        x, anchor = (MARGIN + 2, "start") if side.left else (CHAT_RIGHT - 2, "end")
        self.y += 4
        self.parts.append(f'<text class="small" x="{x}" y="{self.y + 8:g}" text-anchor="{anchor}">{who}</text>')
        self.y += 14
        self.named.add(who)

    def silence(self) -> None:
        """The bot says nothing."""
        self.parts.append(f'<text class="small" x="{MARGIN + 2}" y="{self.y + 8:g}">the bot does not answer</text>')
        self.y += 14 + GAP

    def seen(self, replicas: int) -> None:
        """The Deployment as it was when the last bubble was drawn."""
        self.replicas.append((self.right, self.middle, replicas))

    def rail(self, bottom: float) -> list[str]:
        """The line of the replicas, with a mark wherever their number changed."""
        drawn: list[str] = []
        marks: list[str] = []
        start, number = HEADER + 16.0, -1
        for right, at, replicas in [*self.replicas, (0.0, bottom, -1)]:
            if replicas == number:
                continue
            thickness = 8 if number > 0 else 3
            drawn.append(f'<path d="M{RAIL} {start:g}V{at:g}" stroke="{_colour(number)}" stroke-width="{thickness}"/>')
            if replicas >= 0:
                drawn.append(f'<path d="M{right:g} {at:g}H{RAIL - 14}" stroke="#d1d9e0" stroke-dasharray="2 4"/>')
                fill = _colour(replicas) if replicas else "#ffffff"
                text = f"{replicas} replica{'' if replicas == 1 else 's'}"
                marks.append(
                    f'<circle cx="{RAIL}" cy="{at:g}" r="8" fill="{fill}" stroke="{_colour(replicas)}"'
                    f' stroke-width="3"/><text class="count" x="{RAIL + 20}" y="{at + 4.5:g}">{text}</text>'
                )
            start, number = at, replicas
        return drawn + marks


def draw(transcript: dict[str, Any]) -> str:
    """The picture of a transcript."""
    drawing = Drawing()
    for chapter in transcript["chapters"]:
        # The list of commands names the device, which is another one each time; the README has the table.
        if chapter["name"] == "help":
            continue
        if chapter["note"]:
            drawing.note(chapter["note"])
        for line in chapter["lines"]:
            if line["text"] is None:
                drawing.silence()
            else:
                drawing.message(line["who"], line["encrypted"], line["text"])
            if line["replicas"] is not None:
                drawing.seen(line["replicas"])
    bottom = drawing.y + 4
    return "\n".join([*_frame(transcript, bottom), *drawing.rail(bottom), *drawing.parts, "</svg>", ""])


def _frame(transcript: dict[str, Any], bottom: float) -> list[str]:
    height = bottom + 14
    about = (
        "A chat window. Alice asks for the status, starts and stops a Deployment, and the bot answers each time; beside"
        " it, the number of replicas follows. A command that is not encrypted is refused; somebody who may not command"
        " gets no answer."
    )
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}"'
        ' role="img" aria-labelledby="title about">',
        '<title id="title">A conversation with the bot</title>',
        f'<desc id="about">{about}</desc>',
        f"<style>{STYLE}</style>",
        LOCK + OPEN_LOCK,
        # A ground of its own: it is looked at on light pages and on dark ones.
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1:g}" rx="14" fill="#ffffff" stroke="#d1d9e0"/>',
        f'<path d="M1 {HEADER}V14.5A13.5 13.5 0 0 1 14.5 1H{WIDTH - 14.5}A13.5 13.5 0 0 1 {WIDTH - 1} 14.5V{HEADER}z"'
        ' fill="#f6f8fa"/>',
        f'<path d="M1 {HEADER}H{WIDTH - 1}" stroke="#d1d9e0"/>',
        f'<text class="title" x="{MARGIN}" y="28">{escape(transcript["room"])}</text>',
        f'<use href="#lock" x="{MARGIN}" y="37" width="12" height="12" color="{GREEN}"/>',
        f'<text class="small" x="{MARGIN + 18}" y="47">encrypted end to end</text>',
        f'<text class="title" x="{RAIL - 12}" y="28">Deployment</text>',
        f'<text class="small" x="{RAIL - 12}" y="47">{escape(transcript["deployment"])}</text>',
    ]


def _colour(replicas: int) -> str:
    return ON if replicas > 0 else OFF


def _text(line: str) -> str:
    # Several spaces would be folded into one.
    return escape(line.replace(" ", "\u00a0"), quote=False)


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for whole in text.splitlines():
        line = ""
        for word in whole.split(" "):
            if line.strip() and len(line) + len(word) >= LONGEST:
                lines.append(line.rstrip())
                line = ""
            line += f"{word} "
        lines.append(line.rstrip())
    return lines


def _width(text: str) -> float:
    ems = sum(_EM_NARROW if c in _NARROW else _EM_WIDE if c in _WIDE else _EM for c in text)
    return round(ems * SIZE, 1)


def main() -> None:
    """Reads, draws, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcript", type=Path)
    parser.add_argument("svg", type=Path)
    given = parser.parse_args()
    given.svg.write_text(draw(json.loads(given.transcript.read_text())))


if __name__ == "__main__":
    main()
