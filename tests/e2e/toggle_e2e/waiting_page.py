"""The picture of the waiting page in the documents, and what in it says which page it is of."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .manifests import REPOSITORY

PICTURE = REPOSITORY / "docs" / "waiting-page.png"
SOURCE = "Source"
COLOURS = 64


def write(path: Path, screenshot: bytes, page: str) -> None:
    """Makes a screenshot small, and notes which page was shown: two browsers draw the same page differently."""
    image = Image.open(io.BytesIO(screenshot)).convert("RGB").quantize(COLOURS)
    noted = PngInfo()
    noted.add_text(SOURCE, digest(page))
    image.save(path, optimize=True, pnginfo=noted)


def digest(page: str) -> str:
    """What is noted of a page."""
    return hashlib.sha256(page.encode()).hexdigest()


def noted(path: Path) -> tuple[tuple[int, int], str]:
    """The size of a picture and what it notes of its page."""
    with Image.open(path) as image:
        return image.size, str(image.info.get(SOURCE))
