//! Files of the Python program in the store's directory: it kept its keys with
//! matrix-nio, a database a device, and its token in a file beside them. None of
//! it is read, and nothing is removed, so that going back stays possible; but a
//! device that nobody uses any more has keys and a token that still open rooms.

use std::{fmt, fs, path::Path};

use ruma::DeviceId;

use crate::util::{printable, sorted_by};

/// Suffix of nio's databases; each is named `<user id>_<device>.db`.
const DATABASE: &str = ".db";

/// File in which later versions of the Python program kept their access token.
const TOKEN: &str = "session.json";

/// Earlier versions logged in as a new device at each start.
const MOST_NAMED: usize = 10;

/// The longest part of a file's name that is repeated; Linux allows 255 bytes.
const LONGEST_NAME: usize = 255;

/// The devices of the Python program whose keys are in a directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// User and device, in the order of their names.
    devices: Vec<(String, String)>,
    has_token: bool,
}

impl Predecessor {
    /// Looks for them. `own` is the device that this program was told to be; a
    /// directory that cannot be read is not this one's to report.
    pub fn find(directory: &Path, own: Option<&DeviceId>) -> Option<Self> {
        let files = fs::read_dir(directory).ok()?;
        let devices: Vec<_> = files
            .filter_map(|file| file.ok()?.file_name().into_string().ok())
            .filter_map(|name| device(&name))
            .filter(|(_, device)| own.is_none_or(|own| own != device.as_str()))
            .collect();
        let devices = sorted_by(devices, Ord::cmp);
        let has_token = directory.join(TOKEN).exists();
        (!devices.is_empty()).then_some(Self { devices, has_token })
    }
}

impl fmt::Display for Predecessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.devices.iter().take(MOST_NAMED).map(|(user, device)| {
            let shown = |name| printable(name, LONGEST_NAME);
            format!("device {} of {}", shown(device), shown(user))
        });
        write!(
            f,
            "CRYPTO_STORE_PATH holds keys of the Python program, which are not used: {}",
            named.collect::<Vec<_>>().join(", ")
        )?;
        let more = self.devices.len().saturating_sub(MOST_NAMED);
        if more > 0 {
            write!(f, ", and {more} more")?;
        }
        let (it, files) = match self.devices.as_slice() {
            [_] => ("it", "its"),
            _ => ("them", "their"),
        };
        write!(
            f,
            ". Once you are sure not to go back, remove {it} from the account (in Element: \
             Settings, Sessions; or by the homeserver's admin API), then delete {files} files there"
        )?;
        if self.has_token {
            write!(f, ", and {TOKEN}, which holds an access token")?;
        }
        Ok(())
    }
}

/// User and device of one of nio's databases. A localpart may have the
/// separator in it, and so may a device; the name of a server may not.
fn device(file: &str) -> Option<(String, String)> {
    let name = file.strip_suffix(DATABASE)?;
    let (localpart, rest) = name.strip_prefix('@')?.split_once(':')?;
    let (server, device) = rest.split_once('_')?;
    if localpart.is_empty() || server.is_empty() || device.is_empty() {
        return None;
    }
    Some((format!("@{localpart}:{server}"), device.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::util::temp::TempDir;

    /// A directory of a test's own, with empty files of these names.
    struct Directory(TempDir);

    impl Directory {
        fn with(files: &[&str]) -> Self {
            let directory = TempDir::new();
            for file in files {
                fs::write(directory.path().join(file), "").unwrap();
            }
            Self(directory)
        }

        fn told(&self) -> Option<String> {
            Predecessor::find(self.0.path(), None).map(|found| found.to_string())
        }
    }

    #[test]
    fn the_device_is_named_with_what_to_do() {
        let old = Directory::with(&[
            "@bot:example.com_ABCDEFGHIJ.db",
            "@bot:example.com_ABCDEFGHIJ.trusted_devices",
            "session.json",
        ]);
        let told = old.told().unwrap();
        assert!(
            told.contains("not used: device ABCDEFGHIJ of @bot:example.com. Once"),
            "{told}"
        );
        for part in [
            "remove it from the account",
            "delete its files",
            "session.json",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn nothing_is_said_of_an_own_store_and_once_the_files_are_gone() {
        let directory = Directory::with(&["lost+found.db", "@bot.db", "@a:b_.db", "x.db"]);
        let store = Store::open(directory.0.path()).unwrap();
        assert_eq!(directory.told(), None);
        store.close().unwrap();
        let old = directory.0.path().join("@bot:example.com_OLD.db");
        fs::write(&old, "").unwrap();
        assert!(directory.told().is_some());
        fs::remove_file(old).unwrap();
        assert_eq!(directory.told(), None);
        assert_eq!(
            Predecessor::find(&directory.0.path().join("absent"), None),
            None
        );
    }

    #[test]
    fn the_device_that_this_program_was_told_to_be_is_not_one_to_remove() {
        let old = Directory::with(&["@bot:example.com_OURS.db", "@bot:example.com_OLD.db"]);
        let found = Predecessor::find(old.0.path(), Some("OURS".into())).unwrap();
        assert_eq!(found.devices, [("@bot:example.com".into(), "OLD".into())]);
    }

    #[test]
    fn many_devices_are_one_line() {
        let names: Vec<_> = (0..25)
            .map(|n| format!("@bot:example.com_D{n:02}.db"))
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let told = Directory::with(&names).told().unwrap();
        assert!(told.contains("device D00 of"), "{told}");
        assert!(
            told.contains("device D09 of @bot:example.com, and 15 more. Once"),
            "{told}"
        );
        assert!(!told.contains("D10"), "{told}");
    }

    #[test]
    fn underscores_and_ports_are_parts_of_names_and_line_breaks_are_not_written() {
        for (file, user, its) in [
            ("@my_bot:example.com_AB.db", "@my_bot:example.com", "AB"),
            ("@bot:[::1]:8448_A_B.db", "@bot:[::1]:8448", "A_B"),
        ] {
            assert_eq!(device(file), Some((user.to_owned(), its.to_owned())));
        }
        let told = Directory::with(&["@bot:a_X\nERROR.db"]).told().unwrap();
        assert!(!told.contains('\n') && told.contains(r"X\nERROR"), "{told}");
    }
}
