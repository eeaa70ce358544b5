"""Volumes that lack what a store needs, as NFS, SMB and FUSE mounts do: named as that, and nothing is given up for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from toggle_e2e.bot import run_to_end
from toggle_e2e.fuse import Lacks, Volume

FOR_ROOT = pytest.mark.skipif(
    os.getuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK),
    reason="mounting a file system takes root and /dev/fuse",
)

OTHER_VOLUME = "use a block or local volume, not NFS, SMB or FUSE"


def says(volume: Path) -> str:
    """What the bot says with its store there."""
    settings = {
        "MATRIX_HOMESERVER": "http://127.0.0.1:1",
        "MATRIX_USER": "bot",
        "MATRIX_PASSWORD": "correct horse battery staple",
        "ALLOWED_USERS": "@alice:toggle.test",
        "CRYPTO_STORE_PATH": str(volume),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "1",
        "SERVICE_ACCOUNT_DIR": "/nonexistent",
    }
    code, output = run_to_end(settings)
    assert code == 1, output
    return output.splitlines()[-1]


@FOR_ROOT
@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        (Lacks(flock=errno.ENOLCK), "no lock is to be had on"),
        (Lacks(flock=errno.EOPNOTSUPP), "this volume knows no locks"),
        (Lacks(flock=errno.ENOSYS), "this volume knows no locks"),
        (Lacks(posix_locks=errno.EINVAL), "this volume knows no locks"),
        (Lacks(posix_locks=errno.EOPNOTSUPP), "this volume knows no locks"),
        (Lacks(posix_locks=errno.ENOLCK), "or this volume knows no locks"),
        (Lacks(posix_locks=errno.EPERM), "this volume knows no locks"),
        (Lacks(shared_memory=True), "lets no file be shared in memory"),
        (Lacks(fsync=errno.EINVAL), "does not bring to the disk what was written (fsync)"),
        (Lacks(fsync=errno.EIO), "or mend it"),
    ],
    ids=str,
)
def test_what_a_volume_lacks_is_named(tmp_path: Path, lacks: Lacks, said: str) -> None:
    with Volume(tmp_path, lacks) as volume:
        line = says(tmp_path)
        assert said in line and OTHER_VOLUME in line and "(file system fuse.toggle)" in line, line
        assert "new device" not in line and "move it away" not in line, line
        assert "store.lock" in volume.files()


@FOR_ROOT
def test_a_volume_that_lacks_nothing_is_taken(tmp_path: Path) -> None:
    with Volume(tmp_path, Lacks()) as volume:
        line = says(tmp_path)
        assert "the service account cannot be used" in line, line
        assert "store.sqlite3" in volume.files()
