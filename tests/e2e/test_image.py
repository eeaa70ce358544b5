"""The bot as the image that ships, held as the manifests hold it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from toggle_e2e import texts
from toggle_e2e.bot import NAME, Bot
from toggle_e2e.image import (
    MEMORY_LIMIT,
    PLATFORMS,
    SERVICE_ACCOUNT,
    STORE,
    USER,
    ImageBot,
    Images,
    as_root,
    emulator,
)
from toggle_e2e.net import free_port
from toggle_e2e.world import Stage, World

# What the engine itself puts into every container, so that a diff shows it whatever the program does.
ENGINES_OWN = {"/etc", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/run", "/run/.containerenv"}


@pytest.fixture
def staged(world: World, as_image: None) -> Stage:
    """A running container in an encrypted room with a person."""
    return world.stage(True)


def container(stage: Stage) -> ImageBot:
    """The bot as what it is here."""
    assert isinstance(stage.bot, ImageBot)
    return stage.bot


def converse(world: World, stage: Stage) -> None:
    """Each command once, in the encrypted room."""

    def says(text: str) -> str | None:
        reply = stage.person.ask(stage.room_id, text, stage.bot_id)
        assert reply.encrypted, text
        return reply.text

    assert says("status") == texts.status("off", 0, 0, 0)
    assert says("start") == texts.ON
    world.cluster.wait_replicas(stage.target.namespace, stage.target.deployment, ready=1)
    assert says("status") == texts.status("running", 1, 1, 1)
    assert says("stop") == texts.OFF
    assert says("help") == texts.HELP
    assert says("dance") == texts.unknown("dance")
    assert world.scalings(stage.target) == [1, 0]


def with_parents(path: str) -> set[str]:
    """A path and the directories above it."""
    return {path, *(str(parent) for parent in Path(path).parents)} - {"/"}


def test_a_conversation_under_all_the_limits(world: World, staged: Stage, images: Images) -> None:
    bot = container(staged)
    converse(world, staged)
    devices = set(world.synapse.devices(staged.bot_id))

    # What the kernel enforces, not what was asked for.
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{bot.pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert set(status["Uid"].split() + status["Gid"].split()) == {str(USER)}
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    told = subprocess.run(as_root("cat", f"/proc/{bot.pid}/mounts"), capture_output=True, text=True, check=True)
    mounts = [line.split()[1:4] for line in told.stdout.splitlines()]
    on_disk = {at: options.split(",")[0] for at, kind, options in mounts if kind in ("ext4", "xfs", "btrfs", "overlay")}
    assert [at for at, mode in on_disk.items() if mode == "rw"] == [STORE], on_disk
    assert (on_disk["/"], on_disk[SERVICE_ACCOUNT]) == ("ro", "ro")
    assert not [at for at, *_ in mounts if at in ("/tmp", "/var/tmp", "/run")]

    memory, group = bot.memory(), bot.peak_of_group()
    assert memory.peak * 1024 < MEMORY_LIMIT / 2, "less than half of the limit is left"
    assert group is None or group <= MEMORY_LIMIT
    print(f"resident {memory.resident} kB, at most {memory.peak} kB; its group at most {(group or 0) // 1024} kB")

    changed = {line.split(" ", 1)[1] for line in images.podman("diff", bot.name).stdout.splitlines()}
    assert changed <= ENGINES_OWN | with_parents(STORE) | with_parents(SERVICE_ACCOUNT), changed
    assert {path.name for path in bot.store.iterdir()} <= {
        "store.lock",
        "store.sqlite3",
        "store.sqlite3-shm",
        "store.sqlite3-wal",
    }

    bot.restart()
    assert staged.person.ask(staged.room_id, "start", staged.bot_id).text == texts.ON
    assert set(world.synapse.devices(staged.bot_id)) == devices, "another container on the volume is another device"


def test_what_is_run_in_the_pod_beside_the_bot(world: World, as_image: None, images: Images) -> None:
    """By a probe or by a person, within the same 16 MiB; the bot goes on."""
    stage = world.stage(True, HEALTH_ADDR=f"127.0.0.1:{free_port()}")
    bot = container(stage)
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON

    def beside(*arguments: str) -> str:
        return images.podman("exec", bot.name, f"/{NAME}", *arguments).stdout

    for probe in ("livez", "readyz"):
        beside("healthcheck", probe)
    assert f"{stage.bot_id} (the bot)" in beside("identities", "list")
    beside("check-config")
    assert bot.running
    assert stage.person.ask(stage.room_id, "stop", stage.bot_id).text == texts.OFF


def test_podman_stop_ends_it_at_once_and_with_0(staged: Stage, images: Images) -> None:
    bot = container(staged)
    asked = time.monotonic()
    images.podman("stop", "--time=40", bot.name)
    assert bot.wait_end(20).code == 0, bot.tail()
    assert time.monotonic() - asked < 30, "it was not SIGTERM that ended it"
    assert "stopped" in bot.tail(3)


def test_the_list_picks_the_image_that_the_kernel_can_run(images: Images) -> None:
    """Of the wrong architecture the kernel runs not one instruction, so the program can say nothing."""
    image = images.build(*PLATFORMS)
    code, output = images.run_to_end({}, [], ("--version",), image)
    assert code == 0 and output.startswith(f"{NAME} "), output
    here = PLATFORMS[os.uname().machine]
    other = next(machine for machine in PLATFORMS if PLATFORMS[machine] != here)
    code, output = images.run_to_end({}, [], ("--version",), f"{image}-{PLATFORMS[other]}")
    if Path(f"/proc/sys/fs/binfmt_misc/qemu-{other}").exists():
        assert code == 0 and f"{NAME} " in output, output
    else:
        assert code != 0 and "exec format error" in output.lower(), output


def extracted(images: Images, image: str, to: Path) -> Path:
    """The one file of an image, after a look that it is the only one."""
    archive = to / "image.tar"
    images.podman("save", "--format=oci-archive", f"--output={archive}", image)
    with tarfile.open(archive) as saved:

        def blob(digest: str) -> bytes:
            file = saved.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert file
            return file.read()

        index = saved.extractfile("index.json")
        assert index
        manifest = json.loads(blob(json.load(index)["manifests"][0]["digest"]))
        (layer,) = manifest["layers"]
        with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as files:
            assert files.getnames() == [NAME]
            files.extract(NAME, to, filter="data")
    return to / NAME


def test_the_image_of_the_other_architecture_converses_too(world: World, images: Images, tmp_path: Path) -> None:
    here = os.uname().machine
    other = next(machine for machine in PLATFORMS if machine != here)
    image = f"{images.build(*PLATFORMS)}-{PLATFORMS[other]}"
    assert images.inspect(image)["Architecture"] == PLATFORMS[other]
    binary = extracted(images, image, tmp_path)
    before = world.make_bot
    world.make_bot = lambda settings: Bot(settings, binary, (emulator(other),))
    try:
        stage = world.stage(True)
    finally:
        world.make_bot = before
    converse(world, stage)
    stage.bot.restart()
    assert stage.person.ask(stage.room_id, "start", stage.bot_id).text == texts.ON
    assert stage.bot.end().code == 0
