"""The servers of the login tests: one Keycloak, and a homeserver for each set-up people have."""

from __future__ import annotations

import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from . import fragments, texts, totp
from .bot import Bot
from .fragments import Fragment
from .keycloak import Keycloak, Realm
from .net import free_port
from .pki import Authority
from .standins import Gate, Silent
from .synapse import Synapse
from .world import Account, Stage, Target, World

CLIENT = "synapse-oauth"
OAUTH = "com.famedly.login.token.oauth"
TOKEN = "com.famedly.login.token"
NATIVE = "org.matrix.login.jwt"

Settings = dict[str, str | None]
"""Variables of a bot; `None` leaves one out."""

SSO: Settings = {"AUTH_METHOD": "sso", "SSO_IDP_ID": "keycloak"}
TOTP = "a secret of 20 bytes"
"""What the one-time passwords of users who have some are made from."""


class SetUp(Enum):
    """What a homeserver was told about logins, beside passwords."""

    OAUTH = "oauth"
    """`token-oauth.yaml`; its way to Keycloak's keys can be shut."""
    SHARED_SECRET = "shared-secret"
    """`token-jwt-hs512.yaml`."""
    STATIC_KEY = "static-key"
    """`jwt-config.yaml`, `token-jwt-rs256.yaml` and `oidc-providers.yaml`."""
    COMBINED = "combined"
    """`combined.yaml`; single sign-on asks a person to go on, and access tokens live for `SHORT_SESSION`."""
    WRONG_CLOCK = "wrong-clock"
    """`token-oauth.yaml`, and a clock that is ahead by `CLOCK_AHEAD`."""


# As much as it ever says: secrets are looked for in it after each test.
LOUD: Settings = {"RUST_LOG": "info,openclaw_k8s_toggle_operator=trace"}

# Further than any token lives, in seconds.
CLOCK_AHEAD = 1800
# In seconds.
SHORT_SESSION = 4


@dataclass(frozen=True)
class _Server:
    """What a homeserver is started with."""

    fragments: tuple[Fragment, ...]
    clock_ahead: int = 0


class Logins:
    """One Keycloak with one realm, and homeservers that are started when a test first asks for them."""

    def __init__(self, workdir: Path, beside: World) -> None:
        self._workdir = workdir
        self._beside = beside
        self._worlds: dict[SetUp, World] = {}
        self._target: Target | None = None
        self.authority = Authority(workdir / "pki")
        self.authority.server("keycloak")
        self.keycloak = Keycloak(workdir / "keycloak", workdir / "pki/keycloak.crt", workdir / "pki/keycloak.key")
        self.jwks_gate = Gate(self.keycloak.port)
        """The way of the homeserver of `SetUp.OAUTH` to Keycloak's keys."""
        self.shared_secret = secrets.token_urlsafe(64)
        # Known before the homeservers are there, for Keycloak has to be told where they are.
        self._ports = {set_up: free_port() for set_up in SetUp}
        self._thread = ThreadPoolExecutor(1)
        self._realm: Future[Realm] | None = None

    def launch(self) -> None:
        """Starts Keycloak and has the realm made while other tests run."""
        self.keycloak.launch()
        self._realm = self._thread.submit(self._make_realm)

    def _make_realm(self) -> Realm:
        self.keycloak.wait_ready()
        return self.keycloak.import_realm(
            sso_callbacks=[f"http://127.0.0.1:{port}/_synapse/client/oidc/callback" for port in self._ports.values()]
        )

    def stop(self) -> None:
        """Ends all servers."""
        for world in self._worlds.values():
            world.__exit__(None, None, None)
        self.jwks_gate.stop()
        self.keycloak.stop()
        self._thread.shutdown()

    @property
    def realm(self) -> Realm:
        """The realm of the files that people import."""
        assert self._realm
        return self._realm.result(240)

    @property
    def ca_path(self) -> Path:
        """The authority that signed Keycloak's certificate."""
        return self.authority.path

    @property
    def client_secret(self) -> str:
        """The secret of the client that the bot uses."""
        return self.realm.client_secret(CLIENT)

    @property
    def target(self) -> Target:
        """What bots are to scale that never come to it."""
        if self._target is None:
            self._target = self._beside.target()
        return self._target

    @property
    def worlds(self) -> list[World]:
        """Those that were asked for so far."""
        return list(self._worlds.values())

    def world(self, set_up: SetUp) -> World:
        """The homeserver of a set-up, with the cluster that all share."""
        if set_up not in self._worlds:
            server = self._server(set_up)
            synapse = Synapse(
                self._workdir / set_up.value,
                fragments=server.fragments,
                clock_ahead=server.clock_ahead,
                port=self._ports[set_up],
            )
            world = World(self._workdir / f"world-{set_up.value}", homeserver=synapse, beside=self._beside)
            world.__enter__()
            self._worlds[set_up] = world
        return self._worlds[set_up]

    def _server(self, set_up: SetUp) -> _Server:
        realm, secret = self.realm, self.shared_secret
        match set_up:
            case SetUp.OAUTH:
                jwks = f"{self.jwks_gate.url}/realms/{realm.name}/protocol/openid-connect/certs"
                return _Server((fragments.token_oauth(realm, jwks),))
            case SetUp.SHARED_SECRET:
                return _Server((fragments.token_jwt(secret),))
            case SetUp.STATIC_KEY:
                keyfile = fragments.token_jwt_rs256(self._workdir / "realm.pem", realm)
                return _Server((fragments.jwt_config(realm), keyfile, fragments.oidc_providers(realm)))
            case SetUp.COMBINED:
                asking = {name: value for name, value in fragments.oidc_providers(realm).items() if name != "sso"}
                short = {"refreshable_access_token_lifetime": f"{SHORT_SESSION}s"}
                return _Server((fragments.combined(realm, secret), asking, short))
            case SetUp.WRONG_CLOCK:
                return _Server((fragments.token_oauth(realm),), CLOCK_AHEAD)

    def account(self, world: World, name: str = "bot", totp: str | None = None, **settings: object) -> Account:
        """A user of a homeserver and, under another password, of Keycloak; the account has that one."""
        made = world.account(name)
        password = f"keycloak-{secrets.token_hex(8)}"
        self.realm.user(made.localpart, password, totp, **settings)
        return Account(made.user_id, made.localpart, password)

    def keycloak_settings(self, client: str = CLIENT, **overrides: str | None) -> Settings:
        """The bot's variables for a login with a token of Keycloak."""
        return {
            "AUTH_METHOD": "jwt",
            "KEYCLOAK_URL": self.keycloak.url,
            "KEYCLOAK_REALM": self.realm.name,
            "KEYCLOAK_CLIENT_ID": client,
            "KEYCLOAK_CLIENT_SECRET": self.client_secret if client == CLIENT else None,
            **overrides,
        }

    def bot(self, set_up: SetUp, account: Account, **settings: str | None) -> Bot:
        """A bot that nobody talks to, not started yet."""
        return self.world(set_up).bot(account, ("@nobody:toggle.test",), self.target, **LOUD | settings)

    def converse(self, set_up: SetUp, account: Account, **settings: str | None) -> Stage:
        """A person, an encrypted room and a bot that logs in by itself and answers there."""
        world = self.world(set_up)
        person = world.person(world.account("alice"))
        target = world.target()
        bot = world.bot(account, (person.user_id,), target, **LOUD | settings)
        room_id = person.create_room(True, (account.user_id,))
        bot.start()
        world.join(bot, person, room_id, account.user_id)
        stage = Stage(bot, account.user_id, person, room_id, target)
        answers(stage)
        return stage


class Patient:
    """Bots that wait for half a minute before they say what they have to, started early."""

    def __init__(self, logins: Logins) -> None:
        self._silent = Silent()
        wrong: Settings = {"KEYCLOAK_TOTP_SECRET": totp.shown("some other 20 bytes.")}
        keycloak = logins.keycloak_settings()
        self.unanswered = self._start(logins, SetUp.OAUTH, None, keycloak | {"KEYCLOAK_URL": self._silent.url})
        """Its Keycloak takes connections and does not answer."""
        self.wrong_code = self._start(logins, SetUp.OAUTH, TOTP, keycloak | wrong)
        """Its one-time passwords come from another secret."""
        self.wrong_code_in_the_page = self._start(logins, SetUp.STATIC_KEY, TOTP, SSO | wrong)
        """The same with Keycloak's page."""

    def _start(self, logins: Logins, set_up: SetUp, code: str | None, settings: Settings) -> Bot:
        account = logins.account(logins.world(set_up), totp=code)
        return logins.bot(set_up, account, **settings).start(wait=False)

    def stop(self) -> None:
        """Ends what is not ended yet."""
        for bot in (self.unanswered, self.wrong_code, self.wrong_code_in_the_page):
            bot.kill()
        self._silent.stop()


def answers(stage: Stage) -> None:
    """The bot has to answer `status`, encrypted."""
    reply = stage.person.ask(stage.room_id, "status", stage.bot_id)
    assert (reply.text, reply.encrypted) == (texts.status("off", 0, 0, 0), True)


def ends_saying(bot: Bot, *parts: str) -> str:
    """The bot has to end by itself, with one line that has all of these in it, which is given."""
    if not bot.starts:
        bot.start(wait=False)
    assert bot.wait_end(30).code == 1, bot.tail()
    return _line(bot, "login failed: ", parts)


def goes_on_saying(bot: Bot, *parts: str, timeout: float = 20) -> str:
    """The bot has to say why it cannot log in, and that it tries again."""
    if not bot.starts:
        bot.start(wait=False)
    bot.wait_log("; trying again in ", timeout)
    assert bot.running, bot.tail()
    return _line(bot, "login: ", parts)


def _line(bot: Bot, start: str, parts: tuple[str, ...]) -> str:
    line = next((line for line in bot.lines() if start in line), "")
    missing = [part for part in parts if part not in line]
    assert line and not missing, f"{missing} not in {line!r}:\n{bot.tail()}"
    return line
