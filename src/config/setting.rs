//! The type of a setting: an entry of [`super::SETTINGS`].

/// An environment variable that the program reads, or two: the value by itself, or the
/// file that it is in.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable's name.
    pub name: &'static str,
    /// The variable that may be set instead to the path of a file with the value, where
    /// `file` says so.
    pub file_name: &'static str,
    /// The content of that file, as a noun; None if the value is not taken from a file.
    pub file: Option<&'static str>,
    /// True if the value is shown nowhere: the summary has stars for it.
    pub secret: bool,
    /// True if the variables are read by their names in lower case, too, where those in
    /// upper case are unset.
    pub lower_case: bool,
    /// Tells whether it has to be set, and what holds if it is not.
    pub presence: Presence,
    /// The value to set it to where it is missing, as the end of a sentence.
    pub cure: &'static str,
    /// Names that people write instead.
    pub mistaken_for: &'static [&'static str],
    /// The condition for a line of its own in the summary.
    pub in_summary: InSummary,
    /// The summary's word for a setting that may be unset and is.
    pub unset: &'static str,
    /// The help text: a sentence without its full stop.
    pub help: &'static str,
}

/// The condition for a setting to have a line of its own in the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InSummary {
    /// Always.
    Always,
    /// Only if it is set.
    IfSet,
    /// Never: what it says is in other lines, or in none.
    Never,
}

/// The rule for a setting that is unset; an empty value or one of white space alone counts
/// as unset.
#[derive(Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing: the program refuses to start.
    Required,
    /// Nothing: Kubernetes sets it in every container.
    Kubernetes {
        /// The value that `check-config` takes where there is no cluster.
        stand_in: &'static str,
    },
    /// Nothing, where what another setting says needs this one: then the program
    /// refuses to start. The condition is the rest of "required …".
    Needed(&'static str),
    /// This value, read as if it had been set.
    Default(&'static str),
    /// Another setting decides, or nothing.
    Optional,
}

impl Setting {
    /// The names of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.file.map(|_| self.file_name))
    }

    /// The value that holds if it is unset, if one does.
    pub fn default(&self) -> Option<&'static str> {
        match self.presence {
            Presence::Default(value) => Some(value),
            _ => None,
        }
    }
}

impl Presence {
    /// The words that the help and the README have for it.
    pub fn in_words(&self) -> String {
        match self {
            Self::Required => "required".to_owned(),
            Self::Kubernetes { .. } => "required unless KUBECONFIG is set".to_owned(),
            Self::Needed(when) => format!("required {when}"),
            Self::Default(value) => format!("default {value}"),
            Self::Optional => "optional".to_owned(),
        }
    }
}
