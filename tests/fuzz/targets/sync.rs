//! A whole `/sync` answer.

#![no_main]

use openclaw_k8s_toggle_operator_fuzz::target;

target!(|world, data| {
    let run = world.run();
    run.handle_sync(data);
    // The same again, as after an answer that was lost on its way.
    run.handle_sync(data);
});
