"""What the bot says when something is wrong on the way to Keycloak."""

from __future__ import annotations

import time

import pytest

from toggle_e2e.logins import Logins, Patient, Settings, SetUp, ends_saying, goes_on_saying
from toggle_e2e.net import free_port
from toggle_e2e.standins import ConnectProxy, Gate, Page
from toggle_e2e.world import Account

NETWORK = "(to be fixed in: the network, or a clock)"
KEYCLOAK = "(to be fixed in: Keycloak)"


@pytest.fixture
def account(logins: Logins) -> Account:
    """The bot's user, on the homeserver and in Keycloak."""
    return logins.account(logins.world(SetUp.OAUTH))


def elsewhere(logins: Logins, url: str) -> Settings:
    """The variables for Keycloak at another address than that in its tokens."""
    return logins.keycloak_settings(KEYCLOAK_URL=url, KEYCLOAK_ISSUER=logins.realm.issuer)


def secure(logins: Logins, **settings: str | None) -> Settings:
    """The variables for Keycloak by https, whose certificate no public authority has signed."""
    return elsewhere(logins, logins.keycloak.https_url) | settings


def test_keycloak_is_down_and_comes_back(logins: Logins, account: Account) -> None:
    port = free_port()
    bot = logins.bot(SetUp.OAUTH, account, **elsewhere(logins, f"http://127.0.0.1:{port}"))
    goes_on_saying(bot, KEYCLOAK, f"127.0.0.1:{port} refused the connection", "KEYCLOAK_URL")
    with Gate(logins.keycloak.port, port):
        bot.wait_listening()


def test_a_page_instead_of_keycloak(logins: Logins, account: Account) -> None:
    with Page("502 Bad Gateway", "Bad gateway of the portal") as page:
        bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings(KEYCLOAK_URL=page.url))
        goes_on_saying(bot, KEYCLOAK, "a page of status 502", "Bad gateway of the portal")
        bot.kill()
    with Page("200 OK", "Please sign in") as page:
        bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings(KEYCLOAK_URL=page.url))
        ends_saying(bot, KEYCLOAK, "a page of status 200", "Please sign in", "KEYCLOAK_URL")


def test_an_authority_that_nobody_knows(logins: Logins, account: Account) -> None:
    bot = logins.bot(SetUp.OAUTH, account, **secure(logins))
    goes_on_saying(bot, NETWORK, "no secure connection", "EXTRA_CA_FILE")


@pytest.mark.parametrize("variable", ["EXTRA_CA_FILE", "SSL_CERT_FILE"])
def test_an_authority_that_is_made_known(logins: Logins, account: Account, variable: str) -> None:
    with logins.bot(SetUp.OAUTH, account, **secure(logins, **{variable: str(logins.ca_path)})) as bot:
        assert bot.running


def test_https_goes_through_the_proxy_and_http_does_not(logins: Logins, account: Account) -> None:
    with ConnectProxy("the-proxys-user", "the-proxys-password") as proxy:
        given = f"http://the-proxys-user:the-proxys-password@127.0.0.1:{proxy.port}"
        settings = secure(logins, EXTRA_CA_FILE=str(logins.ca_path), HTTPS_PROXY=given)
        with logins.bot(SetUp.OAUTH, account, **settings) as bot:
            assert "the-proxys-password" not in bot.tail()
        assert set(proxy.asked) == {f"127.0.0.1:{logins.keycloak.https_port}"}


def test_no_proxy_leaves_the_proxy_out(logins: Logins, account: Account) -> None:
    with ConnectProxy(refusal="403 Forbidden") as proxy:
        settings = secure(logins, EXTRA_CA_FILE=str(logins.ca_path), HTTPS_PROXY=proxy.url)
        bot = logins.bot(SetUp.OAUTH, account, **settings)
        goes_on_saying(bot, NETWORK, "proxy", f"127.0.0.1:{proxy.port}", "403")
        bot.kill()
        asked = len(proxy.asked)
        with logins.bot(SetUp.OAUTH, account, **settings, NO_PROXY="localhost,127.0.0.0/8"):
            assert len(proxy.asked) == asked


def test_a_proxy_that_wants_credentials_or_is_not_there(logins: Logins, account: Account) -> None:
    with ConnectProxy("the-proxys-user", "the-proxys-password") as proxy:
        settings = secure(logins, EXTRA_CA_FILE=str(logins.ca_path), HTTPS_PROXY=proxy.url)
        bot = logins.bot(SetUp.OAUTH, account, **settings)
        goes_on_saying(bot, NETWORK, "proxy", "user name and password")
        bot.kill()
    bot = logins.bot(SetUp.OAUTH, account, **settings)
    goes_on_saying(bot, NETWORK, f"127.0.0.1:{proxy.port}", "refused")


def test_keycloak_takes_too_long(patient: Patient) -> None:
    goes_on_saying(patient.unanswered, KEYCLOAK, "did not answer within 15 s", "KEYCLOAK_URL")


def test_keycloak_hangs_for_a_while(logins: Logins, account: Account) -> None:
    """Shorter than the bot's patience: nothing is lost."""
    bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings())
    logins.keycloak.pause()
    try:
        bot.start(wait=False)
        time.sleep(3)
        assert bot.running, bot.tail()
    finally:
        logins.keycloak.resume()
    bot.wait_listening()
