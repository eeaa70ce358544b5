//! The gateway's own token, which must be no credential for the gateway: whoever got hold of
//! it could use it here.

use crate::auth::jwt::Unverified;
use crate::util::Secret;

/// Returns true if the token of the gateway's own service account is for this audience, so
/// that the audience must not be used: every pod with a token for the API server could come
/// in, and the API server could use what callers show here. What is no JWT is for nobody.
pub fn own_token_is_for(token: &Secret, audience: &str) -> bool {
    let token = Unverified::decode(token);
    token.is_ok_and(|token| token.audiences().contains(&audience))
}
