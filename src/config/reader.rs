//! Reads settings from the environment: notes every fault, and how each value is shown.

use std::ffi::OsString;

use zeroize::Zeroizing;

use super::fault::{Faults, Flaw, Flaws};
use super::secrets::content;
use super::setting::{InSummary, Presence, Setting};
use super::table::SETTINGS;
use crate::util::{Secret, printable, sorted_by};

/// The longest value shown, in bytes.
const MAX_SHOWN_BYTES: usize = 400;

/// Gives a variable's value: `std::env::var_os`, but for its argument's type.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A variable, and the text that it gives.
type Given = (&'static str, Zeroizing<String>);

/// An environment, what was wrong with what has been read of it, and what the summary
/// shows.
///
/// Each way to read a setting returns nothing where a fault was noted, so that reading
/// goes on to the next setting and all faults are told at once.
pub(super) struct Reader<'a> {
    env: Env<'a>,
    /// The settings, in the order in which the summary shows them.
    table: &'static [&'static Setting],
    faults: Faults,
    rows: Vec<(&'static str, String)>,
    /// The reason why a setting is needed because of another one, as in
    /// "AUTH_METHOD=jwt needs it".
    pub(super) need: String,
}

impl<'a> Reader<'a> {
    /// A reader of the bot's settings.
    pub(super) fn new(env: Env<'a>) -> Self {
        Self::of(env, SETTINGS)
    }

    /// A reader of the settings of this table.
    pub(super) fn of(env: Env<'a>, table: &'static [&'static Setting]) -> Self {
        Self {
            env,
            table,
            faults: Faults::default(),
            rows: Vec::new(),
            need: String::new(),
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
        let read = self.optional(setting, parse, show)?;
        self.required(setting, read)
    }

    /// The value, if the setting is set or has a default.
    ///
    /// `parse` sees the text without the white space around it, and never an empty one.
    /// Its flaws are put down to the variable that is set.
    pub(super) fn optional<T, E: Into<Flaws>>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Result<T, E>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<Option<T>> {
        self.take(setting, |text| parse(text.trim()), show)
    }

    /// A secret text that may be anything: of a file, all but the line break at its end,
    /// for white space may be part of a password.
    pub(super) fn secret(&mut self, setting: &Setting) -> Option<Option<Secret>> {
        let parse = |text: &str| {
            let line = text.strip_suffix('\n');
            let text = line.map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
            Ok::<_, Flaw>(Secret::new(text.to_owned()))
        };
        self.take(setting, parse, masked)
    }

    /// As [`Reader::secret`], for one that has to be set.
    pub(super) fn needed_secret(&mut self, setting: &Setting) -> Option<Secret> {
        let read = self.secret(setting)?;
        self.required(setting, read)
    }

    /// The first of the setting's variables that is set.
    pub(super) fn given_by(&self, setting: &Setting) -> Option<&'static str> {
        let mut variables = setting.variables();
        variables.find(|variable| self.is_given(setting, variable))
    }

    /// Returns true if a variable is set, and to nothing but white space: elsewhere that
    /// counts as unset.
    #[cfg(feature = "gateway")]
    pub(super) fn is_blank(&self, setting: &Setting) -> bool {
        (self.env)(setting.name).is_some() && self.raw(setting, setting.name).is_none()
    }

    /// The value of a variable that is no setting, or of a setting that is read elsewhere.
    pub(super) fn text(&self, variable: &str) -> Option<String> {
        let text = (self.env)(variable)?.into_string().ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
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
    /// setting that was read, in the order of its table.
    pub(super) fn summary(&self) -> String {
        let place = |name| self.table.iter().position(|setting| setting.name == name);
        let place = |(name, _): &&(&'static str, String)| place(*name).unwrap_or(usize::MAX);
        let rows = sorted_by(self.rows.iter().collect(), |one, other| {
            place(one).cmp(&place(other))
        });
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut table = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
        for (name, value) in rows {
            let value = printable(value, MAX_SHOWN_BYTES);
            table.push_str(&format!("\n  {name:width$}  {value}"));
        }
        table
    }

    /// Reads the text given, or else the default, and notes how it is shown, or what is
    /// wrong.
    fn take<T, E: Into<Flaws>>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Result<T, E>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<Option<T>> {
        let (text, is_shown) = self.in_force(setting)?;
        let read = match text {
            Some((variable, text)) => match parse(&text) {
                Ok(value) => Some(value),
                Err(flaws) => {
                    self.refuse(variable, flaws.into());
                    return None;
                }
            },
            None => None,
        };
        if is_shown {
            let shown = match &read {
                None => setting.unset.to_owned(),
                Some(value) if setting.secret => masked(value),
                Some(value) => show(value),
            };
            self.row(setting.name, shown);
        }
        Some(read)
    }

    /// The text given, or else the default, with the variable that it is put down to, and
    /// whether the summary shows the setting.
    fn in_force(&mut self, setting: &Setting) -> Option<(Option<Given>, bool)> {
        let default = || Some((setting.name, Zeroizing::new(setting.default()?.to_owned())));
        let given = self.given(setting)?;
        let is_shown = match setting.in_summary {
            InSummary::Always => true,
            InSummary::IfSet => given.is_some(),
            InSummary::Never => false,
        };
        Some((given.or_else(default), is_shown))
    }

    /// Notes the flaws of a variable.
    fn refuse(&mut self, variable: &'static str, flaws: Flaws) {
        for flaw in flaws.0 {
            self.fault(variable, flaw);
        }
    }

    /// Hands on what was read; if nothing was, notes that the setting has to be set.
    fn required<T>(&mut self, setting: &Setting, read: Option<T>) -> Option<T> {
        if read.is_none() {
            self.lacks(setting);
        }
        read
    }

    /// Notes that a setting has to be set.
    fn lacks(&mut self, setting: &Setting) {
        let mut slips = setting.mistaken_for.iter();
        let mut problem = "is not set".to_owned();
        if let Some(name) = slips.find(|name| (self.env)(name).is_some()) {
            problem.push_str(&format!(" (but {name} is)"));
        }
        if let Presence::Needed(_) = setting.presence {
            problem.push_str(&format!(", and {}", self.need));
        }
        self.fault(setting.name, Flaw::new(problem, setting.cure));
    }

    /// The text given by itself or by the file that it is in, and the variable that it was
    /// given by.
    fn given(&mut self, setting: &Setting) -> Option<Option<Given>> {
        let (name, file_name) = (setting.name, setting.file_name);
        let is_filed = setting.file.is_some() && self.is_given(setting, file_name);
        if is_filed && self.is_given(setting, name) {
            let problem = format!("is set, and so is {name}");
            self.fault(file_name, Flaw::new(problem, "keep one of them"));
            return None;
        }
        let variable = if is_filed { file_name } else { name };
        let Some(raw) = self.raw(setting, variable) else {
            return Some(None);
        };
        let text = match raw.to_str() {
            Some(path) if is_filed => content(path.trim()),
            // A file that a Secret was made from often ends in a newline.
            Some(text) => Ok(Zeroizing::new(text.trim().to_owned())),
            // Not even shown in part: it may be the password.
            None => Err(Flaw::new("is not UTF-8", "write it in UTF-8")),
        };
        let noted = text.map_err(|flaw| self.fault(variable, flaw));
        Some(Some((variable, noted.ok()?)))
    }

    fn is_given(&self, setting: &Setting, variable: &str) -> bool {
        self.raw(setting, variable).is_some()
    }

    /// The value in the environment, if it is more than white space.
    fn raw(&self, setting: &Setting, variable: &str) -> Option<OsString> {
        let is_blank = |value: &OsString| value.to_str().is_some_and(|text| text.trim().is_empty());
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

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::super::table::{
        ALLOWED_USERS, DEPLOYMENT_NAME, MATRIX_PASSWORD, MATRIX_RECOVERY_KEY, MATRIX_USER,
    };
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
        assert_eq!(read(&MATRIX_PASSWORD, b" a b\n").unwrap(), "a b");
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        assert_eq!(read(&DEPLOYMENT_NAME, b" \n").unwrap(), "clawdbot");
        let fault = read(&MATRIX_USER, b"").unwrap_err();
        assert!(fault.starts_with("MATRIX_USER is not set: "));
    }

    #[test]
    fn a_value_that_is_no_text_is_refused_unseen() {
        assert_eq!(
            read(&MATRIX_PASSWORD, b"hunter2\xff").unwrap_err(),
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
        let read = reader.optional(&MATRIX_RECOVERY_KEY, parse, masked);
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
