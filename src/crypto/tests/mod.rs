//! The rules on values: two accounts talk, and one of them lies.

use std::collections::BTreeMap;

use ruma::{CanonicalJsonObject, OwnedRoomId, RoomId, UserId, owned_room_id, user_id};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use vodozemac::Curve25519PublicKey;

use super::*;

mod cross_signing;
mod identities;
mod recovery;
mod signed_out;
mod supply;
mod wiping;

const NOW: u64 = 1_800_000_000_000;

fn bot() -> Account {
    let mut account = Account::new(user_id!("@bot:test").to_owned(), "BOT".into());
    account.replenish(0, FallbackOnServer::UsedOrMissing, NOW);
    account
}

fn alice() -> Account {
    Account::new(user_id!("@alice:test").to_owned(), "PHONE".into())
}

fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

fn device_of(account: &Account) -> Device {
    let keys = raw(&account.device_keys().unwrap());
    Device::parse(account.user(), account.device(), &keys, None).unwrap()
}

fn claimed_key(account: &Account) -> Curve25519PublicKey {
    let upload = account.upload().unwrap().unwrap();
    let (name, key) = upload.one_time_keys.iter().next().unwrap();
    one_time_key(&device_of(account), name, &raw(key)).unwrap()
}

/// A to-device event of `from` for `to`, its payload changed by `edit`.
fn olm_event(
    from: &Account,
    to: &Account,
    session: &mut OlmSession,
    edit: impl FnOnce(&mut Value),
) -> OlmEvent {
    // The honest payload first, then the lie, encrypted on the same session.
    let mut payload = json!({
        "type": "m.room_key",
        "content": {},
        "sender": from.user(),
        "recipient": to.user(),
        "recipient_keys": { "ed25519": to.ed25519().to_base64() },
        "keys": { "ed25519": from.ed25519().to_base64() },
        "sender_device_keys": from.device_keys().unwrap(),
    });
    edit(&mut payload);
    let (kind, body) = session.encrypt_for_test(&payload.to_string());
    let event = json!({
        "type": "m.room.encrypted",
        "sender": from.user(),
        "content": {
            "algorithm": OLM_ALGORITHM,
            "sender_key": from.curve25519().to_base64(),
            "ciphertext": { to.curve25519().to_base64(): { "type": kind, "body": body } },
        },
    });
    OlmEvent::parse(&raw(&event), to.curve25519()).unwrap_or_else(|fault| panic!("{fault}"))
}

fn session(from: &Account, to: &Account) -> OlmSession {
    outbound_session(from, to.curve25519(), claimed_key(to)).unwrap()
}

fn payload_fault(edit: impl FnOnce(&mut Value)) -> Option<PayloadError> {
    let (alice, mut bot) = (alice(), bot());
    let mut session = session(&alice, &bot);
    let event = olm_event(&alice, &bot, &mut session, edit);
    match decrypt(&mut bot, Vec::new(), &event).map(|decrypted| decrypted.payload) {
        Ok(Ok(_)) => None,
        Ok(Err(OlmError::Payload(fault))) | Err(OlmError::Payload(fault)) => Some(fault),
        Ok(Err(other)) | Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_signature_covers_fields_nobody_knows() {
    let account = alice();
    let mut keys = account.device_keys().unwrap();
    keys.insert(
        "later".to_owned(),
        json!({"b": [1], "a": "é"}).try_into().unwrap(),
    );
    let parse = |keys: &CanonicalJsonObject| {
        Device::parse(account.user(), account.device(), &raw(keys), None).map(drop)
    };
    assert_eq!(
        parse(&keys),
        Err(DeviceError::Signature(SignatureError::Wrong))
    );
    keys.insert(
        "unsigned".to_owned(),
        json!({"name": "x"}).try_into().unwrap(),
    );
    keys.remove("later");
    assert_eq!(parse(&keys), Ok(()), "unsigned is not signed");
}

/// vodozemac 0.11.1 panics on an ed25519 key of 31 or 33 bytes whose text has
/// the length of one of 32.
#[test]
fn a_key_of_another_length_is_malformed() {
    for text in ["A".repeat(44), "A".repeat(42) + "=", "A".repeat(41) + "=="] {
        assert_eq!(canonical::ed25519_from_base64(&text), None, "{text}");
        let keys = json!({
            "user_id": "@a:test",
            "device_id": "D",
            "keys": { "curve25519:D": "A".repeat(43), "ed25519:D": text },
        });
        assert_eq!(
            Device::parse_anywhere(&raw(&keys)).map(drop),
            Err(DeviceError::Keys)
        );
        assert_eq!(
            payload_fault(|p| p["keys"]["ed25519"] = json!(text)),
            Some(PayloadError::Malformed)
        );
    }
    // Its other readers look at the length themselves.
    for bytes in [0, 31, 33, 63, 65] {
        let text = vodozemac::base64_encode(vec![0; bytes]);
        for text in [text.clone(), text + "=="] {
            assert!(Curve25519PublicKey::from_base64(&text).is_err(), "{text}");
            assert!(vodozemac::Ed25519Signature::from_base64(&text).is_err());
            assert!(Seed::from_base64(&text).is_err());
            assert!(vodozemac::megolm::SessionKey::from_base64(&text).is_err());
            assert!(vodozemac::megolm::MegolmMessage::from_base64(&text).is_err());
        }
    }
    let key = alice().ed25519();
    assert_eq!(canonical::ed25519_from_base64(&key.to_base64()), Some(key));
    assert_eq!(
        canonical::ed25519_from_base64(&(key.to_base64() + "=")),
        Some(key)
    );
}

#[test]
fn a_float_has_no_canonical_form() {
    let keys = r#"{"user_id":"@a:b","device_id":"D","keys":{},"x":1.5}"#;
    let keys = RawValue::from_string(keys.to_owned()).unwrap();
    assert!(Device::parse_anywhere(&keys).is_err());
}

#[test]
fn an_upload_is_repeated_until_it_is_taken() {
    let account = bot();
    let first = account.upload().unwrap().unwrap();
    assert_eq!(first.one_time_keys.len(), 50);
    assert_eq!(first.fallback_keys.len(), 1);
    assert!(first.device_keys.is_some());
    let pickle = account.pickle().unwrap();
    let mut restored = Account::from_pickle(
        account.user().to_owned(),
        account.device().to_owned(),
        &pickle,
    )
    .unwrap();
    assert_eq!(restored.upload().unwrap().unwrap(), first);
    restored.mark_as_uploaded(true);
    assert_eq!(restored.upload().unwrap(), None);
}

#[test]
fn no_keys_are_made_while_others_wait_for_their_upload() {
    let mut account = bot();
    let waiting = account.upload().unwrap();
    assert!(!account.replenish(0, FallbackOnServer::UsedOrMissing, NOW + 1));
    assert_eq!(account.upload().unwrap(), waiting);
}

#[test]
fn every_claim_of_a_payload_is_checked() {
    assert_eq!(payload_fault(|_| {}), None);
    assert_eq!(
        payload_fault(|p| p["sender"] = json!("@eve:test")),
        Some(PayloadError::Sender)
    );
    assert_eq!(
        payload_fault(|p| p["recipient"] = json!("@eve:test")),
        Some(PayloadError::Recipient)
    );
    let other = alice().ed25519().to_base64();
    assert_eq!(
        payload_fault(|p| p["recipient_keys"]["ed25519"] = json!(other)),
        Some(PayloadError::RecipientKey)
    );
    assert_eq!(
        payload_fault(|p| p["keys"]["ed25519"] = json!(other)),
        Some(PayloadError::SenderDeviceMismatch)
    );
    let eve = Account::new(user_id!("@eve:test").to_owned(), "PHONE".into());
    assert_eq!(
        payload_fault(|p| p["sender_device_keys"] = json!(eve.device_keys().unwrap())),
        Some(PayloadError::SenderDeviceMismatch)
    );
    assert!(matches!(
        payload_fault(|p| p["sender_device_keys"]["device_id"] = json!("OTHER")),
        Some(PayloadError::SenderDevice(_))
    ));
    assert_eq!(
        payload_fault(|p| p["keys"] = json!(7)),
        Some(PayloadError::Malformed)
    );
}

#[test]
fn a_known_session_is_not_made_twice() {
    let (alice, mut bot) = (alice(), bot());
    let mut session = session(&alice, &bot);
    let first = olm_event(&alice, &bot, &mut session, |_| {});
    let second = olm_event(&alice, &bot, &mut session, |_| {});
    let opened = decrypt(&mut bot, Vec::new(), &first)
        .map_err(|fault| fault.to_string())
        .unwrap();
    assert!(opened.new_session);
    let pickle = opened.session.pickle().unwrap();
    let stored = || vec![OlmSession::from_pickle(&pickle).unwrap()];
    let again = decrypt(&mut bot, stored(), &second)
        .map_err(|fault| fault.to_string())
        .unwrap();
    assert!(!again.new_session, "a pre-key message of a known session");
    let replay = decrypt(&mut bot, stored(), &first).map(drop);
    assert_eq!(
        replay,
        Err(OlmError::Repeated),
        "and not one more session for a replay"
    );
}

#[test]
fn a_one_time_key_needs_its_devices_signature() {
    let bot = bot();
    let upload = bot.upload().unwrap().unwrap();
    let (name, key) = upload.one_time_keys.iter().next().unwrap();
    let device = device_of(&bot);
    assert!(one_time_key(&device, name, &raw(key)).is_ok());
    let fault = |name: &str, key: &RawValue| one_time_key(&device, name, key).unwrap_err();
    assert_eq!(fault("curve25519:AAAA", &raw(key)), ClaimError::Malformed);
    assert_eq!(
        fault(name, &raw(&json!({ "key": "AAAA" }))),
        ClaimError::Signature(SignatureError::Missing)
    );
    let mut other = key.as_object().unwrap().clone();
    other.insert("key".to_owned(), alice().curve25519().to_base64().into());
    assert_eq!(
        fault(name, &raw(&other)),
        ClaimError::Signature(SignatureError::Wrong)
    );
}

#[test]
fn a_device_list_keeps_keys_and_tombstones() {
    let (phone, changed) = (alice(), alice());
    let user: &UserId = phone.user();
    let keys = raw(&phone.device_keys().unwrap());
    let answer: BTreeMap<String, &RawValue> = [("PHONE".to_owned(), &*keys)].into();
    let none = BTreeMap::new();

    let first = device_changes(user, &[], &answer, &[], None);
    assert_eq!(first, [DeviceChange::Put(Box::new(device_of(&phone)))]);
    let known = KnownDevice {
        device: device_of(&phone),
        deleted: false,
    };
    assert_eq!(
        device_changes(user, std::slice::from_ref(&known), &answer, &[], None),
        []
    );
    assert_eq!(
        device_changes(user, std::slice::from_ref(&known), &none, &[], None),
        [DeviceChange::Delete("PHONE".into())]
    );

    let tombstone = KnownDevice {
        deleted: true,
        ..known.clone()
    };
    assert_eq!(
        device_changes(user, std::slice::from_ref(&tombstone), &none, &[], None),
        []
    );
    assert_eq!(
        device_changes(user, std::slice::from_ref(&tombstone), &answer, &[], None),
        [DeviceChange::Refuse("PHONE".into(), DeviceError::SignedOut)]
    );
    let other = raw(&changed.device_keys().unwrap());
    let reused: BTreeMap<String, &RawValue> = [("PHONE".to_owned(), &*other)].into();
    assert_eq!(
        device_changes(user, &[tombstone], &reused, &[], None),
        [DeviceChange::Refuse(
            "PHONE".into(),
            DeviceError::KeyChanged
        )]
    );
    assert_eq!(
        device_changes(user, &[known], &reused, &[], None),
        [
            DeviceChange::Delete("PHONE".into()),
            DeviceChange::Refuse("PHONE".into(), DeviceError::KeyChanged)
        ],
        "the device that had the id is gone"
    );
    assert_eq!(
        device_changes(user, &[], &answer, &["PHONE".to_owned()], None),
        [DeviceChange::Refuse("PHONE".into(), DeviceError::IdIsAKey)]
    );
    let misplaced: BTreeMap<String, &RawValue> = [("LAPTOP".to_owned(), &*keys)].into();
    assert_eq!(
        device_changes(user, &[], &misplaced, &[], None),
        [DeviceChange::Refuse(
            "LAPTOP".into(),
            DeviceError::WrongPlace
        )]
    );
}

/// A payload of `account` as if it had come by Olm.
fn payload_of(account: &Account) -> OlmPayload {
    OlmPayload {
        sender: account.user().to_owned(),
        sender_curve25519: account.curve25519(),
        sender_ed25519: account.ed25519(),
        kind: "m.room_key".to_owned(),
        content: SecretContent::copied(&raw(&json!({}))),
    }
}

fn shared(group: &OutboundGroupSession, from: &Account) -> InboundGroupSession {
    let key = RoomKey::parse(group.room_key().unwrap().get()).unwrap();
    accept_room_key(&payload_of(from), key, None)
        .unwrap()
        .unwrap()
}

fn room() -> OwnedRoomId {
    owned_room_id!("!a:test")
}

fn encrypted(group: &mut OutboundGroupSession, from: &Account, kind: &str) -> MegolmEvent {
    let content = raw(&json!({ "msgtype": "m.text", "body": "start" }));
    MegolmEvent::parse(&group.encrypt(from, kind, &content).unwrap()).unwrap()
}

#[test]
fn a_message_speaks_for_its_sessions_owner_in_its_room() {
    let alice = alice();
    let mut group = OutboundGroupSession::new(room(), NOW);
    let mut inbound = shared(&group, &alice);
    let event = encrypted(&mut group, &alice, "m.room.message");
    let mut open = |room: &RoomId, sender: &UserId, event: &MegolmEvent| {
        inbound
            .decrypt(room, sender, event)
            .map(|content| content.get().to_owned())
    };
    let start = json!({ "msgtype": "m.text", "body": "start" }).to_string();
    assert_eq!(open(&room(), alice.user(), &event), Ok(start));
    assert_eq!(
        open(&room(), user_id!("@eve:test"), &event),
        Err(MegolmError::WrongSender)
    );
    let elsewhere = owned_room_id!("!b:test");
    assert_eq!(
        open(&elsewhere, alice.user(), &event),
        Err(MegolmError::WrongRoom)
    );
    let other = encrypted(&mut group, &alice, "m.room.member");
    assert_eq!(
        open(&room(), alice.user(), &other),
        Err(MegolmError::InnerType)
    );
}

#[test]
fn a_second_key_of_a_session_never_changes_whose_it_is() {
    let (alice, eve) = (alice(), alice());
    let mut group = OutboundGroupSession::new(room(), NOW);
    let from_start = RoomKey::parse(group.room_key().unwrap().get()).unwrap();
    encrypted(&mut group, &alice, "m.room.message");
    let later = || RoomKey::parse(group.room_key().unwrap().get()).unwrap();
    let mine = payload_of(&alice);

    let stored = accept_room_key(&mine, later(), None).unwrap();
    let better = accept_room_key(&mine, from_start, stored).unwrap();
    assert!(better.is_some(), "the same session from an earlier index");
    assert!(accept_room_key(&mine, later(), better).unwrap().is_none());

    let stored = accept_room_key(&mine, later(), None).unwrap();
    let stolen = accept_room_key(&payload_of(&eve), later(), stored).map(drop);
    assert_eq!(stolen, Err(MegolmError::OtherOwner));
}

#[test]
fn a_room_key_must_be_what_it_says() {
    let group = OutboundGroupSession::new(room(), NOW);
    let content: Value = serde_json::from_str(group.room_key().unwrap().get()).unwrap();
    let with = |field: &str, value: Value| {
        let mut content = content.clone();
        content[field] = value;
        RoomKey::parse(&content.to_string()).map(drop)
    };
    assert_eq!(
        with("session_id", json!("other")),
        Err(RoomKeyError::SessionId)
    );
    assert_eq!(
        with("algorithm", json!(OLM_ALGORITHM)),
        Err(RoomKeyError::Algorithm)
    );
    assert_eq!(
        with("session_key", json!("AAAA")),
        Err(RoomKeyError::Malformed)
    );
    assert_eq!(
        with("room_id", json!("no room")),
        Err(RoomKeyError::Malformed)
    );
}

#[test]
fn a_session_wears_out_by_age_and_by_use() {
    let alice = alice();
    let hour = 3600 * 1000;
    let mut group = OutboundGroupSession::new(room(), NOW);
    let default = Rotation::new(None, None);
    assert!(!group.is_expired(default, NOW + 604_800_000 - 1));
    assert!(group.is_expired(default, NOW + 604_800_000));
    assert!(group.is_expired(default, NOW - 1), "made in the future");
    let eager = Rotation::new(Some(1), Some(0));
    assert!(!group.is_expired(eager, NOW + hour - 1), "at least an hour");
    encrypted(&mut group, &alice, "m.room.message");
    assert!(group.is_expired(eager, NOW), "at least one message");
    assert!(!group.is_expired(Rotation::new(None, Some(u64::MAX)), NOW));
}
