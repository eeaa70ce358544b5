"""What `make size` counts, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "supply"))

import size  # noqa: E402

TRIPLES = dict.fromkeys(size.TRIPLES, 1_000_000)
ROWS = """| 2026-01-01 | – | – | 9.99 / 9.99 | 1 | – | the first |
| 2026-01-02 | 1,000,000 | 1,009,000 | 0.95 / 0.96 | 10 | 8 | |

| crate | code | what it is for |
|---|---|---|
| `large-one` | 652 KB | everything |
"""


@pytest.mark.parametrize(
    ("section", "crate"),
    [
        (".text._ZN8rusqlite3row3Row3get17h355326be62787052E", "rusqlite"),
        (".text._RNvMNtCs7BliBxkEZsN_4core3stre5lines", "std"),
        (".text._ZN47_$LT$http..Error$u20$as$u20$core..fmt..Debug$GT$3fmt17h6b8c137f10df5351E", "http"),
        (".text._ZN4core3ptr41drop_in_place$LT$ruma_common..Thing$GT$17h6b8c137f10df5351E", "ruma_common"),
        (".rodata..Lanon.0123456789abcdef.17", ""),
    ],
)
def test_code_is_counted_for_the_crate_that_wrote_it(section: str, crate: str) -> None:
    """The standard library's only where no other crate is named."""
    assert size.crate_of(section) == crate


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table over time, and a crate of which something is said."""
    path = tmp_path / "dependencies.md"
    path.write_text(ROWS)
    monkeypatch.setattr(size, "DOCUMENT", path)
    return path


def test_a_document_that_is_true(document: Path) -> None:
    """Within a hundredth."""
    assert size.faults(TRIPLES, 10, 8, ["large-one"]) == []


def test_each_thing_that_is_no_longer_true_is_named(document: Path) -> None:
    """Size, number of crates, and a crate that nobody explained."""
    grown = TRIPLES | {size.TRIPLES[0]: 1_010_001}
    (told,) = size.faults(grown, 10, 8, ["large-one"])
    assert told == "x86_64-unknown-linux-musl: the binary has 1,010,001 bytes, the last row says 1,000,000"
    (told,) = size.faults(TRIPLES, 11, 8, ["large-one"])
    assert told == "crates: there are 11 and 8, the last row says [10, 8]"
    (told,) = size.faults(TRIPLES, 10, 8, ["large-one", "other"])
    assert told == "other is one of the 20 largest crates, and nothing is said of it"
    document.write_text("no table\n")
    (told,) = size.faults(TRIPLES, 10, 8, [])
    assert told == "dependencies.md has no table over time"
