//! A store that an earlier version of this program made.

use std::process::Command;

use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::world::{OFF, ON};

/// `EARLIER_BINARY` names the earlier version. It dies with one command answered, one
/// that the API server was asked for and did not answer, and one that waits.
#[test]
#[ignore = "needs a build of an earlier version in EARLIER_BINARY"]
fn a_store_of_an_earlier_version_is_gone_on_with() {
    let earlier = std::env::var_os("EARLIER_BINARY").expect("EARLIER_BINARY names a program");
    let mut world = Scenario::encrypted().build();
    world.spawn_as(Command::new(earlier));
    world.wait_listening();
    assert_eq!(world.ask("start"), ON);
    let device = world.bot_device();
    world.settle();
    world.api.fault("PATCH /", 1, Fault::Hang);
    world.say("stop");
    world.api.wait("the hanging PATCH", |state| {
        let mut patches = state.calls.iter().filter(|call| call.method == "PATCH");
        patches
            .any(|call| call.body["spec"]["replicas"] == 0)
            .then_some(())
    });
    world.say("start");
    world.settle();
    world.bot().kill();

    world.start();
    assert_eq!(world.next_body(), OFF);
    assert_eq!(world.next_body(), ON);
    assert!(world.ask("status").starts_with("Deployment is starting"));
    assert_eq!(world.bot_device(), device);
    world.assert_scaled_only(&[1, 0, 0, 1]);
    world.crash_and_restart();
    assert_eq!(world.ask("stop"), OFF);
    world.assert_scaled_only(&[1, 0, 0, 1, 0]);
}
