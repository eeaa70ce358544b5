//! The help texts.

use std::fmt::Write;

use crate::bot::replies;
#[cfg(feature = "gateway")]
use crate::config::gateway::GATEWAY_SETTINGS;
use crate::config::{SETTINGS, Setting};

const NAME: &str = env!("CARGO_PKG_NAME");

/// The program's name and version.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// The subcommands, in the order of the program's help.
const SUBCOMMANDS: &[&Page] = &[
    &IDENTITIES,
    &CHECK_CONFIG,
    &CONNTEST,
    &JWT_TEST,
    &LOGOUT,
    &HEALTHCHECK,
    #[cfg(feature = "gateway")]
    &GATEWAY,
    #[cfg(feature = "gateway")]
    &GATEWAY_CHECK,
    #[cfg(feature = "gateway")]
    &CALL,
];

/// All that is to be said of a subcommand.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name.
    pub(super) name: &'static str,
    /// Its lines in the program's help, after the program's name.
    brief: &'static str,
    /// The ways to call it, after the program's name.
    usage: &'static [&'static str],
    /// The rest of its help text, with the exit codes.
    text: &'static str,
    /// The exit code for wrong arguments.
    pub(super) wrong_arguments: u8,
    /// The variables that it reads, where they are others than the bot's.
    settings: &'static [&'static Setting],
}

pub(super) static IDENTITIES: Page = Page {
    name: "identities",
    brief: " identities list|forget|reset
                                            whose devices are believed; see
                                            identities --help",
    usage: &[
        " identities list",
        " identities forget @user:server [DEVICE]",
        " identities reset",
    ],
    text: "\
Works beside the running bot, on the store in CRYPTO_STORE_PATH; no other
variable is needed.

  list     Shows the users whose identity the bot has seen: the master key that
           the homeserver shows now, the pinned one, and whether the
           configuration or the first use pinned it; and the devices of those
           who command that were signed out.
  forget   Takes a pin of first use away, so that the identity which the
           homeserver shows next is pinned. Ask the person first whether it is
           theirs, over another way than this homeserver! A pin of the
           configuration is changed in PINNED_IDENTITIES.
           With the id of a device that was signed out, as list shows it: takes
           that back, so that the device is believed again if the homeserver
           lists it and the user's identity has signed it. A signed-out device
           commands nothing and reads nothing for good, for who has its keys may
           be somebody else by now; the person had better log in anew. For when
           it never was signed out, and the homeserver lost it for a while.
  reset    Gives the bot's own account a new cross-signing identity, for when
           the keys of the old one are lost. Everybody who verified the bot has
           to do it again.

Exit codes:
  0   done
  1   not done; the reason is on standard error
  2   wrong arguments",
    wrong_arguments: 2,
    settings: &[],
};

pub(super) static CHECK_CONFIG: Page = Page {
    name: "check-config",
    brief: " check-config
                                            what is wrong with the environment,
                                            or what it says",
    usage: &[" check-config"],
    text: "\
Tells everything that is wrong with the environment at once, or else what it
says, with secrets masked. Asks nobody: whether a password is right, conntest
tells. What Kubernetes itself sets in every container may be missing.

Exit codes:
  0   nothing is wrong
  1   something is; what, is on standard error",
    wrong_arguments: 1,
    settings: &[],
};

pub(super) static CONNTEST: Page = Page {
    name: "conntest",
    brief: " conntest     log in and out again, without a cluster",
    usage: &[" conntest", "-conntest"],
    text: "\
Logs in as AUTH_METHOD says, with a device that is logged out again at once, and
tells what it saw: the homeserver's versions and ways to log in, whom it logged
in, and how far the clocks are apart. With AUTH_METHOD=token the token is looked
at, and no session is ended. Neither a cluster nor the store is needed, nor
ALLOWED_USERS.

Exit codes:
  0   logged in
  1   not logged in; what went wrong, and who is at fault, is on standard error",
    wrong_arguments: 1,
    settings: &[],
};

pub(super) static JWT_TEST: Page = Page {
    name: "jwt-test",
    brief: " jwt-test     how far a login with a token of Keycloak
                                            gets, step by step",
    usage: &[" jwt-test [options]"],
    text: "\
Goes through a login with a token step by step: gets the token (from Keycloak, or
made from JWT_SECRET), takes it apart and checks it against the realm's keys, and
logs in to the homeserver with it, with a device that is logged out again at once.
What is wrong with the token is told, and the homeserver has the last word.
Neither a cluster nor the store is needed, nor ALLOWED_USERS.

Options:
  -t, --login-type TYPE    com.famedly.login.token.oauth,
                           com.famedly.login.token or org.matrix.login.jwt,
                           instead of JWT_LOGIN_TYPE
  -m, --auth-method TYPE   jwt, or password to log in without Keycloak: then
                           MATRIX_PASSWORD is told to the homeserver (default
                           jwt, whatever AUTH_METHOD says)
  -s, --skip-decode        do not take the token apart
  -v, --verbose            show what the homeserver offers, too
      --show-secrets       show tokens, which are masked otherwise
  -h, --help               show this text

Exit codes:
  0   logged in
  1   the configuration or an argument is wrong
  2   no token from Keycloak
  3   the token cannot be taken apart
  4   no login at the homeserver",
    wrong_arguments: 1,
    settings: &[],
};

pub(super) static LOGOUT: Page = Page {
    name: "logout",
    brief: " logout       end the bot's session",
    usage: &[" logout"],
    text: "\
Ends the session of the bot's device, whose keys are then of no use and are
removed from the store, and tells what remains in it. The bot must not be
running: scale its Deployment to 0 first. At its next start it logs in as a new
device; with AUTH_METHOD=token it then needs another token and MATRIX_DEVICE_ID,
for the one it has is ended. Needs the variables of a login and
CRYPTO_STORE_PATH.

Exit codes:
  0   the session has ended, or the store has none
  1   it has not, or there is no store; the reason is on standard error",
    wrong_arguments: 1,
    settings: &[],
};

pub(super) static HEALTHCHECK: Page = Page {
    name: "healthcheck",
    brief: " healthcheck livez|readyz
                                            whether bot or gateway is well",
    usage: &[" healthcheck [livez|readyz]"],
    text: "\
Asks the running bot or gateway whether it is alive (livez, the default) or
ready (readyz), at HEALTH_ADDR of its own environment, and tells what it says.
Where GATEWAY_CONFIG is set, HEALTH_ADDR is :8082 unless it says otherwise. For
probes that run a command, and for the HEALTHCHECK of an image. No other variable
is needed.

Exit codes:
  0   yes
  1   no, or nobody answers; what is wrong is on standard error
  2   wrong arguments",
    wrong_arguments: 2,
    settings: &[],
};

#[cfg(feature = "gateway")]
pub(super) static GATEWAY: Page = Page {
    name: "gateway",
    brief: " gateway      serve HTTP: wake workloads and pass requests
                                            on to them; see gateway --help",
    usage: &[" gateway", " gateway check"],
    text: "\
Serves HTTP instead of a chat: passes requests on to workloads, wakes those that
are off, stops those that nobody uses, and lets programs start, stop and scale
them. Who may do what is in the file that GATEWAY_CONFIG names, which is read
again when it changes. Knows neither the homeserver nor the bot's keys, and
needs none of the bot's variables.

  check    Tells everything that is wrong with the environment and the file, or
           what they say; see gateway check --help.

Signals:
  SIGTERM, SIGINT   finish what is being served, for DRAIN_TIMEOUT at most

Exit codes:
  0   stopped cleanly
  1   the configuration is wrong, or an error that a retry cannot cure
  2   wrong arguments",
    wrong_arguments: 2,
    settings: GATEWAY_SETTINGS,
};

#[cfg(feature = "gateway")]
pub(super) static GATEWAY_CHECK: Page = Page {
    name: "gateway check",
    brief: " gateway check
                                            what is wrong with the gateway's
                                            environment and file",
    usage: &[" gateway check"],
    text: "\
Tells everything at once that is wrong with the environment and with the file that
GATEWAY_CONFIG names, and everything that they need of the cluster and that is
not there; or else what they say, with secrets masked.

Exit codes:
  0   nothing is wrong
  1   something is; what, is on standard error
  2   wrong arguments",
    wrong_arguments: 2,
    settings: GATEWAY_SETTINGS,
};

#[cfg(feature = "gateway")]
pub(super) static CALL: Page = Page {
    name: "call",
    brief: " call VERB [TARGET] [N]
                                            ask a running gateway for something;
                                            see call --help",
    usage: &[
        " call [options] list",
        " call [options] status|wait|stop TARGET",
        " call [options] [--for D] [--wait] start TARGET [N]",
        " call [options] [--wait] scale TARGET N",
    ],
    text: "\
Asks a running gateway for something, with the token of a service account, which
is read from its file at each call. Tries again while the gateway is not there
or asks for patience, until the time is over.

  list     Shows the targets that the token's owner may see.
  status   Shows how a target is.
  wait     Waits until a target is ready.
  start    Starts a target, with N replicas if that is said. Never takes any
           away.
  stop     Stops a target.
  scale    Sets the number of replicas of a target to N.

Options:
      --url URL            the gateway's API; also as GATEWAY_URL. https://, or
                           http:// to *.svc and this machine alone
      --ca FILE            PEM file of the authorities that its certificate is
                           signed by, instead of the built-in ones
      --k8s-trust          show the pod's own token, of a projected volume at
                           /var/run/secrets/openclaw-gateway/token, whose
                           audience is the gateway's
      --token-file FILE    show the token in this file instead; also as
                           GATEWAY_TOKEN_FILE
      --for D              keep it for so long, such as 90m, 8h or 2d
      --wait               end when it is ready, with N: when N replicas are
      --timeout D          the time for all of it, such as 90s or 10m (default
                           5m, at most 24h)
      --json               answer with one line of JSON
  -h, --help               show this text

Exit codes:
  0   done; with --wait, and for wait: it is ready
  2   wrong arguments, or no token that can be read
  3   not allowed
  4   the gateway cannot be reached
  5   the target failed, or the change was refused or is not possible: somebody
      else holds the number, a right is missing, there is no such workload
  6   not done in time",
    wrong_arguments: 2,
    settings: &[],
};

/// The help text of a subcommand, or of the program as a whole, ending in a newline.
pub(super) fn help(page: Option<&Page>) -> String {
    let Some(page) = page else {
        return program();
    };
    let mut text = "Usage:\n".to_owned();
    for usage in page.usage {
        let _ = writeln!(text, "  {NAME}{usage}");
    }
    let _ = writeln!(text, "\n{}", page.text);
    if !page.settings.is_empty() {
        text.push('\n');
        environment(&mut text, page.settings);
    }
    text
}

/// Writes what the variables mean.
fn environment(text: &mut String, settings: &[&Setting]) {
    text.push_str("Environment (an empty value counts as unset):\n");
    for setting in settings {
        let (name, help) = (setting.name, setting.help);
        let presence = setting.presence.in_words();
        // Writing into a string cannot fail.
        let _ = writeln!(text, "  {name} ({presence})\n      {help}");
        if let Some(holds) = setting.file {
            let name = setting.file_name;
            let _ = writeln!(
                text,
                "  {name} (optional)\n      File with that {holds}, to set instead"
            );
        }
    }
}

fn program() -> String {
    // Writing into a string cannot fail.
    let mut text = format!(
        "{VERSION}
Scales Kubernetes workloads on commands from Matrix rooms, end-to-end encrypted
or not, and, with `gateway`, on HTTP requests. Runs in a pod, or outside a
cluster by a kubeconfig. Environment variables set it up.

Usage:
  {NAME}              run until SIGTERM or SIGINT
"
    );
    for page in SUBCOMMANDS {
        let _ = writeln!(text, "  {NAME}{}", page.brief);
    }
    let _ = write!(
        text,
        "  {NAME} -h, --help   show this text
  {NAME} -V, --version
                                            show the version

"
    );
    environment(&mut text, SETTINGS);
    text.push_str("\nIn the chat:\n");
    for line in replies::HELP.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str(
        "
Signals:
  SIGTERM, SIGINT   stop at once; what was being done is taken up again at the
                    next start

Exit codes:
  0   stopped cleanly
  1   the configuration is wrong, or an error that a retry cannot cure
  2   wrong arguments
",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_variable_with_its_default() {
        let texts = [
            (program(), SETTINGS),
            #[cfg(feature = "gateway")]
            (help(Some(&GATEWAY)), GATEWAY_SETTINGS),
        ];
        for (help, settings) in texts {
            for setting in settings {
                for name in setting.variables() {
                    assert!(help.contains(&format!("\n  {name} (")));
                }
                if let Some(value) = setting.default() {
                    assert!(help.contains(&format!("{} (default {value})", setting.name)));
                }
            }
            assert!(help.ends_with('\n'));
        }
    }
}
