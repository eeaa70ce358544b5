//! A crash at a chosen commit, for the tests of debug builds; a release build
//! has none of it.
//!
//! That nothing is lost or done twice when the process dies is a claim about
//! every moment between two commits, and only the process itself knows when
//! those are: killed from outside it dies at about the same few moments each
//! time. So a test names the commit, and the process ends there as a power cut
//! would end it: nothing is flushed, nothing is dropped.

/// Commits: by `commit` itself where nobody asked for a crash.
#[cfg(not(debug_assertions))]
pub(super) fn around<T>(commit: impl FnOnce() -> T) -> T {
    commit()
}

#[cfg(debug_assertions)]
pub(super) use armed::around;

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };

    use log::{debug, error};

    /// `before:7` or `after:7`: the process ends just before or just after its
    /// seventh commit. Each commit is logged by its number meanwhile.
    const VARIABLE: &str = "OPENCLAW_TEST_CRASH";

    static COMMITS: AtomicU64 = AtomicU64::new(0);
    static CRASH: LazyLock<Option<Crash>> = LazyLock::new(asked_for);

    #[derive(PartialEq, Eq)]
    enum Crash {
        Before(u64),
        After(u64),
    }

    /// Commits, unless the process is to end before it.
    pub(in super::super) fn around<T>(commit: impl FnOnce() -> T) -> T {
        let Some(crash) = &*CRASH else {
            return commit();
        };
        let number = COMMITS.fetch_add(1, Ordering::SeqCst) + 1;
        if *crash == Crash::Before(number) {
            end(&format!("before commit {number}"));
        }
        let done = commit();
        debug!("commit {number}");
        if *crash == Crash::After(number) {
            end(&format!("after commit {number}"));
        }
        done
    }

    fn asked_for() -> Option<Crash> {
        let value = std::env::var_os(VARIABLE)?;
        let crash = value.to_str().and_then(|text| {
            let (moment, nth) = text.split_once(':')?;
            let nth = nth.parse().ok().filter(|nth| *nth > 0)?;
            match moment {
                "before" => Some(Crash::Before(nth)),
                "after" => Some(Crash::After(nth)),
                _ => None,
            }
        });
        // A test that asks for a crash in vain would pass for nothing.
        if crash.is_none() {
            end(&format!("{VARIABLE} means nothing"));
        }
        crash
    }

    fn end(why: &str) -> ! {
        error!("crashing as told: {why}");
        std::process::abort()
    }
}
