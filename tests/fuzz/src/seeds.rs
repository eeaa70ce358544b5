//! Writes the corpus: honest inputs for each target, from which libFuzzer makes
//! dishonest ones. Files that are there under other names stay.

use std::{fs, path::Path};

use openclaw_k8s_toggle_operator_fuzz::{
    CLEAR, NEW, RECOVERY_KEY, SECRET, honest_query,
    people::{ANNA, BOT, MALLORY, Person, SPARE_KEY, event, group, room_key},
    secrets,
};
// For what instrumented code calls.
use libfuzzer_sys as _;
use serde_json::{Value, json};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: &str, data: &[u8]| {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), data).unwrap();
    };
    let json = |target: &str, name: &str, mode: &str, value: &Value| {
        put(target, name, format!("{mode}{value}").as_bytes());
    };
    let (anna, mallory) = (Person::anna(), Person::mallory());
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    let inner = |content: &Value| json!({ "type": "m.room.message", "room_id": SECRET, "content": content });

    // Whole syncs.
    let said = |id: &str, body: &str| {
        anna.megolm_event(&mut group(1), id, inner(&text(body)).to_string().as_bytes())
    };
    let timeline = |room: &str, events: &[Value]| {
        json!({ "next_batch": "n",
            "rooms": { "join": { room: { "timeline": { "events": events, "limited": false } } } } })
    };
    json(
        "sync",
        "encrypted",
        "",
        &timeline(SECRET, &[said("$1", "start")]),
    );
    json(
        "sync",
        "twice",
        "",
        &timeline(SECRET, &[said("$1", "stop"), said("$2", "stop")]),
    );
    let unknown = anna.megolm_event(
        &mut group(2),
        "$1",
        inner(&text("start")).to_string().as_bytes(),
    );
    json("sync", "no-key", "", &timeline(SECRET, &[unknown]));
    for room in [SECRET, CLEAR, NEW] {
        let said = event(ANNA.0, "$1", "m.room.message", &text("start"));
        json(
            "sync",
            &format!("clear-in-{}", &room[1..4]),
            "",
            &timeline(room, &[said]),
        );
    }
    let own = json!({ "algorithm": "m.megolm.v1.aes-sha2", "session_id": "s", "device_id": BOT.1,
        "ciphertext": said("$1", "x")["content"]["ciphertext"] });
    json(
        "sync",
        "own",
        "",
        &timeline(SECRET, &[event(BOT.0, "$1", "m.room.encrypted", &own)]),
    );
    let mut state = Vec::new();
    for (kind, key, content) in [
        ("m.room.member", MALLORY.0, json!({ "membership": "leave" })),
        (
            "m.room.encryption",
            "",
            json!({ "algorithm": "m.megolm.v1.aes-sha2",
            "rotation_period_ms": 1, "rotation_period_msgs": 1 }),
        ),
        (
            "m.room.history_visibility",
            "",
            json!({ "history_visibility": "joined" }),
        ),
    ] {
        let mut event = event(ANNA.0, "$s", kind, &content);
        event["state_key"] = json!(key);
        event["unsigned"] = json!({ "age": 7 });
        state.push(event);
    }
    json("sync", "state", "", &timeline(CLEAR, &state));
    let mut invite = event(
        ANNA.0,
        "$i",
        "m.room.member",
        &json!({ "membership": "invite" }),
    );
    invite["state_key"] = json!(BOT.0);
    json(
        "sync",
        "more",
        "",
        &json!({
            "next_batch": "n",
            "rooms": { "invite": { "!i:hs": { "invite_state": { "events": [invite] } } },
                "leave": { CLEAR: {} }, "join": { SECRET: { "timeline": { "limited": true } } } },
            "device_lists": { "changed": [ANNA.0], "left": [MALLORY.0] },
            "device_one_time_keys_count": { "signed_curve25519": 50 },
            "device_unused_fallback_key_types": ["signed_curve25519"],
        }),
    );

    // To-device events.
    let key = |which: u8| room_key(SECRET, &group(which));
    let olm = |person: &Person, kind: &str, content: &Value| {
        let plaintext = person.payload(kind, content).to_string();
        person.olm_event(&mut person.session(SPARE_KEY), plaintext.as_bytes())
    };
    json(
        "to_device",
        "room-key",
        "",
        &json!([olm(&anna, "m.room_key", &key(2))]),
    );
    json(
        "to_device",
        "same-key",
        "",
        &json!([olm(&anna, "m.room_key", &key(1))]),
    );
    json(
        "to_device",
        "not-a-commander",
        "",
        &json!([olm(&mallory, "m.room_key", &key(2))]),
    );
    json(
        "to_device",
        "dummy",
        "",
        &json!([olm(&anna, "m.dummy", &json!({}))]),
    );
    let mut wedged = olm(&anna, "m.dummy", &json!({}));
    for ciphertext in wedged["content"]["ciphertext"]
        .as_object_mut()
        .unwrap()
        .values_mut()
    {
        ciphertext["type"] = json!(1);
    }
    json("to_device", "wedged", "", &json!([wedged]));
    let withheld = |code: &str| {
        json!({ "type": "m.room_key.withheld", "sender": ANNA.0,
        "content": { "algorithm": "m.megolm.v1.aes-sha2", "code": code, "room_id": SECRET,
            "session_id": group(2).session_id(),
            "sender_key": anna.account.curve25519_key().to_base64() } })
    };
    json(
        "to_device",
        "withheld",
        "",
        &json!([withheld("m.unverified"), withheld("m.no_olm")]),
    );
    json(
        "to_device",
        "request",
        "",
        &json!([{ "type": "m.room_key_request", "sender": ANNA.0,
        "content": { "action": "request", "requesting_device_id": ANNA.1, "request_id": "r",
            "body": { "algorithm": "m.megolm.v1.aes-sha2", "room_id": SECRET,
                "session_id": group(1).session_id() } } }]),
    );

    // What is inside of Olm and Megolm.
    json(
        "olm_payload",
        "whole",
        "",
        &anna.payload("m.room_key", &key(2)),
    );
    json("olm_payload", "key", "k:", &key(2));
    json("olm_payload", "key-known", "k:", &key(1));
    json("olm_payload", "key-of-another", "m:", &key(1));
    json(
        "olm_payload",
        "fields",
        "f:",
        &json!({ "type": "m.dummy", "sender": MALLORY.0 }),
    );
    json(
        "olm_payload",
        "fields-of-another",
        "n:",
        &json!({ "sender": ANNA.0 }),
    );
    json(
        "olm_payload",
        "device",
        "d:",
        &json!({ "user_id": MALLORY.0 }),
    );
    json("megolm_payload", "whole", "", &inner(&text("start")));
    json("megolm_payload", "content", "c:", &text("status"));
    json(
        "megolm_payload",
        "edit",
        "c:",
        &json!({ "msgtype": "m.text", "body": "* stop",
        "m.new_content": text("stop"),
        "m.relates_to": { "rel_type": "m.replace", "event_id": "$1" } }),
    );
    json(
        "megolm_payload",
        "reply",
        "c:",
        &json!({ "msgtype": "m.text",
        "body": "> <@a:hs> stop\n\nstart",
        "m.relates_to": { "m.in_reply_to": { "event_id": "$1" } } }),
    );

    // Keys.
    json("key_query", "whole", "", &honest_query());
    json(
        "key_query",
        "failures",
        "",
        &json!({ "failures": { "hs": {} }, "device_keys": {} }),
    );
    json(
        "key_query",
        "device",
        "d:",
        &json!({ "unsigned": { "device_display_name": "x" } }),
    );
    json(
        "key_query",
        "new-device",
        "n:",
        &json!({ "algorithms": [] }),
    );
    json(
        "key_query",
        "identity",
        "m:",
        &json!({ "usage": ["master"] }),
    );
    json("key_query", "own", "b:", &json!({ "signatures": {} }));
    // 31 and 33 bytes in the length of 32.
    for (name, filler) in [
        ("31-bytes", "A".repeat(40) + "AA=="),
        ("33-bytes", "A".repeat(44)),
    ] {
        let keys = json!({ "keys": { "ed25519:ANNA": filler, "curve25519:ANNA": filler } });
        json("key_query", &format!("device-{name}"), "d:", &keys);
        let keys = json!({ "keys": { format!("ed25519:{filler}"): filler } });
        json("key_query", &format!("identity-{name}"), "m:", &keys);
        json("key_claim", name, "k:", &json!({ "key": filler }));
        json(
            "olm_payload",
            name,
            "f:",
            &json!({ "keys": { "ed25519": filler } }),
        );
        put(
            "recovery_key",
            &format!("seed-{name}"),
            format!("e:{filler}").as_bytes(),
        );
    }
    json(
        "key_claim",
        "whole",
        "",
        &json!({ "failures": {}, "one_time_keys": {
        ANNA.0: { ANNA.1: { "signed_curve25519:A": anna.one_time_key() } },
        MALLORY.0: { MALLORY.1: { "signed_curve25519:A": mallory.one_time_key() } } } }),
    );
    json("key_claim", "signed", "k:", &json!({ "fallback": true }));

    // Secrets, answers, words.
    put("recovery_key", "key", RECOVERY_KEY.as_bytes());
    let seed = vodozemac::base64_encode(*mallory.self_signing.to_bytes());
    put("recovery_key", "secret", format!("e:{seed}").as_bytes());
    let secret = json!({ "encrypted": {
        "A": secrets::encrypt("m.cross_signing.self_signing", seed.as_bytes()) } });
    let lines = format!("s:{{\"key\":\"A\"}}\n{}\n{secret}", secrets::description());
    put("recovery_key", "storage", lines.as_bytes());
    let member = json!({ "type": "m.room.member", "sender": ANNA.0, "state_key": ANNA.0,
        "content": { "membership": "join" } });
    json("answers", "members", "m:", &json!({ "chunk": [member] }));
    json(
        "answers",
        "encryption",
        "e:",
        &json!({ "algorithm": "m.megolm.v1.aes-sha2",
        "rotation_period_ms": 604_800_000, "rotation_period_msgs": 100 }),
    );
    json(
        "answers",
        "signatures",
        "s:",
        &json!({ "failures": { BOT.0: {} } }),
    );
    put("answers", "challenge", b"c:session");
    put("answers", "refusal", b"M_FORBIDDEN");
    for words in [
        "start",
        " Stop\n",
        "status",
        "help",
        "> <@a:hs> x\n\non",
        "\u{202e}off\u{7}",
    ] {
        let name: String = words.chars().filter(char::is_ascii_alphanumeric).collect();
        put("message", &name, words.as_bytes());
    }

    // Logins, and a token with the key that it names.
    json(
        "login",
        "flows",
        "a",
        &json!({ "flows": [{ "type": "m.login.password" },
            { "type": "m.login.sso", "identity_providers": [{ "id": "oidc-keycloak", "name": "K" }] }] }),
    );
    json(
        "login",
        "answer",
        "a",
        &json!({ "user_id": BOT.0, "device_id": BOT.1, "access_token": "syt_a",
            "refresh_token": "syr_a", "expires_in_ms": 300_000 }),
    );
    // 256 bytes, as a modulus and as a signature.
    let long = format!("{}wQ", "wcHB".repeat(85));
    let keys = json!({ "keys": [{ "kid": "a", "kty": "RSA", "alg": "RS256", "use": "sig",
        "n": long, "e": "AQAB" }] });
    // {"alg":"RS256","kid":"a"} and {"exp":1900000000,"preferred_username":"bot"}
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ\
        .eyJleHAiOjE5MDAwMDAwMDAsInByZWZlcnJlZF91c2VybmFtZSI6ImJvdCJ9";
    put(
        "login",
        "token",
        format!("k{keys}\n{token}.{long}").as_bytes(),
    );
    put("login", "one-time", b"oJBSWY3DPEHPK3PXP");
    put(
        "login",
        "one-time-uri",
        b"ootpauth://totp/matrix:bot?secret=JBSWY3DPEHPK3PXP&digits=6&period=30",
    );

    // Commands where targets have names, times, rules of schedules.
    for (number, text) in [
        "start worker 3 for 2h30m",
        "start worker until tomorrow 8:00",
        "stop worker, gateway",
        "stop all",
        "scale gateway 0",
        "restart worker",
        "extend worker by 1h",
        "status g",
        "history hidden",
        "help scale",
        "yes K3ZQ",
        "d:1.5h and 30 minutes",
        "u:fri 18:00 CET",
        "u:2027-03-28 02:30 +02:00",
        "z:Europe/Berlin",
        "s:Mon-Fri 08:00-18:00\nstart Sat,Sun 10am\nstop daily 20:00",
        "s:Sun-Thu 22:00-06:00",
    ]
    .iter()
    .enumerate()
    {
        put("command", &format!("{number:02}"), text.as_bytes());
    }
    let target = json!({
        "name": "worker", "namespace": "claw", "kind": "statefulset", "object": "worker",
        "start": 2, "max": 5, "users": ["@anna:hs"], "viewers": ["@vera:hs"],
        "rooms": ["!ops:hs"], "defaultIn": ["!ops:hs"], "for": "2h", "maxFor": "8h",
        "confirm": "always", "data": "disposable", "readyTimeout": "5m", "details": "full",
        "schedule": ["Mon-Fri 08:00-18:00"], "timeZone": "Europe/Berlin", "allowSelfHarm": true,
    });
    let other = json!({ "name": "web", "object": "web" });
    json(
        "targets",
        "file",
        "",
        &json!({ "targets": [target, other] }),
    );
    json(
        "targets",
        "twice",
        "",
        &json!({ "targets": [other, other] }),
    );
    put(
        "targets",
        "list",
        b"l:worker=claw/statefulset/worker:5, web=web",
    );
    put(
        "targets",
        "path",
        b"l:r=claw/argoproj.io/v1alpha1/rollouts/r:3,,x",
    );

    // A name server's: flags, how many records, an alias, an address.
    let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x03\x01a\0";
    let address = b"\xc0\x0c\0\x01\0\x01\0\0\0\x09\0\x04\x0a\0\0\x01";
    let of_alias = b"\x01a\0\0\x1c\0\x01\0\0\0\x09\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
    put(
        "dns_message",
        "address",
        &[b"\x81\x80\x01", &address[..]].concat(),
    );
    put(
        "dns_message",
        "cut",
        &[b"\x83\x80\x02", &address[..], &alias[..7]].concat(),
    );
    put(
        "dns_message",
        "alias",
        &[b"\x81\x80\x02", &alias[..], &of_alias[..]].concat(),
    );
    put("dns_message", "refused", b"\x81\x85\0");

    // Recipes: each endpoint as it is, and with something large in it.
    for endpoint in 0..8u8 {
        put(
            "whole_answers",
            &format!("honest-{endpoint}"),
            &[endpoint, 64],
        );
        for (shape, what, place) in [(0, 1, 3), (6, 1, 1), (3, 1, 4)] {
            let name = format!("grown-{endpoint}-{shape}");
            // Half a MiB.
            let recipe = [endpoint, 90, what, place, shape, 0, 64];
            put("whole_answers", &name, &recipe);
        }
        // A thousand of something, cut at the end.
        let repeated = [
            endpoint, 3, 2, 1, 0, 232, 3, 2, 4, 0, 232, 3, 3, 0, 0, 255, 20,
        ];
        put("whole_answers", &format!("repeated-{endpoint}"), &repeated);
    }
}
