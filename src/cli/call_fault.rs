//! The reasons why a call did not do what it was asked for.

use serde_json::Value;

/// Not done: the sentence is for standard error, the kind for the exit code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct CallFault {
    /// The kind.
    pub kind: CallFaultKind,
    /// One sentence without a full stop, safe to show.
    pub sentence: String,
    /// The gateway's answer, if it is JSON.
    pub said: Option<Value>,
}

/// The kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFaultKind {
    /// The arguments, or a file that they name, are wrong.
    Usage,
    /// The token is not taken, or allows something else.
    NotAllowed,
    /// The gateway cannot be reached, or it is something else that answers there.
    Unreachable,
    /// The target did not come up, or the change was refused.
    Failed,
    /// It was not done in time.
    Timeout,
}

impl CallFault {
    pub(in crate::cli) fn new(kind: CallFaultKind, sentence: String) -> Self {
        Self {
            kind,
            sentence,
            said: None,
        }
    }

    /// The exit code.
    pub(in crate::cli) const fn code(&self) -> u8 {
        match self.kind {
            CallFaultKind::Usage => 2,
            CallFaultKind::NotAllowed => 3,
            CallFaultKind::Unreachable => 4,
            CallFaultKind::Failed => 5,
            CallFaultKind::Timeout => 6,
        }
    }

    /// One line of JSON about it: the gateway's own words where there are some.
    pub(in crate::cli) fn json(&self) -> String {
        match &self.said {
            Some(said) => said.to_string(),
            None => serde_json::json!({ "detail": self.sentence }).to_string(),
        }
    }
}
