//! Kubeconfigs as kubectl, kind, k3s and people write them, and what is wrong with them.

mod access;
mod faults;
mod fields;
mod yaml;

use std::fs::{self, Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;

use super::{Fault, Kubeconfig};
use crate::net::fake::Authority;
use crate::util::temp::TempDir;

const TOKEN: &str = "hunter2-hunter2-hunter2";

/// A folder with kubeconfigs, an authority and a client of it.
struct Home {
    folder: TempDir,
    authority: Authority,
    certificate: String,
    key: KeyPair,
}

impl Home {
    fn new() -> Self {
        let authority = Authority::new();
        let key = KeyPair::generate().unwrap();
        let certificate = authority.sign("bot", &key, |_| {}).pem();
        Self {
            folder: TempDir::new(),
            authority,
            certificate,
            key,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that nobody else may read.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    fn read(&self, files: &[&str], context: Option<&str>) -> Result<Kubeconfig, Vec<Fault>> {
        let files = files.iter().map(|name| self.path(name)).collect();
        Kubeconfig::read(files, context.map(str::to_owned))
    }

    /// Reads a text as the one file.
    fn read_text(&self, text: &str) -> Result<Kubeconfig, Vec<Fault>> {
        self.write("config", text);
        self.read(&["config"], None)
    }

    /// The faults of a text, one a line, and the folder as `DIR`.
    fn faults(&self, text: &str) -> String {
        self.told(self.read_text(text).unwrap_err())
    }

    fn told(&self, faults: Vec<Fault>) -> String {
        assert!(!faults.is_empty());
        let lines = faults.iter().map(|fault| {
            let Fault { problem, cure, .. } = fault;
            assert!(!problem.contains("hunter2"), "{problem}");
            assert!(!cure.is_empty());
            problem.replace(self.folder.path().to_str().unwrap(), "DIR")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The kubeconfig that kubectl prints of a cluster on this port, with a client
    /// certificate.
    fn flat(&self, port: u16) -> String {
        flat(
            port,
            &self.authority.pem(),
            &format!(
                "client-certificate-data: {}\n    client-key-data: {}",
                STANDARD.encode(&self.certificate),
                STANDARD.encode(self.key.serialize_pem())
            ),
        )
    }
}

/// A kubeconfig as `kubectl config view --flatten --raw` prints it, with this user.
fn flat(port: u16, ca: &str, user: &str) -> String {
    format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {}
    server: https://127.0.0.1:{port}
  name: kind-kind
contexts:
- context:
    cluster: kind-kind
    namespace: elsewhere
    user: kind-kind
  name: kind-kind
current-context: kind-kind
kind: Config
preferences: {{}}
users:
- name: kind-kind
  user:
    {user}
",
        STANDARD.encode(ca)
    )
}

fn with_token(port: u16, ca: &str) -> String {
    flat(port, ca, &format!("token: {TOKEN}"))
}
