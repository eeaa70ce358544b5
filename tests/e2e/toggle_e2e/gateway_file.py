"""Values of the gateway's file by a table, which the program's own tests read, too."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLE = json.loads((Path(__file__).resolve().parents[2] / "gateway_file.json").read_text())
"""What the program takes and refuses of each key, by columns.

`taken` and `refused` are what schemas say too. `left` is what they let through and the program refuses, `strict`
what they refuse and the program takes, each with the reason why that stays. `sentence` is what the chart's
schema leaves to its templates, which say it in words.
"""


def files(*columns: str) -> Iterator[tuple[str, Any]]:
    """The files with each value of these columns, and what each is called."""
    for row in TABLE["rows"]:
        for column in columns:
            for value in row.get(column, []):
                yield f"{column} {row['at']}/{row['key']}: {json.dumps(value)}", _file(row, value)


def _file(row: Any, value: object) -> Any:
    file = copy.deepcopy(TABLE["base"])
    place = file
    for step in row["at"].split("/")[1:]:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place.update(row.get("beside", {}))
    place.pop(row.get("without"), None)
    place[row["key"]] = value
    return file
