"""Identities on a real homeserver: the person's, that the bot pins, and the bot's own, that Element judges."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest

from toggle_e2e import texts
from toggle_e2e.bot import Bot, run_to_end
from toggle_e2e.scene import Elements, Login, Scene, make_scene, set_up
from toggle_e2e.world import Account, World


def identities(bot: Bot, *arguments: str) -> str:
    """What the subcommand prints, run beside the bot."""
    code, text = run_to_end(bot.settings, ("identities", *arguments))
    assert code == 0, text
    return text


def identity_of_bot(scene: Scene) -> str:
    """The fingerprint of the bot's identity, as `help` tells it."""
    text = scene.ask("help").text
    assert text is not None and text == texts.HELP
    (line,) = (line for line in text.splitlines() if line.startswith("  Identity: "))
    return line


def foreign_account(world: World, elements: Elements) -> tuple[Account, str]:
    """An account for a bot whose identity a person has made, at Element, and the recovery key that was shown."""
    account = world.account("bot")
    maker = elements(account, "browser")
    recovery_key = maker.set_up_recovery()
    maker.log_out()
    return account, recovery_key


def test_a_changed_identity_is_refused_until_it_is_forgotten(world: World, scene: Scene) -> None:
    assert scene.ask("start").text == texts.ON
    scene.person.reset_cross_signing()
    assert scene.ask("stop").text == texts.identity_changed(scene.account.user_id)
    assert "CHANGED, commands are refused" in identities(scene.bot, "list")
    scene.bot.restart()
    assert scene.ask("stop").text == texts.identity_changed(scene.account.user_id)
    assert world.scalings(scene.target) == [1]

    told = identities(scene.bot, "forget", scene.account.user_id)
    assert told.startswith(f"{scene.account.user_id} is no longer pinned to ")
    assert scene.ask("stop").text == texts.OFF
    assert "CHANGED" not in identities(scene.bot, "list")
    assert world.scalings(scene.target) == [1, 0]


def test_a_configured_identity_is_the_only_one(world: World, elements: Elements) -> None:
    """Whoever has another one learns nothing: to the bot it is another person."""
    account = world.account("alice")
    person = elements(account, "laptop")
    pins = f"{account.user_id}={person.master_key()}"
    scene = set_up(world, account, person, world.account("bot"), world.target(), PINNED_IDENTITIES=pins)
    assert scene.ask("start").text == texts.ON

    person.reset_cross_signing()
    refused = person.send(scene.room_id, "stop")
    (shown,) = person.wait_unreadable(refused, scene.bot_id)
    assert shown.failure == "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE"
    code, text = run_to_end(scene.bot.settings, ("identities", "forget", account.user_id))
    assert code != 0 and "PINNED_IDENTITIES" in text
    assert world.scalings(scene.target) == [1]

    scene.bot.end()
    scene.bot.settings["PINNED_IDENTITIES"] = f"{account.user_id}={person.master_key()}"
    scene.bot.start()
    assert scene.ask("stop").text == texts.OFF
    assert world.scalings(scene.target) == [1, 0]


@pytest.mark.parametrize("scene", [Login(cross_signing=False)], ids=["no-identity"], indirect=True)
def test_who_makes_an_identity_is_held_to_it(world: World, elements: Elements, scene: Scene) -> None:
    """Somebody without an identity is trusted on first use, until they have one."""
    assert scene.ask("start").text == texts.ON
    phone = elements(scene.account, "phone", Login(cross_signing=False))
    assert scene.ask("stop", by=phone, also=(scene.person,)).text == texts.OFF
    phone.verify()
    place = phone.mark(scene.room_id)
    scene.person.send(scene.room_id, "start")
    told = phone.wait_reply(place, scene.bot_id)
    assert told.text == texts.unverified(scene.person.device_id)
    assert scene.ask("start", by=phone).text == texts.ON
    assert world.scalings(scene.target) == [1, 0, 1]


def test_a_recovery_key_signs_each_new_device(world: World, elements: Elements) -> None:
    bot_account, recovery_key = foreign_account(world, elements)
    account = world.account("alice")
    person = elements(account, "laptop")
    scene = set_up(world, account, person, bot_account, world.target())

    first = scene.say("status")
    device = scene.bot_device()
    assert first.text == f"{texts.status('off', 0, 0, 0)}\n\n{texts.foreign_identity(device)}"
    assert first.shield == "RED" and person.signed_by_owner(bot_account.user_id, device) is False

    scene.bot.end()
    scene.bot.settings["MATRIX_RECOVERY_KEY"] = recovery_key
    scene.bot.start()
    person.wait_signed(bot_account.user_id, device)
    person.isolate(True)
    assert scene.ask("status").text == texts.status("off", 0, 0, 0)
    assert scene.bot_device() == device
    identity = identity_of_bot(scene)

    for text, answer in (("start", texts.ON), ("stop", texts.OFF)):
        person.wait_signed(scene.bot_id, scene.lose_store())
        assert scene.ask(text).text == answer
        assert identity_of_bot(scene) == identity
    assert len(world.synapse.devices(bot_account.user_id)) == 3
    assert world.scalings(scene.target) == [1, 0]


def test_another_session_of_the_account_signs_the_bot(world: World, elements: Elements) -> None:
    """What a person does who has no recovery key at hand; the bot goes on without a restart."""
    account, bot_account = world.account("alice"), world.account("bot")
    browser, person = elements(bot_account, "browser"), elements(account, "laptop")
    scene = set_up(world, account, person, bot_account, world.target())
    (device,) = set(world.synapse.devices(scene.bot_id)) - {browser.device_id}
    warned = scene.say("status").text
    assert warned is not None and warned.endswith(texts.foreign_identity(device))
    browser.cross_sign(device)
    scene.bot.wait_log("another session of the account has signed the bot's device")
    person.wait_signed(scene.bot_id, device)
    person.isolate(True)
    assert scene.ask("status").text == texts.status("off", 0, 0, 0)
    scene.bot.restart()
    assert scene.ask("start").text == texts.ON


def test_a_seed_outlives_the_store(world: World, elements: Elements, tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    seed.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    scene = make_scene(world, elements, Login(only_signed=True), CROSS_SIGNING_SEED_FILE=str(seed))
    assert scene.ask("start").text == texts.ON
    identity = identity_of_bot(scene)
    scene.person.wait_signed(scene.bot_id, scene.lose_store())
    assert scene.ask("stop").text == texts.OFF
    assert identity_of_bot(scene) == identity
    assert world.scalings(scene.target) == [1, 0]


def test_a_lost_identity_is_made_anew_only_when_asked(world: World, scene: Scene) -> None:
    assert scene.ask("start").text == texts.ON
    before = identity_of_bot(scene)
    device = scene.lose_store()
    warned = scene.say("status").text
    assert warned is not None and warned.startswith("Deployment is ")
    assert warned.endswith(texts.foreign_identity(device))

    scene.person.isolate(True)
    (shown,) = scene.person.wait_unreadable(scene.person.send(scene.room_id, "stop"), scene.bot_id)
    assert shown.failure == "UNSIGNED_SENDER_DEVICE"
    scene.bot.wait_log("keeps a room key back: m.unverified")
    assert world.scalings(scene.target) == [1]

    identities(scene.bot, "reset")
    scene.bot.restart()
    scene.person.wait_signed(scene.bot_id, device)
    assert scene.ask("stop").text == texts.OFF
    assert identity_of_bot(scene) != before
    assert scene.ask("start").text == texts.ON
    assert world.scalings(scene.target) == [1, 0, 1]
