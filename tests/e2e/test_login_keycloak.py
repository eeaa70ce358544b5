"""What the bot says when Keycloak gives it no token."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from toggle_e2e.logins import CLIENT, SSO, TOTP, Logins, Patient, Settings, SetUp, ends_saying


@dataclass(frozen=True)
class Case:
    """One thing that is wrong."""

    name: str
    party: str
    says: tuple[str, ...]
    user: dict[str, object] = field(default_factory=dict)
    client: str = CLIENT
    settings: Settings = field(default_factory=dict)


CONFIGURATION = "this program's configuration"
KEYCLOAK = "Keycloak"
CREDENTIALS = ("does not accept the credentials of user", "MATRIX_PASSWORD", "KEYCLOAK_TOTP_SECRET")

CASES = (
    Case("wrong password", CONFIGURATION, CREDENTIALS, settings={"MATRIX_PASSWORD": "not-the-password"}),
    Case("unknown user", CONFIGURATION, CREDENTIALS, settings={"MATRIX_USER": "nobody-of-this-name"}),
    Case("one-time password missing", CONFIGURATION, CREDENTIALS, user={"totp": TOTP}),
    Case("disabled user", KEYCLOAK, ("disabled", "enable it"), user={"enabled": False}),
    Case(
        "open required action",
        KEYCLOAK,
        ("is not fully set up", "required actions", "permanent"),
        user={"requiredActions": ["UPDATE_PASSWORD"]},
    ),
    Case("incomplete profile", KEYCLOAK, ("is not fully set up", "e-mail address"), user={"lastName": ""}),
    Case(
        "wrong client secret",
        CONFIGURATION,
        (f"secret of client {CLIENT}", "KEYCLOAK_CLIENT_SECRET"),
        settings={"KEYCLOAK_CLIENT_SECRET": "not-the-secret-of-the-client"},
    ),
    Case(
        "missing client secret",
        CONFIGURATION,
        (f"asks for a secret of client {CLIENT}", "KEYCLOAK_CLIENT_SECRET"),
        settings={"KEYCLOAK_CLIENT_SECRET": None},
    ),
    Case("unknown client", CONFIGURATION, ("has no client nobody", "KEYCLOAK_CLIENT_ID"), client="nobody"),
    Case("disabled client", CONFIGURATION, ("has no client disabled, or has it disabled",), client="disabled"),
    Case("direct grants off", KEYCLOAK, ("direct access grants",), client="no-direct-grants"),
    Case("consent required", KEYCLOAK, ("turn consent off",), client="consent"),
    Case("unknown realm", CONFIGURATION, ("has no realm Matrix",), settings={"KEYCLOAK_REALM": "Matrix"}),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_keycloak_gives_no_token(logins: Logins, case: Case) -> None:
    account = logins.account(logins.world(SetUp.OAUTH), **case.user)  # type: ignore[arg-type]
    bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings(case.client) | case.settings)
    line = ends_saying(bot, f"(to be fixed in: {case.party})", *case.says)
    assert account.password not in line and "not-the-password" not in line
    assert logins.world(SetUp.OAUTH).synapse.devices(account.user_id) == {}


PAGE = (
    Case(
        "wrong password",
        CONFIGURATION,
        ("refuses the user name or password",),
        settings={"MATRIX_PASSWORD": "not-this"},
    ),
    Case("disabled user", CONFIGURATION, ("refuses the user name or password", "enabled"), user={"enabled": False}),
    Case(
        "open required action",
        KEYCLOAK,
        ("UPDATE_PASSWORD", "clear its required actions"),
        user={"requiredActions": ["UPDATE_PASSWORD"]},
    ),
    Case("incomplete profile", KEYCLOAK, ("asks the user for something first",), user={"lastName": ""}),
    Case("one-time password missing", CONFIGURATION, ("KEYCLOAK_TOTP_SECRET",), user={"totp": TOTP}),
    Case(
        "another login page than the configured one",
        CONFIGURATION,
        ("and not at https://keycloak.invalid, which is KEYCLOAK_URL", "the password is not sent there"),
        settings={"KEYCLOAK_URL": "https://keycloak.invalid"},
    ),
    Case("unknown provider", CONFIGURATION, ("SSO_IDP_ID", '"oidc-keycloak"'), settings={"SSO_IDP_ID": "okta"}),
)


@pytest.mark.parametrize("case", PAGE, ids=lambda case: case.name)
def test_keycloaks_page_leads_nowhere(logins: Logins, case: Case) -> None:
    account = logins.account(logins.world(SetUp.STATIC_KEY), **case.user)  # type: ignore[arg-type]
    bot = logins.bot(SetUp.STATIC_KEY, account, **SSO | case.settings)
    ends_saying(bot, f"(to be fixed in: {case.party})", *case.says)


def test_keycloak_takes_no_code_of_another_secret(patient: Patient) -> None:
    """The bot tries the next one before it gives up."""
    ends_saying(patient.wrong_code, f"(to be fixed in: {CONFIGURATION})", *CREDENTIALS)


def test_keycloaks_page_takes_no_code_of_another_secret(patient: Patient) -> None:
    said = ("refuses the one-time password", "KEYCLOAK_TOTP_SECRET", "clocks")
    ends_saying(patient.wrong_code_in_the_page, f"(to be fixed in: {CONFIGURATION})", *said)


def test_a_page_that_asks_for_consent(logins: Logins) -> None:
    realm = logins.realm
    account = logins.account(logins.world(SetUp.STATIC_KEY))
    client = f"/clients/{realm.client_id('synapse-sso')}"
    settings = realm.admin("GET", client)
    realm.admin("PUT", client, settings | {"consentRequired": True})
    try:
        bot = logins.bot(SetUp.STATIC_KEY, account, **SSO)
        ends_saying(bot, "(to be fixed in: Keycloak)", "Consent required")
    finally:
        realm.admin("PUT", client, settings)
