//! One buffer for all sockets: what is read is passed on or copied before anybody waits, so
//! that a connection on which nothing happens needs none of its own.

use std::cell::RefCell;

/// The most that is read from a socket at once, in bytes.
const SIZE: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Runs this with the buffer. It must not be asked for again meanwhile.
pub(super) fn with<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.is_empty() {
            scratch.resize(SIZE, 0);
        }
        work(scratch)
    })
}
