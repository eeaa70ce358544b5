//! Secrets, and the files that they lie in, as a Kubernetes Secret mounted as a volume
//! does.

use std::path::Path;
use std::rc::Rc;

use zeroize::Zeroizing;

use super::fault::{Flaw, quoted};
use crate::crypto::{RecoveryKey, Seed};
use crate::util::{BoundedFile, FileError};

/// The largest file taken for a secret, in bytes.
const MAX_FILE: usize = 16 * 1024;

/// `S_IWOTH`
pub(super) const EVERYBODY_WRITES: u32 = 0o002;

/// The key that opens the account's secret storage, as people keep it.
pub(super) fn recovery_key(text: &str) -> Result<Rc<RecoveryKey>, Flaw> {
    RecoveryKey::parse(text).map(Rc::new).map_err(|fault| {
        Flaw::new(
            format!("is no recovery key: {fault}"),
            "give the account's recovery key as the client showed it, 12 groups of 4 characters",
        )
    })
}

/// The seed of the bot's cross-signing keys in the file at `path`: base64 of 32 bytes.
pub(super) fn seed(path: &str) -> Result<Rc<Seed>, Flaw> {
    Seed::from_base64(content(path)?.trim())
        .map(Rc::new)
        .map_err(|fault| {
            Flaw::new(
                format!("names a file whose content is no seed: {fault}"),
                "make one by: head -c 32 /dev/urandom | base64",
            )
        })
}

/// The text in a file, with something else than white space in it.
pub(super) fn content(path: &str) -> Result<Zeroizing<String>, Flaw> {
    let flaw = |problem: &str, cure| Flaw::new(format!("names {}, {problem}", quoted(path)), cure);
    let BoundedFile { bytes, mode } = file(path, MAX_FILE)?;
    // Secrets are mounted with mode 0644 unless told otherwise, so that everybody
    // may read says nothing.
    if mode & EVERYBODY_WRITES != 0 {
        return Err(flaw(
            &format!("which everybody can write to (mode {mode:04o})"),
            "chmod o-w it, since whoever writes to it decides who the bot is",
        ));
    }
    // What is in the file is not shown, not even in part.
    let text = str::from_utf8(&bytes).map_err(|_| {
        flaw(
            "which is not text",
            "write the secret into it as text in UTF-8",
        )
    })?;
    if text.trim().is_empty() {
        return Err(flaw(
            "which is empty",
            "write into it what is asked for, or leave the variable unset",
        ));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// All of the file at `path`, at most `limit` bytes.
pub(super) fn file(path: &str, limit: usize) -> Result<BoundedFile, Flaw> {
    BoundedFile::read(Path::new(path), limit).map_err(|error| {
        let cure = match error {
            FileError::Unreadable(_) => "mount a file there, and let the program's user read it",
            FileError::TooLarge(_) => "name the file that holds what is asked for and nothing else",
        };
        let problem = format!("names {}, which {}", quoted(path), error.problem());
        Flaw::new(problem, cure)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::secret_file;
    use super::*;
    use crate::util::temp::TempFile;

    fn read(path: &str) -> Result<String, String> {
        let text = content(path).map_err(|flaw| flaw.of("V").to_string())?;
        Ok(text.as_str().to_owned())
    }

    #[test]
    fn a_file_without_a_secret_is_named_and_its_content_is_not_shown() {
        let largest = vec![b'x'; MAX_FILE];
        assert!(read(TempFile::new(&largest).path()).is_ok());

        let too_large = vec![b'x'; MAX_FILE + 1];
        for (content, problem) in [
            (&b""[..], "which is empty: "),
            (b" \n", "which is empty: "),
            (b"hunter2\xff", "which is not text: "),
            (&too_large, "which is larger than 16384 bytes: "),
        ] {
            let file = TempFile::new(content);
            let fault = read(file.path()).unwrap_err();
            let start = format!("V names \"{}\", {problem}", file.path());
            assert!(fault.starts_with(&start), "{fault}");
            assert!(!fault.contains("hunter2") && !fault.contains("xx"));
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_the_reason() {
        for (path, reason) in [
            ("/nonexistent/key", "entity not found"),
            ("/", "is a directory"),
        ] {
            let start = format!("V names \"{path}\", which cannot be read ({reason}): mount");
            let fault = read(path).unwrap_err();
            assert!(fault.starts_with(&start), "{fault}");
        }
    }

    #[test]
    fn a_file_that_everybody_can_write_to_is_refused() {
        let file = secret_file("hunter2");
        for (mode, fine) in [(0o600, true), (0o644, true), (0o602, false), (0o666, false)] {
            set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            let fault = read(file.path()).err();
            assert_eq!(fault.is_none(), fine, "{mode:o}");
            if let Some(fault) = fault {
                assert!(fault.contains(&format!("(mode {mode:04o})")), "{fault}");
            }
        }
    }
}
