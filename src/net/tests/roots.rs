//! Whom the client believes.

use super::*;
use crate::net::CertificateFault;
use crate::util::Clock;

/// All authorities and servers of these tests have the same name: a stranger is
/// one with another key.
fn is_unknown(error: &Error) -> bool {
    let issuer = |fault: &CertificateFault| {
        matches!(
            fault,
            CertificateFault::SelfSigned { .. }
                | CertificateFault::UnknownIssuer { .. }
                | CertificateFault::OtherKey
        )
    };
    matches!(&error.fault, Fault::Tls(TlsFault::Certificate(fault)) if issuer(fault))
}

#[test]
fn a_private_authority_is_believed_when_given_and_nobody_else() {
    run(async {
        let ours = Authority::new();
        let server = Fake::tls(ours.issue(), vec![Reply::new(200, "hello"); 2]);
        let request = get(&server.url("/"), LIMITS);
        let response = believing(&ours).send(request.clone()).await.unwrap();
        assert_eq!(response.body, b"hello");
        for stranger in [client(), believing(&Authority::new())] {
            let error = stranger.send(request.clone()).await.unwrap_err();
            assert!(is_unknown(&error), "{error}");
        }
        assert_eq!(server.requests().len(), 1);
    });
}

#[test]
fn a_company_can_have_several_authorities() {
    run(async {
        let (old, new) = (Authority::new(), Authority::new());
        let bundle = |authority: &Authority| Bundle::from_pem(authority.pem().as_bytes()).unwrap();
        let client = Client::new(
            Roots::Bundle(bundle(&old).and(bundle(&new))),
            Clock::stopped(),
        )
        .unwrap();
        for authority in [old, new] {
            let server = Fake::tls(authority.issue(), [Reply::new(200, "hello")]);
            let response = client.send(get(&server.url("/"), LIMITS)).await.unwrap();
            assert_eq!(response.body, b"hello");
        }
    });
}

#[test]
fn an_authority_beside_mozillas_takes_none_of_them_away() {
    run(async {
        let ours = Authority::new();
        let bundle = Bundle::from_pem(ours.pem().as_bytes()).unwrap();
        let roots = Roots::MozillaAnd(bundle);
        let all = webpki_roots::TLS_SERVER_ROOTS.len();
        assert_eq!(Roots::Mozilla.store().0.len(), all);
        assert_eq!(roots.clone().store().0.len(), all + 1);
        let server = Fake::tls(ours.issue(), [Reply::new(200, "hello")]);
        let client = Client::new(roots, Clock::stopped()).unwrap();
        let response = client.send(get(&server.url("/"), LIMITS)).await.unwrap();
        assert_eq!(response.body, b"hello");
        // A stranger's certificate is refused still.
        let server = Fake::tls(Authority::new().issue(), []);
        let error = client.send(get(&server.url("/"), LIMITS)).await;
        assert!(is_unknown(&error.unwrap_err()));
    });
}
