"""Keycloak as its authors ship it, fetched once from Maven Central and kept.

What is kept is ready to start: built for its database, with that database made
and its first administrator in it, so that a start is seconds less. Needs Java
and the standard library alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from .cache import cache_root, lock, say
from .net import free_port, wait_for

VERSION = "26.7.3"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
URL = (
    "https://repo.maven.apache.org/maven2/org/keycloak/keycloak-quarkus-dist/"
    f"{VERSION}/keycloak-quarkus-dist-{VERSION}.zip"
)
OLDEST_JAVA = 17

ADMIN = "admin"
ADMIN_PASSWORD = "admin-of-the-tests"

# Parts of the distribution that a running server only reads.
READ_ONLY = ("conf", "lib", "providers", "themes")

# A small heap and one compiler: it lives for minutes and serves one client.
_JAVA_OPTIONS = (
    "-Xms128m -Xmx400m -XX:MaxMetaspaceSize=256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    " -Djava.net.preferIPv4Stack=true"
)


class KeycloakError(RuntimeError):
    """Keycloak could not be fetched, built or started."""


def java_version() -> int | None:
    """The major version of the Java that Keycloak's script would take; `None` where there is none."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else "java"
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else None


def ensure_keycloak() -> Path:
    """Gives the folder of a Keycloak that is ready to start, whole or not at all."""
    found = java_version()
    if found is None or found < OLDEST_JAVA:
        raise KeycloakError(
            f"Java {OLDEST_JAVA} or newer is needed to run Keycloak, and there is "
            f"{'none' if found is None else f'Java {found}'}: apt-get install openjdk-{OLDEST_JAVA}-jre-headless."
        )
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    target = cache_root() / f"keycloak-{key}"
    if target.is_dir():
        return target
    with lock(target.with_suffix(".lock")):
        if target.is_dir():
            return target
        started = time.monotonic()
        say(f"making {target} (170 MB from Maven Central, then about a minute)")
        made = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
        try:
            archive = made / "keycloak.zip"
            _download(archive)
            _unpack(archive, made)
            archive.unlink()
            home = made / f"keycloak-{VERSION}"
            _build(home)
            _initialise(home)
            home.rename(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        say(f"made in {time.monotonic() - started:.0f} s")
    return target


def spawn(home: Path, port: int, output: Path, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """Starts the server of a folder on loopback.

    Its script starts Java as a child: a signal is for the process group.
    """
    command = [
        str(home / "bin" / "kc.sh"),
        "start",
        "--optimized",
        "--cache=local",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
        "--hostname-strict=false",
        *options,
    ]
    with output.open("ab") as log:
        return subprocess.Popen(
            command, cwd=home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=_environment()
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a server at once; nothing it holds is needed again."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    """Whether the server takes requests."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{port}/realms/master", timeout=2
        ) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def wait_ready(process: subprocess.Popen[bytes], port: int, output: Path, timeout: float = 180) -> None:
    """Waits until a started server takes requests."""

    def ready() -> bool:
        if process.poll() is not None:
            raise KeycloakError("Keycloak ended while it was starting:\n" + tail(output))
        return answers(port)

    wait_for("Keycloak to answer", ready, timeout, 0.1, lambda: tail(output))


def tail(output: Path, lines: int = 30) -> str:
    """The end of what a server wrote."""
    return "\n".join(output.read_text(errors="replace").splitlines()[-lines:]) if output.exists() else ""


def _environment() -> dict[str, str]:
    # Options of the caller's own Keycloak (KC_…) have no place in here.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KC_", "JAVA_OPTS"))}
    return kept | {
        "JAVA_OPTS": _JAVA_OPTIONS,
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD,
    }


def _download(archive: Path) -> None:
    digest = hashlib.sha256()
    told = time.monotonic()
    try:
        with urllib.request.urlopen(URL, timeout=60) as answer, archive.open("wb") as file:
            whole = int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(1 << 20):
                file.write(block)
                digest.update(block)
                if time.monotonic() - told >= 5:
                    told = time.monotonic()
                    say(f"  {file.tell() >> 20} of {whole >> 20} MB")
    except (OSError, urllib.error.URLError) as error:
        raise KeycloakError(f"Keycloak could not be fetched from {URL}: {error}") from error
    if digest.hexdigest() != SHA256:
        raise KeycloakError(
            f"{URL} has the SHA-256 {digest.hexdigest()}, not {SHA256}: it is not the file that was pinned"
        )


def _unpack(archive: Path, folder: Path) -> None:
    say("  unpacking")
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    for script in (folder / f"keycloak-{VERSION}" / "bin").glob("*.sh"):
        script.chmod(0o755)


def _build(home: Path) -> None:
    say("  building for its database")
    done = subprocess.run(
        [str(home / "bin" / "kc.sh"), "build", "--db=dev-file"],
        cwd=home,
        capture_output=True,
        text=True,
        env=_environment(),
        check=False,
    )
    if done.returncode != 0:
        raise KeycloakError(f"Keycloak could not be built:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def _initialise(home: Path) -> None:
    """Lets it make its database and first administrator, and ends it in order."""
    say("  making its database")
    port, output = free_port(), home / "first-start.log"
    process = spawn(home, port, output)
    try:
        wait_ready(process, port, output)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    finally:
        kill(process)


def lay_out(kept: Path, folder: Path) -> Path:
    """A home of its own for one server: what it only reads is linked, what it writes is copied."""
    folder.mkdir(parents=True)
    for name in READ_ONLY:
        (folder / name).symlink_to(kept / name)
    for name in ("bin", "data"):
        shutil.copytree(kept / name, folder / name)
    return folder


def _main(write: Callable[[str], object]) -> int:
    try:
        write(f"{ensure_keycloak()}\n")
    except KeycloakError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.stdout.write))
