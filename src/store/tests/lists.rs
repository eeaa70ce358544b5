//! Tests of the age of device lists, and of the memory of devices that are gone.

use super::*;

fn outdated_since(tx: &Transaction<'_>) -> Option<u64> {
    tx.device_lists().outdated_since(alice()).unwrap()
}

#[test]
fn how_long_a_list_is_outdated_is_counted_from_the_first_question_without_an_answer() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert_eq!(outdated_since(&tx), None, "a stranger");
    tx.device_lists().track(alice()).unwrap();
    assert_eq!(outdated_since(&tx), None, "not written down yet");
    tx.device_lists().date_outdated(100).unwrap();
    assert_eq!(outdated_since(&tx), Some(100));
    // Neither another change, nor a question put off, begins it anew.
    tx.device_lists().mark_outdated(alice()).unwrap();
    tx.device_lists().mark_all_outdated().unwrap();
    tx.device_lists().postpone_query(alice(), 60_000).unwrap();
    tx.device_lists().date_outdated(200).unwrap();
    assert_eq!(outdated_since(&tx), Some(100));
    let asked = tx
        .device_lists()
        .outdated(60_001, 9)
        .unwrap()
        .remove(0)
        .generation;
    // An answer to an older question than the latest is an answer all the same.
    tx.device_lists().mark_outdated(alice()).unwrap();
    tx.device_lists().mark_current(alice(), asked).unwrap();
    tx.device_lists().date_outdated(300).unwrap();
    assert!(tx.device_lists().is_outdated(alice()).unwrap());
    assert_eq!(outdated_since(&tx), Some(300));
    let asked = tx
        .device_lists()
        .outdated(60_001, 9)
        .unwrap()
        .remove(0)
        .generation;
    tx.device_lists().mark_current(alice(), asked).unwrap();
    tx.device_lists().date_outdated(400).unwrap();
    assert!(!tx.device_lists().is_outdated(alice()).unwrap());
    assert_eq!(outdated_since(&tx), None);
}

#[test]
fn a_device_that_is_gone_is_remembered_by_either_key_until_it_is_forgotten() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (phone, other) = (device(alice(), "PHONE"), device(alice(), "OTHER"));
    let by_keys = |curve: &Device, ed: &Device| {
        tx.devices()
            .signed_out_by_keys(alice(), &curve.curve25519, &ed.ed25519)
            .unwrap()
    };
    tx.devices()
        .apply(alice(), &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    assert_eq!(by_keys(&phone, &phone), None);
    assert!(!tx.devices().forget_signed_out(alice(), &phone.id).unwrap());
    tx.devices()
        .apply(alice(), &DeviceChange::Delete(phone.id.clone()))
        .unwrap();
    for (curve, ed) in [(&phone, &phone), (&phone, &other), (&other, &phone)] {
        assert_eq!(by_keys(curve, ed), Some(phone.id.clone()));
    }
    assert_eq!(by_keys(&other, &other), None);
    // Those of people who command are shown.
    assert_eq!(tx.devices().signed_out().unwrap(), []);
    tx.put_commanders(own(), [alice()]).unwrap();
    assert_eq!(
        tx.devices().signed_out().unwrap(),
        std::slice::from_ref(&phone)
    );
    tx.put_commanders(own(), [own()]).unwrap();
    assert_eq!(tx.devices().signed_out().unwrap(), []);
    tx.put_commanders(own(), [alice()]).unwrap();
    // It outlives the bot's own device, and nobody but the operator forgets it.
    tx.forget_device().unwrap();
    tx.device_lists().untrack(alice()).unwrap();
    assert_eq!(by_keys(&phone, &phone), Some(phone.id.clone()));
    assert!(tx.devices().forget_signed_out(alice(), &phone.id).unwrap());
    assert!(tx.devices().known(alice()).unwrap().is_empty());
}
