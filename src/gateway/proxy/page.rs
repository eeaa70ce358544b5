//! The page that is shown while a target starts. It works without scripts, loads nothing
//! from elsewhere, and shows nothing that the request said.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use ring::digest::{SHA256, digest};

/// The largest page in bytes.
#[cfg(test)]
const MAX_PAGE: usize = 4 * 1024;

/// The longest reason that is shown, in characters.
const MAX_REASON: usize = 200;

/// The seconds after which a browser without scripts asks again.
pub(super) const REFRESH: u64 = 5;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}\
main{max-width:28rem;padding:2rem;text-align:center}\
h1{font-size:1.4rem;font-weight:600;margin:1rem 0 .5rem}\
p{margin:.5rem 0;opacity:.75}\
i{display:inline-block;width:2.5rem;height:2.5rem;border:.25rem solid;border-color:currentColor transparent;border-radius:50%;opacity:.6;animation:t 1.6s linear infinite}\
@keyframes t{to{transform:rotate(1turn)}}\
@media(prefers-reduced-motion:reduce){i{animation:none}}";

/// Follows the target and loads the page again when it is there, and later where it is not on
/// its way: that asks for it again.
const SCRIPT: &str = "\
(function(){var d=document,p=d.getElementById('s'),n=0,t;\
function again(){location.reload()}\
if(!p||!window.EventSource){setTimeout(again,5000);return}\
function follow(){var e=new EventSource('/.gateway/status');\
e.addEventListener('ready',function(){e.close();again()});\
e.onmessage=function(m){n=0;var v=JSON.parse(m.data);p.textContent=v.reason||v.phase;\
clearTimeout(t);if(!/^sto|^sta/.test(v.phase))t=setTimeout(again,5000)};\
e.onerror=function(){if(e.readyState===2||++n>3){e.close();setTimeout(again,5000)}}}\
follow()})();";

/// The page. `is_coming` is whether the target is on its way; `told` is what whoever may see
/// the status is told, None for others.
pub(super) fn page(is_coming: bool, told: Option<&str>) -> String {
    let mut page = String::with_capacity(3 * 1024);
    page.push_str(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta name=robots content=noindex>\
         <noscript><meta http-equiv=refresh content=5></noscript>\
         <title>Please wait</title><style>",
    );
    page.push_str(STYLE);
    page.push_str("</style></head><body><main>");
    page.push_str(if is_coming {
        "<i></i><h1>This is starting up</h1>\
         <p>It was asleep and is being woken. This page goes on by itself.</p>"
    } else {
        "<h1>This is not running</h1>\
         <p>It cannot be woken right now. This page tries again by itself.</p>"
    });
    if let Some(told) = told {
        page.push_str("<p id=s role=status>");
        for c in told.chars().take(MAX_REASON) {
            match c {
                '<' => page.push_str("&lt;"),
                '>' => page.push_str("&gt;"),
                '&' => page.push_str("&amp;"),
                c if c.is_control() => page.push(' '),
                c => page.push(c),
            }
        }
        page.push_str("</p>");
    }
    page.push_str("</main><script>");
    page.push_str(SCRIPT);
    page.push_str("</script></body></html>\n");
    page
}

/// The policy under which the page works and nothing else does.
pub(super) fn policy() -> (http::HeaderName, HeaderValue) {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    let policy = POLICY.get_or_init(|| {
        let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
            hash(STYLE),
            hash(SCRIPT)
        );
        HeaderValue::from_str(&policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
    });
    (CONTENT_SECURITY_POLICY, policy.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_loads_nothing() {
        let long = "&".repeat(10_000);
        let largest = page(true, Some(&long));
        assert!(largest.len() <= MAX_PAGE, "{}", largest.len());
        for foreign in ["http:", "https:", "//", "src=", "href=", "@import", "url("] {
            assert!(!largest.contains(foreign), "{foreign}");
        }
        assert!(largest.contains("<noscript><meta http-equiv=refresh"));
    }

    #[test]
    fn what_is_told_is_text() {
        let page = page(false, Some("<script>alert('&')</script>\u{7}"));
        assert!(page.contains("&lt;script&gt;alert('&amp;')&lt;/script&gt; </p>"));
        assert!(!super::page(true, None).contains("id=s"));
    }

    #[test]
    fn the_policy_names_the_hashes_of_what_the_page_has() {
        let (name, policy) = policy();
        assert_eq!(name, "content-security-policy");
        let policy = policy.to_str().unwrap();
        let page = page(true, None);
        for (open, close, directive) in [
            ("<style>", "</style>", "style-src"),
            ("<script>", "</script>", "script-src"),
        ] {
            let start = page.find(open).unwrap() + open.len();
            let end = start + page[start..].find(close).unwrap();
            let hash = STANDARD.encode(digest(&SHA256, &page.as_bytes()[start..end]));
            assert!(
                policy.contains(&format!("{directive} 'sha256-{hash}'")),
                "{policy}"
            );
        }
        assert!(!policy.contains("unsafe"));
    }
}
