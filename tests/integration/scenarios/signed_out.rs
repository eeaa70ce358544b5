//! A session that was signed out stays so: one seen deleted commands nothing and
//! gets no key, whatever the homeserver lists later, until the operator says
//! otherwise. An answer that says nothing about a user signs nobody out.

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::person::{Person, text_message};
use crate::support::scenario::Scenario;
use crate::support::wire::Response;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

const TABLET: &str = "ALICETABLET";

const SIGNED_OUT: &str = "Your message came from a session that was signed out, so I did not run \
    your command: please log in anew on that device, verify the new session, and send it again. \
    If you did not sign it out, ask my operator, to whom \"openclaw-k8s-toggle-operator identities \
    list\" shows it.";

/// Alice with a second device that her identity has signed and that commands.
fn with_tablet(trust: &str) -> (World, Person) {
    let mut world = Scenario::encrypted()
        .set("DEVICE_TRUST", trust)
        .user(ALICE, |alice| alice.cross_signed())
        .pace(5)
        .start();
    let mut tablet = world.person(ALICE, TABLET);
    world.alice.vouch_for(TABLET);
    world.hs.wait_next_sync();
    tablet.say(ROOM, "start");
    assert_eq!(world.next_body(), ON);
    assert_eq!(tablet.last_answer(ROOM).as_deref(), Some(ON));
    (world, tablet)
}

/// The keys of a device as the server shows them.
fn shown(world: &World, user: &str, device: &str) -> Value {
    let id = (user.to_owned(), device.to_owned());
    world
        .hs
        .with(|state| state.devices[&id].keys.clone().unwrap())
}

/// The device is no longer in its user's list, and the bot has seen that.
fn sign_out(world: &World, user: &str, device: &str) {
    let id = (user.to_owned(), device.to_owned());
    world.hs.with(|state| {
        state.devices.get_mut(&id).unwrap().keys = None;
        state.device_changed(user);
    });
    asked_for(world, user, || {});
}

/// The bot asks for a user's devices because of what `change` does, and has taken
/// the answer in.
fn asked_for(world: &World, user: &str, change: impl FnOnce()) {
    let count = |state: &mut crate::support::homeserver::State| {
        let queries = state.requests("POST /keys/query");
        let of_user = queries
            .iter()
            .filter(|query| query.status.is_some() && query.body["device_keys"][user].is_array());
        of_user.count()
    };
    let before = world.hs.with(count);
    change();
    world.hs.device_changed(user);
    world
        .hs
        .wait("a query", |state| (count(state) > before).then_some(()));
    world.hs.wait_next_sync();
}

/// The server lists the device again, with these keys.
fn list_again(world: &World, device: &Person, keys: &Value) {
    asked_for(world, &device.user, || device.publish_raw(keys.clone()));
}

/// Proves that the device neither commands nor reads: not with its session from
/// before, nor with a new one.
fn assert_out(world: &mut World, device: &mut Person) {
    let scaled = world.api.scaled_to();
    let id = format!("{} {}", device.user, device.device);
    let given = |world: &World| {
        let to = world.olm_recipients();
        to.iter().filter(|to| **to == id).count()
    };
    let before = given(world);
    for anew in [false, true] {
        if anew {
            device.rotate(ROOM);
        }
        device.say(ROOM, "stop");
        assert_eq!(world.next_body(), SIGNED_OUT, "anew: {anew}");
        assert_eq!(device.last_answer(ROOM), None, "anew: {anew}");
    }
    assert_eq!(given(world), before, "it was given a key");
    assert_eq!(world.api.scaled_to(), scaled);
}

fn stays_out(trust: &str) {
    let (mut world, mut tablet) = with_tablet(trust);
    let keys = shown(&world, ALICE, TABLET);
    sign_out(&world, ALICE, TABLET);
    assert_out(&mut world, &mut tablet);
    list_again(&world, &tablet, &keys);
    assert_out(&mut world, &mut tablet);
    world.crash_and_restart();
    asked_for(&world, ALICE, || {});
    assert_out(&mut world, &mut tablet);
    // The person's other session is served, and so is a new one.
    assert_eq!(world.ask("stop"), OFF);
    let mut anew = world.person(ALICE, "NEWTABLET");
    asked_for(&world, ALICE, || world.alice.vouch_for("NEWTABLET"));
    anew.say(ROOM, "start");
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.api.scaled_to(), [1, 0, 1]);
}

/// A homeserver takes a device id a second time, with the device's old keys and
/// the identity's old signature.
#[test]
fn a_signed_out_device_that_is_listed_again_commands_nothing_and_gets_no_key() {
    std::thread::scope(|scope| {
        scope.spawn(|| stays_out("cross-signed"));
        scope.spawn(|| stays_out("tofu"));
    });
}

/// The same id with another Olm key that the device itself signed, and the same
/// keys under another id: it is the device that was signed out all the same.
#[test]
fn a_signed_out_device_comes_back_by_neither_its_id_nor_its_keys() {
    let (mut world, mut tablet) = with_tablet("tofu");
    sign_out(&world, ALICE, TABLET);
    let another = Person::unpublished(&world.hs, ALICE, "X");
    let curve = another.curve25519();
    asked_for(&world, ALICE, || {
        tablet.publish(|keys| keys["keys"][format!("curve25519:{TABLET}")] = json!(curve));
    });
    assert_out(&mut world, &mut tablet);
    sign_out(&world, ALICE, TABLET);
    tablet.device = "ALICEOTHER".into();
    let keys = tablet.device_keys();
    list_again(&world, &tablet, &keys);
    assert_out(&mut world, &mut tablet);
    assert_eq!(world.ask("stop"), OFF);
}

/// A device id that turns up with another fingerprint: the device that had it is
/// no longer listed, and what was recorded of it commands nothing.
#[test]
fn a_device_whose_id_was_given_to_another_commands_nothing() {
    let (mut world, mut tablet) = with_tablet("cross-signed");
    let another = Person::unpublished(&world.hs, ALICE, TABLET);
    let keys = another.device_keys();
    list_again(&world, &tablet, &keys);
    tablet.say(ROOM, "stop");
    assert_eq!(world.next_body(), SIGNED_OUT);
    list_again(&world, &tablet, &tablet.device_keys());
    world.alice.vouch_for(TABLET);
    world.hs.wait_next_sync();
    assert_out(&mut world, &mut tablet);
}

/// A command that waits its turn when its device is signed out is not run.
#[test]
fn a_command_whose_device_is_signed_out_before_its_turn_is_not_run() {
    let (mut world, mut tablet) = with_tablet("cross-signed");
    let keys = shown(&world, ALICE, TABLET);
    let before = world.api.calls("PATCH /").len();
    world.api.fault("PATCH /", 1, Fault::HangAfter);
    world.say("start");
    world.api.wait("the scaling", |state| {
        let scalings = state.calls.iter().filter(|call| call.method == "PATCH");
        (scalings.count() > before).then_some(())
    });
    tablet.say(ROOM, "stop");
    world.hs.wait_next_sync();
    sign_out(&world, ALICE, TABLET);
    list_again(&world, &tablet, &keys);
    world.api.clear_faults();
    world.next();
    assert_eq!(
        world.next_body(),
        "You may no longer give me commands, so I did not run it."
    );
    assert!(!world.api.scaled_to().contains(&0));
}

/// A member who commands nothing is not given keys by such a device either.
#[test]
fn a_members_signed_out_device_that_is_listed_again_gets_no_key() {
    let mut world = Scenario::encrypted()
        .user(MALLORY, |user| user.device("MALLORYS"))
        .member(MALLORY)
        .start();
    let mut mallory = world.take(MALLORY);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(mallory.last_answer(ROOM).as_deref(), Some(ON));
    let keys = shown(&world, MALLORY, "MALLORYS");
    sign_out(&world, MALLORY, "MALLORYS");
    list_again(&world, &mallory, &keys);
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(mallory.last_answer(ROOM), None);
}

/// The operator sees what is signed out, and takes it back, beside the bot.
#[test]
fn identities_forget_takes_a_signed_out_device_back() {
    let (mut world, mut tablet) = with_tablet("cross-signed");
    let keys = shown(&world, ALICE, TABLET);
    let (_, list, _) = world.identities(&["list"]);
    assert!(!list.contains("signed out"), "{list}");
    sign_out(&world, ALICE, TABLET);
    list_again(&world, &tablet, &keys);
    assert_out(&mut world, &mut tablet);
    let (code, list, complaint) = world.identities(&["list"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    let line = format!("\n  signed out  {TABLET}  ");
    assert!(list.contains(&line), "{list}");

    for wrong in ["ALICEPHONE", "NOBODYS"] {
        let said = world.identities(&["forget", ALICE, wrong]);
        let why = format!(
            "no device {wrong} of {ALICE} is known as signed out; \"identities list\" shows \
             which are\n"
        );
        assert_eq!(said, (Some(1), String::new(), why));
    }
    let (code, said, complaint) = world.identities(&["forget", ALICE, TABLET]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(
        said.starts_with(&format!(
            "device {TABLET} of {ALICE} is no longer signed out\n"
        )),
        "{said}"
    );
    asked_for(&world, ALICE, || {});
    tablet.say(ROOM, "stop");
    assert_eq!(world.next_body(), OFF);
    assert_eq!(tablet.last_answer(ROOM).as_deref(), Some(OFF));
    let (_, list, _) = world.identities(&["list"]);
    assert!(!list.contains("signed out"), "{list}");
}

/// If the user has no identity, there is nothing else to list of them.
#[test]
fn identities_list_shows_the_signed_out_devices_of_a_user_without_an_identity() {
    let mut world = World::encrypted();
    let tablet = world.person(ALICE, "TAB\u{1b}[2J\nLET");
    asked_for(&world, ALICE, || {});
    let keys = shown(&world, ALICE, &tablet.device);
    sign_out(&world, ALICE, &tablet.device);
    list_again(&world, &tablet, &keys);
    let (_, list, _) = world.identities(&["list"]);
    let shown = r"TAB\u{1b}[2J\nLET";
    let lines = format!("{ALICE}\n  current  none seen\n  pinned   no\n  signed out  {shown}  ");
    assert!(list.contains(&lines), "{list}");
    let (code, _, complaint) = world.identities(&["forget", ALICE, shown]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert_eq!(world.ask("start"), ON);
}

/// Makes the server's answers fail to say which devices Alice has, in this way.
fn say_nothing_of_alice(world: &World, how: &'static str) {
    if how == "cut short" {
        let whole = json!({"device_keys": {ALICE: {}}}).to_string();
        let part = &whole[..whole.len() - 2];
        let answer = Response::text(200, "application/json", part);
        world.hs.fault("POST /keys/query", 1, Fault::Answer(answer));
        return;
    }
    world.hs.rewrite("/keys/query", move |body| {
        let devices = body["device_keys"].as_object_mut().unwrap();
        if !devices.contains_key(ALICE) {
            return;
        }
        match how {
            "absent" => drop(devices.remove(ALICE)),
            "a failure and nothing" => {
                devices.remove(ALICE);
                body["failures"] = json!({"test": {}});
            }
            "a failure and an empty list" => {
                devices.insert(ALICE.into(), json!({}));
                body["failures"] = json!({"test": {"status": 503}});
            }
            "a failure and half a list" => {
                let listed = devices[ALICE].as_object_mut().unwrap();
                listed.remove(TABLET);
                body["failures"] = json!({"test": {}});
            }
            "an array" => drop(devices.insert(ALICE.into(), json!([]))),
            "a text" => drop(devices.insert(ALICE.into(), json!("none"))),
            "null" => drop(devices.insert(ALICE.into(), Value::Null)),
            other => panic!("{other}"),
        }
    });
}

const NOTHINGS: [&str; 8] = [
    "absent",
    "a failure and nothing",
    "a failure and an empty list",
    "a failure and half a list",
    "an array",
    "a text",
    "null",
    "cut short",
];

/// Such an answer signs nobody out: neither while it lasts nor after it.
#[test]
fn an_answer_that_says_nothing_of_a_user_signs_nobody_out() {
    std::thread::scope(|scope| {
        for how in NOTHINGS {
            scope.spawn(move || {
                let (mut world, mut tablet) = with_tablet("cross-signed");
                asked_for(&world, ALICE, || say_nothing_of_alice(&world, how));
                tablet.say(ROOM, "stop");
                assert_eq!(world.next_body(), OFF, "{how}");
                world.hs.clear_rewrites();
                world.hs.clear_faults();
                asked_for(&world, ALICE, || {});
                tablet.say(ROOM, "start");
                assert_eq!(world.next_body(), ON, "{how}");
                assert_eq!(tablet.last_answer(ROOM).as_deref(), Some(ON), "{how}");
                let (_, list, _) = world.identities(&["list"]);
                assert!(!list.contains("signed out"), "{how}: {list}");
            });
        }
    });
}

/// A list that is there and has not got a device says that it is gone: the empty
/// one, and one where another device is malformed.
#[test]
fn a_list_without_a_device_signs_it_out() {
    std::thread::scope(|scope| {
        for empty in [true, false] {
            scope.spawn(move || {
                let (mut world, mut tablet) = with_tablet("cross-signed");
                world.hs.rewrite("/keys/query", move |body| {
                    let Some(listed) = body["device_keys"][ALICE].as_object_mut() else {
                        return;
                    };
                    listed.remove(TABLET);
                    if empty {
                        listed.clear();
                    } else {
                        listed.insert("RUBBISH".into(), json!(7));
                    }
                });
                asked_for(&world, ALICE, || {});
                world.hs.clear_rewrites();
                asked_for(&world, ALICE, || {});
                tablet.say(ROOM, "stop");
                world.next();
                assert_eq!(world.api.scaled_to(), [1], "empty: {empty}");
                assert_eq!(tablet.last_answer(ROOM), None, "empty: {empty}");
                let (_, list, _) = world.identities(&["list"]);
                assert!(list.contains(&format!("signed out  {TABLET}  ")), "{list}");
                let phone = list.contains("signed out  ALICEPHONE  ");
                assert_eq!(phone, empty, "{list}");
            });
        }
    });
}

/// Alice leaves, and the server says that it follows her devices no longer.
fn leave_for_good(world: &World) {
    world.hs.member(ROOM, ALICE, "leave");
    world.hs.wait_next_sync();
    // Her devices are asked for because of that. While there is no answer, a user who
    // has left is waited for.
    world.hs.wait_idle(BOT, || 0);
    world.hs.rewrite("/sync", |body| {
        body["device_lists"]["left"] = json!([ALICE]);
    });
    world.hs.wait_next_sync();
    world.hs.clear_rewrites();
}

/// A user who leaves the rooms and joins again has signed nothing out.
#[test]
fn who_leaves_and_joins_again_is_signed_out_of_nothing() {
    let (mut world, mut tablet) = with_tablet("cross-signed");
    leave_for_good(&world);
    world.bot().wait_log("are no longer followed");
    world.hs.member(ROOM, ALICE, "join");
    world.hs.wait_next_sync();
    tablet.rotate(ROOM);
    tablet.say(ROOM, "stop");
    assert_eq!(world.next_body(), OFF);
    assert_eq!(tablet.last_answer(ROOM).as_deref(), Some(OFF));
    // What was signed out before stays so.
    let keys = shown(&world, ALICE, TABLET);
    sign_out(&world, ALICE, TABLET);
    leave_for_good(&world);
    tablet.publish_raw(keys);
    world.hs.member(ROOM, ALICE, "join");
    world.hs.wait_next_sync();
    assert_out(&mut world, &mut tablet);
}

/// A bot's knowledge of signed-out devices is in its store: one that is a new
/// device itself still knows, one without its store does not.
#[test]
fn a_bot_that_is_a_new_device_still_knows_what_was_signed_out() {
    let (mut world, mut tablet) = with_tablet("cross-signed");
    let keys = shown(&world, ALICE, TABLET);
    sign_out(&world, ALICE, TABLET);
    world.hs.revoke(BOT, Some(false));
    world.wait_new_device();
    list_again(&world, &tablet, &keys);
    let device = world.bot_device();
    for person in [&mut tablet, &mut world.alice] {
        person.rotate(ROOM);
        person.new_session((BOT, &device));
    }
    let content = tablet.encrypt(ROOM, &text_message("stop"));
    tablet.share(ROOM);
    tablet.post(ROOM, content);
    world.next();
    assert_eq!(world.ask("status").lines().count(), 4);
    assert_eq!(world.api.scaled_to(), [1]);
}
