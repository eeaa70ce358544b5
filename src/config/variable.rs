//! The environment variables: their names, defaults and meanings.

use std::ffi::OsString;

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
    /// This value, read as if it had been set.
    Default(&'static str),
    /// Another variable decides, or nothing.
    Optional,
}

const CLUSTER_CURE: &str = "Kubernetes gives it to every container, and the program runs inside \
    a cluster; elsewhere give the host and port of an API server";

pub(super) const HOMESERVER: Variable = Variable {
    name: "MATRIX_HOMESERVER",
    presence: Presence::Default("http://synapse.matrix.svc.cluster.local:8008"),
    meaning: "URL of the homeserver",
};
pub(super) const USER: Variable = Variable {
    name: "MATRIX_USER",
    presence: Presence::Required {
        cure: "give the bot's localpart, such as clawdbot-operator, or its full id, such as \
            @clawdbot-operator:example.com",
        mistaken_for: &["MATRIX_USERNAME", "MATRIX_USER_ID"],
    },
    meaning: "The bot's account: its localpart or its full id",
};
pub(super) const PASSWORD: Variable = Variable {
    name: "MATRIX_PASSWORD",
    presence: Presence::Required {
        cure: "give the password of the bot's account, from a Kubernetes Secret",
        mistaken_for: &["MATRIX_PASS", "MATRIX_PASSWD"],
    },
    meaning: "The account's password; white space around it is not part of it",
};
pub(super) const RECOVERY_KEY: Variable = Variable {
    name: "MATRIX_RECOVERY_KEY",
    presence: Presence::Optional,
    meaning: "Recovery key of the bot's account, where other clients made its cross-signing keys",
};
pub(super) const RECOVERY_KEY_FILE: Variable = Variable {
    name: "MATRIX_RECOVERY_KEY_FILE",
    presence: Presence::Optional,
    meaning: "File with that key, to set instead",
};
pub(super) const SEED_FILE: Variable = Variable {
    name: "CROSS_SIGNING_SEED_FILE",
    presence: Presence::Optional,
    meaning: "File with the base64 of 32 random bytes, which the bot's cross-signing keys are \
        made from; with it they outlive the store",
};
pub(super) const ALLOWED_USERS: Variable = Variable {
    name: "ALLOWED_USERS",
    presence: Presence::Required {
        cure: "list who may give commands as full ids separated by commas, such as \
            @alice:example.com,@bob:example.com",
        mistaken_for: &["ALLOWED_USER", "MATRIX_ALLOWED_USERS"],
    },
    meaning: "Who may give commands: full Matrix ids, separated by commas",
};
pub(super) const PINNED_IDENTITIES: Variable = Variable {
    name: "PINNED_IDENTITIES",
    presence: Presence::Optional,
    meaning: "Whose identity is known beforehand: @user:server=<master key in base64>, separated \
        by commas",
};
pub(super) const DEVICE_TRUST: Variable = Variable {
    name: "DEVICE_TRUST",
    presence: Presence::Default("cross-signed"),
    meaning: "Which devices of an allowed user are believed: cross-signed, those that the user's \
        identity signed, where there is one; or tofu, all of them",
};
pub(super) const ALLOWED_ROOMS: Variable = Variable {
    name: "ALLOWED_ROOMS",
    presence: Presence::Optional,
    meaning: "Rooms that commands are taken from: room ids, separated by commas; unset, any room",
};
pub(super) const REQUIRE_ENCRYPTION: Variable = Variable {
    name: "REQUIRE_ENCRYPTION",
    presence: Presence::Default("false"),
    meaning: "Whether commands in rooms that are not encrypted are refused: true or false, as \
        for ECHO_MODE",
};
pub(super) const AUTH_METHOD: Variable = Variable {
    name: "AUTH_METHOD",
    presence: Presence::Default("password"),
    meaning: "How to log in; this version knows password only",
};
pub(super) const NAMESPACE: Variable = Variable {
    name: "DEPLOYMENT_NAMESPACE",
    presence: Presence::Default("clawdbot"),
    meaning: "Namespace of the Deployment",
};
pub(super) const DEPLOYMENT: Variable = Variable {
    name: "DEPLOYMENT_NAME",
    presence: Presence::Default("clawdbot"),
    meaning: "Name of the Deployment to scale",
};
pub(super) const STORE_PATH: Variable = Variable {
    name: "CRYPTO_STORE_PATH",
    presence: Presence::Default("/data/crypto_store"),
    meaning: "Directory for keys and state, on a volume that outlives the pod",
};
pub(super) const ECHO: Variable = Variable {
    name: "ECHO_MODE",
    presence: Presence::Default("true"),
    meaning: "Whether each message is repeated behind a lobster before its answer: \
        true/1/yes/on or false/0/no/off",
};
pub(super) const MAX_AGE: Variable = Variable {
    name: "COMMAND_MAX_AGE",
    presence: Presence::Default("2m"),
    meaning: "Age from which a command is refused instead of run: 120, 120s, 2m or 1h; \
        from 5s to 1h",
};
pub(super) const API_HOST: Variable = Variable {
    name: "KUBERNETES_SERVICE_HOST",
    presence: Presence::Required {
        cure: CLUSTER_CURE,
        mistaken_for: &[],
    },
    meaning: "Host of the API server; Kubernetes sets it in every container",
};
pub(super) const API_PORT: Variable = Variable {
    name: "KUBERNETES_SERVICE_PORT",
    presence: Presence::Required {
        cure: CLUSTER_CURE,
        mistaken_for: &[],
    },
    meaning: "Port of the API server; Kubernetes sets it in every container",
};
pub(super) const SERVICE_ACCOUNT: Variable = Variable {
    name: "SERVICE_ACCOUNT_DIR",
    presence: Presence::Default("/var/run/secrets/kubernetes.io/serviceaccount"),
    meaning: "Directory of the service account's token and ca.crt",
};
pub(super) const LOGURU_LEVEL: Variable = Variable {
    name: "LOGURU_LEVEL",
    presence: Presence::Default("INFO"),
    meaning: "Log level: TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR or CRITICAL",
};
pub(super) const RUST_LOG: Variable = Variable {
    name: "RUST_LOG",
    presence: Presence::Optional,
    meaning: "Log filter in env_logger's syntax; if set, it overrules LOGURU_LEVEL",
};

/// Every variable, in the order in which the help shows them and faults are
/// reported.
pub const VARIABLES: [Variable; 22] = [
    HOMESERVER,
    USER,
    PASSWORD,
    RECOVERY_KEY,
    RECOVERY_KEY_FILE,
    SEED_FILE,
    ALLOWED_USERS,
    PINNED_IDENTITIES,
    DEVICE_TRUST,
    ALLOWED_ROOMS,
    REQUIRE_ENCRYPTION,
    AUTH_METHOD,
    NAMESPACE,
    DEPLOYMENT,
    STORE_PATH,
    ECHO,
    MAX_AGE,
    API_HOST,
    API_PORT,
    SERVICE_ACCOUNT,
    LOGURU_LEVEL,
    RUST_LOG,
];

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
            (None, Presence::Default(text)) => (*text).to_owned(),
            (None, Presence::Optional) => String::new(),
            (None, Presence::Required { cure, mistaken_for }) => {
                return Err(vec![missing(env, cure, mistaken_for).of(self.name)]);
            }
        };
        parse(&text).map_err(|flaws| flaws.into_iter().map(|flaw| flaw.of(self.name)).collect())
    }

    /// Whether the environment holds anything but white space for it.
    pub(super) fn is_set(&self, env: &impl Fn(&str) -> Option<OsString>) -> bool {
        !matches!(self.given(env), Ok(None))
    }

    /// What the environment holds, without the white space around it (a file
    /// that a Secret was made from often ends in a newline).
    fn given(&self, env: &impl Fn(&str) -> Option<OsString>) -> Result<Option<String>, Vec<Fault>> {
        let Some(raw) = env(self.name) else {
            return Ok(None);
        };
        // Not even shown in part: it may be the password.
        let Some(text) = raw.to_str() else {
            let flaw = Flaw::new("is not UTF-8", "write it in UTF-8");
            return Err(vec![flaw.of(self.name)]);
        };
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}

fn missing(
    env: &impl Fn(&str) -> Option<OsString>,
    cure: &'static str,
    mistaken_for: &[&str],
) -> Flaw {
    match mistaken_for.iter().find(|name| env(name).is_some()) {
        Some(name) => Flaw::new(format!("is not set (but {name} is)"), cure),
        None => Flaw::new("is not set", cure),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

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

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }
}
