//! Cross-cutting services: secrets and, later, logging.

mod secret;

pub use secret::Secret;
