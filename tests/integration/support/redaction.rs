//! No run of the program shows a secret: neither one that it was given nor one
//! that a server gave it. Whoever runs it in a test has its output looked
//! through here.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::wire::{decode, encode};
use openclaw_k8s_toggle_operator::config::SETTINGS;

/// Shorter texts are in an output by chance, in bytes.
const SHORTEST: usize = 8;

/// So much of a secret's beginning is looked for, in bytes: a part of it is not
/// to be shown either.
const LOOKED_FOR: usize = 16;

/// The secrets that the fakes gave out or were shown.
static HIDDEN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Notes a secret that no run in this process may show, by a name for it. The
/// parts of a JSON Web Token are secrets of their own.
pub fn hide(name: &str, secret: &str) {
    let mut hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    for part in secret.split('.') {
        note(&mut hidden, name, part);
    }
}

/// The secrets that one run must not show.
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// The secrets in an environment: the values of the variables that may be given
    /// as a file, and what is in those files now.
    pub fn of(env: &BTreeMap<String, String>) -> Self {
        let mut secrets = Self(BTreeMap::new());
        for (name, value) in env {
            let upper = name.to_ascii_uppercase();
            let setting = SETTINGS.iter().find(|setting| {
                let secret = setting.secret || setting.file.is_some();
                secret && setting.variables().any(|variable| variable == upper)
            });
            match setting {
                Some(setting) if upper.ends_with("_FILE") => {
                    secrets.read(setting.name.trim_end_matches("_FILE"), Path::new(value));
                }
                Some(_) => secrets.add(&upper, value),
                None if upper == "SERVICE_ACCOUNT_DIR" => {
                    let token = Path::new(value).join("token");
                    secrets.read("the service account's token", &token);
                }
                None if upper == "KUBECONFIG" => secrets.read_kubeconfig(Path::new(value)),
                None => {}
            }
        }
        secrets
    }

    /// Which secret is in the output, if any.
    pub fn find_in(&self, output: &str) -> Option<String> {
        let hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = self.0.iter().chain(hidden.iter());
        let output = output.as_bytes();
        // There may be thousands of tokens and megabytes of output: only what
        // begins as one of them is looked at closer.
        let mut begins = vec![false; 1 << 16];
        let mut by_start: HashMap<&[u8], Vec<(&[u8], &str)>> = HashMap::new();
        for (secret, name) in secrets {
            let secret = secret.as_bytes();
            begins[usize::from(u16::from_be_bytes([secret[0], secret[1]]))] = true;
            let found = by_start.entry(&secret[..SHORTEST]).or_default();
            found.push((secret, name));
        }
        let mut windows = output.windows(SHORTEST).enumerate();
        windows.find_map(|(at, window)| {
            if !begins[usize::from(u16::from_be_bytes([window[0], window[1]]))] {
                return None;
            }
            let candidates = by_start.get(window)?;
            let found = |(secret, _): &&(&[u8], &str)| output[at..].starts_with(secret);
            Some(candidates.iter().find(found)?.1.to_owned())
        })
    }

    /// Panics if one of them is in the output, and shows where.
    pub fn check(&self, output: &str) {
        if let Some(name) = self.find_in(output) {
            panic!("the output shows a secret, {name}:\n{output}");
        }
    }

    fn read(&mut self, name: &str, path: &Path) {
        if let Ok(text) = std::fs::read_to_string(path) {
            self.add(name, &text);
        }
    }

    /// The token and the key in a kubeconfig of block style.
    fn read_kubeconfig(&mut self, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for line in text.lines() {
            if let Some((name @ ("token" | "client-key-data"), value)) =
                line.trim().split_once(": ")
            {
                self.add(name, value);
            }
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        let value = value.trim();
        match name {
            "HTTPS_PROXY" => {
                let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
                if let Some((credentials, _)) = rest.rsplit_once('@') {
                    let decoded = decode(credentials);
                    self.add("the proxy's credentials", &STANDARD.encode(&decoded));
                    if let Some((_, password)) = decoded.split_once(':') {
                        self.add("the proxy's password", password);
                    }
                }
                return;
            }
            "KEYCLOAK_TOTP_SECRET" => {
                if let Some((_, rest)) = value.split_once("secret=") {
                    let secret = rest.split('&').next().unwrap_or_default();
                    return self.add(name, secret);
                }
            }
            _ => {}
        }
        if value.is_empty() {
            return;
        }
        let together: String = value.split_whitespace().collect();
        for form in [value, &together, &encode(value)] {
            note(&mut self.0, name, form);
        }
    }
}

fn note(secrets: &mut BTreeMap<String, String>, name: &str, secret: &str) {
    assert!(
        secret.len() >= SHORTEST,
        "{name} is too short to be looked for: make it one that nothing else can be"
    );
    let end = (0..=secret.len().min(LOOKED_FOR))
        .rev()
        .find(|at| secret.is_char_boundary(*at));
    let looked_for = &secret[..end.unwrap_or(0)];
    secrets.insert(looked_for.to_owned(), name.to_owned());
}
