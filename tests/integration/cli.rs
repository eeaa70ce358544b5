//! The program as a process: its flags, its exit codes, its refusal to start.

use crate::support::bot::{self, Done};
use openclaw_k8s_toggle_operator::config::{Presence, SETTINGS};

/// Runs the binary with these arguments and nothing but these variables.
fn run(args: &[&str], env: &[(&str, &str)]) -> Done {
    let env = env
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    bot::run(args, &env.collect())
}

#[test]
fn help_goes_to_standard_output() {
    for flag in ["--help", "-h"] {
        let output = run(&[flag], &[]);
        assert_eq!(output.code, Some(0));
        let help = &output.out;
        for part in ["Usage:", "MATRIX_PASSWORD", "start / on", "Exit codes:"] {
            assert!(help.contains(part), "{part} in {help}");
        }
        assert_eq!(output.err, "");
    }
}

#[test]
fn help_of_identities_goes_to_standard_output() {
    for args in [["identities", "--help"], ["identities", "-h"]] {
        let output = run(&args, &[]);
        assert_eq!(output.code, Some(0));
        let help = &output.out;
        for part in ["CRYPTO_STORE_PATH", "list", "forget @user:server", "reset"] {
            assert!(help.contains(part), "{part} in {help}");
        }
        assert_eq!(output.err, "");
    }
}

#[test]
fn each_subcommand_has_a_help_of_its_own() {
    for (name, part) in [
        ("conntest", "openclaw-k8s-toggle-operator-conntest"),
        ("jwt-test", "--show-secrets"),
        ("check-config", "with secrets masked"),
        ("logout", "The bot must not be"),
        ("healthcheck", "livez|readyz"),
    ] {
        for flag in ["--help", "-h"] {
            let output = run(&[name, flag], &[]);
            assert_eq!(output.code, Some(0));
            let usage = format!("Usage:\n  openclaw-k8s-toggle-operator {name}");
            assert!(output.out.starts_with(&usage), "{}", output.out);
            assert!(output.out.contains(part), "{part} in {}", output.out);
            assert_eq!(output.err, "");
        }
        let output = run(&[name, "--frob"], &[]);
        let code = if name == "healthcheck" { 2 } else { 1 };
        assert_eq!((output.code, output.out.as_str()), (Some(code), ""));
        assert!(output.err.contains("\"--frob\""), "{}", output.err);
    }
}

#[test]
fn version_is_one_line() {
    for flag in ["--version", "-V"] {
        let output = run(&[flag], &[]);
        assert_eq!(output.code, Some(0));
        let line = concat!(
            "openclaw-k8s-toggle-operator ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        );
        assert_eq!(output.out, line);
        assert_eq!(output.err, "");
    }
}

#[test]
fn a_wrong_argument_is_named_on_one_line() {
    let output = run(&["--frob"], &[]);
    assert_eq!(output.code, Some(2));
    let message = &output.err;
    assert!(message.contains("\"--frob\""), "{message}");
    assert!(message.contains("--help"), "{message}");
    assert_eq!(message.lines().count(), 1);
    assert_eq!(output.out, "");
}

#[test]
fn a_slip_in_identities_is_answered_with_what_would_be_right() {
    for (args, parts) in [
        (
            &["identities"][..],
            &["list", "forget @user:server", "reset"][..],
        ),
        (&["identities", "show"], &["\"show\"", "list", "reset"]),
        (
            &["identities", "forget"],
            &["needs a user", "@alice:example.com"],
        ),
        (
            &["identities", "forget", "bob"],
            &["\"bob\"", "@alice:example.com"],
        ),
        (&["identities", "list", "bob"], &["\"bob\""]),
    ] {
        let output = run(args, &[]);
        assert_eq!(output.code, Some(2), "{args:?}");
        let message = &output.err;
        for part in parts.iter().chain(&["identities --help"]) {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert_eq!(message.lines().count(), 1);
        assert_eq!(output.out, "");
    }
}

#[test]
fn an_empty_environment_gets_every_missing_variable_at_once() {
    let output = run(&[], &[]);
    assert_eq!(output.code, Some(1));
    let message = &output.err;
    for setting in SETTINGS {
        let required = match setting.presence {
            Presence::Required | Presence::Kubernetes { .. } => true,
            _ => setting.name == "MATRIX_PASSWORD",
        };
        let start = format!("configuration error: {} is not set", setting.name);
        let named = message.lines().any(|line| line.starts_with(&start));
        assert_eq!(named, required, "{} in {message}", setting.name);
    }
    assert_eq!(output.out, "");
}

#[test]
fn faults_show_no_secret() {
    let secret = "correct-horse-battery-staple";
    let output = run(
        &[],
        &[
            ("MATRIX_PASSWORD", secret),
            ("MATRIX_HOMESERVER", "https://bot:battery@example.com"),
            ("AUTH_METHOD", "jwt"),
            ("ALLOWED_USERS", "alice,@bob:example.com,carol"),
            ("ECHO_MODE", "perhaps"),
            ("MATRIX_RECOVERY_KEY", secret),
            ("MATRIX_RECOVERY_KEY_FILE", "/nonexistent/key"),
            ("CROSS_SIGNING_SEED_FILE", "/nonexistent/seed"),
            (
                "PINNED_IDENTITIES",
                "@bob:example.com=correct-horse-battery",
            ),
        ],
    );
    assert_eq!(output.code, Some(1));
    let message = format!("{}{}", output.out, output.err);
    assert!(!message.contains("battery"), "{message}");
    for part in [
        "MATRIX_HOMESERVER",
        "AUTH_METHOD",
        "\"alice\"",
        "\"carol\"",
        "ECHO_MODE",
        "MATRIX_RECOVERY_KEY_FILE",
        "\"/nonexistent/seed\"",
        "PINNED_IDENTITIES gives \"@bob:example.com\"",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

/// The README's table says what the help says, with code and links marked as such; a
/// sentence or more may follow.
#[test]
fn the_readme_has_a_row_for_each_setting() {
    let readme = include_str!("../../README.md");
    let (_, table) = readme.split_once("| Variable |").unwrap();
    let mut rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
    for setting in SETTINGS {
        let filed = if setting.file.is_some() {
            ", …_FILE"
        } else {
            ""
        };
        let presence = setting
            .default()
            .map_or_else(|| setting.presence.in_words(), str::to_owned);
        let wanted = format!("| {}{filed} | {presence} | {}", setting.name, setting.help);
        let row = plain(rows.next().unwrap_or_default());
        let more = row.strip_prefix(&wanted).unwrap_or_default();
        assert!(
            more == " |" || more.starts_with(". "),
            "README.md has the row\n{row}\nand not\n{wanted} |"
        );
    }
    assert_eq!(rows.next(), None);
}

/// Markdown without its marks of code and links.
fn plain(markdown: &str) -> String {
    let mut text = markdown.replace('`', "");
    while let Some((before, rest)) = text.split_once("](") {
        let (before, label) = before.rsplit_once('[').unwrap();
        let (_, after) = rest.split_once(')').unwrap();
        text = format!("{before}{label}{after}");
    }
    text
}
