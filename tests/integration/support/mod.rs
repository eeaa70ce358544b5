//! Loopback stand-ins for everything the bot talks to, and a person to talk to
//! it. Every scenario runs the real binary against these.

pub mod apiserver;
pub mod bot;
pub mod evidence;
#[allow(dead_code, reason = "the proxy's neighbour, with tests of its own")]
#[path = "../../../src/net/fake.rs"]
pub mod fake;
#[allow(dead_code, reason = "as there")]
#[path = "../../../src/net/fake_proxy.rs"]
pub mod fake_proxy;
pub mod faults;
pub mod filling;
pub mod health;
pub mod homeserver;
pub mod keycloak;
pub mod leases;
pub mod messages;
pub mod metrics;
pub mod modules;
pub mod monitor;
pub mod owners;
pub mod person;
pub mod redaction;
pub mod rooms;
pub mod scenario;
pub mod secrets;
pub mod signing;
pub mod sso;
pub mod story;
#[allow(dead_code, reason = "the unit tests' too")]
#[path = "../../../src/util/temp.rs"]
pub mod temp;
pub mod tokens;
pub mod watches;
pub mod wire;
pub mod workloads;
pub mod world;
