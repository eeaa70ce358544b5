"""What the bot says when it has a token, or a password, and the homeserver does not let it in."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from toggle_e2e.logins import NATIVE, SSO, TOKEN, Logins, SetUp, ends_saying, goes_on_saying
from toggle_e2e.world import Account, World

HOMESERVER = "(to be fixed in: the homeserver)"

# The first of the login tests: what takes its time is begun here.
pytestmark = pytest.mark.usefixtures("patient")


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        (None, "load synapse_token_authenticator there with a section oauth"),
        (TOKEN, "load synapse_token_authenticator there with a section jwt"),
        (NATIVE, "set jwt_config up"),
    ],
)
def test_a_login_type_that_is_not_offered(logins: Logins, world: World, kind: str | None, cure: str) -> None:
    account = logins.account(world)
    settings = logins.keycloak_settings(JWT_LOGIN_TYPE=kind)
    bot = world.bot(account, ("@nobody:toggle.test",), logins.target, **settings)
    ends_saying(bot, HOMESERVER, "offers no login of type", "m.login.password", cure)


def test_single_sign_on_that_is_not_offered(logins: Logins, world: World) -> None:
    account = logins.account(world)
    bot = world.bot(account, ("@nobody:toggle.test",), logins.target, **SSO)
    ends_saying(bot, HOMESERVER, "m.login.sso", "set oidc_providers up")


def test_a_homeserver_without_keycloaks_keys_is_tried_again_until_it_has_them(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH))
    bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings())
    logins.jwks_gate.shut()
    try:
        goes_on_saying(bot, HOMESERVER, "the token is good as far as can be told from here", "jwks_endpoint")
    finally:
        logins.jwks_gate.open = True
    bot.wait_listening()


def test_a_homeserver_that_expects_another_issuer(logins: Logins) -> None:
    """Keycloak's tokens name another address than those before; who tells the bot what is expected hears it."""
    account = logins.account(logins.world(SetUp.OAUTH))
    expected = logins.realm.issuer
    other = f"http://localhost:{logins.keycloak.port}"
    logins.realm.change(attributes={"frontendUrl": other})
    try:
        bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings())
        goes_on_saying(bot, HOMESERVER, "does it expect the issuer")
        bot.kill()
        told = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings(KEYCLOAK_ISSUER=expected))
        goes_on_saying(
            told,
            "(to be fixed in: this program's configuration)",
            f"{other}/realms/{logins.realm.name}",
            expected,
            "KEYCLOAK_ISSUER",
        )
    finally:
        logins.realm.change(attributes={"frontendUrl": logins.keycloak.url})
    told.wait_listening()


def test_a_token_for_another_audience(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.STATIC_KEY))
    stock = logins.keycloak_settings("stock", KEYCLOAK_CLIENT_SECRET="the-secret-of-stock", JWT_LOGIN_TYPE=NATIVE)
    bot = logins.bot(SetUp.STATIC_KEY, account, **stock)
    goes_on_saying(bot, "Invalid claim 'aud'")
    bot.kill()
    told = logins.bot(SetUp.STATIC_KEY, account, **stock, JWT_AUDIENCE="synapse")
    goes_on_saying(told, "(to be fixed in: Keycloak)", '"account"', '"synapse"', "audience mapper")


def test_a_token_of_a_client_that_the_homeserver_does_not_know(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH))
    bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings("public"))
    goes_on_saying(bot, HOMESERVER, "the client public")


def test_a_token_that_names_another_user(logins: Logins) -> None:
    """The homeserver believes the token, and the bot must not go on as somebody else."""
    world = logins.world(SetUp.STATIC_KEY)
    account = logins.account(world)
    settings = logins.keycloak_settings("somebody-else", JWT_LOGIN_TYPE=NATIVE)
    bot = logins.bot(SetUp.STATIC_KEY, account, **settings)
    ends_saying(bot, world.synapse.mxid("somebody-else"), "MATRIX_USER")
    assert world.synapse.devices(account.user_id) == {}


def test_a_token_that_names_another_user_where_the_homeserver_refuses_it(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH))
    bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings("somebody-else"))
    ends_saying(bot, "(to be fixed in: this program's configuration)", '"somebody-else"', account.localpart)


def test_a_user_of_keycloak_that_the_homeserver_does_not_have(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    name = f"unregistered-{secrets.token_hex(4)}"
    logins.realm.user(name, "secret-of-nobody")
    account = Account(world.synapse.mxid(name), name, "secret-of-nobody")
    bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings())
    goes_on_saying(bot, HOMESERVER, "does it have the account")
    bot.kill()
    full = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings(MATRIX_USER=account.user_id))
    goes_on_saying(full, HOMESERVER, f"has no user {account.user_id}")
    # It is let in as soon as there is one.
    world.synapse.register(name, "another secret")
    full.wait_listening()


def test_a_shared_secret_that_the_homeserver_does_not_know(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.SHARED_SECRET))
    bot = logins.bot(
        SetUp.SHARED_SECRET,
        account,
        AUTH_METHOD="jwt",
        JWT_LOGIN_TYPE=TOKEN,
        JWT_SECRET="another-secret-" * 5,
        MATRIX_PASSWORD=None,
    )
    goes_on_saying(bot, "(to be fixed in: this program's configuration)", "JWT_SECRET")


def change(world: World, account: Account, **settings: Any) -> None:
    """Sets something of a user as the homeserver's administrator."""
    world.synapse.admin("PUT", f"/_synapse/admin/v2/users/{account.user_id}", settings)


def test_a_deactivated_account(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    account = logins.account(world)
    change(world, account, deactivated=True)
    ends_saying(logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings()), "deactivated", "administrator")


def test_a_locked_account_is_waited_for(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    account = logins.account(world)
    stage = logins.converse(SetUp.OAUTH, account, **logins.keycloak_settings())
    devices = set(world.synapse.devices(account.user_id))
    mark = stage.bot.log_mark()
    change(world, account, locked=True)
    # What is under way goes on; the message ends it.
    asked = stage.person.send(stage.room_id, "status")
    stage.bot.wait_log("M_USER_LOCKED", since=mark)
    assert stage.bot.running
    change(world, account, locked=False)
    assert stage.person.wait_reply(asked, stage.bot_id, 40).encrypted
    assert set(world.synapse.devices(account.user_id)) == devices


def test_a_homeserver_whose_clock_is_wrong(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.WRONG_CLOCK))
    bot = logins.bot(SetUp.WRONG_CLOCK, account, **logins.keycloak_settings())
    goes_on_saying(bot, "clock")


def test_a_password_that_only_keycloak_knows(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH))
    bot = logins.bot(SetUp.OAUTH, account)
    ends_saying(bot, "(to be fixed in: this program's configuration)", "MATRIX_PASSWORD")


def test_a_full_id_is_as_good_as_a_localpart(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH))
    with logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings(MATRIX_USER=account.user_id)) as bot:
        assert bot.running
    elsewhere = logins.keycloak_settings(MATRIX_USER=f"@{account.localpart}:elsewhere.test")
    ends_saying(logins.bot(SetUp.OAUTH, account, **elsewhere), account.user_id, "MATRIX_USER")
