//! Single sign-on without a browser: from the homeserver to the login form of
//! Keycloak and back with a login token. Knows pages, forms, cookies and
//! redirects, and nothing of what the token is for.
//!
//! Specification: client-server API, "SSO client login/authentication".

mod cookies;
mod fault;
mod flow;
mod form;
mod html;
mod login;
mod page;
mod place;
mod provider;
mod redirect;

#[cfg(test)]
mod tests;

pub use fault::{Fault, Responsible};
pub use flow::Account;
pub use login::login_token;
pub use provider::Provider;
pub use redirect::{REDIRECT_URL, RedirectFault};
