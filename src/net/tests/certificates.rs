//! Certificates that are believed, and the sentences about others. OpenSSL made
//! them (`certificates/make.sh`), and takes most of them.

use std::sync::Arc;
use std::time::Duration as Since;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::*;
use crate::net::trust::Trust;
use crate::util::Clock;

/// 2026-12-24, when all of them were good.
const CHRISTMAS: u64 = 1_798_070_400;
const A_YEAR: u64 = 366 * 86_400;

macro_rules! made {
    ($name:literal) => {
        (
            include_str!(concat!("certificates/", $name, ".pem")),
            include_str!(concat!("certificates/", $name, ".root.pem")),
        )
    };
}

/// The sentence about a server that sends this to a client that was given that; and
/// what to do. Nothing if it is believed.
fn judged((sent, given): (&str, &str), name: &'static str, now: u64) -> Option<(String, String)> {
    let (roots, pins) = Roots::Bundle(Bundle::from_pem(given.as_bytes()).unwrap()).store();
    judge(
        sent,
        Trust::new(roots, pins, provider()).unwrap(),
        name,
        now,
    )
}

fn provider() -> Arc<CryptoProvider> {
    rustls::crypto::ring::default_provider().into()
}

fn judge(sent: &str, trust: Trust, name: &'static str, now: u64) -> Option<(String, String)> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(sent.as_bytes())
        .map(Result::unwrap)
        .collect();
    let name = ServerName::try_from(name).unwrap();
    let now = UnixTime::since_unix_epoch(Since::from_secs(now));
    let judged = trust.verify_server_cert(&chain[0], &chain[1..], &name, &[], now);
    let fault = TlsFault::of(&judged.err()?);
    Some((fault.to_string(), fault.cure("EXTRA_CA_FILE").unwrap()))
}

const HOST: &str = "hs.example";

#[test]
fn what_is_refused_is_said_with_its_cause() {
    let new = "docs/certificates.md";
    for (made, said, cure) in [
        (
            made!("name-in-cn-alone"),
            "its certificate has no subjectAltName, which",
            new,
        ),
        (
            made!("critical-extension"),
            "its certificate has an extension that is marked critical",
            new,
        ),
        (
            made!("version-1"),
            "its certificate is of X.509 version 1",
            new,
        ),
        (
            made!("other-key"),
            "its certificate names a known authority, but is signed with another key",
            "made anew under the same name",
        ),
        (
            made!("other-names"),
            "its certificate is for another name (other.example, *.example.org, ",
            "use a name that it is for",
        ),
        (
            made!("purpose"),
            "its certificate is not for servers (extendedKeyUsage",
            new,
        ),
        (
            made!("missing-intermediate"),
            "its certificate has an unknown issuer (\"intermediate\"), and the server sends no",
            "have the server send its whole chain (fullchain.pem)",
        ),
        (
            made!("intermediate-that-is-none"),
            "its certificate was issued by one that is no authority",
            new,
        ),
        (
            made!("name-constraints"),
            "who issued its certificate may not do so for this name",
            new,
        ),
        (
            made!("signed-by-p-521"),
            "its certificate, or one that it depends on, is signed by ECDSA with SHA-512; accepted",
            new,
        ),
        (
            made!("signed-by-sha-1"),
            "its certificate, or one that it depends on, is signed by RSA with SHA-1; accepted",
            new,
        ),
        (
            made!("signed-by-rsa-1024"),
            "its certificate depends on an RSA key of 1024 bits, where 2048 are the least",
            new,
        ),
        (
            made!("one-liner-constrained"),
            "its certificate says that it is an authority (CA:TRUE)",
            new,
        ),
    ] {
        let found = judged(made, HOST, CHRISTMAS).unwrap();
        assert!(found.0.starts_with(said), "{said}: {found:?}");
        assert!(found.1.contains(cure), "{cure}: {found:?}");
    }
    for good in [made!("issued"), made!("expired-intermediate")] {
        assert_eq!(judged(good, HOST, CHRISTMAS), None);
    }
}

/// The moments are named, and which certificate it is.
#[test]
fn a_certificate_of_another_time_is_held_against_the_clock_here() {
    let said = |made, now| judged(made, HOST, now).unwrap().0;
    let later = said(made!("expired-intermediate"), CHRISTMAS + A_YEAR);
    let start = "a certificate that its own depends on has expired: it was valid until 2027-11-28 ";
    assert!(later.starts_with(start), "{later}");
    assert!(
        later.ends_with(", and here it is 2027-12-25 00:00 UTC"),
        "{later}"
    );
    for made in [made!("issued"), made!("one-liner"), made!("leaf-as-root")] {
        let late = said(made, CHRISTMAS + 110 * A_YEAR);
        assert!(
            late.starts_with("its certificate has expired: it was"),
            "{late}"
        );
        let early = said(made, 0);
        let start = "its certificate is not valid yet: it is so from 2026-11-28 ";
        assert!(early.starts_with(start), "{early}");
        assert!(
            early.ends_with("and here it is 1970-01-01 00:00 UTC"),
            "{early}"
        );
    }
}

/// The very certificate that was given, as the authority that it says it is or as
/// the leaf of another, and no other.
#[test]
fn a_certificate_that_was_given_is_believed_where_a_server_shows_it() {
    for pinned in [made!("one-liner"), made!("leaf-as-root")] {
        assert_eq!(judged(pinned, HOST, CHRISTMAS), None);
        let (said, _) = judged(pinned, "other.example", CHRISTMAS).unwrap();
        assert!(
            said.starts_with("its certificate is for another name (hs.e"),
            "{said}"
        );
        let mozilla = Roots::Mozilla.store();
        let trust = Trust::new(mozilla.0, mozilla.1, provider()).unwrap();
        assert!(judge(pinned.0, trust, HOST, CHRISTMAS).is_some());
        // Beside others, in either kind of list.
        let bundle = || Bundle::from_pem(pinned.1.as_bytes()).unwrap();
        let other = Bundle::from_pem(Authority::new().pem().as_bytes()).unwrap();
        for roots in [
            Roots::MozillaAnd(bundle()),
            Roots::Bundle(other.and(bundle())),
        ] {
            let (roots, pins) = roots.store();
            let trust = Trust::new(roots, pins, provider()).unwrap();
            assert_eq!(judge(pinned.0, trust, HOST, CHRISTMAS), None);
        }
    }
    let stranger = (made!("one-liner").0, made!("issued").1);
    let (said, cure) = judged(stranger, HOST, CHRISTMAS).unwrap();
    assert!(said.contains("self-signed (\"hs.example\")"), "{said}");
    assert!(
        cure.starts_with("give this very certificate in EXTRA_CA_FILE"),
        "{cure}"
    );
    let stranger = (made!("name-in-cn-alone").0, made!("issued").1);
    let (said, cure) = judged(stranger, HOST, CHRISTMAS).unwrap();
    assert!(said.contains("self-signed (\"hs.example\")"), "{said}");
    assert!(
        cure.starts_with("give this very certificate in EXTRA_CA_FILE"),
        "{cure}"
    );
}

/// Whoever shows a certificate that was given has to have its key.
#[test]
fn a_certificate_that_was_given_has_to_sign_the_handshake() {
    run(async {
        let (key, thief) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let bundle = Bundle::from_pem(certificate.pem().as_bytes()).unwrap();
        let client = Client::new(Roots::Bundle(bundle), Clock::stopped()).unwrap();
        let chain = vec![certificate.der().clone()];
        let server = Fake::tls(identity(chain.clone(), &key), [Reply::new(200, "hello")]);
        let response = client.send(get(&server.url("/"), LIMITS)).await.unwrap();
        assert_eq!(response.body, b"hello");
        let server = Fake::tls(identity(chain, &thief), [Reply::new(200, "hello")]);
        let error = client
            .send(get(&server.url("/"), LIMITS))
            .await
            .unwrap_err();
        assert!(matches!(error.fault, Fault::Tls(_)), "{error:?}");
        assert!(server.requests().is_empty());
    });
}

#[test]
fn a_server_that_speaks_no_tls_or_ends_it_is_told_apart() {
    run(async {
        let client = Client::new(Roots::Mozilla, Clock::stopped()).unwrap();
        for (bytes, said, cure) in [
            (
                "HTTP/1.1 400 Bad Request\r\n\r\n",
                "does not speak TLS",
                "write http://",
            ),
            (
                "\x15\x03\x01\x00\x02\x02\x46",
                "speaks only TLS before 1.2",
                "TLS 1.2 or 1.3",
            ),
            (
                "\x15\x03\x01\x00\x02\x02\x28",
                "have no cipher or kind of key",
                "P-256, P-384",
            ),
            (
                "\x15\x03\x01\x00\x02\x02\x70",
                "serves no host of this name",
                "use a name",
            ),
            (
                "\x15\x03\x01\x00\x02\x02\x74",
                "wants a certificate of its clients",
                "let the bot",
            ),
            (
                "\x15\x03\x01\x00\x02\x02\x78",
                "does not speak HTTP/1.1",
                "HTTP/1.1 as well",
            ),
        ] {
            let port = answering(bytes);
            let url = format!("https://127.0.0.1:{port}/");
            let error = client.send(get(&url, LIMITS)).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            let Fault::Tls(fault) = error.fault else {
                panic!("{error:?}");
            };
            assert!(fault.cure("V").unwrap().contains(cure), "{fault:?}");
        }
    });
}

/// A port whose first answer to whatever is sent are these bytes.
fn answering(bytes: &'static str) -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let bytes: Vec<u8> = bytes.chars().map(|c| c as u8).collect();
        let _ = stream.write_all(&bytes);
        let _ = stream.read(&mut [0; 1024]);
    });
    port
}

/// A server that shows this chain and signs with that key, whether it fits or not.
fn identity(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ServerConfig {
    let provider = provider();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = Arc::new(CertifiedKey::new(chain, key));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
}
