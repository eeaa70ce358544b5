//! The few fields of a certificate that a sentence about it needs. Nothing is
//! decided by what is read here: whether a certificate is good says webpki.
//!
//! Specifications: <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>; DER is X.690.

use crate::util::printable;

/// The longest name that is shown, in bytes.
const MAX_NAME: usize = 64;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
/// `[0]` around the version, which a certificate of version 1 leaves out.
const VERSION: u8 = 0xa0;

/// The attributes of a name that are shown, the best first: `commonName`,
/// `organizationName`, `organizationalUnitName` (X.520).
const NAMES: [[u8; 3]; 3] = [[0x55, 4, 3], [0x55, 4, 10], [0x55, 4, 11]];

/// `rsaEncryption` (RFC 8017, appendix A).
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

/// `id-ecPublicKey` and, as its parameter, `secp521r1` (RFC 5480, section 2.1).
const EC: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P521: [u8; 5] = [0x2b, 0x81, 4, 0, 0x23];

/// The shortest RSA key whose signatures are believed, in bits.
pub(super) const MIN_RSA_BITS: usize = 2048;

/// The fields of a certificate that are read; all of them are contents of DER values, without their headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certificate<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// `UTCTime` or `GeneralizedTime`: `[YY]YYMMDDhhmmssZ`.
    pub(super) not_after: &'a [u8],
    /// As a root store keeps it.
    pub(super) key: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// None for what is no certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(der);
        let mut whole = Reader(outer.take(SEQUENCE)?);
        let mut fields = Reader(whole.take(SEQUENCE)?);
        if fields.0.first() == Some(&VERSION) {
            fields.take(VERSION)?;
        }
        fields.take(INTEGER)?;
        fields.take(SEQUENCE)?;
        let issuer = fields.take(SEQUENCE)?;
        let mut validity = Reader(fields.take(SEQUENCE)?);
        validity.any()?;
        let (_, not_after) = validity.any()?;
        Some(Self {
            issuer,
            subject: fields.take(SEQUENCE)?,
            not_after,
            key: fields.take(SEQUENCE)?,
        })
    }

    /// Returns whether it names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }
}

/// The common name, or else the organisation, of a subject: in quotes and safe to show.
pub(super) fn called(name: &[u8]) -> String {
    let of = |wanted: &[u8]| {
        let mut sets = Reader(name);
        let mut found = None;
        while let Some(set) = sets.take(SET) {
            let mut attribute = Reader(Reader(set).take(SEQUENCE)?);
            if attribute.take(OBJECT_ID)? == wanted {
                found = attribute.any();
            }
        }
        found.map(|(_, text)| String::from_utf8_lossy(text).into_owned())
    };
    let text = NAMES.iter().find_map(|wanted| of(wanted));
    match text {
        Some(text) => format!("\"{}\"", printable(&text, MAX_NAME)),
        None => "somebody without a name".to_owned(),
    }
}

/// The kind of a key of which no signature is ever believed; None for any other key.
pub(super) fn weakness(key: &[u8]) -> Option<String> {
    if let Some(bits) = rsa_bits(key) {
        return (bits < MIN_RSA_BITS).then(|| format!("RSA of {bits} bits"));
    }
    let mut algorithm = Reader(Reader(key).take(SEQUENCE)?);
    let is_elliptic = algorithm.take(OBJECT_ID)? == EC;
    (is_elliptic && algorithm.take(OBJECT_ID)? == P521).then(|| "ECDSA on P-521".to_owned())
}

/// The length of an RSA key in bits; none for another key.
pub(super) fn rsa_bits(key: &[u8]) -> Option<usize> {
    let mut fields = Reader(key);
    let mut algorithm = Reader(fields.take(SEQUENCE)?);
    if algorithm.take(OBJECT_ID)? != RSA {
        return None;
    }
    // The first byte says how many bits of the last are unused: none.
    let (_, key) = fields.take(BIT_STRING)?.split_first()?;
    let modulus = Reader(Reader(key).take(SEQUENCE)?).take(INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = modulus.get(zeros..)?;
    let unused = modulus.first()?.leading_zeros();
    (8 * modulus.len()).checked_sub(usize::try_from(unused).ok()?)
}

/// Values of DER, one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next value, if it has this tag.
    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let (tag, content) = self.any()?;
        (tag == wanted).then_some(content)
    }

    /// The next value: its tag and content.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            ..=0x7f => (usize::from(*first), rest),
            // The length of the length; no certificate has 16 MiB.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
                (bytes.iter().fold(0, add), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn der(pem: &str) -> Vec<u8> {
        CertificateDer::from_pem_slice(pem.as_bytes())
            .unwrap()
            .to_vec()
    }

    #[test]
    fn the_fields_of_certificates() {
        let leaf = der(include_str!("tests/certificates/issued.pem"));
        let leaf = Certificate::read(&leaf).unwrap();
        assert_eq!(called(leaf.issuer), "\"Company Root\"");
        assert_eq!(called(leaf.subject), "\"issued\"");
        assert!(!leaf.is_self_issued() && leaf.not_after.ends_with(b"Z"));
        assert_eq!(rsa_bits(leaf.key), None);
        for (pem, bits) in [
            (
                include_str!("tests/certificates/signed-by-rsa-1024.root.pem"),
                1024,
            ),
            (
                include_str!("tests/certificates/signed-by-sha-1.root.pem"),
                2048,
            ),
        ] {
            let root = der(pem);
            let root = Certificate::read(&root).unwrap();
            assert!(root.is_self_issued());
            assert_eq!(rsa_bits(root.key), Some(bits));
            let weak = (bits < MIN_RSA_BITS).then(|| "RSA of 1024 bits".to_owned());
            assert_eq!(weakness(root.key), weak);
        }
        let p521 = der(include_str!("tests/certificates/signed-by-p-521.root.pem"));
        let weak = weakness(Certificate::read(&p521).unwrap().key);
        assert_eq!(weak.as_deref(), Some("ECDSA on P-521"));
        assert_eq!(weakness(leaf.key), None);
        let first = der(include_str!("tests/certificates/version-1.pem"));
        assert_eq!(
            called(Certificate::read(&first).unwrap().subject),
            "\"hs.example\""
        );
    }

    #[test]
    fn what_is_cut_or_wrong_is_read_as_nothing() {
        let whole = der(include_str!(
            "tests/certificates/signed-by-rsa-1024.root.pem"
        ));
        for length in 0..whole.len() {
            assert!(Certificate::read(&whole[..length]).is_none());
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut wrong = whole.clone();
                wrong[at] = byte;
                if let Some(read) = Certificate::read(&wrong) {
                    assert!(called(read.issuer).len() < 100);
                    assert!(weakness(read.key).is_none_or(|weak| weak.len() < 100));
                }
            }
        }
        let name = b"\x31\x0f\x30\x0d\x06\x03\x55\x04\x03\x0c\x06a\xe2\x80\xaeb\"";
        assert_eq!(called(name), "\"a\\u{202e}b\"\"");
        assert_eq!(called(b""), "somebody without a name");
    }
}
