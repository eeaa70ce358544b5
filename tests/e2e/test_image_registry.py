"""The manifest list that is pushed, seen as a cluster's nodes see it: from a real registry."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toggle_e2e.binary import TRIPLES
from toggle_e2e.bot import NAME
from toggle_e2e.image import PLATFORMS, USER, Images, image_binary
from toggle_e2e.registry import INDEX, MANIFEST, Registry
from toggle_e2e.registry import USER as PUSHER

VERSION = "1.2.3"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An empty registry on loopback."""
    with Registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="module")
def binaries(images: Images) -> Path:
    """A target directory with the binaries of both architectures."""
    return images.target(*PLATFORMS)


def push(images: Images, registry: Registry, binaries: Path, repository: str, **settings: str) -> str:
    """Pushes with the project's script, and gives the digest that it ends with."""
    given = {
        "IMAGE": f"{registry.address}/{repository}",
        "VERSION": VERSION,
        "TLS_VERIFY": "false",
        "REGISTRY_USER": PUSHER,
        "REGISTRY_AUTH_FILE": str(images.workdir / f"{repository}.auth"),
    }
    done = images.script(binaries, told=registry.password, **given | settings)
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def pushed(images: Images, registry: Registry, binaries: Path) -> str:
    """The digest of what was pushed to `toggle`."""
    return push(images, registry, binaries, "toggle")


def by_platform(registry: Registry, index: dict[str, Any]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Manifest and configuration of each image in a list."""
    found = {}
    for entry in index["manifests"]:
        manifest, _ = registry.manifest("toggle", entry["digest"], MANIFEST)
        config = json.loads(registry.blob("toggle", manifest["config"]["digest"]))
        found[f"{entry['platform']['os']}/{entry['platform']['architecture']}"] = (manifest, config)
    return found


def test_both_tags_are_one_list_of_both_platforms(registry: Registry, pushed: str) -> None:
    for tag in (VERSION, "latest"):
        index, digest = registry.manifest("toggle", tag, INDEX)
        assert digest == pushed, "the script ends with another digest"
        assert sorted(by_platform(registry, index)) == ["linux/amd64", "linux/arm64"]


def test_each_image_is_one_file_run_by_a_numeric_user(registry: Registry, pushed: str) -> None:
    index, _ = registry.manifest("toggle", pushed, INDEX)
    images = by_platform(registry, index)
    for machine, architecture in PLATFORMS.items():
        manifest, config = images[f"linux/{architecture}"]
        assert (config["os"], config["architecture"]) == ("linux", architecture)
        settings = config["config"]
        assert settings["User"] == f"{USER}:{USER}"
        assert settings["Entrypoint"] == [f"/{NAME}"] and not settings.get("Cmd")
        labels = {key.removeprefix("org.opencontainers.image."): text for key, text in settings["Labels"].items()}
        assert set(labels) == {"title", "description", "source", "licenses", "version", "revision", "created"}
        assert labels["version"] == VERSION and labels["licenses"] == "LGPL-3.0-or-later"
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels["revision"])
        # The registry tells the time of the sources, to a nanosecond's zeros or not.
        assert config["created"].removesuffix("Z").partition(".")[0] == labels["created"].removesuffix("Z")

        (layer,) = manifest["layers"]
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(registry.blob("toggle", layer["digest"])))) as files:
            (file,) = files.getmembers()
            assert (file.name, file.isfile(), file.uid, f"{file.mode:o}") == (NAME, True, 0, "755")
            content = files.extractfile(file)
            assert content and content.read() == image_binary(machine).read_bytes()


def test_the_same_binaries_are_the_same_image(images: Images, registry: Registry, binaries: Path, pushed: str) -> None:
    """Built again, elsewhere, from files of another time, with another tool."""
    elsewhere = images.target(*PLATFORMS)
    assert elsewhere != binaries
    for triple in TRIPLES:
        os.utime(elsewhere / triple / "release" / NAME, (1_000_000_000, 1_000_000_000))
    assert push(images, registry, elsewhere, "by-podman", CONTAINER_TOOL="podman") == pushed


def test_a_wrong_password_pushes_nothing(images: Images, registry: Registry, binaries: Path) -> None:
    settings = {"REGISTRY_PASSWORD": "not-the-password"}
    with pytest.raises(RuntimeError, match=r"unauthorized|authentication required|invalid username") as failure:
        push(images, registry, binaries, "refused", **settings)
    assert "not-the-password" not in str(failure.value)
    assert not registry.has("refused")
