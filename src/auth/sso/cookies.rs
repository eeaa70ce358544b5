//! The cookies of one login (<https://www.rfc-editor.org/rfc/rfc6265#section-5>), with `Secure`
//! as in that RFC's successor.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use url::{Host, Url};

use crate::net::is_private;
use crate::util::{Secret, Utc, sorted_by};

/// The largest number of cookies. Keycloak and Synapse set six between them.
const MAX_COOKIES: usize = 40;

/// The longest name and value together, in bytes, as in browsers.
const MAX_COOKIE: usize = 4096;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// The cookies that are kept.
#[derive(Debug, Default)]
pub(super) struct CookieJar(Vec<Cookie>);

#[derive(Debug)]
struct Cookie {
    name: String,
    value: Secret,
    /// The host, or with `subdomains` the domain.
    domain: String,
    subdomains: bool,
    path: String,
    secure: bool,
}

impl CookieJar {
    /// Stores the cookies that an answer to `url` sets. Those that are malformed, too many, or
    /// for another host are left out.
    ///
    /// Of a lifetime only its end in the past counts, which is how servers delete cookies: any
    /// other outlives the login.
    pub(super) fn store(&mut self, url: &Url, headers: &HeaderMap, now: SystemTime) {
        let headers = headers.get_all(SET_COOKIE).iter();
        for (cookie, over) in headers.filter_map(|text| Cookie::parse(url, text, now)) {
            self.0.retain(|kept| !kept.is_replaced_by(&cookie));
            if !over && self.0.len() < MAX_COOKIES {
                self.0.push(cookie);
            }
        }
    }

    /// The `Cookie` header of a request to `url`: the cookies with the longest paths first.
    pub(super) fn header(&self, url: &Url) -> Option<HeaderValue> {
        let sent: Vec<&Cookie> = self.0.iter().filter(|kept| kept.is_for(url)).collect();
        let sent = sorted_by(sent, |one, other| other.path.len().cmp(&one.path.len()));
        let parts = sent
            .iter()
            .flat_map(|cookie| ["; ", &cookie.name, "=", cookie.value.expose()]);
        // Allocated once: a buffer that grows leaves copies behind.
        let text = Secret::new(parts.skip(1).collect::<Vec<_>>().concat());
        let mut value = HeaderValue::from_str(text.expose()).ok()?;
        value.set_sensitive(true);
        (!value.is_empty()).then_some(value)
    }
}

impl Cookie {
    /// Reads one `Set-Cookie`; the flag is true if it has expired at `now`.
    fn parse(url: &Url, text: &HeaderValue, now: SystemTime) -> Option<(Self, bool)> {
        let mut parts = text.to_str().ok()?.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > MAX_COOKIE {
            return None;
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: Secret::new(value.to_owned()),
            domain: url.host_str()?.to_owned(),
            subdomains: false,
            path: default_path(url).to_owned(),
            secure: false,
        };
        let mut max_age = None;
        let mut expires = None;
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" => cookie.widen(url, value)?,
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                "max-age" => max_age = is_over_by_age(value).or(max_age),
                "expires" => expires = is_over_by_date(value, now).or(expires),
                _ => {}
            }
        }
        if cookie.secure && !is_private(url) {
            return None;
        }
        let over = max_age.or(expires).unwrap_or(false);
        Some((cookie, over))
    }

    /// Applies a `Domain` attribute; None for one that is not a suffix of the host. There is no
    /// list of public suffixes: any domain with a dot is accepted, because a cookie here can
    /// spoil no more than this login.
    fn widen(&mut self, url: &Url, domain: &str) -> Option<()> {
        let domain = domain
            .strip_prefix('.')
            .unwrap_or(domain)
            .to_ascii_lowercase();
        if domain.is_empty() || domain == self.domain {
            return Some(());
        }
        let is_name = matches!(url.host(), Some(Host::Domain(_)));
        if !is_name || !domain.contains('.') || !is_within(&self.domain, &domain) {
            return None;
        }
        self.domain = domain;
        self.subdomains = true;
        Some(())
    }

    fn is_replaced_by(&self, new: &Self) -> bool {
        self.name == new.name && self.domain == new.domain && self.path == new.path
    }

    fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let host_fits = host == self.domain || (self.subdomains && is_within(host, &self.domain));
        // Synapse and Keycloak mark theirs `Secure` on plain http too; browsers
        // send them to loopback all the same.
        host_fits && is_below(url.path(), &self.path) && (!self.secure || is_private(url))
    }
}

/// Returns whether `host` is a subdomain of `domain`.
fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|front| front.ends_with('.'))
}

/// Path match (<https://www.rfc-editor.org/rfc/rfc6265#section-5.1.4>).
fn is_below(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

/// The default path: that of the page without its last segment.
fn default_path(url: &Url) -> &str {
    match url.path().rsplit_once('/') {
        Some((front, _)) if !front.is_empty() => front,
        _ => "/",
    }
}

/// Returns whether a `Max-Age` is past; `None` for no number.
fn is_over_by_age(text: &str) -> Option<bool> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.starts_with('-') || digits.bytes().all(|byte| byte == b'0'))
}

/// Returns whether an `Expires` in any form that servers write
/// (<https://www.rfc-editor.org/rfc/rfc6265#section-5.1.1>) is past; `None` for no date.
fn is_over_by_date(text: &str, now: SystemTime) -> Option<bool> {
    let (mut clock, mut day, mut month, mut year) = (None, None, None, None);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
    for word in words.filter(|word| !word.is_empty()) {
        let number = word.parse::<u64>().ok();
        if clock.is_none() && word.contains(':') {
            let mut fields = word.split(':').map(|field| field.parse::<u64>().ok());
            clock = Some((fields.next()??, fields.next()??, fields.next()??));
        } else if day.is_none() && number.is_some() && word.len() <= 2 {
            day = number;
        } else if let Some(number) = number.filter(|_| year.is_none()) {
            year = Some(match number {
                0..=69 => number + 2000,
                70..=99 => number + 1900,
                _ => number,
            });
        } else if month.is_none() {
            let name = word.get(..3).unwrap_or_default().to_ascii_lowercase();
            month = MONTHS
                .iter()
                .zip(1_u64..)
                .find_map(|(known, number)| (*known == name).then_some(number));
        }
    }
    let (hour, minute, second) = clock?;
    let expiry = Utc {
        year: year?,
        month: month?,
        day: day?,
        hour,
        minute,
        second,
    };
    Some(expiry <= Utc::from(now))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// 2026-11-21 12:00:00 UTC.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_262_400)
    }

    fn store(jar: &mut CookieJar, url: &str, lines: &[&str]) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SET_COOKIE, HeaderValue::from_str(line).unwrap());
        }
        jar.store(&Url::parse(url).unwrap(), &headers, now());
    }

    fn sent(jar: &CookieJar, url: &str) -> String {
        let header = jar.header(&Url::parse(url).unwrap());
        header.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    /// True if a cookie that `from` set is sent to `to`.
    fn carried(from: &str, line: &str, to: &str) -> bool {
        let mut jar = CookieJar::default();
        store(&mut jar, from, &[line]);
        !sent(&jar, to).is_empty()
    }

    #[test]
    fn cookies_go_back_to_where_they_came_from() {
        let page = "https://kc.example/realms/r/auth";
        for (line, to, expected) in [
            ("a=b", "https://kc.example/realms/r/x", true),
            ("a=b", "https://kc.example/realms/r", true),
            ("a=b", "https://kc.example/realms/rx", false),
            ("a=b", "https://kc.example/", false),
            ("a=b; Path=/", "https://kc.example/", true),
            ("a=b; Path=/", "https://kc.example:444/", true),
            ("a=b; path=/realms/", "https://kc.example/realms/q", true),
            ("a=b; Path=nonsense", "https://kc.example/", false),
            ("a=b; Path=/", "https://other.example/", false),
            ("a=b; Path=/", "https://x.kc.example/", false),
            (
                "a=b; Path=/; Domain=kc.example",
                "https://x.kc.example/",
                false,
            ),
        ] {
            assert_eq!(carried(page, line, to), expected, "{line} to {to}");
        }
    }

    #[test]
    fn a_domain_is_a_suffix_of_the_host_or_the_cookie_is_refused() {
        let page = "https://kc.a.example/";
        for (domain, to, expected) in [
            ("a.example", "https://kc.a.example/", true),
            (".A.Example", "https://matrix.a.example/", true),
            ("a.example", "https://xa.example/", false),
            ("example", "https://kc.a.example/", false),
            ("b.example", "https://b.example/", false),
            ("b.example", "https://kc.a.example/", false),
            ("x.kc.a.example", "https://kc.a.example/", false),
            ("", "https://kc.a.example/", true),
        ] {
            let line = format!("a=b; Domain={domain}; Path=/");
            assert_eq!(carried(page, &line, to), expected, "{domain} to {to}");
        }
        assert!(!carried(
            "https://10.0.0.1/",
            "a=b; Domain=0.0.1",
            "https://10.0.0.1/"
        ));
    }

    #[test]
    fn secure_cookies_go_over_https_and_to_loopback() {
        let line = "a=b; Path=/; Secure; HttpOnly; SameSite=None";
        for (from, to, expected) in [
            ("https://a.example/", "https://a.example/", true),
            ("https://a.example/", "http://a.example/", false),
            ("http://a.example/", "https://a.example/", false),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/", true),
            ("http://[::1]:8080/", "http://[::1]:8080/", true),
            ("http://localhost/", "http://localhost/", true),
            ("http://10.0.0.1/", "http://10.0.0.1/", false),
        ] {
            assert_eq!(carried(from, line, to), expected, "{from} to {to}");
        }
        assert!(carried(
            "http://a.example/",
            "a=b; Path=/",
            "http://a.example/"
        ));
    }

    #[test]
    fn what_is_over_is_deleted() {
        for (attributes, over) in [
            ("Max-Age=0", true),
            ("Max-Age=-1", true),
            ("Max-Age=3600", false),
            ("Max-Age=soon", false),
            ("Max-Age=3600; Expires=Thu, 01 Jan 1970 00:00:10 GMT", false),
            ("Max-Age=0; Expires=Fri, 31 Dec 2100 00:00:00 GMT", true),
            // As Keycloak, Synapse and Netscape write it.
            ("Expires=Thu, 01-Jan-1970 00:00:10 GMT", true),
            ("Expires=Thu, Jan 01 1970 00:00:00 UTC", true),
            ("Expires=Thursday, 01-Jan-70 00:00:00 GMT", true),
            ("Expires=Sat, 21 Nov 2026 11:59:59 GMT", true),
            ("Expires=Sat, 21 Nov 2026 12:00:01 GMT", false),
            ("Expires=Sun, 22-Nov-26 00:00:00 GMT", false),
            ("Expires=yesterday", false),
            ("Expires=99999999999999999999 12:", false),
        ] {
            let mut jar = CookieJar::default();
            store(&mut jar, "https://a.example/", &["a=b", "c=d"]);
            store(
                &mut jar,
                "https://a.example/",
                &[&format!("a=new; {attributes}")],
            );
            let expected = if over { "c=d" } else { "c=d; a=new" };
            assert_eq!(sent(&jar, "https://a.example/"), expected, "{attributes}");
        }
    }

    #[test]
    fn longer_paths_come_first_and_a_new_value_replaces_the_old() {
        let mut jar = CookieJar::default();
        store(
            &mut jar,
            "https://a.example/",
            &["a=1; Path=/", "a=2; Path=/x", "b=3; Path=/", "a=4; Path=/"],
        );
        assert_eq!(sent(&jar, "https://a.example/x/y"), "a=2; b=3; a=4");
    }

    #[test]
    fn a_jar_is_bounded_and_takes_no_rubbish() {
        let mut jar = CookieJar::default();
        let long = format!("long={}", "x".repeat(MAX_COOKIE));
        store(
            &mut jar,
            "https://a.example/",
            &["", ";", "novalue", "=x", &long],
        );
        assert_eq!(sent(&jar, "https://a.example/"), "");
        for number in 0..2 * MAX_COOKIES {
            store(&mut jar, "https://a.example/", &[&format!("n{number}=x")]);
        }
        assert_eq!(jar.0.len(), MAX_COOKIES);
    }

    #[test]
    fn debug_shows_no_value() {
        let mut jar = CookieJar::default();
        store(&mut jar, "https://a.example/", &["a=hunter2"]);
        assert!(!format!("{jar:?}").contains("hunter2"));
    }
}
