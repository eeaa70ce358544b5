"""The picture in the README is one of a conversation that takes place: it is drawn again from a new one."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

import demo
import picture
from toggle_e2e.world import World

DRAWN = Path(__file__).resolve().parents[2] / "docs" / "conversation.svg"
LARGEST = 30_000
SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_shows_what_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    said = demo.play(world, world.stage(encrypted=True))
    assert "Deployment is now on" in capsys.readouterr().out
    assert picture.draw(said) == DRAWN.read_text(), "docs/conversation.svg is an old one: make picture draws it anew"


def test_the_demo_shows_a_start_that_becomes_ready_and_one_that_cannot(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.play_targets(world)
    shown = capsys.readouterr().out
    assert "worker is ready: 3 of 3 after" in shown
    assert "0 of 1; image workload:1 cannot be pulled: not there." in shown


def test_the_picture_is_one_that_any_page_can_show() -> None:
    """A page shows it as an image: whatever is not in the file is not shown, and nothing in it may be run."""
    data = DRAWN.read_bytes()
    assert len(data) <= LARGEST
    tree = ElementTree.fromstring(data)
    assert tree.get("role") == "img"
    assert tree.findtext(f"{SVG}title") and tree.findtext(f"{SVG}desc")
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} <= {
        *("svg", "title", "desc", "style", "symbol", "use", "path", "rect", "circle", "text"),
    }
    linked = [value for element in tree.iter() for name, value in element.attrib.items() if name.endswith("href")]
    assert all(value.startswith("#") for value in linked)
    assert "url(" not in data.decode() and "@import" not in data.decode()

