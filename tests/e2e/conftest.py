"""The servers all tests share, and what is printed of them when one fails."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from toggle_e2e.backend import Backend  # noqa: E402
from toggle_e2e.binary import read_elf  # noqa: E402
from toggle_e2e.bot import Bot, default_binary  # noqa: E402
from toggle_e2e.dendrite import Dendrite  # noqa: E402
from toggle_e2e.element import Element, lay_out  # noqa: E402
from toggle_e2e.image import ImageBot, Images  # noqa: E402
from toggle_e2e.issuer import People  # noqa: E402
from toggle_e2e.logins import Logins, Patient  # noqa: E402
from toggle_e2e.net import end_cleanly_on_sigterm  # noqa: E402
from toggle_e2e.person import Person  # noqa: E402
from toggle_e2e.redaction import given_away  # noqa: E402
from toggle_e2e.scene import Elements, Login, Scene, make_scene  # noqa: E402
from toggle_e2e.world import Account, Stage, Target, World  # noqa: E402

_world: World | None = None
_logins: Logins | None = None
_dendrite: World | None = None


def _worlds() -> list[World]:
    """Those that are up, the one all tests share first."""
    found = [_world, *(_logins.worlds if _logins else []), _dendrite]
    return [world for world in found if world]


def pytest_configure() -> None:
    """Before the first server is started."""
    end_cleanly_on_sigterm()


def pytest_report_header() -> str:
    """Says first which binary is under test."""
    return f"bot under test: {default_binary()}"


@pytest.fixture(scope="session")
def images() -> Iterator[Images]:
    """The image, built when it is first asked for, and its containers."""
    made = Images()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The homeserver and the cluster, started once."""
    global _world, _logins
    binary = default_binary()
    if not os.access(binary, os.X_OK):
        pytest.exit(f"there is no binary at {binary}: make release builds it", returncode=3)
    with World(tmp_path_factory.mktemp("world")) as made:
        _world = made
        if os.environ.get("BOT_AS") == "image":
            images: Images = request.getfixturevalue("images")
            made.make_bot = lambda settings: ImageBot(images, settings)
        if any("logins" in getattr(item, "fixturenames", ()) for item in request.session.items):
            # Keycloak needs its time, in which other tests can run.
            _logins = Logins(tmp_path_factory.mktemp("logins"), made)
            _logins.launch()
        try:
            yield made
        finally:
            if _logins:
                _logins.stop()
            _world = _logins = None


@pytest.fixture(scope="session")
def logins(world: World) -> Logins:
    """Keycloak, and the homeservers that know it."""
    assert _logins
    return _logins


@pytest.fixture(scope="session")
def people(logins: Logins) -> Iterator[People]:
    """A realm whose access tokens the gateway takes."""
    made = People(logins.realm.keycloak, "people")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def other_people(logins: Logins) -> Iterator[People]:
    """Another one like it, whose keys may be exchanged."""
    made = People(logins.realm.keycloak, "other-people")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """The server behind the pods of a module's targets."""
    with Backend() as made:
        made.open()
        yield made


@pytest.fixture(scope="session")
def patient(logins: Logins) -> Iterator[Patient]:
    """Bots that are waited for long, begun when this is first asked for."""
    made = Patient(logins)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def dendrite(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same with Dendrite, a homeserver of another family."""
    global _dendrite
    workdir = tmp_path_factory.mktemp("dendrite")
    with World(workdir, homeserver=Dendrite(workdir / "homeserver"), beside=world) as made:
        _dendrite = made
        try:
            yield made
        finally:
            _dendrite = None


@pytest.fixture(autouse=True)
def _tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ends the bots and clients of a test, and looks that no bot gave a secret away."""
    if "world" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("world")
    before = {id(world): (len(world.bots), len(world.people)) for world in _worlds()}
    yield
    bots: list[Bot] = []
    for world in _worlds():
        old_bots, old_people = before.get(id(world), (0, 0))
        bots += world.bots[old_bots:]
        for person in world.people[old_people:]:
            person.stop()
    for bot in bots:
        bot.kill()
    for bot in bots:
        found = given_away(bot.settings, (line.text for line in bot.log))
        assert not found, f"the log holds {found}"


@pytest.fixture
def as_image(world: World, images: Images) -> Iterator[None]:
    """Makes the bots of a test containers of the image; `BOT_AS=image` does so for all tests."""
    before = world.make_bot
    world.make_bot = lambda settings: ImageBot(images, settings)
    yield
    world.make_bot = before


@pytest.fixture
def as_image_if_static(world: World, request: pytest.FixtureRequest) -> None:
    """The same, unless the binary under test cannot run in it: then it is not to be mistaken for one that can."""
    if read_elf(default_binary()).static:
        request.getfixturevalue("as_image")


@pytest.fixture
def target(world: World) -> Target:
    """A namespace with the shipped rights and a deployment at 0 replicas."""
    return world.target()


@pytest.fixture
def alice(world: World) -> Person:
    """Somebody who may command the bot."""
    return world.person(world.account("alice"))


@pytest.fixture
def mallory(world: World) -> Person:
    """Somebody who may not."""
    return world.person(world.account("mallory"))


@pytest.fixture
def bot_account(world: World) -> Account:
    """The bot's own user."""
    return world.account("bot")


@pytest.fixture
def stage(world: World, alice: Person, target: Target) -> Stage:
    """A running bot in an encrypted room with Alice."""
    return world.stage(encrypted=True, target=target, person=alice)


@pytest.fixture
def make_bot(world: World, bot_account: Account, alice: Person, target: Target) -> Callable[..., Bot]:
    """Gives bots of this test's account, told to listen to Alice, not started yet."""

    def make(**overrides: str | None) -> Bot:
        return world.bot(bot_account, (alice.user_id,), target, **overrides)

    return make


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client at Element beside its packages, which are installed where they are missing."""
    return lay_out(tmp_path_factory.mktemp("element"))


@pytest.fixture
def elements(
    world: World, script: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> Iterator[Elements]:
    """Makes devices at Element, ends them, and tells which shields they drew beside the bots' answers."""
    made: list[Element] = []
    made_before = {bot for one in _worlds() for bot in one.bots}

    def make(account: Account, device: str, login: Login | None = None) -> Element:
        home = next((one for one in _worlds() if account in one.accounts), world).homeserver
        element = Element(script, home.url, account.user_id, account.password, device)
        made.append(element)
        login = login or Login()
        return element.start(login.cross_signing, login.only_signed)

    yield make
    for element in made:
        element.stop()
    bots = {bot for one in _worlds() for bot in one.bots} - made_before
    senders = {world.homeserver.mxid(bot.settings["MATRIX_USER"]) for bot in bots}
    shields = Counter(
        f"{message.shield} {message.shield_reason}" if message.failure is None else message.failure
        for element in made
        for message in element.seen()
        if message.sender in senders
    )
    told = ", ".join(f"{count} x {shield}" for shield, count in sorted(shields.items()))
    record_property("shields", told)
    with capsys.disabled():
        print(f" [shields: {told}] ", end="")


@pytest.fixture
def scene(world: World, elements: Elements, request: pytest.FixtureRequest) -> Scene:
    """A bot and a person at Element, by default one with an identity of their own."""
    return make_scene(world, elements, getattr(request, "param", None))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Puts the ends of all logs under a failure, since on another machine they are all there is."""
    report = yield
    if report.failed:
        for world in _worlds():
            for bot in world.bots[-3:]:
                report.sections.append((f"log of bot {bot.settings.get('MATRIX_USER')}", bot.tail()))
            report.sections.append((f"log of the homeserver in {world.workdir.name}", world.homeserver.tail(25)))
        if _world:
            report.sections.append(("logs of the cluster", str(_world.cluster.tail_logs(25))))
        if _logins:
            report.sections.append(("log of Keycloak", _logins.keycloak.tail()))
    return report
