//! The names that the bot is given, in a pod whose name server has moods: a real
//! one over UDP and TCP, in a network namespace, with the `resolv.conf` and the
//! `hosts` of a pod. A row of the table: the case, how long the program took, what
//! was expected.
//!
//! `make names` runs the release binary (`BOT_BINARY`), which is linked with
//! another C library than the debug binary of plain `cargo test`, which leaves out
//! what takes seconds. `CASE=…` picks the cases whose name contains that.

mod case;
mod cases;
mod nameserver;
mod peers;
mod pod;

#[test]
fn every_mood_of_a_name_server_is_survived_or_told() {
    pod::within(
        "names::every_mood_of_a_name_server_is_survived_or_told",
        || {
            let cases = cases::all();
            pod::side_by_side(&cases, case::run);
        },
    );
}

#[test]
fn everybody_the_bot_talks_to_is_found_behind_a_broken_search_domain() {
    pod::within(
        "names::everybody_the_bot_talks_to_is_found_behind_a_broken_search_domain",
        peers::all_are_found,
    );
}
