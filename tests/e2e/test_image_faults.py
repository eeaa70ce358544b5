"""What the image says, and ends with, when what a cluster should give it is missing or wrong."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from toggle_e2e import texts
from toggle_e2e.image import SERVICE_ACCOUNT, STORE, USER, Images, Volume, as_root
from toggle_e2e.world import Stage, Target, World

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Attempt:
    """A container that is to fail, with everything right that a test does not change."""

    def __init__(self, world: World, images: Images, target: Target) -> None:
        self._images = images
        account = world.account("bot")
        self.settings = world.settings(account, ("@alice:toggle.test",), target, CRYPTO_STORE_PATH=STORE)
        self.account = Volume(Path(self.settings.pop("SERVICE_ACCOUNT_DIR")), SERVICE_ACCOUNT, read_only=True)

    def says(self, *volumes: Volume, **changes: str | None) -> str:
        """The one line that is an error, of a container that ended with 1."""
        settings = {key: value for key, value in (self.settings | changes).items() if value is not None}
        code, output = self._images.run_to_end(settings, list(volumes))
        lines = [_ESCAPES.sub("", line) for line in output.splitlines()]
        faults = [line for line in lines if re.search(r" (ERROR|WARN) |^configuration error|panick", line)]
        assert code == 1 and len(faults) == 1, output
        assert lines[-1] == faults[0], "something is said after it"
        assert not re.search(r"panick|unwrap|[A-Z]\w+\(|\{", faults[0]), faults[0]
        return faults[0]

    def says_with(self, volume: Path, read_only: bool = False) -> str:
        """The same, with this volume for the store."""
        return self.says(Volume(volume, STORE, read_only), self.account)


@pytest.fixture
def attempt(world: World, images: Images, target: Target) -> Attempt:
    """A container that would run."""
    return Attempt(world, images, target)


@pytest.fixture
def small_volume(images: Images) -> Iterator[Path]:
    """A volume of 8 kB, which is less than an empty store."""
    path = images.volume()
    options = f"size=8k,uid={USER},gid={USER},mode=0755"
    subprocess.run(as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)), check=True)
    yield path
    subprocess.run(as_root("umount", str(path)), check=True)


def file_of_the_bots(path: Path, content: bytes) -> None:
    """A file as an earlier container would have left it."""
    subprocess.run(as_root("tee", str(path)), input=content, stdout=subprocess.DEVNULL, check=True)
    subprocess.run(as_root("chown", f"{USER}:{USER}", str(path)), check=True)


def test_no_volume(attempt: Attempt) -> None:
    line = attempt.says(attempt.account)
    assert f"there is no directory {STORE}" in line and f"mount a volume there that user id {USER} may" in line


def test_a_read_only_volume(attempt: Attempt, images: Images) -> None:
    line = attempt.says_with(images.volume(), read_only=True)
    assert f"cannot write to {STORE}" in line and "mounted read-only: mount it without readOnly" in line


def test_a_volume_of_another_user(attempt: Attempt, images: Images) -> None:
    line = attempt.says_with(images.volume(owner=0, mode=0o755))
    assert f"{STORE} belongs to user id 0 (mode 0755)" in line
    assert f"give the volume to user id {USER}, by fsGroup or by chown" in line


def test_a_store_of_another_user(attempt: Attempt, images: Images) -> None:
    """As a pod leaves it that ran as another user, on a volume that everybody may write to."""
    volume = images.volume(mode=0o777)
    subprocess.run(as_root("install", "-m", "0600", "/dev/null", str(volume / "store.sqlite3")), check=True)
    line = attempt.says_with(volume)
    assert f"{STORE}/store.sqlite3 belongs to user id 0 (mode 0600)" in line and "chown -R" in line


def test_two_pods_at_once(world: World, attempt: Attempt, as_image: None) -> None:
    stage: Stage = world.stage(True)
    store = Path(stage.bot.settings["CRYPTO_STORE_PATH"])
    line = attempt.says_with(store)
    assert f"another process is using the store in {STORE}" in line and "Recreate" in line
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON, "the first was harmed"


def test_a_full_volume(attempt: Attempt, small_volume: Path) -> None:
    line = attempt.says_with(small_volume)
    assert f"the store in {STORE} cannot be written" in line and "make room on the volume" in line


def test_a_file_that_is_no_database(attempt: Attempt, images: Images) -> None:
    volume = images.volume()
    file_of_the_bots(volume / "store.sqlite3", b"no database, but as long as one " * 64)
    line = attempt.says_with(volume)
    assert f"the store in {STORE} cannot be opened: file is not a database" in line and "is not the bot's" in line


def test_a_store_of_a_later_version(attempt: Attempt, images: Images, tmp_path: Path) -> None:
    later = tmp_path / "later"
    with sqlite3.connect(later) as database:
        database.execute("PRAGMA user_version = 99")
    volume = images.volume()
    file_of_the_bots(volume / "store.sqlite3", later.read_bytes())
    line = attempt.says_with(volume)
    assert f"the store in {STORE} has format 99" in line and "run the newer version again" in line
    assert (volume / "store.sqlite3").read_bytes() == later.read_bytes(), "it was changed"


def test_a_key_of_the_secret_that_is_missing(attempt: Attempt, images: Images) -> None:
    volume = Volume(images.volume(), STORE)
    line = attempt.says(volume, attempt.account, MATRIX_PASSWORD=None)
    assert line.startswith("configuration error: MATRIX_PASSWORD is not set") and "Kubernetes Secret" in line
    line = attempt.says(
        volume, attempt.account, MATRIX_PASSWORD=None, MATRIX_PASSWORD_FILE="/var/run/secrets/bot/matrix-password"
    )
    assert line.startswith("configuration error: MATRIX_PASSWORD_FILE ") and "/var/run/secrets/bot/matrix-pass" in line


def test_no_service_account(attempt: Attempt, images: Images) -> None:
    line = attempt.says(Volume(images.volume(), STORE))
    assert f"the service account cannot be used: {SERVICE_ACCOUNT}/token: entity not found" in line
    assert "automountServiceAccountToken" in line
