//! Single sign-on without a browser
//! (<https://spec.matrix.org/v1.11/client-server-api/#sso-client-loginauthentication>): from
//! the homeserver to Keycloak's login form and back with a login token. Knows pages, forms,
//! cookies and redirects, and nothing of the login that the token is for.

mod cookies;
mod error;
mod flow;
mod form;
mod html;
mod login;
mod page;
mod provider;
mod redirect;
mod trusted_realm;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use flow::Account;
pub use login::login_token;
pub use provider::choose_provider;

#[cfg(test)]
pub use error::Server;
