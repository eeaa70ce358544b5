//! HKDF-SHA-256 (RFC 5869) without a salt, which is one of 32 zero bytes.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// `N` bytes for the purpose `info`. `None` above 8,160 bytes, more than anyone
/// here asks for.
pub(super) fn derive<const N: usize>(secret: &[u8], info: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    let mut derived = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(None, secret)
        .expand(info, derived.as_mut_slice())
        .ok()?;
    Some(derived)
}
