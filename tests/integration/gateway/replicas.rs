//! Several processes of the gateway that keep one target.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::support::client::get;
use super::support::world::{GatewayWorld, bearer};

/// The idle time of these tests: 10 s, five times shorter.
const IDLE: Duration = Duration::from_secs(2);

#[test]
fn no_request_is_lost_while_one_of_three_stands_still_and_the_others_stop_it() {
    let mut world = GatewayWorld::new();
    world.pace(5);
    world.app_with("web", json!({"idle": "10s", "minUp": "0s"}));
    for _ in 0..3 {
        world.start();
    }
    let token = bearer(&world.worker());
    let ports: Vec<u16> = world.replicas.iter().map(|one| one.ports.proxy).collect();
    for (round, port) in ports.iter().cycle().take(6).enumerate() {
        assert_eq!(get(*port, "web.test", "/", &token).status, 200);
        // This one stands still, twice as long as the idle time; the others stop the target.
        let still = &world.replicas[round % 3].run;
        still.signal("STOP");
        world.wait_count("web", 0);
        let other = ports[(round + 1) % 3];
        let begun = Instant::now();
        assert_eq!(get(other, "web.test", "/", &token).status, 200);
        thread::sleep((IDLE * 2).saturating_sub(begun.elapsed()) / 4);
        still.signal("CONT");
        assert_eq!(get(*port, "web.test", "/", &token).status, 200);
    }
    world.wait_count("web", 0);
    let asked = world.backend("web").asked().len();
    assert_eq!(asked, 18);
}
