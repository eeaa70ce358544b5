"""The virtual environment of the tests, made once and kept.

Runs under the system's Python before anything is installed, so it uses the
standard library alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
COMPLETE = ".complete"


def cache_root() -> Path:
    """Where everything slow to make is kept between runs."""
    given = os.environ.get("OPENCLAW_TEST_CACHE")
    if given:
        return Path(given).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "openclaw-k8s-toggle-operator"


def venv_path() -> Path:
    """A folder a set of pins: a changed pin or interpreter gets a fresh one."""
    digest = hashlib.sha256()
    digest.update(REQUIREMENTS.read_bytes())
    digest.update(f"{sys.base_prefix} {platform.python_version()} {platform.machine()}".encode())
    return cache_root() / f"venv-{digest.hexdigest()[:16]}"


def say(text: str) -> None:
    """Progress goes to standard error: standard output carries the result."""
    print(f"[setup] {text}", file=sys.stderr, flush=True)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds off a second run that would make the same thing at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run holds {path.name}, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_venv() -> Path:
    """Gives the environment's folder, complete or not at all.

    A virtual environment cannot be renamed into place, since its scripts name
    their own folder. So a marker written last says that it is whole; one
    without it is left over from a broken run and made again.
    """
    target = venv_path()
    if (target / COMPLETE).is_file():
        return target
    with lock(target.with_suffix(".lock")):
        if (target / COMPLETE).is_file():
            return target
        started = time.monotonic()
        shutil.rmtree(target, ignore_errors=True)
        say(f"making {target} (homeserver, client, cross linker; about a minute)")
        venv.EnvBuilder(with_pip=True, symlinks=True).create(target)
        pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--progress-bar", "off", "--no-input", "-r", str(REQUIREMENTS)]
        process = subprocess.Popen(install, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        tail: list[str] = []
        assert process.stdout
        for line in process.stdout:
            tail = [*tail[-30:], line.rstrip()]
            if line.startswith(("Collecting", "Building", "Installing")):
                say("  " + line.strip()[:100])
        if process.wait() != 0:
            shutil.rmtree(target, ignore_errors=True)
            raise SystemExit("pip could not install the test environment:\n" + "\n".join(tail))
        (target / COMPLETE).touch()
        say(f"made in {time.monotonic() - started:.0f} s")
    return target


if __name__ == "__main__":
    if sys.argv[1:] == ["--there"]:
        sys.exit(not (venv_path() / COMPLETE).is_file())
    print(ensure_venv())
