//! The text of a file.

use crate::config::fault::{Flaw, quoted};
use crate::config::secrets::{EVERYBODY_WRITES, file};
use crate::util::BoundedFile;

/// The largest file, in bytes.
const MAX_FILE: usize = 256 * 1024;

/// The text in the file.
pub(in crate::config) fn content(path: &str) -> Result<String, Flaw> {
    let flaw = |problem: &str, cure| Flaw::new(format!("names {}, {problem}", quoted(path)), cure);
    let BoundedFile { bytes, mode } = file(path, MAX_FILE)?;
    if mode & EVERYBODY_WRITES != 0 {
        return Err(flaw(
            &format!("which everybody can write to (mode {mode:04o})"),
            "chmod o-w it, since whoever writes to it decides what can be switched",
        ));
    }
    let text = str::from_utf8(&bytes);
    let text = text.map_err(|_| flaw("which is not text", "write it in UTF-8"))?;
    Ok(text.to_owned())
}
