//! Where the store is.

use std::ffi::OsString;
use std::path::PathBuf;

use super::fault::{Fault, Faults};
use super::variables::STORE_PATH;

/// The directory of keys and state, by itself: all of the configuration that is
/// needed to work on a store beside the running bot. It need not exist.
///
/// # Errors
/// What is wrong with `CRYPTO_STORE_PATH`.
pub fn store_path(env: &impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Faults> {
    let mut faults = Faults::default();
    faults.keep(read(env)).ok_or(faults)
}

pub(super) fn read(env: &impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Vec<Fault>> {
    STORE_PATH.read(env, |text| Ok(PathBuf::from(text)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn needs_no_other_variable() {
        let given = |path: Option<&[u8]>| {
            let path = path.map(|path| OsString::from_vec(path.to_vec()));
            store_path(&|name| path.clone().filter(|_| name == "CRYPTO_STORE_PATH"))
        };
        assert_eq!(given(None), Ok(PathBuf::from("/data/crypto_store")));
        assert_eq!(given(Some(b"/state\n")), Ok(PathBuf::from("/state")));
        let faults = given(Some(b"/\xff")).unwrap_err();
        assert!(faults.name("CRYPTO_STORE_PATH"));
        assert_eq!(faults.iter().count(), 1);
    }
}
