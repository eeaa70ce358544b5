"""The image that ships, and the bot in a container of it, held as tight as the manifests hold it."""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .binary import read_elf, release_binary
from .bot import NAME, Bot, Ended, default_binary
from .net import wait_for

REPOSITORY = Path(__file__).resolve().parents[3]
REPOSITORY_NAME = f"localhost/{NAME}"
VERSION = "0.0.0"
USER = 65532
STORE = "/data/crypto_store"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
MEMORY_LIMIT = 16 * 1024 * 1024
PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64"}

# What the manifests ask of a cluster: a root that nobody writes to, no /tmp, no
# capability, no way to one, the runtime's own seccomp profile, 16 MiB without swap.
HARDENING = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    f"--memory={MEMORY_LIMIT}",
    f"--memory-swap={MEMORY_LIMIT}",
)

# What only a machine without systemd, a bridge or raised limits needs, and podman's habit of adding to /etc.
_SURROUNDINGS = ("--cgroups=no-conmon", "--network=host", "--passwd=false")

_numbers = itertools.count(1)


def as_root(*command: str) -> list[str]:
    """A command as root, since limits and volumes of another user take one."""
    if os.geteuid() == 0:
        return list(command)
    return ["sudo", "-n", "--preserve-env=CONTAINERS_CONF,CONTAINERS_STORAGE_CONF", *command]


def emulator(machine: str) -> str:
    """What runs a binary of another machine."""
    for name in (f"qemu-{machine}-static", f"qemu-{machine}"):
        if found := shutil.which(name):
            return found
    raise RuntimeError(f"missing: an emulator of {machine}: apt-get install qemu-user-static.")


def image_binary(machine: str) -> Path:
    """The binary that goes into the image: the one under test, if it can run there at all."""
    under_test = default_binary()
    if machine == os.uname().machine and under_test.is_file() and read_elf(under_test).static:
        return under_test
    binary = release_binary(f"{machine}-unknown-linux-musl")
    if not binary.is_file():
        raise RuntimeError(f"there is no binary at {binary}: make release builds it")
    return binary


@dataclass(frozen=True)
class Volume:
    """A directory of this machine and where a container finds it."""

    source: Path
    at: str
    read_only: bool = False

    @property
    def argument(self) -> str:
        """As podman takes it."""
        return f"--volume={self.source}:{self.at}" + (":ro" if self.read_only else "")


class Images:
    """Images and containers of a session, in a storage of their own.

    What the machine has of either is neither seen nor changed.
    """

    def __init__(self) -> None:
        for program in ("podman", "buildah"):
            if not shutil.which(program):
                raise RuntimeError(f"missing: {program}, to run the image: apt-get install podman buildah runc.")
        # Short, because podman puts sockets below it; no further than this, whatever TMPDIR says.
        self.workdir = Path(tempfile.mkdtemp(prefix="toggle-", dir="/tmp"))
        self._write_configuration()
        self._containers: list[str] = []
        self._built: dict[tuple[str, ...], str] = {}

    def _write_configuration(self) -> None:
        # vfs runs where overlay cannot, inside another container; the image is one small file.
        (self.workdir / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{self.workdir}/root"\nrunroot = "{self.workdir}/run"\n'
        )
        runtime = "runc" if shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin") else "crun"
        files = min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1] % (1 << 63))
        (self.workdir / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=1000:1000"]\nhttp_proxy = false\n'
            'log_driver = "none"\n'
            f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nruntime = "{runtime}"\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        """What makes a container tool use this storage."""
        return os.environ | {
            "CONTAINERS_CONF": str(self.workdir / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.workdir / "storage.conf"),
        }

    def podman(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs podman to its end."""
        done = subprocess.run(
            as_root("podman", *arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done

    def inspect(self, name: str) -> dict[str, Any]:
        """What podman knows of an image or a container."""
        found: list[dict[str, Any]] = json.loads(self.podman("inspect", name).stdout)
        return found[0]

    def build(self, *machines: str) -> str:
        """Has the project's own script build the image for these machines, once, and gives its name."""
        machines = machines or (os.uname().machine,)
        if machines not in self._built:
            self._built[machines] = self._build(machines)
        return self._built[machines]

    def target(self, *machines: str) -> Path:
        """A target directory with nothing but the binaries for these machines."""
        target = self.workdir / f"target-{next(_numbers)}"
        for machine in machines:
            beside = target / f"{machine}-unknown-linux-musl" / "release" / NAME
            beside.parent.mkdir(parents=True)
            shutil.copy(image_binary(machine), beside)
        return target

    def _build(self, machines: tuple[str, ...]) -> str:
        name = f"{REPOSITORY_NAME}-{len(self._built)}"
        platforms = " ".join(PLATFORMS[machine] for machine in machines)
        self.script(self.target(*machines), "onlylocal", IMAGE=name, VERSION=VERSION, PLATFORMS=platforms)
        return f"{name}:{VERSION}"

    def script(
        self, target: Path, *arguments: str, told: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs `deploy/build-container-multiarch.sh` on ready binaries."""
        script = str(REPOSITORY / "deploy" / "build-container-multiarch.sh")
        settings = {"CARGO_TARGET_DIR": str(target), "SKIP_BUILD": "1", "CONTAINER_TOOL": "buildah"} | environment
        done = subprocess.run(
            as_root("env", *(f"{name}={value}" for name, value in settings.items()), "bash", script, *arguments),
            env=self.environment,
            input=told,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{script} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def volume(self, owner: int = USER, mode: int = 0o755) -> Path:
        """A fresh volume, as a provisioner would make it for this user."""
        path = self.workdir / f"volume-{next(_numbers)}"
        self.own(path, owner, mode)
        return path

    def own(self, path: Path, owner: int = USER, mode: int = 0o755) -> None:
        """Makes a directory, if there is none, that belongs to this user."""
        command = as_root("install", "-d", "-o", str(owner), "-g", str(owner), "-m", f"{mode:o}", str(path))
        subprocess.run(command, check=True)

    def container(self) -> str:
        """A name that no container has had."""
        name = f"toggle-{os.getpid()}-{next(_numbers)}"
        self._containers.append(name)
        return name

    def run_arguments(self, name: str, volumes: list[Volume], settings: dict[str, str]) -> list[str]:
        """The arguments of `podman run` up to the image."""
        file = self.workdir / f"{name}.env"
        file.touch(mode=0o600)
        for key, value in settings.items():
            if "\n" in value:
                raise ValueError(f"{key} has more than one line, which no environment file can hold")
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return [
            "run",
            "--rm",
            f"--name={name}",
            f"--pidfile={self.workdir / name}.pid",
            f"--env-file={file}",
            *HARDENING,
            *_SURROUNDINGS,
            *(volume.argument for volume in volumes),
        ]

    def run_to_end(
        self,
        settings: dict[str, str],
        volumes: list[Volume],
        arguments: tuple[str, ...] = (),
        image: str | None = None,
        timeout: float = 30,
    ) -> tuple[int, str]:
        """Runs a container once and gives its exit code and all it wrote."""
        command = [*self.run_arguments(self.container(), volumes, settings), image or self.build(), *arguments]
        done = self.podman(*command, check=False, timeout=timeout)
        return done.returncode, done.stdout + done.stderr

    def stop(self) -> None:
        """Takes all containers and images away."""
        self.podman("rm", "--force", "--all", "--time=0", check=False)
        subprocess.run(as_root("rm", "-rf", str(self.workdir)), check=False)


class ImageBot(Bot):
    """A bot that is a container of the image, where the paths are those of the manifests."""

    def __init__(self, images: Images, settings: dict[str, str], image: str | None = None) -> None:
        super().__init__(settings)
        self._images = images
        self._image = image
        self.name = ""
        """The container of this start."""

    @property
    def store(self) -> Path:
        """The volume of its store."""
        return Path(self.settings["CRYPTO_STORE_PATH"])

    def _prepare(self) -> None:
        self._image = self._image or self._images.build()
        if not self.store.exists():
            self._images.own(self.store)
        self.name = self._images.container()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        assert self._image
        settings = dict(self.settings)
        volumes = [Volume(Path(settings.pop("CRYPTO_STORE_PATH")), STORE)]
        settings["CRYPTO_STORE_PATH"] = STORE
        if account := settings.pop("SERVICE_ACCOUNT_DIR", None):
            volumes.append(Volume(Path(account), SERVICE_ACCOUNT, read_only=True))
        for key, value in settings.items():
            if key.endswith("_FILE") and Path(value).is_file():
                subprocess.run(as_root("chgrp", str(USER), value), check=True)
                subprocess.run(as_root("chmod", "g+r", value), check=True)
                volumes.append(Volume(Path(value), value, read_only=True))
        arguments = self._images.run_arguments(self.name, volumes, settings)
        return as_root("podman", *arguments, self._image), self._images.environment

    @property
    def pid(self) -> int:
        """The bot's own process, as this machine numbers it."""
        file = self._images.workdir / f"{self.name}.pid"
        wait_for(f"{self.name} to start", lambda: file.is_file() and file.read_text().strip(), 10, 0.01, self.tail)
        return int(file.read_text())

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10) -> Ended:
        """As of a process; the seconds are the bot's own, without what podman does after it."""
        process = Path(f"/proc/{self.pid}")
        asked = time.monotonic()
        self._signal(number)
        wait_for(f"{self.name} to end", lambda: not process.exists(), timeout, 0.005, self.tail)
        seconds = time.monotonic() - asked
        return Ended(self.wait_end(timeout).code, seconds)

    def _signal(self, number: signal.Signals) -> None:
        # Straight to the process: podman takes a while to do the same.
        subprocess.run(as_root("kill", f"-{number.value}", str(self.pid)), check=False)

    def peak_of_group(self) -> int | None:
        """The most memory the container ever used, its files' pages and the kernel's part included, in bytes."""
        groups = Path(f"/proc/{self.pid}/cgroup").read_text().splitlines()
        for line in groups:
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                return int(Path(f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes").read_text())
            peak = Path(f"/sys/fs/cgroup{path}/memory.peak")
            if controllers == "" and peak.is_file():
                return int(peak.read_text())
        return None
