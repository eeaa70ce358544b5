//! How old device lists are, and what is remembered of devices that are gone.

use super::*;

fn outdated_since(tx: &Transaction<'_>) -> Option<u64> {
    tx.outdated_since(alice()).unwrap()
}

#[test]
fn how_long_a_list_is_outdated_is_counted_from_the_first_question_without_an_answer() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert_eq!(outdated_since(&tx), None, "a stranger");
    tx.track_user(alice()).unwrap();
    assert_eq!(outdated_since(&tx), None, "not written down yet");
    tx.date_outdated(100).unwrap();
    assert_eq!(outdated_since(&tx), Some(100));
    // Neither another change, nor a question put off, begins it anew.
    tx.mark_outdated(alice()).unwrap();
    tx.mark_all_outdated().unwrap();
    tx.postpone_query(alice(), 60_000).unwrap();
    tx.date_outdated(200).unwrap();
    assert_eq!(outdated_since(&tx), Some(100));
    let asked = tx.outdated_users(60_001, 9).unwrap().remove(0).generation;
    // An answer to an older question than the latest is an answer all the same.
    tx.mark_outdated(alice()).unwrap();
    tx.mark_current(alice(), asked).unwrap();
    tx.date_outdated(300).unwrap();
    assert!(tx.is_outdated(alice()).unwrap());
    assert_eq!(outdated_since(&tx), Some(300));
    let asked = tx.outdated_users(60_001, 9).unwrap().remove(0).generation;
    tx.mark_current(alice(), asked).unwrap();
    tx.date_outdated(400).unwrap();
    assert!(!tx.is_outdated(alice()).unwrap());
    assert_eq!(outdated_since(&tx), None);
}

#[test]
fn a_device_that_is_gone_is_remembered_by_either_key_until_it_is_forgotten() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (phone, other) = (device(alice(), "PHONE"), device(alice(), "OTHER"));
    let by_keys = |curve: &Device, ed: &Device| {
        tx.signed_out_by_keys(alice(), &curve.curve25519, &ed.ed25519)
            .unwrap()
    };
    tx.keep_users([alice()].into_iter()).unwrap();
    tx.apply_device_change(alice(), &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    assert_eq!(by_keys(&phone, &phone), None);
    assert!(!tx.forget_signed_out(alice(), &phone.id).unwrap());
    tx.apply_device_change(alice(), &DeviceChange::Delete(phone.id.clone()))
        .unwrap();
    for (curve, ed) in [(&phone, &phone), (&phone, &other), (&other, &phone)] {
        assert_eq!(by_keys(curve, ed), Some(phone.id.clone()));
    }
    assert_eq!(by_keys(&other, &other), None);
    // Those of people who command are shown.
    assert_eq!(tx.signed_out_devices().unwrap(), []);
    tx.put_commanders(&[alice().to_owned()]).unwrap();
    assert_eq!(
        tx.signed_out_devices().unwrap(),
        std::slice::from_ref(&phone)
    );
    tx.put_commanders(&[own().to_owned()]).unwrap();
    assert_eq!(tx.signed_out_devices().unwrap(), []);
    // It outlives the bot's own device, and nobody but the operator forgets it.
    tx.forget_device().unwrap();
    tx.untrack_user(alice()).unwrap();
    assert_eq!(by_keys(&phone, &phone), Some(phone.id.clone()));
    assert!(tx.forget_signed_out(alice(), &phone.id).unwrap());
    assert!(tx.known_devices(alice()).unwrap().is_empty());
}
