//! An environment variable: what it is, and how it is read.

use std::ffi::OsString;

use zeroize::Zeroizing;

use super::fault::{Fault, Flaw};

/// An environment variable that the program reads.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Whether it has to be set, and what holds if it is not.
    pub presence: Presence,
    /// What it sets, for the help text: a sentence without its full stop.
    pub meaning: &'static str,
}

/// What holds if a variable is unset; an empty value or one of white space
/// alone counts as unset.
#[derive(Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing: the program refuses to start.
    Required {
        /// What to set it to.
        cure: &'static str,
        /// Names that people write instead.
        mistaken_for: &'static [&'static str],
    },
    /// Nothing, where what another variable says needs this one: then the
    /// program refuses to start.
    Needed {
        /// When it is needed, as the rest of "required …".
        when: &'static str,
        /// What to set it to.
        cure: &'static str,
        /// Names that people write instead.
        mistaken_for: &'static [&'static str],
    },
    /// This value, read as if it had been set.
    Default(&'static str),
    /// Another variable decides, or nothing.
    Optional,
}

impl Variable {
    /// The value in force, given or default, read by `parse`.
    pub(super) fn read<T>(
        &self,
        env: &impl Fn(&str) -> Option<OsString>,
        parse: impl FnOnce(&str) -> Result<T, Flaw>,
    ) -> Result<T, Vec<Fault>> {
        self.read_each(env, |text| parse(text).map_err(|flaw| vec![flaw]))
    }

    /// As [`Variable::read`], for a value that can have several flaws.
    pub(super) fn read_each<T>(
        &self,
        env: &impl Fn(&str) -> Option<OsString>,
        parse: impl FnOnce(&str) -> Result<T, Vec<Flaw>>,
    ) -> Result<T, Vec<Fault>> {
        let text = match (self.given(env)?, &self.presence) {
            (Some(text), _) => text,
            (None, Presence::Default(text)) => Zeroizing::new((*text).to_owned()),
            (None, Presence::Optional | Presence::Needed { .. }) => Zeroizing::default(),
            (None, Presence::Required { cure, mistaken_for }) => {
                return Err(vec![missing(env, cure, mistaken_for).of(self.name)]);
            }
        };
        parse(&text).map_err(|flaws| flaws.into_iter().map(|flaw| flaw.of(self.name)).collect())
    }

    /// The value read by `parse`, or the fault that `why` (as in
    /// "AUTH_METHOD=jwt needs it") makes of its absence.
    pub(super) fn needed<T>(
        &self,
        env: &impl Fn(&str) -> Option<OsString>,
        why: &str,
        parse: impl FnOnce(&str) -> Result<T, Flaw>,
    ) -> Result<T, Vec<Fault>> {
        if self.is_set(env) {
            return self.read(env, parse);
        }
        Err(vec![self.absent(env, why)])
    }

    /// The fault of its absence; see [`Variable::needed`].
    pub(super) fn absent(&self, env: &impl Fn(&str) -> Option<OsString>, why: &str) -> Fault {
        let (cure, mistaken_for) = match self.presence {
            Presence::Needed {
                cure, mistaken_for, ..
            }
            | Presence::Required { cure, mistaken_for } => (cure, mistaken_for),
            Presence::Default(_) | Presence::Optional => ("set it", &[][..]),
        };
        let problem = match slip(env, mistaken_for) {
            Some(name) => format!("is not set (but {name} is), and {why}"),
            None => format!("is not set, and {why}"),
        };
        Flaw::new(problem, cure).of(self.name)
    }

    /// Whether the environment holds anything but white space for it.
    pub(super) fn is_set(&self, env: &impl Fn(&str) -> Option<OsString>) -> bool {
        !matches!(self.given(env), Ok(None))
    }

    /// What the environment holds, without the white space around it (a file
    /// that a Secret was made from often ends in a newline).
    fn given(
        &self,
        env: &impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Zeroizing<String>>, Vec<Fault>> {
        let Some(raw) = env(self.name) else {
            return Ok(None);
        };
        // Not even shown in part: it may be the password.
        let Some(text) = raw.to_str() else {
            let flaw = Flaw::new("is not UTF-8", "write it in UTF-8");
            return Err(vec![flaw.of(self.name)]);
        };
        let text = text.trim();
        Ok((!text.is_empty()).then(|| Zeroizing::new(text.to_owned())))
    }
}

fn missing(
    env: &impl Fn(&str) -> Option<OsString>,
    cure: &'static str,
    mistaken_for: &[&str],
) -> Flaw {
    match slip(env, mistaken_for) {
        Some(name) => Flaw::new(format!("is not set (but {name} is)"), cure),
        None => Flaw::new("is not set", cure),
    }
}

fn slip<'a>(env: &impl Fn(&str) -> Option<OsString>, mistaken_for: &[&'a str]) -> Option<&'a str> {
    mistaken_for
        .iter()
        .copied()
        .find(|name| env(name).is_some())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::super::variables::{ALLOWED_USERS, DEPLOYMENT, PASSWORD, USER};
    use super::*;

    fn read(variable: &Variable, value: &[u8]) -> Result<String, String> {
        let env = |name: &str| (name == variable.name).then(|| OsString::from_vec(value.to_vec()));
        variable
            .read(&env, |text| Ok(text.to_owned()))
            .map_err(|faults| faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn white_space_around_a_value_is_not_part_of_it() {
        assert_eq!(read(&PASSWORD, b" a b\n").unwrap(), "a b");
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        assert_eq!(read(&DEPLOYMENT, b" \n").unwrap(), "clawdbot");
        assert!(
            read(&USER, b"")
                .unwrap_err()
                .starts_with("MATRIX_USER is not set: ")
        );
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
        let faults = ALLOWED_USERS.read(&env, |_| Ok(())).unwrap_err();
        assert_eq!(faults[0].problem, "is not set (but ALLOWED_USER is)");
    }
}
