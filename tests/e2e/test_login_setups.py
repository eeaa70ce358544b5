"""What docs/keycloak.md says of Keycloak and Synapse, asked with plain requests: no bot has a part in it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from toggle_e2e import totp
from toggle_e2e.keycloak import claims
from toggle_e2e.logins import CLIENT, NATIVE, OAUTH, TOKEN, TOTP, Logins, SetUp
from toggle_e2e.homeserver import HttpError
from toggle_e2e.world import Account, World


def sign_in(world: World, kind: str, token: str, user: str) -> dict[str, Any]:
    """A login with a token, as the bot sends it."""
    body = {"type": kind, "token": token, "identifier": {"type": "m.id.user", "user": user}}
    return world.synapse.call("POST", "/_matrix/client/v3/login", body)


def refusal(world: World, kind: str, token: str, user: str) -> str:
    """What the homeserver says to a login that it must not take."""
    with pytest.raises(HttpError) as caught:
        sign_in(world, kind, token, user)
    return str(caught.value)


def token_of(logins: Logins, account: Account, client: str = CLIENT, secret: str | None = None) -> str:
    """A token of Keycloak for a user."""
    given = logins.client_secret if client == CLIENT else secret or ""
    status, answer = logins.realm.token(client, given, account.localpart, account.password)
    assert status == 200, answer
    return str(answer["access_token"])


def minted(secret: str, subject: str, lives: int = 300) -> str:
    """A token signed with HS512."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    now = int(time.time())
    head = {"alg": "HS512", "typ": "JWT"}
    body = {"sub": subject, "iat": now, "exp": now + lives}
    signed = f"{part(json.dumps(head).encode())}.{part(json.dumps(body).encode())}"
    return f"{signed}.{part(hmac.new(secret.encode(), signed.encode(), hashlib.sha512).digest())}"


FORBIDDEN = '"error":"Invalid username or password"'


def test_oauth_takes_the_tokens_of_its_client_for_their_own_user(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    bot, other = logins.account(world), logins.account(world, "other")
    assert sign_in(world, OAUTH, token_of(logins, bot), bot.localpart)["user_id"] == bot.user_id
    assert FORBIDDEN in refusal(world, OAUTH, token_of(logins, bot), bot.user_id), "a full id"
    assert FORBIDDEN in refusal(world, OAUTH, token_of(logins, other), bot.localpart), "another user's"
    assert FORBIDDEN in refusal(world, OAUTH, token_of(logins, bot, "public"), bot.localpart), "another client's"
    logins.realm.user("nobody", "secret-of-nobody")
    nobody = Account(world.synapse.mxid("nobody"), "nobody", "secret-of-nobody")
    assert FORBIDDEN in refusal(world, OAUTH, token_of(logins, nobody), "nobody"), "an unknown user"
    assert "Unknown login type" in refusal(world, TOKEN, "x", bot.localpart)


def test_oauth_without_keycloaks_keys_refuses_as_if_the_token_were_wrong(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    bot = logins.account(world)
    token = token_of(logins, bot)
    logins.jwks_gate.shut()
    try:
        assert FORBIDDEN in refusal(world, OAUTH, token, bot.localpart)
    finally:
        logins.jwks_gate.open = True
    assert sign_in(world, OAUTH, token, bot.localpart)["user_id"] == bot.user_id


def test_a_rotated_key_is_known_to_oauth_at_once_and_to_a_copied_key_not(logins: Logins) -> None:
    oauth, static = logins.world(SetUp.OAUTH), logins.world(SetUp.STATIC_KEY)
    bot, other = logins.account(oauth), logins.account(static)
    old = token_of(logins, bot)
    before = logins.realm.key_ids()
    with logins.realm.rotated_keys():
        assert not before & logins.realm.key_ids()
        assert FORBIDDEN in refusal(oauth, OAUTH, old, bot.localpart)
        assert sign_in(oauth, OAUTH, token_of(logins, bot), bot.localpart)["user_id"] == bot.user_id
        assert "Signature verification failed" in refusal(static, NATIVE, token_of(logins, other), other.localpart)
    assert logins.realm.key_ids() == before
    assert sign_in(static, NATIVE, token_of(logins, other), other.localpart)["user_id"] == other.user_id


def test_a_homeserver_with_a_wrong_clock_refuses_good_tokens(logins: Logins) -> None:
    world = logins.world(SetUp.WRONG_CLOCK)
    bot = logins.account(world)
    assert FORBIDDEN in refusal(world, OAUTH, token_of(logins, bot), bot.localpart)


def test_a_shared_secret_takes_what_the_bot_signs_and_nothing_of_keycloak(logins: Logins) -> None:
    world = logins.world(SetUp.SHARED_SECRET)
    bot = logins.account(world)
    secret = logins.shared_secret
    assert sign_in(world, TOKEN, minted(secret, bot.localpart), bot.localpart)["user_id"] == bot.user_id
    assert FORBIDDEN in refusal(world, TOKEN, token_of(logins, bot), bot.localpart), "signed with RS256"
    assert FORBIDDEN in refusal(world, TOKEN, minted(secret + "x", bot.localpart), bot.localpart), "another secret"
    assert FORBIDDEN in refusal(world, TOKEN, minted(secret, "nobody"), "nobody"), "an unknown user"
    # The module's library forgives a clock one minute.
    assert FORBIDDEN in refusal(world, TOKEN, minted(secret, bot.localpart, -120), bot.localpart), "expired"


def test_a_key_in_a_file_takes_tokens_that_have_the_name_as_their_subject(logins: Logins) -> None:
    world = logins.world(SetUp.STATIC_KEY)
    bot = logins.account(world)
    token = token_of(logins, bot, "named-by-sub")
    assert claims(token)["sub"] == bot.localpart
    assert sign_in(world, TOKEN, token, bot.localpart)["user_id"] == bot.user_id
    assert FORBIDDEN in refusal(world, TOKEN, token_of(logins, bot), bot.localpart), "Keycloak's own subject"


def test_both_kinds_of_tokens_work_in_one_module(logins: Logins) -> None:
    world = logins.world(SetUp.COMBINED)
    bot = logins.account(world)
    assert sign_in(world, OAUTH, token_of(logins, bot), bot.localpart)["user_id"] == bot.user_id
    minted_token = minted(logins.shared_secret, bot.localpart)
    assert sign_in(world, TOKEN, minted_token, bot.localpart)["user_id"] == bot.user_id


def test_synapses_own_tokens_need_the_audience_and_register_anybody(logins: Logins) -> None:
    world = logins.world(SetUp.STATIC_KEY)
    bot = logins.account(world)
    assert sign_in(world, NATIVE, token_of(logins, bot), bot.localpart)["user_id"] == bot.user_id
    stock = token_of(logins, bot, "stock", "the-secret-of-stock")
    assert claims(stock)["aud"] == "account"
    assert "Invalid claim 'aud'" in refusal(world, NATIVE, stock, bot.localpart)
    logins.realm.user("stranger", "secret-of-a-stranger")
    stranger = Account(world.synapse.mxid("stranger"), "stranger", "secret-of-a-stranger")
    assert sign_in(world, NATIVE, token_of(logins, stranger), "stranger")["user_id"] == stranger.user_id


def test_a_one_time_password_is_taken_once(logins: Logins) -> None:
    logins.realm.user("with-totp", "secret-of-somebody", totp=TOTP)

    def ask(code: str) -> dict[str, Any]:
        return logins.realm.token("public", "", "with-totp", "secret-of-somebody", code)[1]

    assert ask("")["error_description"] == "Invalid user credentials"
    if totp.PERIOD - time.time() % totp.PERIOD < 4:
        time.sleep(4)
    code = totp.code(TOTP)
    assert "access_token" in ask(code)
    assert ask(code)["error_description"] == "Invalid user credentials"
