//! The certificate of the gateway's ports and its key: what is taken, what is refused, and what
//! is read again.

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::super::GatewaySettings;
use super::settings::{fault, with};
use crate::config::tests::told;
use crate::util::temp::TempDir;

/// Both files.
struct Pair {
    _directory: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

/// A certificate to the end of 2030, and its key.
fn made() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["gateway.openclaw.svc".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2030, 12, 31);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

impl Pair {
    fn new(certificate: &str, key: &str) -> Self {
        let directory = TempDir::new();
        let path = |name: &str| directory.path().join(name);
        let pair = Self {
            certificate: path("tls.crt"),
            key: path("tls.key"),
            _directory: directory,
        };
        pair.write(certificate, key);
        pair
    }

    fn write(&self, certificate: &str, key: &str) {
        write(&self.certificate, certificate).unwrap();
        write(&self.key, key).unwrap();
    }

    fn variables(&self) -> [(&'static str, &str); 2] {
        [
            ("TLS_CERT_FILE", self.certificate.to_str().unwrap()),
            ("TLS_KEY_FILE", self.key.to_str().unwrap()),
        ]
    }

    fn settings(&self) -> GatewaySettings {
        with(&self.variables()).unwrap()
    }

    /// The faults, with the files as `CERT` and `KEY`.
    fn fault(&self) -> String {
        let [(_, certificate), (_, key)] = self.variables();
        let fault = fault(&self.variables());
        fault.replace(certificate, "CERT").replace(key, "KEY")
    }
}

#[test]
fn both_files_or_neither() {
    let settings = with(&[]).unwrap();
    assert!(settings.tls.is_none());
    assert!(
        settings
            .summary()
            .contains("TLS_CERT_FILE            HTTP without TLS\n"),
        "{}",
        settings.summary()
    );

    let (certificate, key) = made();
    let pair = Pair::new(&certificate, &key);
    let settings = pair.settings();
    assert_eq!(
        settings.tls.unwrap().identity.until(),
        "2030-12-31 00:00 UTC"
    );

    let [certificate, key] = pair.variables();
    let cure = "set both, or neither to speak HTTP without TLS";
    assert_eq!(
        fault(&[certificate]),
        format!("TLS_CERT_FILE is set, and TLS_KEY_FILE is not: {cure}")
    );
    assert_eq!(
        fault(&[key]),
        format!("TLS_KEY_FILE is set, and TLS_CERT_FILE is not: {cure}")
    );
}

#[test]
fn what_is_no_certificate_or_key_is_named() {
    let (certificate, key) = made();
    let (_, other) = made();
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (certificate, key, problem) in [
        (
            &certificate,
            &other,
            "TLS_KEY_FILE names \"KEY\", which has no key that can be used: its private key is not the certificate's: give the certificate and the key that were made together",
        ),
        (
            &certificate,
            &encrypted,
            "TLS_KEY_FILE names \"KEY\", which has no key that can be used: the private key in it is encrypted, and nobody is there to type its password: decrypt it by: openssl pkey -in KEY -out PLAIN",
        ),
        (
            &key,
            &key,
            "TLS_CERT_FILE names \"CERT\", which has no certificate: ",
        ),
        (
            &certificate,
            &certificate,
            "TLS_KEY_FILE names \"KEY\", which has no key that can be used: no PEM private key in it: give the key in PEM",
        ),
        (
            &String::new(),
            &key,
            "TLS_CERT_FILE names \"CERT\", which is empty: ",
        ),
    ] {
        let fault = Pair::new(certificate, key).fault();
        assert!(fault.starts_with(problem), "{fault}");
        assert!(!fault.contains("BEGIN"), "{fault}");
        assert!(!fault.contains('\n'), "{fault}");
    }
}

#[test]
fn both_are_told_at_once() {
    let (certificate, key) = made();
    let fault = Pair::new(&key, &certificate).fault();
    let starts = [
        "TLS_CERT_FILE names \"CERT\", ",
        "TLS_KEY_FILE names \"KEY\", ",
    ];
    assert_eq!(fault.lines().count(), 2, "{fault}");
    for (line, start) in fault.lines().zip(starts) {
        assert!(line.starts_with(start), "{fault}");
    }
    let fault = Pair::new("", &certificate).fault();
    assert_eq!(fault.lines().count(), 2, "{fault}");
    let missing = fault_of_missing();
    assert_eq!(
        missing
            .matches("which cannot be read (entity not found)")
            .count(),
        2,
        "{missing}"
    );
}

fn fault_of_missing() -> String {
    fault(&[
        ("TLS_CERT_FILE", "/nonexistent/a"),
        ("TLS_KEY_FILE", "/nonexistent/b"),
    ])
}

#[test]
fn a_key_that_everybody_can_write_to_is_refused() {
    let (certificate, key) = made();
    let pair = Pair::new(&certificate, &key);
    set_permissions(&pair.key, Permissions::from_mode(0o666)).unwrap();
    let fault = pair.fault();
    assert!(
        fault.starts_with("TLS_KEY_FILE names \"KEY\", which everybody can write to (mode 0666)"),
        "{fault}"
    );
}

#[test]
fn what_has_changed_counts_once_it_was_seen_twice() {
    let (certificate, key) = made();
    let pair = Pair::new(&certificate, &key);
    let tls = pair.settings().tls.unwrap();
    let mut seen = None;
    for _ in 0..3 {
        assert!(tls.read_again(&mut seen).unwrap().is_none());
    }
    // Half of a change.
    let (certificate, key) = made();
    write(&pair.certificate, &certificate).unwrap();
    assert!(tls.read_again(&mut seen).unwrap().is_none());
    write(&pair.key, &key).unwrap();
    assert!(tls.read_again(&mut seen).unwrap().is_none());
    let changed = tls.read_again(&mut seen).unwrap().unwrap();
    for _ in 0..2 {
        assert!(changed.read_again(&mut seen).unwrap().is_none());
    }
    // It stays half.
    write(&pair.key, made().1).unwrap();
    assert!(changed.read_again(&mut seen).unwrap().is_none());
    for _ in 0..2 {
        let fault = told(&changed.read_again(&mut seen).unwrap_err());
        assert!(fault.contains("is not the certificate's"), "{fault}");
    }
    // The old pair comes back, or nothing is there at all.
    write(&pair.key, &key).unwrap();
    assert!(changed.read_again(&mut seen).unwrap().is_none());
    std::fs::remove_file(&pair.key).unwrap();
    assert!(changed.read_again(&mut seen).unwrap().is_none());
    let fault = told(&changed.read_again(&mut seen).unwrap_err());
    assert!(
        fault.contains("cannot be read (entity not found)"),
        "{fault}"
    );
}

#[test]
fn the_end_of_a_certificate_is_warned_of() {
    let (certificate, key) = made();
    let settings = Pair::new(&certificate, &key).settings();
    // 2030-12-31 00:00 UTC.
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_924_905_600);
    let day = Duration::from_secs(86_400);
    for (now, expected) in [
        (end - 8 * day, None),
        (end - 6 * day, Some("ends soon")),
        (
            end + day,
            Some("is not valid any more, so that clients refuse it"),
        ),
    ] {
        let warnings = settings.warnings(now);
        assert_eq!(
            warnings.len(),
            usize::from(expected.is_some()),
            "{warnings:?}"
        );
        if let Some(expected) = expected {
            let start = format!(
                "TLS_CERT_FILE: the certificate {expected}: it is valid until 2030-12-31 00:00 UTC; "
            );
            assert!(warnings[0].starts_with(&start), "{warnings:?}");
        }
    }
}
