//! The parts that the fuzz targets share. Each target feeds bytes to one parser of
//! the program, through the engine and a store in the middle of their life.
//!
//! `make fuzz` runs them; `cargo fuzz --fuzz-dir tests/fuzz run TARGET` works
//! too, with `--no-cfg-fuzzing`: under `cfg(fuzzing)` vodozemac takes any
//! signature and any MAC for good.

#[cfg(fuzzing)]
compile_error!("with cfg(fuzzing) vodozemac checks neither MACs nor signatures");

#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "the tests' own, which stop at the first surprise"
)]
#[path = "../../integration/support/filling.rs"]
pub mod filling;
mod logger;
pub mod people;
pub mod secrets;
pub mod whole;
mod world;

pub use world::{CLEAR, NEW, NOW, RECOVERY_KEY, Run, SECRET, World, honest_query, tolerable, user};

/// Splits an input into how it is to be used and what remains. An input that
/// names no way is used as it is.
pub fn mode(data: &[u8]) -> (u8, &[u8]) {
    match data {
        [mode @ b'a'..=b'z', b':', rest @ ..] => (*mode, rest),
        _ => (0, data),
    }
}

/// `base` with the fields of the object in `data`; None if there is no object.
pub fn overlaid(mut base: serde_json::Value, data: &[u8]) -> Option<serde_json::Value> {
    let over: serde_json::Map<_, _> = serde_json::from_slice(data).ok()?;
    base.as_object_mut()?.extend(over);
    Some(base)
}

/// `fuzz_target!` with a [`World`] that is made once.
#[macro_export]
macro_rules! target {
    (|$world:ident, $data:ident| $body:block) => {
        libfuzzer_sys::fuzz_target!(|$data: &[u8]| {
            thread_local! {
                static WORLD: std::cell::RefCell<$crate::World> =
                    std::cell::RefCell::new($crate::World::new());
            }
            WORLD.with_borrow_mut(|$world| $body);
        });
    };
}
