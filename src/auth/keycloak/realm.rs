//! A realm, and the client that this program is there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::util::Secret;

/// The bytes of a segment of a path that are percent-encoded: all but the unreserved ones
/// (<https://www.rfc-editor.org/rfc/rfc3986#section-2.3>).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A realm of a Keycloak, and the client that this program is there.
#[derive(Debug, Clone)]
pub struct Realm {
    /// The URL of Keycloak, `http` or `https`, as this program reaches it.
    pub base: String,
    /// The name of the realm.
    pub realm: String,
    /// The id of the client.
    pub client_id: String,
    /// The client's secret; a public client has none.
    pub client_secret: Option<Secret>,
}

impl Realm {
    /// The realm's URL, which is the issuer of its tokens unless Keycloak has a public URL
    /// that differs from [`Realm::base`].
    pub fn url(&self) -> String {
        let realm = utf8_percent_encode(&self.realm, SEGMENT);
        format!("{}/realms/{realm}", self.base.trim_end_matches('/'))
    }
}
