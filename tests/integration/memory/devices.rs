//! Others' devices of any look and size: `/keys/query`.

use serde_json::{Value, json};
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519SecretKey};

use super::cases::{all, case};
use super::stage::Stage;
use crate::support::filling::{Shape, fill, members};
use crate::support::monitor::turn;
use crate::support::person::{MEGOLM, OLM};
use crate::support::signing::add_signature;
use crate::support::world::{ALICE, MALLORY, ROOM};

const QUERY: &str = "POST /keys/query";

/// A device object of this size is a single request at an honest server.
const OBJECT: usize = 800_000;

const MIB: usize = 1024 * 1024;

#[test]
fn a_device_list_of_any_size_is_borne() {
    let mut cases = Vec::new();
    for shape in [
        Shape::Dense,
        Shape::Flat,
        Shape::Nested,
        Shape::Escapes,
        Shape::Objects,
        Shape::Members,
        Shape::Digits,
        Shape::Blanks,
    ] {
        let name = format!("a device, {shape:?} in an unknown field");
        let mut one = case(&name, move |stage| {
            stage.show_device(|keys| keys["org.example"] = fill(shape, OBJECT));
        });
        if shape == Shape::Dense {
            one = one.cheap().quick();
        }
        cases.push(one);
    }
    for field in ["unsigned", "signatures", "keys", "algorithms"] {
        cases.push(case(&format!("a device, dense in {field}"), move |stage| {
            stage.show_device(|keys| match field {
                "algorithms" => keys[field] = fill(Shape::Dense, OBJECT),
                _ => keys[field]["org.example"] = fill(Shape::Dense, OBJECT),
            });
        }));
    }
    cases.push(case("a device, members in signatures", |stage| {
        stage.show_device(|keys| keys["signatures"] = fill(Shape::Members, OBJECT));
    }));
    all("/keys/query", &cases);
}

#[test]
fn many_devices_are_borne() {
    let _turn = turn();
    all(
        "/keys/query",
        &[
            case("250 users with a device of 0.25 MB, dense", |stage| {
                crowd(stage, 250_000)
            }),
            case("250 users with a device of 0.8 MB, dense", |stage| {
                crowd(stage, OBJECT)
            }),
            case("5,000 devices of one user, each signed", five_thousand),
            case("a list of 65 MiB: one device", |stage| {
                stage.show_device(|keys| keys["org.example"] = fill(Shape::Flat, 65 * MIB));
                stage.world.hs.device_changed(ALICE);
            })
            .quick(),
            case(
                "a list of 65 MiB beside a commander's new device",
                |stage| {
                    let name = format!("NEW{}", stage.next());
                    let hs = stage.world.hs.clone();
                    let mut phone = None;
                    stage.provoke(QUERY, |stage| {
                        hs.at_once(|| {
                            let mut keys = stage.mallory.device_keys();
                            keys["org.example"] = fill(Shape::Flat, 65 * MIB);
                            stage.mallory.publish_raw(keys);
                            phone = Some(stage.world.person(ALICE, &name));
                        });
                    });
                    let phone = phone.as_mut().expect("it was made");
                    assert!(stage.ask_from(phone).is_some(), "the new device is obeyed");
                },
            )
            .quick(),
            case("10,000 devices with a name of 6 kB", |stage| {
                in_query(stage, |body| {
                    let name = format!("{}<i>", "D".repeat(6000));
                    members(&mut body["device_keys"][MALLORY], 10_000, &name, json!({}));
                });
            }),
            case("a list of 65 MiB: 10,000 devices", |stage| {
                let device = json!({"x": fill(Shape::Dense, 6_500)});
                in_query(stage, move |body| {
                    members(
                        &mut body["device_keys"][MALLORY],
                        10_000,
                        "D<i>",
                        device.clone(),
                    );
                });
            }),
            case("devices of 100,000 users nobody asked for", |stage| {
                in_query(stage, |body| {
                    members(
                        &mut body["device_keys"],
                        100_000,
                        "@u<i>:test",
                        json!({"A": {"x": [0]}}),
                    );
                });
            }),
        ],
    );
}

#[test]
fn an_identity_of_any_size_is_borne() {
    let mut cases = Vec::new();
    for (kind, usage) in [("master", "master"), ("self_signing", "self_signing")] {
        for (shape, size) in [
            (Shape::Dense, OBJECT),
            (Shape::Members, OBJECT),
            (Shape::Flat, 65 * MIB),
        ] {
            let name = format!("a {kind} key of {} kB, {shape:?}", size / 1000);
            cases.push(case(&name, move |stage| {
                let key = json!({
                    "user_id": MALLORY, "usage": [usage],
                    "keys": {"ed25519:AAAA": "AAAA"}, "org.example": fill(shape, size),
                });
                stage.provoke(QUERY, |stage| {
                    stage.world.hs.with(|state| {
                        let own = state.cross_signing.entry(MALLORY.to_owned()).or_default();
                        own.insert(kind.to_owned(), key.clone());
                        state.device_changed(MALLORY);
                    });
                });
            }));
        }
    }
    cases.push(case("failures of 12 MB, dense", |stage| {
        in_query(stage, |body| {
            body["failures"] = json!({"x": fill(Shape::Dense, 12_000_000)})
        });
    }));
    cases.push(case("failures of 300,000 servers", |stage| {
        in_query(stage, |body| {
            members(&mut body["failures"], 300_000, "s<i>.example", json!({}))
        });
    }));
    cases.push(case("an unknown field of 12 MB, dense", |stage| {
        in_query(stage, |body| {
            body["org.example"] = fill(Shape::Dense, 12_000_000)
        });
    }));
    all("/keys/query", &cases);
}

/// Mallory's device changes, and the answer to what is asked then is changed so.
fn in_query(stage: &mut Stage, edit: impl FnMut(&mut Value) + Send + 'static) {
    stage.once(QUERY, edit);
    stage.provoke(QUERY, |stage| stage.world.hs.device_changed(MALLORY));
}

/// 250 users join and show a device each of this size.
fn crowd(stage: &mut Stage, size: usize) {
    let number = stage.next();
    let users: Vec<String> = (0..250)
        .map(|user| format!("@crowd{number}x{user}:test"))
        .collect();
    let device = json!({"user_id": "@x:test", "device_id": "D", "x": fill(Shape::Dense, size)});
    let hs = stage.world.hs.clone();
    stage.provoke(QUERY, |_| {
        hs.at_once(|| {
            for user in &users {
                hs.with(|state| state.put_device(user, "D", device.clone()));
                hs.member(ROOM, user, "join");
            }
        });
    });
    // The next case is a room of three again.
    hs.at_once(|| {
        for user in &users {
            hs.member(ROOM, user, "leave");
        }
    });
}

fn five_thousand(stage: &mut Stage) {
    let number = stage.next();
    let user = format!("@many{number}:test");
    let signed = |device: usize| {
        let device = format!("DEVICE{device:04}");
        let ed25519 = Ed25519SecretKey::new();
        let curve25519 = Curve25519PublicKey::from(&Curve25519SecretKey::new());
        let mut keys = json!({
            "user_id": user, "device_id": device, "algorithms": [OLM, MEGOLM],
            "keys": {
                format!("curve25519:{device}"): curve25519.to_base64(),
                format!("ed25519:{device}"): ed25519.public_key().to_base64(),
            },
        });
        add_signature(&mut keys, &user, &device, |text| {
            ed25519.sign(text.as_bytes())
        });
        (device, keys)
    };
    let devices: Vec<(String, Value)> = (0..5000).map(signed).collect();
    let hs = stage.world.hs.clone();
    stage.provoke(QUERY, |_| {
        hs.with(|state| {
            for (device, keys) in &devices {
                state.put_device(&user, device, keys.clone());
            }
            state.changed_devices.retain(|(_, who)| *who != user);
        });
        hs.member(ROOM, &user, "join");
    });
}
