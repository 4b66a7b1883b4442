//! Checks the authentication of a relay's section.

use sendport_smtp::settings::auth::{AuthConfig, AuthMechanism};
use sendport_smtp::settings::relay::SmtpRelay;
use sendport_smtp::settings::tls::TlsMode;

use super::validate::{Problems, section};

pub(super) fn check_auth(name: &str, smtp: &SmtpRelay, found: &mut Problems) {
    let mut add =
        |key: &str, what: &str| found.add(format!("{}.auth.{key}", section("relay", name)), what);
    let auth = &smtp.auth;
    if auth.mechanism != AuthMechanism::Gssapi {
        check_no_ticket(auth, &mut add);
    }
    match auth.mechanism {
        AuthMechanism::None => check_none(auth, &mut add),
        AuthMechanism::Gssapi => check_gssapi(auth, &mut add),
        AuthMechanism::External => check_external(smtp, &mut add),
        _ => {
            check_username(auth, &mut add);
            check_password(auth, &mut add);
            check_token(auth, &mut add);
            check_cleartext(smtp, &mut add);
        }
    }
}

fn check_none(auth: &AuthConfig, add: &mut impl FnMut(&str, &str)) {
    if auth.passwords() > 0 || auth.username.is_some() || auth.oauth2.is_some() {
        add(
            "mechanism",
            "there is a username, a password or a section oauth2, but mechanism is \"none\"; write \
             \"auto\"",
        );
    }
}

fn check_gssapi(auth: &AuthConfig, add: &mut impl FnMut(&str, &str)) {
    if let Some(why) = AuthMechanism::NO_GSSAPI {
        add("mechanism", why);
    }
    if auth.passwords() > 0 {
        add(
            "mechanism",
            "\"gssapi\" authenticates with a ticket for the keys of keytab_file; remove the \
             password",
        );
    }
    if auth.username.is_some() {
        add(
            "username",
            "with \"gssapi\" the key principal names the user; write principal = \"name@REALM\"",
        );
    }
}

fn check_no_ticket(auth: &AuthConfig, add: &mut impl FnMut(&str, &str)) {
    let keys = [
        ("keytab_file", auth.keytab_file.is_some()),
        ("principal", auth.principal.is_some()),
    ];
    for (key, _) in keys.iter().filter(|(_, given)| *given) {
        add(key, "it is for Kerberos; write mechanism = \"gssapi\"");
    }
}

fn check_external(smtp: &SmtpRelay, add: &mut impl FnMut(&str, &str)) {
    if smtp.auth.passwords() > 0 {
        add(
            "mechanism",
            "\"external\" authenticates with the client certificate alone; remove the password",
        );
    }
    if smtp.client_certificate_file.is_none() {
        add(
            "mechanism",
            "\"external\" authenticates with a client certificate; set client_certificate_file",
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
    let token_will_do = match auth.mechanism {
        AuthMechanism::Auto => auth.oauth2.is_some(),
        mechanism => mechanism.needs_token(),
    };
    if given > 1 || given == 0 && !token_will_do {
        add(
            "password_file",
            &format!("{given} of password, password_file and password_env are given; give one"),
        );
    }
}

fn check_token(auth: &AuthConfig, add: &mut impl FnMut(&str, &str)) {
    if auth.mechanism.needs_token() && auth.oauth2.is_none() {
        add(
            "oauth2",
            "there is none; the mechanism needs an access token: write the section, with source = \
             \"client_credentials\", \"refresh_token\", \"file\" or \"command\"",
        );
    }
    if auth.mechanism.needs_password() && auth.oauth2.is_some() {
        add(
            "oauth2",
            "the mechanism authenticates with a password and would never use it; write mechanism = \
             \"xoauth2\" or \"auto\", or remove the section",
        );
    }
}

fn check_cleartext(smtp: &SmtpRelay, add: &mut impl FnMut(&str, &str)) {
    let auth = &smtp.auth;
    if smtp.tls == TlsMode::None && auth.mechanism.shows_secret() && !auth.allow_cleartext_auth {
        add(
            "allow_cleartext_auth",
            "tls is \"none\", so the password or token would be sent unencrypted; set tls = \
             \"starttls\", or a mechanism that does not show it (\"scram-sha-256\", \"cram-md5\", \
             \"ntlm\"), or, if you accept it, allow_cleartext_auth = true",
        );
    }
}
