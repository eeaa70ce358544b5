"""What is said before anything is started."""

from __future__ import annotations

from pathlib import Path

from toggle_e2e.bot import NAME, run_to_end
from toggle_e2e.redaction import given_away
from toggle_e2e.world import Target, World

GOOD = {
    "MATRIX_HOMESERVER": "http://127.0.0.1:1",
    "MATRIX_USER": "bot",
    "MATRIX_PASSWORD": "correct horse battery staple",
    "ALLOWED_USERS": "@alice:toggle.test",
    "CRYPTO_STORE_PATH": "/nonexistent/store",
    "KUBERNETES_SERVICE_HOST": "127.0.0.1",
    "KUBERNETES_SERVICE_PORT": "1",
}


def test_an_empty_environment_names_all_that_is_missing() -> None:
    code, output = run_to_end({})
    assert code == 1, output
    for name in ("MATRIX_USER", "MATRIX_PASSWORD", "ALLOWED_USERS", "KUBERNETES_SERVICE_HOST"):
        assert name in output, output


def test_all_faults_are_named_at_once() -> None:
    faults = {
        "MATRIX_HOMESERVER": "ftp://example.org",
        "ALLOWED_USERS": "alice",
        "DEPLOYMENT_NAME": "Not A Name",
        "COMMAND_MAX_AGE": "1s",
        "KUBERNETES_SERVICE_PORT": "none",
    }
    code, output = run_to_end(GOOD | faults)
    assert code == 1, output
    for name in faults:
        assert name in output, f"{name} is not named:\n{output}"
    for name in ("MATRIX_USER", "ECHO_MODE"):
        assert f"{name} " not in output, f"{name} is right and named all the same:\n{output}"
    assert GOOD["MATRIX_PASSWORD"] not in output


def test_a_wrong_argument_and_the_two_right_ones() -> None:
    code, output = run_to_end({}, ("--frobnicate",))
    assert code == 2 and "--frobnicate" in output, output
    code, output = run_to_end({}, ("--version",))
    assert code == 0 and output.startswith(NAME + " "), output
    code, output = run_to_end({}, ("--help",))
    assert code == 0, output
    for name in GOOD:
        assert name in output


def test_a_wrong_password_is_said_and_not_shown(world: World, target: Target) -> None:
    account = world.account("bot")
    bot = world.bot(account, ("@alice:toggle.test",), target, MATRIX_PASSWORD="not-the-password")
    bot.start(wait=False)
    assert bot.wait_end(10).code == 1, bot.tail()
    assert "login failed" in bot.tail()
    assert "not-the-password" not in bot.tail()
    assert world.synapse.devices(account.user_id) == {}


def test_a_secret_in_a_log_is_found(tmp_path: Path) -> None:
    """What is looked for after each test."""
    held = tmp_path / "secret"
    held.write_text("the-secret-in-a-file\n")
    proxy = "http://user:the-proxys-password@127.0.0.1:1"
    settings = {"JWT_SECRET": "the-shared-secret", "MATRIX_PASSWORD_FILE": str(held), "HTTPS_PROXY": proxy}
    assert given_away(settings, ["nothing", "user", "127.0.0.1", "JWT_SECRET ********"]) == []
    ids = ["joined !pJCH9-pZiJhi0lTpH7REwVhsyl_G1zxj", "$eyJ0abc", "-syt_"]
    assert given_away(settings, ids) == []
    for line, name in [
        ("x the-shared-secret", "JWT_SECRET"),
        ("the-secret-in-a-file.", "MATRIX_PASSWORD_FILE"),
        (proxy, "HTTPS_PROXY"),
        ("Bearer syt_Ym90_x", "a token (syt_…)"),
        ('{"token":"eyJhbGciOi', "a token (eyJ…)"),
    ]:
        assert given_away(settings, ["nothing", line]) == [name]


def test_the_start_shows_the_settings_but_no_secret(world: World, target: Target) -> None:
    account = world.account("bot")
    with world.bot(account, ("@alice:toggle.test",), target) as bot:
        log = "\n".join(bot.lines())
        for shown in (world.synapse.url, target.namespace, target.deployment, "@alice:toggle.test"):
            assert shown in log
        assert account.password not in log
        token = (target.account_dir / "token").read_text().strip()
        assert token not in log
