"""What docs/keycloak.md prints is what the login tests run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toggle_e2e.keycloak import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "keycloak.md").read_text()
FILES = sorted(path for name in ("keycloak", "synapse") for path in (REPOSITORY / "deploy" / name).iterdir())
PRINTED = dict(re.findall(r"^`(deploy/[^`]+)`:\n\n```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_guide_prints_the_files_that_are_tested(path: Path) -> None:
    assert PRINTED.get(str(path.relative_to(REPOSITORY))) == path.read_text()


def test_the_guide_prints_nothing_else() -> None:
    assert set(PRINTED) == {str(path.relative_to(REPOSITORY)) for path in FILES}
