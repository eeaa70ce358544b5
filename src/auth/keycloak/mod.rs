//! Keycloak's endpoints: the password grant, the realm's keys and what it says
//! about itself. Knows nothing of Matrix.

mod answer;
mod fault;
mod grant;
mod realm;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use grant::TokenAnswer;
pub use realm::Realm;
