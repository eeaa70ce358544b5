//! Secrets that lie in files, as a Kubernetes Secret mounted as a volume does.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::fault::{Fault, Flaw, quoted};
use super::variable::Variable;
use crate::util::Secret;

/// The largest file taken for a secret, in bytes.
const MAX_FILE: usize = 16 * 1024;

/// `S_IWOTH`
const EVERYBODY_WRITES: u32 = 0o002;

/// A secret given by itself (`value`) or by the file that it is in (`file`),
/// read by `parse`; nothing if neither variable is set.
///
/// `parse` sees the text without the white space around it, and never an empty
/// one. What it finds wrong is put down to the variable that is set.
pub(super) fn either<T>(
    env: &impl Fn(&str) -> Option<OsString>,
    value: &Variable,
    file: &Variable,
    parse: impl Fn(&str) -> Result<T, Flaw>,
) -> Result<Option<T>, Vec<Fault>> {
    if value.is_set(env) && file.is_set(env) {
        let flaw = Flaw::new(
            format!("is set, and so is {}", value.name),
            "keep one of them",
        );
        return Err(vec![flaw.of(file.name)]);
    }
    let given = value.read(env, |text| optional(text, &parse))?;
    let filed = file.read(env, |path| in_file(path, &parse))?;
    Ok(given.or(filed))
}

/// The secret in the file at `path`, read by `parse` as in [`either`]; nothing
/// if the path is empty.
pub(super) fn in_file<T>(
    path: &str,
    parse: impl Fn(&str) -> Result<T, Flaw>,
) -> Result<Option<T>, Flaw> {
    optional(path, |path| parse(content(path)?.trim()))
}

/// A secret text that may be anything; nothing if neither variable is set.
pub(super) fn secret(
    env: &impl Fn(&str) -> Option<OsString>,
    value: &Variable,
    file: &Variable,
) -> Result<Option<Secret>, Vec<Fault>> {
    if value.is_set(env) && file.is_set(env) {
        return either(env, value, file, |_| Ok(None)).map(Option::flatten);
    }
    let secret = |text: &str| Ok(Secret::new(text.to_owned()));
    let given = value.read(env, |text| optional(text, secret))?;
    let filed = file.read(env, |path| {
        optional(path, |path| secret(&line(content(path)?)))
    })?;
    Ok(given.or(filed))
}

/// A text without the line break that an editor puts after it; other white space
/// may be part of a password.
fn line(mut text: Zeroizing<String>) -> Zeroizing<String> {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// As [`secret`], for one that `why` (as in "AUTH_METHOD=jwt needs it") makes
/// necessary.
pub(super) fn needed(
    env: &impl Fn(&str) -> Option<OsString>,
    value: &Variable,
    file: &Variable,
    why: &str,
) -> Result<Secret, Vec<Fault>> {
    secret(env, value, file)?.ok_or_else(|| vec![value.absent(env, why)])
}

fn optional<T>(text: &str, parse: impl Fn(&str) -> Result<T, Flaw>) -> Result<Option<T>, Flaw> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some)
}

/// The text in a file, with something else than white space in it.
fn content(path: &str) -> Result<Zeroizing<String>, Flaw> {
    let flaw = |problem: &str, cure| Flaw::new(format!("names {}, {problem}", quoted(path)), cure);
    let (bytes, mode) = bytes(path, MAX_FILE)?;
    // Secrets are mounted with mode 0644 unless told otherwise, so that everybody
    // may read says nothing.
    if mode & EVERYBODY_WRITES != 0 {
        return Err(flaw(
            &format!("which everybody can write to (mode {:04o})", mode & 0o7777),
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
            "write the secret into it, or leave the variable unset",
        ));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// What is in a file that is no secret, at most `limit` bytes.
pub(super) fn public(path: &str, limit: usize) -> Result<Vec<u8>, Flaw> {
    let (mut bytes, _) = bytes(path, limit)?;
    Ok(std::mem::take(&mut *bytes))
}

/// All of the file, at most `limit` bytes, and its mode.
fn bytes(path: &str, limit: usize) -> Result<(Zeroizing<Vec<u8>>, u32), Flaw> {
    let flaw = |problem: &str, cure| Flaw::new(format!("names {}, {problem}", quoted(path)), cure);
    let (bytes, mode) = read(Path::new(path), limit + 1).map_err(|error| {
        flaw(
            &format!("which cannot be read ({})", error.kind()),
            "mount it there and let the program's user read it, or leave the variable unset",
        )
    })?;
    if bytes.len() > limit {
        return Err(flaw(
            &format!("which is larger than {limit} bytes"),
            "name the file that holds what is asked for and nothing else",
        ));
    }
    Ok((bytes, mode))
}

/// At most `most` bytes of a file, and its mode. The room is made once, since a
/// buffer that grows leaves copies behind.
fn read(path: &Path, most: usize) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    // To open a pipe would wait for somebody to write to it.
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let size = usize::try_from(metadata.len()).unwrap_or(most);
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.min(most) + 1));
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, metadata.permissions().mode()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::variables::{RECOVERY_KEY, RECOVERY_KEY_FILE};
    use super::*;

    /// A file that is gone when the test is over.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(content: &[u8]) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let path = std::env::temp_dir().join(format!(
                "toggle-operator-config-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            ));
            fs::write(&path, content).unwrap();
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn read(path: &str) -> Result<Option<String>, String> {
        in_file(path, |text| Ok(text.to_owned())).map_err(|flaw| flaw.of("V").to_string())
    }

    /// Both variables, empty for unset; `parse` refuses the text "bad".
    fn choose(value: &str, file: &str) -> Result<Option<String>, Vec<String>> {
        let env = |name: &str| match name {
            "MATRIX_RECOVERY_KEY" => Some(value.into()),
            "MATRIX_RECOVERY_KEY_FILE" => Some(file.into()),
            _ => None,
        };
        either(&env, &RECOVERY_KEY, &RECOVERY_KEY_FILE, |text| match text {
            "bad" => Err(Flaw::new("is bad", "make it good")),
            _ => Ok(text.to_owned()),
        })
        .map_err(|faults| faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn white_space_around_the_content_is_not_part_of_it() {
        let file = Temporary::new(b"\n EsTc 1234 \r\n");
        assert_eq!(read(file.path()), Ok(Some("EsTc 1234".to_owned())));
        assert_eq!(read(""), Ok(None));
    }

    #[test]
    fn a_file_without_a_secret_is_named_and_its_content_is_not_shown() {
        let largest = vec![b'x'; MAX_FILE];
        assert!(read(Temporary::new(&largest).path()).is_ok());

        let too_large = vec![b'x'; MAX_FILE + 1];
        for (content, problem) in [
            (&b""[..], "which is empty: "),
            (b" \n", "which is empty: "),
            (b"hunter2\xff", "which is not text: "),
            (&too_large, "which is larger than 16384 bytes: "),
        ] {
            let file = Temporary::new(content);
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
        let file = Temporary::new(b"hunter2\n");
        for (mode, fine) in [(0o600, true), (0o644, true), (0o602, false), (0o666, false)] {
            fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).unwrap();
            let fault = read(file.path()).err();
            assert_eq!(fault.is_none(), fine, "{mode:o}");
            if let Some(fault) = fault {
                assert!(fault.contains(&format!("(mode {mode:04o})")), "{fault}");
            }
        }
    }

    #[test]
    fn the_secret_is_given_in_one_of_two_ways() {
        let file = Temporary::new(b"filed\n");
        assert_eq!(choose("", ""), Ok(None));
        assert_eq!(choose("given", " "), Ok(Some("given".to_owned())));
        assert_eq!(choose("", file.path()), Ok(Some("filed".to_owned())));
        assert_eq!(
            choose("given", file.path()).unwrap_err(),
            ["MATRIX_RECOVERY_KEY_FILE is set, and so is MATRIX_RECOVERY_KEY: keep one of them"]
        );
    }

    #[test]
    fn a_bad_secret_is_put_down_to_the_variable_it_came_by() {
        let file = Temporary::new(b"bad\n");
        assert_eq!(
            choose("bad", "").unwrap_err(),
            ["MATRIX_RECOVERY_KEY is bad: make it good"]
        );
        assert_eq!(
            choose("", file.path()).unwrap_err(),
            ["MATRIX_RECOVERY_KEY_FILE is bad: make it good"]
        );
    }
}
