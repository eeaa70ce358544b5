//! Requests for a page, or with an HTML form.

use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use url::form_urlencoded::Serializer;

use crate::net::{BadUrl, Limits, Request};
use crate::util::Secret;

/// A `POST` of this form, as [`encode`] makes it, or a `GET` without one.
///
/// # Errors
/// `url` cannot be requested.
pub(super) fn request(
    url: &str,
    form: Option<Secret>,
    limits: Limits,
    headers: impl IntoIterator<Item = (HeaderName, &'static str)>,
) -> Result<Request, BadUrl> {
    // The request wipes its body.
    let (method, body) = match &form {
        Some(form) => (Method::POST, form.expose().as_bytes().to_vec()),
        None => (Method::GET, Vec::new()),
    };
    let kind = form.map(|_| (CONTENT_TYPE, "application/x-www-form-urlencoded"));
    let mut request = Request::new(method, url, body, limits)?;
    for (name, value) in headers.into_iter().chain(kind) {
        request = request.header(name, HeaderValue::from_static(value));
    }
    Ok(request)
}

/// Encodes names and values (<https://url.spec.whatwg.org/#urlencoded-serializing>). The
/// buffer is allocated at its full size, a byte becoming three at most: one that grows
/// leaves copies of secrets behind.
pub(super) fn encode<'a>(fields: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Secret {
    let room = fields
        .clone()
        .map(|(name, value)| 3 * (name.len() + value.len()) + "=&".len())
        .sum();
    let mut body = Serializer::new(String::with_capacity(room));
    body.extend_pairs(fields);
    Secret::new(body.finish())
}
