"""What an operator runs by hand, on the real servers."""

from __future__ import annotations

from toggle_e2e.bot import run_to_end
from toggle_e2e.logins import NATIVE, OAUTH, Logins, SetUp, answers
from toggle_e2e.redaction import given_away
from toggle_e2e.world import Account

# Variables that these subcommands must do without.
OF_THE_CLUSTER = ("ALLOWED_USERS", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "SERVICE_ACCOUNT_DIR")


def environment(logins: Logins, set_up: SetUp, account: Account, **settings: str | None) -> dict[str, str]:
    """What of a bot's environment a login needs."""
    bot = logins.bot(set_up, account, **settings)
    return {name: value for name, value in bot.settings.items() if name not in OF_THE_CLUSTER}


def test_conntest_logs_in_and_out_again(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    account = logins.account(world)
    given = environment(logins, SetUp.OAUTH, account, **logins.keycloak_settings())
    code, output = run_to_end(given, ("conntest",))
    assert code == 0, output
    for part in (world.synapse.url, OAUTH, account.user_id, "logged out", "as the homeserver's"):
        assert part in output, output
    assert given_away(given, [output]) == []
    assert world.synapse.devices(account.user_id) == {}


def test_conntest_tells_whose_fault_it_is(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH), enabled=False)
    given = environment(logins, SetUp.OAUTH, account, **logins.keycloak_settings())
    code, output = run_to_end(given, ("conntest",))
    assert code == 1 and "(to be fixed in: Keycloak)" in output and "enable it" in output, output
    assert given_away(given, [output]) == []


def test_conntest_tells_of_a_clock_that_is_wrong(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.WRONG_CLOCK))
    given = environment(logins, SetUp.WRONG_CLOCK, account, **logins.keycloak_settings())
    code, output = run_to_end(given, ("conntest",))
    assert code == 1 and " s behind the homeserver's: set the clock" in output, output


def test_jwt_test_shows_each_step(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    account = logins.account(world)
    given = environment(logins, SetUp.OAUTH, account, **logins.keycloak_settings())
    code, output = run_to_end(given, ("jwt-test", "--verbose"))
    assert code == 0, output
    for part in (f'"preferred_username": "{account.localpart}"', logins.realm.issuer, '"azp": "synapse-oauth"', OAUTH):
        assert part in output, output
    assert given_away(given, [output]) == []
    assert world.synapse.devices(account.user_id) == {}
    code, output = run_to_end(given, ("jwt-test", "--show-secrets"))
    assert code == 0 and "eyJ" in output


def test_jwt_test_ends_where_the_login_does(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH))
    given = environment(logins, SetUp.OAUTH, account, **logins.keycloak_settings())
    code, output = run_to_end(given | {"MATRIX_PASSWORD": "not-the-password"}, ("jwt-test",))
    assert code == 2 and "does not accept the credentials" in output, output
    code, output = run_to_end(given, ("jwt-test", "--login-type", NATIVE))
    assert code == 4 and "(to be fixed in: the homeserver)" in output, output
    wrong = given | {"KEYCLOAK_ISSUER": "https://keycloak.example.com/realms/matrix"}
    code, output = run_to_end(wrong, ("jwt-test",))
    assert "wrong: the token's issuer is" in output, output


def test_check_config_reads_and_asks_nobody(logins: Logins) -> None:
    account = logins.account(logins.world(SetUp.OAUTH))
    bot = logins.bot(SetUp.OAUTH, account, **logins.keycloak_settings(KEYCLOAK_URL="http://127.0.0.1:1"))
    code, output = run_to_end(bot.settings, ("check-config",))
    assert code == 0 and "nothing is wrong" in output, output
    assert given_away(bot.settings, [output]) == []
    broken = bot.settings | {"KEYCLOAK_REALM": "", "MATRIX_PASSWORD": "", "EXTRA_CA_FILE": "/nonexistent"}
    code, output = run_to_end(broken, ("check-config",))
    assert code == 1, output
    for name in ("KEYCLOAK_REALM", "MATRIX_PASSWORD", "EXTRA_CA_FILE"):
        assert f"configuration error: {name} " in output, output


def test_logout_ends_the_session_and_the_next_start_makes_another(logins: Logins) -> None:
    world = logins.world(SetUp.OAUTH)
    account = logins.account(world)
    stage = logins.converse(SetUp.OAUTH, account, **logins.keycloak_settings())
    (device,) = world.synapse.devices(account.user_id)
    code, output = run_to_end(stage.bot.settings, ("logout",))
    assert code == 1 and set(world.synapse.devices(account.user_id)) == {device}, "the bot runs"
    assert stage.bot.end().code == 0
    code, output = run_to_end(stage.bot.settings, ("logout",))
    assert code == 0 and device in output, output
    assert world.synapse.devices(account.user_id) == {}
    stage.bot.start()
    answers(stage)
    (other,) = world.synapse.devices(account.user_id)
    assert other != device
    stage.bot.end()
    for _ in range(2):
        assert run_to_end(stage.bot.settings, ("logout",))[0] == 0
