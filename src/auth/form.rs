//! The body of a request that sends an HTML form.

use http::header::HeaderValue;
use url::form_urlencoded::Serializer;

use crate::util::Secret;

/// The media type of [`encode`]'s result.
pub(super) const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/x-www-form-urlencoded");

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
