//! Whether a relay's sign-in, as it was understood, can work.

use super::auth::{AuthConfig, AuthMechanism};
use super::relay::SmtpRelay;
use super::tls::TlsMode;
use super::validate::Problems;

pub(super) fn check_auth(name: &str, smtp: &SmtpRelay, found: &mut Problems) {
    let mut add = |key: &str, what: &str| found.add(format!("relay.{name}.auth.{key}"), what);
    let auth = &smtp.auth;
    match auth.mechanism {
        AuthMechanism::None => check_none(auth, &mut add),
        AuthMechanism::Gssapi => add("mechanism", AuthMechanism::NO_GSSAPI),
        AuthMechanism::External => check_external(smtp, &mut add),
        _ => {
            check_username(auth, &mut add);
            check_password(auth, &mut add);
            check_cleartext(smtp, &mut add);
        }
    }
}

fn check_none(auth: &AuthConfig, add: &mut impl FnMut(&str, &str)) {
    if auth.passwords() > 0 || auth.username.is_some() {
        add(
            "mechanism",
            "there is a username or password, but mechanism is \"none\"; write \"auto\"",
        );
    }
}

fn check_external(smtp: &SmtpRelay, add: &mut impl FnMut(&str, &str)) {
    if smtp.auth.passwords() > 0 {
        add(
            "mechanism",
            "\"external\" signs in with the client certificate alone; remove the password",
        );
    }
    if smtp.client_certificate_file.is_none() {
        add(
            "mechanism",
            "\"external\" signs in with a client certificate; set client_certificate_file",
        );
    }
    if smtp.tls == TlsMode::None {
        add(
            "mechanism",
            "\"external\" needs a client certificate, and tls is \"none\"; set tls = \"starttls\"",
        );
    }
}

fn check_username(auth: &AuthConfig, add: &mut impl FnMut(&str, &str)) {
    if auth.username.as_deref().is_none_or(str::is_empty) {
        add("username", "there is none; the mechanism needs it");
    }
}

fn check_password(auth: &AuthConfig, add: &mut impl FnMut(&str, &str)) {
    let given = auth.passwords();
    if given > 1 || given == 0 && !auth.mechanism.needs_token() {
        add(
            "password_file",
            &format!("{given} of password, password_file and password_env are given; give one"),
        );
    }
}

fn check_cleartext(smtp: &SmtpRelay, add: &mut impl FnMut(&str, &str)) {
    let auth = &smtp.auth;
    if smtp.tls == TlsMode::None && auth.mechanism.shows_secret() && !auth.allow_cleartext_auth {
        add(
            "allow_cleartext_auth",
            "tls is \"none\", so the password or token would travel in clear; set tls = \
             \"starttls\", or a mechanism that does not show it (\"scram-sha-256\", \"cram-md5\", \
             \"ntlm\"), or, if you accept it, allow_cleartext_auth = true",
        );
    }
}
