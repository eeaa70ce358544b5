//! The states of one login: takes an answer and returns the next request. No IO.

use std::fmt;
use std::time::SystemTime;

use http::header::{HeaderValue, LOCATION};
use serde::Deserialize;
use url::{Origin, Url};
use zeroize::Zeroize;

use super::cookies::CookieJar;
use super::error::{Error, Server};
use super::form::Form;
use super::page::{Page, TextKind};
use super::redirect::{REDIRECT_URL, RedirectError, Target, shown, target};
use super::trusted_realm::TrustedRealm;
use crate::net::{Response, is_private};
use crate::util::Secret;

/// The largest number of redirects of one login, which takes four or five.
const MAX_REDIRECTS: usize = 10;

/// The account that logs in, and the login page that its password is for.
pub struct Account<'a> {
    /// The user name at Keycloak.
    pub user: &'a str,
    /// The password at Keycloak.
    pub password: &'a Secret,
    /// Makes the current one-time password; `None` for an account without. It is called at
    /// most once.
    pub code: Option<&'a dyn Fn() -> Secret>,
    /// The Keycloak that the login page has to be of: scheme, host, port and path count.
    /// `None` for any that the homeserver redirects to, which then learns the password.
    pub provider_url: Option<&'a str>,
    /// The realm that the page has to be of; `None` for any of that Keycloak.
    pub realm: Option<&'a str>,
}

/// A request for a page, or of a form.
pub(super) struct PageRequest {
    pub(super) url: Url,
    /// The `Cookie` header.
    pub(super) cookies: Option<HeaderValue>,
    /// The body of a `POST`; without one it is a `GET`.
    pub(super) form: Option<Secret>,
}

/// Shows no query, which holds codes and tokens.
impl fmt::Debug for PageRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageRequest")
            .field("origin", &shown(&self.url.origin()))
            .field("path", &self.url.path())
            .field("is_post", &self.form.is_some())
            .finish_non_exhaustive()
    }
}

/// The next step of a login.
#[derive(Debug)]
pub(super) enum Step {
    /// To send this request.
    Send(PageRequest),
    /// None: this is the login token.
    Done(Secret),
}

/// A form of Keycloak's, in the order in which they come. Each is filled in once: the same
/// form again is a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Prompt {
    /// The user name, where the password has a page of its own.
    User,
    /// The password, and the user name where it is on the same page.
    Password,
    /// The one-time password.
    Code,
}

/// A login in progress.
pub(super) struct Flow<'a> {
    account: &'a Account<'a>,
    /// The realm whose forms may be filled in; None for any.
    realm: Option<TrustedRealm>,
    /// The URL of the request that waits for its answer.
    url: Url,
    is_post: bool,
    jar: CookieJar,
    redirects: usize,
    /// The first server that the homeserver redirected to: the only one that the password is
    /// sent to.
    keycloak: Option<Origin>,
    /// The last form that was filled in.
    answered: Option<Prompt>,
}

impl<'a> Flow<'a> {
    /// Begins a login at the homeserver whose client-server API is at `base`, with the
    /// request of
    /// <https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3loginssoredirectidpid>.
    ///
    /// # Errors
    /// `base` is no URL that can have a path.
    pub(super) fn begin(
        base: &str,
        provider: &str,
        account: &'a Account<'a>,
    ) -> Result<(Self, PageRequest), Error> {
        let mut url = Url::parse(base).map_err(|_| Error::BadHomeserver)?;
        url.path_segments_mut()
            .map_err(|()| Error::BadHomeserver)?
            .pop_if_empty()
            .extend(["_matrix", "client", "v3", "login", "sso", "redirect"])
            .push(provider);
        url.query_pairs_mut()
            .append_pair("redirectUrl", REDIRECT_URL);
        let flow = Self {
            account,
            realm: account
                .provider_url
                .map(|url| TrustedRealm::new(url, account.realm)),
            url,
            is_post: false,
            jar: CookieJar::default(),
            redirects: 0,
            keycloak: None,
            answered: None,
        };
        let first = flow.request(None);
        Ok((flow, first))
    }

    /// Takes the answer to the last request.
    ///
    /// # Errors
    /// The login cannot go on.
    pub(super) fn handle(&mut self, mut answer: Response, now: SystemTime) -> Result<Step, Error> {
        self.jar.store(&self.url, &answer.headers, now);
        if matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return self.follow(&answer);
        }
        let page = Page::read(&answer.body);
        let server = self.server();
        let step = match (answer.status, &server) {
            (429, _) => Err(Error::Limited {
                server,
                retry_after: answer.retry_after(),
            }),
            (500.., _) => Err(Error::Failing {
                server,
                status: answer.status,
                text: page.words(&[TextKind::Message, TextKind::Heading]),
                retry_after: answer.retry_after(),
            }),
            (_, Server::Homeserver) => self.at_homeserver(&answer, page),
            (_, Server::Keycloak) => self.at_keycloak(answer.status, &page),
            (_, Server::Other(_)) => Err(unknown(server, answer.status, &page)),
        };
        // A "continue" page holds the token, which is good for two minutes.
        answer.body.zeroize();
        step
    }

    /// The server of the last request. Homeserver and Keycloak may share an origin behind a
    /// proxy, and the homeserver may have two: the paths tell them apart.
    pub(super) fn server(&self) -> Server {
        let origin = self.url.origin();
        match &self.keycloak {
            _ if is_homeservers(&self.url) => Server::Homeserver,
            Some(keycloak) if *keycloak == origin => Server::Keycloak,
            _ => Server::Other(shown(&origin)),
        }
    }

    fn request(&self, form: Option<Secret>) -> PageRequest {
        PageRequest {
            url: self.url.clone(),
            cookies: self.jar.header(&self.url),
            form,
        }
    }

    fn follow(&mut self, answer: &Response) -> Result<Step, Error> {
        let server = self.server();
        let error = |why| Error::Redirect {
            server: server.clone(),
            why,
        };
        let location = answer
            .headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| error(RedirectError::Broken))?;
        let next = match target(&self.url, location).map_err(error)? {
            Target::Ours(token) => return token.map(Step::Done).ok_or(Error::NoToken),
            Target::Page(next) => next,
        };
        if self.is_post && matches!(answer.status, 307 | 308) {
            return Err(error(RedirectError::Repost));
        }
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            return Err(Error::TooManyRedirects(MAX_REDIRECTS));
        }
        // A homeserver first redirects to its own public address.
        if self.keycloak.is_none() && !is_homeservers(&next) {
            self.demand(shown(&next.origin()), |realm| realm.has_origin_of(&next))?;
            self.keycloak = Some(next.origin());
        }
        self.url = next;
        self.is_post = false;
        Ok(Step::Send(self.request(None)))
    }

    fn at_homeserver(&self, answer: &Response, page: Page) -> Result<Step, Error> {
        #[derive(Deserialize)]
        struct MatrixError {
            errcode: String,
            #[serde(default, deserialize_with = "crate::json::lenient")]
            error: String,
        }
        use TextKind::{Heading, Message, Paragraph, Title};
        let path = self.url.path();
        if path.contains("/pick_username/") || path.ends_with("/new_user_consent") {
            return Err(Error::NewAccount);
        }
        if let Ok(error) = serde_json::from_slice::<MatrixError>(&answer.body) {
            return Err(Error::HomeserverRefused {
                code: error.errcode,
                text: error.error,
            });
        }
        let code = page.words(&[TextKind::Code]);
        let code = code.rsplit(' ').next().unwrap_or_default();
        if code == "missing_session" {
            return Err(Error::SessionLost);
        }
        if answer.status >= 400 {
            let kinds = [Message, Heading, Paragraph, Title];
            return Err(Error::HomeserverRefused {
                code: match code {
                    "" => format!("status {}", answer.status),
                    code => code.to_owned(),
                },
                text: page.words(&kinds),
            });
        }
        match page.token {
            Some(token) => Ok(Step::Done(token)),
            None => Err(unknown(Server::Homeserver, answer.status, &page)),
        }
    }

    fn at_keycloak(&mut self, status: u16, page: &Page) -> Result<Step, Error> {
        let action = self
            .url
            .query_pairs()
            .find(|(name, _)| name == "execution" && self.url.path().ends_with("/required-action"))
            .map(|(_, action)| action.into_owned());
        if page.has(TextKind::Consent) || action.as_deref() == Some("OAUTH_GRANT") {
            return Err(Error::Consent);
        }
        if let Some(action) = action {
            return Err(Error::RequiredAction(action));
        }
        if page.has(TextKind::Error) {
            let text = page.words(&[TextKind::Paragraph, TextKind::Error]);
            return Err(Error::KeycloakRefused(text));
        }
        let login = page.form("kc-form-login");
        let otp = page.form("kc-otp-login-form");
        let (form, prompt) = match (login, otp) {
            (Some(form), _) if form.has("password") => (form, Prompt::Password),
            (Some(form), _) if form.has("username") => (form, Prompt::User),
            (_, Some(form)) if form.has("otp") => (form, Prompt::Code),
            _ => return Err(unknown(Server::Keycloak, status, page)),
        };
        if self.answered >= Some(prompt) {
            let text = page.words(&[TextKind::Problem]);
            return Err(match prompt {
                Prompt::Code => Error::CodeRefused(text),
                Prompt::User | Prompt::Password => Error::PasswordRefused(text),
            });
        }
        // Later redirects may have left the realm without leaving the host.
        let shown = format!("{}{}", shown(&self.url.origin()), self.url.path());
        self.demand(shown, |realm| realm.contains(&self.url))?;
        let Account { user, password, .. } = self.account;
        let to = self.action(form)?;
        let body = match prompt {
            Prompt::User => form.filled(&[("username", user)]),
            Prompt::Password => form.filled(&[("username", user), ("password", password.expose())]),
            Prompt::Code => {
                let code = self.account.code.ok_or(Error::CodeNeeded)?();
                form.filled(&[("otp", code.expose())])
            }
        };
        self.answered = Some(prompt);
        self.url = to;
        self.is_post = true;
        Ok(Step::Send(self.request(Some(body))))
    }

    /// An error if a realm is configured, and this page is not what it has to be.
    fn demand(&self, page: String, is_so: impl FnOnce(&TrustedRealm) -> bool) -> Result<(), Error> {
        match &self.realm {
            Some(realm) if !is_so(realm) => Err(Error::OtherProvider {
                page,
                wanted: realm.to_string(),
                variables: realm.variables(),
            }),
            _ => Ok(()),
        }
    }

    /// The URL that a form of the current page is sent to. It has to be of the page's server,
    /// and of the realm where one is configured; the form has to be sent in a body and not in
    /// the URL.
    fn action(&self, form: &Form) -> Result<Url, Error> {
        let mut to = self
            .url
            .join(&form.action)
            .map_err(|_| Error::FormLeadsAway)?;
        let stays = self.realm.as_ref().is_none_or(|realm| realm.contains(&to));
        if !form.is_post || !stays || to.origin() != self.url.origin() {
            return Err(Error::FormLeadsAway);
        }
        if !is_private(&to) {
            return Err(Error::Plaintext(shown(&to.origin())));
        }
        to.set_fragment(None);
        Ok(to)
    }
}

/// Returns whether a path is of a homeserver, whatever precedes it.
fn is_homeservers(url: &Url) -> bool {
    let path = url.path();
    path.contains("/_matrix/client/") || path.contains("/_synapse/client/")
}

fn unknown(server: Server, status: u16, page: &Page) -> Error {
    Error::UnknownPage {
        server,
        status,
        title: page.words(&[TextKind::Title, TextKind::Heading]),
    }
}
