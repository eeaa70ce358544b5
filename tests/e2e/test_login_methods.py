"""Each way to log in, on the servers people have, up to an encrypted answer."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from toggle_e2e import totp
from toggle_e2e.logins import (
    NATIVE,
    SHORT_SESSION,
    SSO,
    TOKEN,
    TOTP,
    Logins,
    Settings,
    SetUp,
    answers,
    ends_saying,
)
from toggle_e2e.homeserver import HttpError
from toggle_e2e.world import Account, World


def shared_secret(logins: Logins) -> Settings:
    """The bot's variables where it signs its own tokens."""
    return {
        "AUTH_METHOD": "jwt",
        "JWT_LOGIN_TYPE": TOKEN,
        "JWT_SECRET": logins.shared_secret,
        "MATRIX_PASSWORD": None,
    }


WAYS: dict[str, tuple[SetUp, Callable[[Logins], Settings]]] = {
    "oauth": (SetUp.OAUTH, lambda logins: logins.keycloak_settings()),
    "shared secret": (SetUp.SHARED_SECRET, shared_secret),
    "native": (
        SetUp.STATIC_KEY,
        lambda logins: logins.keycloak_settings(JWT_LOGIN_TYPE=NATIVE, JWT_AUDIENCE="synapse"),
    ),
    "key in a file": (SetUp.STATIC_KEY, lambda logins: logins.keycloak_settings("named-by-sub", JWT_LOGIN_TYPE=TOKEN)),
    "sso": (SetUp.STATIC_KEY, lambda _: SSO),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_conversation_after_a_login(logins: Logins, way: str) -> None:
    set_up, settings = WAYS[way]
    world = logins.world(set_up)
    account = logins.account(world)
    stage = logins.converse(set_up, account, **settings(logins))
    (device,) = world.synapse.devices(account.user_id)
    assert stage.person.device_keys(account.user_id).keys() == {device}
    stage.bot.restart()
    answers(stage)
    assert set(world.synapse.devices(account.user_id)) == {device}, "a restart must not log in anew"


@pytest.mark.parametrize("way", ["shared secret", "sso"])
def test_the_combined_homeserver_takes_the_other_ways_too(logins: Logins, way: str) -> None:
    """Its single sign-on shows a page to go on from, for want of a whitelist."""
    account = logins.account(logins.world(SetUp.COMBINED))
    with logins.bot(SetUp.COMBINED, account, **WAYS[way][1](logins)):
        assert len(logins.world(SetUp.COMBINED).synapse.devices(account.user_id)) == 1


def test_access_tokens_that_live_for_seconds_are_renewed(logins: Logins) -> None:
    world = logins.world(SetUp.COMBINED)
    account = logins.account(world)

    def renewals(mark: int) -> int:
        return len(world.synapse.requests_since(mark, "POST", "/_matrix/client/v3/refresh"))

    running = world.synapse.log_mark()
    stage = logins.converse(SetUp.COMBINED, account, **logins.keycloak_settings())
    devices = set(world.synapse.devices(account.user_id))
    time.sleep(SHORT_SESSION + 1)
    answers(stage)
    assert renewals(running) >= 1
    assert stage.bot.end().code == 0
    time.sleep(SHORT_SESSION + 1)
    # It finds a token that has ended meanwhile.
    again = world.synapse.log_mark()
    stage.bot.start()
    answers(stage)
    assert renewals(again) >= 1
    logged_in = [line for line in stage.bot.log if "logged in as" in line.text]
    assert len(logged_in) == 1 and set(world.synapse.devices(account.user_id)) == devices


def test_a_one_time_password_goes_with_the_password(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH), totp=TOTP)
    settings = logins.keycloak_settings(KEYCLOAK_TOTP_SECRET=totp.shown(TOTP))
    with logins.bot(SetUp.OAUTH, account, **settings) as bot:
        assert bot.running


def test_a_one_time_password_goes_into_keycloaks_page(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.STATIC_KEY), totp=TOTP)
    settings: Settings = SSO | {"KEYCLOAK_URL": logins.keycloak.url, "KEYCLOAK_TOTP_SECRET": totp.shown(TOTP)}
    with logins.bot(SetUp.STATIC_KEY, account, **settings) as bot:
        assert bot.running


def test_a_key_that_is_rotated_between_two_logins(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    account = logins.account(world)
    stage = logins.converse(SetUp.OAUTH, account, **logins.keycloak_settings())
    (device,) = world.synapse.devices(account.user_id)
    mark = stage.bot.log_mark()
    with logins.realm.rotated_keys():
        world.synapse.admin("DELETE", f"/_synapse/admin/v2/users/{account.user_id}/devices/{device}")
        stage.bot.wait_log("logged in as", since=mark)
        stage.bot.wait_log("listening", since=mark)
    (other,) = world.synapse.devices(account.user_id)
    assert other != device


def ready_made(world: World, account: Account, password: str) -> dict[str, str]:
    """A session that somebody made for the bot."""
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": account.localpart},
        "password": password,
        "initial_device_display_name": "made beforehand",
    }
    made = world.synapse.call("POST", "/_matrix/client/v3/login", body)
    return {"MATRIX_ACCESS_TOKEN": made["access_token"], "MATRIX_DEVICE_ID": made["device_id"]}


def test_a_token_that_was_made_beforehand(logins: Logins, world: World) -> None:
    account = world.account("bot")
    made = ready_made(world, account, account.password)
    person, target = world.person(world.account("alice")), world.target()
    settings = {"AUTH_METHOD": "token", "MATRIX_PASSWORD": None, **made}
    bot = world.bot(account, (person.user_id,), target, **settings)
    room_id = person.create_room(True, (account.user_id,))
    bot.start()
    world.join(bot, person, room_id, account.user_id)
    assert person.ask(room_id, "status", account.user_id).encrypted
    assert set(world.synapse.devices(account.user_id)) == {made["MATRIX_DEVICE_ID"]}
    assert person.device_keys(account.user_id).keys() == {made["MATRIX_DEVICE_ID"]}


def test_a_token_of_another_device_or_user_or_none(logins: Logins, world: World) -> None:
    account, other = world.account("bot"), world.account("other")
    made, foreign = ready_made(world, account, account.password), ready_made(world, other, other.password)
    settings = {"AUTH_METHOD": "token", "MATRIX_PASSWORD": None, **made}

    def bot(**wrong: str) -> str:
        return ends_saying(world.bot(account, (other.user_id,), logins.target, **settings | wrong), "this program's")

    assert f"device {made['MATRIX_DEVICE_ID']}" in bot(MATRIX_DEVICE_ID=foreign["MATRIX_DEVICE_ID"])
    assert other.user_id in bot(**foreign)
    assert "MATRIX_ACCESS_TOKEN" in bot(MATRIX_ACCESS_TOKEN="syt_gone_gone_gone")


def test_logging_in_leaves_no_way_to_log_in_by_password(logins: Logins) -> None:
    """The password in Keycloak is not the homeserver's: so none of the above was a login by password."""
    world = logins.world(SetUp.OAUTH)
    account = logins.account(world)
    with pytest.raises(HttpError) as caught:
        ready_made(world, account, account.password)
    assert caught.value.status == 403
