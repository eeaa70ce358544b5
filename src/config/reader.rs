//! Reads settings from the environment: notes every fault, and how each value is shown.

use std::ffi::{OsStr, OsString};

use zeroize::Zeroizing;

use super::fault::{Faults, Flaw, Flaws};
use super::secrets::content;
use super::setting::{FileForm, Setting};
use super::table::SETTINGS;
use crate::util::{Secret, printable};

/// The longest value shown, in bytes.
const MAX_SHOWN_BYTES: usize = 400;

/// Gives a variable's value: `std::env::var_os`, but for its argument's type.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// An environment, what was wrong with what has been read of it, and what the summary
/// shows.
///
/// Each way to read a setting returns nothing where a fault was noted, so that reading
/// goes on to the next setting and all faults are told at once.
pub(super) struct Reader<'a> {
    env: Env<'a>,
    faults: Faults,
    rows: Vec<(&'static str, String)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: Env<'a>) -> Self {
        Self {
            env,
            faults: Faults::default(),
            rows: Vec::new(),
        }
    }

    /// The value made of what was read, or the faults.
    pub(super) fn finish<T>(self, made: Option<T>) -> Result<T, Faults> {
        made.filter(|_| self.faults.is_empty()).ok_or(self.faults)
    }

    /// The value in force, given or default.
    pub(super) fn read<T, E: Into<Flaws>>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Result<T, E>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let text = self.in_force(setting)?;
        self.take(setting, setting.name, parse(&text), show)
    }

    /// The value, if the setting is set.
    pub(super) fn optional<T, E: Into<Flaws>>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Result<T, E>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<Option<T>> {
        match self.given(setting, setting.name)? {
            Some(text) => self
                .take(setting, setting.name, parse(&text), show)
                .map(Some),
            None => self.unset(setting),
        }
    }

    /// The value, which `why` (as in "AUTH_METHOD=jwt needs it") makes necessary.
    pub(super) fn needed<T, E: Into<Flaws>>(
        &mut self,
        setting: &Setting,
        why: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        if self.is_given(setting, setting.name) {
            return self.read(setting, parse, show);
        }
        self.absent(setting, Some(why))
    }

    /// The value given by itself or by the file that it is in, if it is.
    ///
    /// `parse` sees the text without the white space around it, and never an empty one.
    /// Its flaws are put down to the variable that is set.
    pub(super) fn either<T>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Result<T, Flaw>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<Option<T>> {
        match self.given_or_filed(setting)? {
            Some((variable, text)) => self
                .take(setting, variable, parse(text.trim()), show)
                .map(Some),
            None => self.unset(setting),
        }
    }

    /// A secret text that may be anything, given as in [`Reader::either`]: of a file,
    /// all but the line break at its end, for white space may be part of a password.
    pub(super) fn secret(&mut self, setting: &Setting) -> Option<Option<Secret>> {
        let Some((variable, text)) = self.given_or_filed(setting)? else {
            return self.unset(setting);
        };
        let text = match text.strip_suffix('\n') {
            Some(line) => line.strip_suffix('\r').unwrap_or(line),
            None => &text,
        };
        let secret: Result<_, Flaw> = Ok(Secret::new(text.to_owned()));
        self.take(setting, variable, secret, masked).map(Some)
    }

    /// As [`Reader::secret`], for one that `why` makes necessary.
    pub(super) fn needed_secret(&mut self, setting: &Setting, why: &str) -> Option<Secret> {
        match self.secret(setting)? {
            Some(secret) => Some(secret),
            None => self.absent(setting, Some(why)),
        }
    }

    /// True if one of the setting's variables is set.
    pub(super) fn is_set(&self, setting: &Setting) -> bool {
        self.given_by(setting).is_some()
    }

    /// The first of the setting's variables that is set.
    pub(super) fn given_by(&self, setting: &Setting) -> Option<&'static str> {
        let mut variables = setting.variables();
        variables.find(|variable| self.is_given(setting, variable))
    }

    /// Notes a fault of a variable.
    pub(super) fn fault(&mut self, variable: &'static str, flaw: Flaw) {
        self.faults.push(flaw.of(variable));
    }

    /// Notes a line of the summary.
    pub(super) fn row(&mut self, name: &'static str, shown: String) {
        self.rows.push((name, shown));
    }

    /// The table shown at the start: the program's version, then a line for each
    /// setting that was read, in the order of [`SETTINGS`].
    pub(super) fn summary(&self) -> String {
        let place = |name| SETTINGS.iter().position(|setting| setting.name == name);
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(name, _)| place(*name).unwrap_or(usize::MAX));
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut table = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
        for (name, value) in rows {
            let value = printable(value, MAX_SHOWN_BYTES);
            table.push_str(&format!("\n  {name:width$}  {value}"));
        }
        table
    }

    /// Notes what was read of a variable: how it is shown, or what is wrong.
    fn take<T, E: Into<Flaws>>(
        &mut self,
        setting: &Setting,
        variable: &'static str,
        read: Result<T, E>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match read {
            Ok(value) => {
                if setting.secret {
                    self.row(setting.name, masked(&value));
                } else if setting.in_summary {
                    self.row(setting.name, show(&value));
                }
                Some(value)
            }
            Err(flaws) => {
                for flaw in flaws.into().0 {
                    self.fault(variable, flaw);
                }
                None
            }
        }
    }

    fn unset<T>(&mut self, setting: &Setting) -> Option<Option<T>> {
        if setting.in_summary {
            self.row(setting.name, setting.unset.to_owned());
        }
        Some(None)
    }

    fn in_force(&mut self, setting: &Setting) -> Option<Zeroizing<String>> {
        match (self.given(setting, setting.name)?, setting.default()) {
            (Some(text), _) => Some(text),
            (None, Some(text)) => Some(Zeroizing::new(text.to_owned())),
            (None, None) => self.absent(setting, None),
        }
    }

    /// Notes that a setting is not set, and `why` it had to be.
    fn absent<T>(&mut self, setting: &Setting, why: Option<&str>) -> Option<T> {
        let (cure, mistaken_for) = setting.cure();
        let slip = mistaken_for.iter().find(|name| (self.env)(name).is_some());
        let mut problem = "is not set".to_owned();
        if let Some(name) = slip {
            problem.push_str(&format!(" (but {name} is)"));
        }
        if let Some(why) = why {
            problem.push_str(&format!(", and {why}"));
        }
        self.fault(setting.name, Flaw::new(problem, cure));
        None
    }

    /// The text given, and the variable that it was given by.
    fn given_or_filed(
        &mut self,
        setting: &Setting,
    ) -> Option<Option<(&'static str, Zeroizing<String>)>> {
        let filed = |file: &&FileForm| self.is_given(setting, file.name);
        let Some(file) = setting.file.as_ref().filter(filed) else {
            let text = self.given(setting, setting.name)?;
            return Some(text.map(|text| (setting.name, text)));
        };
        if self.is_given(setting, setting.name) {
            let problem = format!("is set, and so is {}", setting.name);
            self.fault(file.name, Flaw::new(problem, "keep one of them"));
            return None;
        }
        let path = self.given(setting, file.name)?.unwrap_or_default();
        match content(&path) {
            Ok(text) => Some(Some((file.name, text))),
            Err(flaw) => {
                self.fault(file.name, flaw);
                None
            }
        }
    }

    /// The value in the environment, without the white space around it (a file that a
    /// Secret was made from often ends in a newline).
    fn given(
        &mut self,
        setting: &Setting,
        variable: &'static str,
    ) -> Option<Option<Zeroizing<String>>> {
        let Some(raw) = self.raw(setting, variable) else {
            return Some(None);
        };
        // Not even shown in part: it may be the password.
        let Some(text) = raw.to_str() else {
            self.fault(variable, Flaw::new("is not UTF-8", "write it in UTF-8"));
            return None;
        };
        Some(Some(Zeroizing::new(text.trim().to_owned())))
    }

    fn is_given(&self, setting: &Setting, variable: &str) -> bool {
        self.raw(setting, variable).is_some()
    }

    /// The value in the environment, if it is more than white space.
    fn raw(&self, setting: &Setting, variable: &str) -> Option<OsString> {
        let held = |name: &str| (self.env)(name).filter(|value| !is_blank(value));
        held(variable).or_else(|| {
            let lower = setting.lower_case.then(|| variable.to_ascii_lowercase());
            lower.and_then(|name| held(&name))
        })
    }
}

/// Stars for a secret that is there, whatever its length.
pub(super) fn masked<T>(_: &T) -> String {
    "********".to_owned()
}

/// A text as it was given.
pub(super) fn text(text: &str) -> Result<String, Flaw> {
    Ok(text.to_owned())
}

/// The items, separated by commas.
pub(super) fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::super::table::{ALLOWED_USERS, DEPLOYMENT, PASSWORD, RECOVERY_KEY, USER};
    use super::super::tests::{secret_file, told};
    use super::*;

    fn read(setting: &Setting, value: &[u8]) -> Result<String, String> {
        let env = |name: &str| (name == setting.name).then(|| OsString::from_vec(value.to_vec()));
        let mut reader = Reader::new(&env);
        let read = reader.read(setting, text, String::clone);
        reader.finish(read).map_err(|faults| told(&faults))
    }

    #[test]
    fn white_space_around_a_value_is_not_part_of_it() {
        assert_eq!(read(&PASSWORD, b" a b\n").unwrap(), "a b");
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        assert_eq!(read(&DEPLOYMENT, b" \n").unwrap(), "clawdbot");
        let fault = read(&USER, b"").unwrap_err();
        assert!(fault.starts_with("MATRIX_USER is not set: "));
    }

    #[test]
    fn a_value_that_is_no_text_is_refused_unseen() {
        assert_eq!(
            read(&PASSWORD, b"hunter2\xff").unwrap_err(),
            "MATRIX_PASSWORD is not UTF-8: write it in UTF-8"
        );
    }

    #[test]
    fn a_likely_slip_is_pointed_out() {
        let env = |name: &str| (name == "ALLOWED_USER").then(|| "@a:b".into());
        let mut reader = Reader::new(&env);
        let read = reader.read(&ALLOWED_USERS, text, String::clone);
        let fault = told(&reader.finish(read).unwrap_err());
        assert!(fault.starts_with("ALLOWED_USERS is not set (but ALLOWED_USER is): "));
    }

    /// Both variables, empty for unset; the text "bad" is refused.
    fn choose(value: &str, file: &str) -> Result<Option<String>, String> {
        let env = |name: &str| match name {
            "MATRIX_RECOVERY_KEY" => Some(value.into()),
            "MATRIX_RECOVERY_KEY_FILE" => Some(file.into()),
            _ => None,
        };
        let parse = |text: &str| match text {
            "bad" => Err(Flaw::new("is bad", "make it good")),
            _ => Ok(text.to_owned()),
        };
        let mut reader = Reader::new(&env);
        let read = reader.either(&RECOVERY_KEY, parse, masked);
        reader.finish(read).map_err(|faults| told(&faults))
    }

    #[test]
    fn the_secret_is_given_in_one_of_two_ways() {
        let file = secret_file("filed");
        assert_eq!(choose("", ""), Ok(None));
        assert_eq!(choose("given", " "), Ok(Some("given".to_owned())));
        assert_eq!(choose("", file.path()), Ok(Some("filed".to_owned())));
        assert_eq!(
            choose("given", file.path()).unwrap_err(),
            "MATRIX_RECOVERY_KEY_FILE is set, and so is MATRIX_RECOVERY_KEY: keep one of them"
        );
    }

    #[test]
    fn a_bad_secret_is_put_down_to_the_variable_it_came_by() {
        let file = secret_file("bad");
        for (variable, (value, file)) in [
            ("MATRIX_RECOVERY_KEY", ("bad", "")),
            ("MATRIX_RECOVERY_KEY_FILE", ("", file.path())),
        ] {
            let fault = format!("{variable} is bad: make it good");
            assert_eq!(choose(value, file).unwrap_err(), fault);
        }
    }
}
