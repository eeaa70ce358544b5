//! The to-device events of a sync: an array of them.

#![no_main]

use openclaw_k8s_toggle_operator_fuzz::target;

target!(|world, data| {
    let mut body = br#"{"next_batch":"n","to_device":{"events":"#.to_vec();
    body.extend_from_slice(data);
    body.extend_from_slice(b"}}");
    world.run().handle_sync(&body);
});
