//! Pages as Keycloak and Synapse write them, cut down to what matters.

/// The target of Keycloak's forms, as it is written in its pages.
pub(super) const ACTION: &str = "http://127.0.0.1:8080/realms/r/login-actions/authenticate\
    ?session_code=c&amp;execution=e&amp;tab_id=t";

fn keycloak(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html><html class=\"login-pf\" lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>{title}</title><script type=\"module\">if (1 < 2) {{ \"<form id='x'>\" }}</script>\
         </head><body id=\"keycloak-bg\"><h1 id=\"kc-page-title\">\n {title}\n</h1>{content}\
         <form id=\"kc-select-try-another-way-form\" action=\"{ACTION}\" method=\"post\">\
         <input type=\"hidden\" name=\"tryAnotherWay\" value=\"on\"/></form></body></html>"
    )
}

/// The form for user name and password, in the theme `keycloak.v2`.
pub(super) fn login_to(action: &str, problem: &str) -> String {
    let problem = match problem {
        "" => String::new(),
        text => format!(
            "<div id=\"input-error-username\"><span class=\"error\">\n {text}\n</span></div>"
        ),
    };
    keycloak(
        "Sign in to r",
        &format!(
            "<form id=\"kc-form-login\" action=\"{action}\" method=\"post\" novalidate>\
             <input id=\"username\" name=\"username\" value=\"\" type=\"text\" autofocus>\
             <div id=\"input-error-container-username\">{problem}</div>\
             <input id=\"password\" name=\"password\" value=\"\" type=\"password\"/>\
             <input type=\"checkbox\" id=\"rememberMe\" name=\"rememberMe\" />\
             <input type=\"hidden\" id=\"id-hidden-input\" name=\"credentialId\" value=\"x&amp;y\"/>\
             <button name=\"login\" id=\"kc-login\" type=\"submit\">Sign In</button></form>"
        ),
    )
}

/// The form for user name and password with what was wrong, if anything.
pub(super) fn login(problem: &str) -> String {
    login_to(ACTION, problem)
}

/// One of the two forms of a flow that asks for the user name first.
pub(super) fn login_with(field: &str) -> String {
    keycloak(
        "Sign in to r",
        &format!(
            "<form id=\"kc-form-login\" action=\"{ACTION}\" method=\"post\">\
             <input name=\"{field}\" value=\"\"></form>"
        ),
    )
}

/// The form for the one-time password.
pub(super) fn otp(problem: &str) -> String {
    keycloak(
        "Sign in to r",
        &format!(
            "<form id=\"kc-otp-login-form\" action=\"{ACTION}\" method=\"post\">\
             <input id=\"selectedCredentialId\" type=\"hidden\" name=\"selectedCredentialId\" \
             value=\"d1\"><input id=\"otp\" name=\"otp\" value=\"\" type=\"text\">\
             <div id=\"input-error-otp\">{problem}</div>\
             <input name=\"login\" id=\"kc-login\" type=\"submit\" value=\"Sign In\"/></form>"
        ),
    )
}

pub(super) fn consent() -> String {
    keycloak(
        "Grant Access to synapse",
        "<div id=\"kc-oauth\" class=\"content-area\"><h3>Do you grant these?</h3>\
         <form action=\"/realms/r/login-actions/consent\" method=\"POST\">\
         <input type=\"hidden\" name=\"code\" value=\"c\"></form></div>",
    )
}

pub(super) fn update_password() -> String {
    keycloak(
        "Update password",
        "<span class=\"kc-feedback-text\">You need to change your password.</span>\
         <form id=\"kc-passwd-update-form\" method=\"post\">\
         <input type=\"password\" name=\"password-new\"></form>",
    )
}

pub(super) fn error(text: &str) -> String {
    keycloak(
        "We are sorry...",
        &format!(
            "<div id=\"kc-error-message\"><p class=\"instruction\">{text}</p>\
             <p><a id=\"backToApplication\" href=\"/\">Back to Application</a></p></div>"
        ),
    )
}

/// Synapse's page for a redirect that `sso.client_whitelist` does not name.
pub(super) fn synapse_continue(link: &str) -> String {
    format!(
        "<html><head><title>Continue to your account</title></head><body><p>Continuing will \
         grant <strong>localhost</strong> access to your account.</p>\
         <a href=\"{link}\" class=\"primary-button\">Continue</a></body></html>"
    )
}

pub(super) fn synapse_error(code: &str, text: &str) -> String {
    format!(
        "<html><head><title>Authentication failed</title></head><body><div class=\"error_page\">\
         <header><h1>There was an error</h1><p><strong id=\"errormsg\">{text}</strong></p>\
         <p>If you are seeing this page after clicking a link</p><div id=\"error_code\">\
         <p><strong>Error code</strong></p>\n<p>{code}</p></div></header></div></body></html>"
    )
}
