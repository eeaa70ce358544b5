//! JSON Web Tokens (RFC 7519) and one-time passwords (RFC 6238): made, read and
//! checked here, without a word to anybody. Knows `jsonwebtoken` and `ring`, and
//! the base64 for URLs that `ruma` has.

mod check;
mod claims;
mod decode;
mod fault;
mod jwks;
mod mint;
mod provider;
mod totp;
mod totp_secret;

#[cfg(test)]
mod tests;

pub use check::{Expected, check};
pub use decode::{DecodeFault, MAX_TOKEN_BYTES, Unverified};
pub use fault::TokenFault;
pub use jwks::{Jwks, JwksFault, MAX_JWKS_BYTES, MAX_KEYS};
pub use mint::{LIFESPAN, MIN_SECRET_BYTES, MintError, mint};
pub use totp::{Code, Totp};
pub use totp_secret::TotpFault;
