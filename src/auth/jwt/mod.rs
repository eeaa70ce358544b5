//! JSON Web Tokens ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)) and one-time
//! passwords ([RFC 6238](https://www.rfc-editor.org/rfc/rfc6238)): made, read and checked
//! without IO. Knows `jsonwebtoken`, `ring`, and the URL-safe base64 of `ruma`.

#[cfg(feature = "gateway")]
mod access_token;
mod check;
mod claims;
mod decode;
mod error;
mod jwks;
mod mint;
mod provider;
mod totp;

#[cfg(test)]
pub(crate) mod tests;

#[cfg(feature = "gateway")]
pub use access_token::{AccessFault, AccessToken, Wanted, verify};
pub use check::{Expected, LEEWAY, check};
pub use decode::{DecodeError, Unverified};
pub use error::TokenError;
pub use jwks::{Jwks, JwksError};
pub use mint::{IssuedToken, LIFESPAN, MIN_SECRET_BYTES, MintError, mint};
pub use totp::{Code, Totp, TotpError};
