//! One login as a conversation: an answer in, the next request out. No IO.

use std::fmt;
use std::time::SystemTime;

use http::header::{HeaderValue, LOCATION};
use serde::Deserialize;
use url::{Origin, Url};
use zeroize::Zeroize;

use super::cookies::Jar;
use super::fault::{Fault, Responsible};
use super::form::Form;
use super::page::{Mark, Page};
use super::place::Place;
use super::provider::Provider;
use super::redirect::{REDIRECT_URL, RedirectFault, Target, shown, target};
use crate::net::{Response, is_private};
use crate::util::Secret;

/// A login takes four or five.
const MAX_REDIRECTS: usize = 10;

/// Who logs in.
pub struct Account<'a> {
    /// The user name at Keycloak.
    pub user: &'a str,
    /// The password at Keycloak.
    pub password: &'a Secret,
    /// Makes the one-time password of the moment it is called; `None` if there
    /// is none for this account. It is called once at most.
    pub code: Option<&'a dyn Fn() -> Secret>,
    /// The Keycloak that the login page has to be of: scheme, host, port and path
    /// count. `None` for wherever the homeserver leads to, which then learns the
    /// password.
    pub provider_url: Option<&'a str>,
    /// The realm that it has to be of; `None` for any of that Keycloak.
    pub realm: Option<&'a str>,
}

/// A request to send.
pub(super) struct Ask {
    pub(super) url: Url,
    /// The `Cookie` header.
    pub(super) cookies: Option<HeaderValue>,
    /// The body of a POST; without one it is a GET.
    pub(super) form: Option<Secret>,
}

/// Of the address no query: it holds what the servers hand each other.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("origin", &shown(&self.url.origin()))
            .field("path", &self.url.path())
            .field("is_post", &self.form.is_some())
            .finish_non_exhaustive()
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// This request.
    Ask(Ask),
    /// Nothing: this is the login token.
    Done(Secret),
}

/// What Keycloak asks for, in the order in which it does. Each is given once:
/// to be asked again is to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// The user name, where the password has a page of its own.
    User,
    /// The password, and the user name where it is on the same page.
    Password,
    /// The one-time password.
    Code,
}

/// A login under way.
pub(super) struct Flow<'a> {
    account: &'a Account<'a>,
    /// Where a form may be that is filled in.
    place: Option<Place>,
    /// The request whose answer is due.
    url: Url,
    is_post: bool,
    jar: Jar,
    redirects: usize,
    /// Where the homeserver's redirect led: the one place that the password is
    /// for.
    keycloak: Option<Origin>,
    /// The last question that was answered.
    answered: Option<Question>,
}

impl<'a> Flow<'a> {
    /// A login at the homeserver whose client-server API is at `base`, and the
    /// first request.
    pub(super) fn begin(
        base: &str,
        provider: &Provider,
        account: &'a Account<'a>,
    ) -> Result<(Self, Ask), Fault> {
        let mut url = Url::parse(base).map_err(|_| Fault::BadHomeserver)?;
        url.path_segments_mut()
            .map_err(|()| Fault::BadHomeserver)?
            .pop_if_empty()
            .extend(["_matrix", "client", "v3", "login", "sso", "redirect"])
            .push(provider.as_str());
        url.query_pairs_mut()
            .append_pair("redirectUrl", REDIRECT_URL);
        let place = account.provider_url;
        let flow = Self {
            account,
            place: place.map(|url| Place::new(url, account.realm)),
            url,
            is_post: false,
            jar: Jar::default(),
            redirects: 0,
            keycloak: None,
            answered: None,
        };
        let ask = flow.ask(None);
        Ok((flow, ask))
    }

    /// Takes the answer to the last request.
    pub(super) fn take(&mut self, mut answer: Response, now: SystemTime) -> Result<Step, Fault> {
        self.jar.store(&self.url, &answer.headers, now);
        if matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return self.follow(&answer);
        }
        let page = Page::read(&answer.body);
        let party = self.party();
        let step = match (answer.status, &party) {
            (429, _) => Err(Fault::Limited {
                party,
                retry_after: answer.retry_after(),
            }),
            (500.., _) => Err(Fault::Failing {
                party,
                status: answer.status,
                text: words(&page, &[Mark::Message, Mark::Heading]),
                retry_after: answer.retry_after(),
            }),
            (_, Responsible::Homeserver) => self.at_homeserver(&answer, page),
            (_, Responsible::Keycloak) => self.at_keycloak(answer.status, &page),
            (_, Responsible::Other(_)) => Err(unknown(party, answer.status, &page)),
        };
        // A "continue" page holds the token, which is good for two minutes.
        answer.body.zeroize();
        step
    }

    /// Who is being asked. Homeserver and Keycloak may share an origin behind a
    /// proxy, and the homeserver may have two: the paths tell them apart.
    pub(super) fn party(&self) -> Responsible {
        let origin = self.url.origin();
        match &self.keycloak {
            _ if is_homeservers(&self.url) => Responsible::Homeserver,
            Some(keycloak) if *keycloak == origin => Responsible::Keycloak,
            _ => Responsible::Other(shown(&origin)),
        }
    }

    fn ask(&self, form: Option<Secret>) -> Ask {
        Ask {
            url: self.url.clone(),
            cookies: self.jar.header(&self.url),
            form,
        }
    }

    fn follow(&mut self, answer: &Response) -> Result<Step, Fault> {
        let party = self.party();
        let fault = |why| Fault::Redirect {
            party: party.clone(),
            why,
        };
        let location = answer
            .headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| fault(RedirectFault::Broken))?;
        let next = match target(&self.url, location).map_err(fault)? {
            Target::Us(token) => return token.map(Step::Done).ok_or(Fault::NoToken),
            Target::Page(next) => next,
        };
        if self.is_post && matches!(answer.status, 307 | 308) {
            return Err(fault(RedirectFault::Repost));
        }
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            return Err(Fault::TooManyRedirects(MAX_REDIRECTS));
        }
        // A homeserver first leads to its public address, to itself.
        if self.keycloak.is_none() && !is_homeservers(&next) {
            if let Some(place) = self.place.as_ref().filter(|place| !place.is_host_of(&next)) {
                return Err(other_provider(shown(&next.origin()), place));
            }
            self.keycloak = Some(next.origin());
        }
        self.url = next;
        self.is_post = false;
        Ok(Step::Ask(self.ask(None)))
    }

    fn at_homeserver(&self, answer: &Response, page: Page) -> Result<Step, Fault> {
        #[derive(Deserialize)]
        struct MatrixError {
            errcode: String,
            #[serde(default, deserialize_with = "crate::json::lenient")]
            error: String,
        }
        let path = self.url.path();
        if path.contains("/pick_username/") || path.ends_with("/new_user_consent") {
            return Err(Fault::NewAccount);
        }
        if let Ok(error) = serde_json::from_slice::<MatrixError>(&answer.body) {
            return Err(Fault::HomeserverRefused {
                code: error.errcode,
                text: error.error,
            });
        }
        let code = words(&page, &[Mark::Code]);
        let code = code.rsplit(' ').next().unwrap_or_default();
        if code == "missing_session" {
            return Err(Fault::SessionLost);
        }
        if answer.status >= 400 {
            let marks = [Mark::Message, Mark::Heading, Mark::Paragraph, Mark::Title];
            return Err(Fault::HomeserverRefused {
                code: match code {
                    "" => format!("status {}", answer.status),
                    code => code.to_owned(),
                },
                text: words(&page, &marks),
            });
        }
        match page.token {
            Some(token) => Ok(Step::Done(token)),
            None => Err(unknown(Responsible::Homeserver, answer.status, &page)),
        }
    }

    fn at_keycloak(&mut self, status: u16, page: &Page) -> Result<Step, Fault> {
        let action = self
            .url
            .query_pairs()
            .find(|(name, _)| name == "execution" && self.url.path().ends_with("/required-action"))
            .map(|(_, action)| action.into_owned());
        if page.has(Mark::Consent) || action.as_deref() == Some("OAUTH_GRANT") {
            return Err(Fault::Consent);
        }
        if let Some(action) = action {
            return Err(Fault::RequiredAction { action });
        }
        if page.has(Mark::Error) {
            let text = words(page, &[Mark::Paragraph, Mark::Error]);
            return Err(Fault::KeycloakRefused { text });
        }
        let login = page.form("kc-form-login");
        let otp = page.form("kc-otp-login-form");
        let (form, question) = match (login, otp) {
            (Some(form), _) if form.has("password") => (form, Question::Password),
            (Some(form), _) if form.has("username") => (form, Question::User),
            (_, Some(form)) if form.has("otp") => (form, Question::Code),
            _ => return Err(unknown(Responsible::Keycloak, status, page)),
        };
        if self.answered >= Some(question) {
            let text = words(page, &[Mark::Problem]);
            return Err(match question {
                Question::Code => Fault::CodeRefused { text },
                Question::User | Question::Password => Fault::PasswordRefused { text },
            });
        }
        // Homeserver and Keycloak may have led on since, within one host.
        if let Some(place) = self.place.as_ref().filter(|place| !place.holds(&self.url)) {
            let page = format!("{}{}", shown(&self.url.origin()), self.url.path());
            return Err(other_provider(page, place));
        }
        let Account { user, password, .. } = self.account;
        let to = self.action(form)?;
        let body = match question {
            Question::User => form.filled(&[("username", user)]),
            Question::Password => {
                form.filled(&[("username", user), ("password", password.expose())])
            }
            Question::Code => {
                let code = self.account.code.ok_or(Fault::CodeNeeded)?();
                form.filled(&[("otp", code.expose())])
            }
        };
        self.answered = Some(question);
        self.url = to;
        self.is_post = true;
        Ok(Step::Ask(self.ask(Some(body))))
    }

    /// Where a form of the current page is sent: to the server that the page
    /// is from, and its realm where that counts, in the body, where nobody else
    /// can read it.
    fn action(&self, form: &Form) -> Result<Url, Fault> {
        let mut to = self
            .url
            .join(&form.action)
            .map_err(|_| Fault::FormLeadsAway)?;
        let stays = self.place.as_ref().is_none_or(|place| place.holds(&to));
        if !form.is_post || !stays || to.origin() != self.url.origin() {
            return Err(Fault::FormLeadsAway);
        }
        if !is_private(&to) {
            return Err(Fault::Plaintext {
                origin: shown(&to.origin()),
            });
        }
        to.set_fragment(None);
        Ok(to)
    }
}

/// Whether a path is one of a homeserver's, whatever stands before it.
fn is_homeservers(url: &Url) -> bool {
    let path = url.path();
    path.contains("/_matrix/client/") || path.contains("/_synapse/client/")
}

fn other_provider(page: String, place: &Place) -> Fault {
    Fault::OtherProvider {
        page,
        wanted: place.to_string(),
        variables: place.variables(),
    }
}

fn words(page: &Page, marks: &[Mark]) -> String {
    page.first(marks).unwrap_or_default().to_owned()
}

fn unknown(party: Responsible, status: u16, page: &Page) -> Fault {
    Fault::UnknownPage {
        party,
        status,
        title: words(page, &[Mark::Title, Mark::Heading]),
    }
}
