"""Programs that are built from the Go module proxy, or taken from KUBEBUILDER_ASSETS."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

BUILD = Path(__file__).resolve().parent.parent / "gotools" / "build.sh"


@cache
def tool(name: str, quick: bool = False) -> Path:
    """The path of a program; where it has to be built, that takes minutes, and progress is told on standard error.

    With `quick`, one that is compiled without optimisation will do.
    """
    options = ["--quick"] if quick else []
    done = subprocess.run(["bash", BUILD, *options, name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} could not be built; the lines on standard error say why")
    return Path(done.stdout.strip())
