//! Whether a relay's TLS settings, as they were understood, can work.

use sendport_smtp::settings::relay::SmtpRelay;
use sendport_smtp::settings::tls::TlsMode;

use super::validate::{Problems, section};

pub(super) fn check_tls(name: &str, smtp: &SmtpRelay, found: &mut Problems) {
    let mut add =
        |key: &str, what: &str| found.add(format!("{}.{key}", section("relay", name)), what);
    if smtp.ca_file_only && smtp.ca_file.is_none() {
        add("ca_file_only", "there is no ca_file to trust alone");
    }
    check_pins(smtp, &mut add);
    check_client_certificate(smtp, &mut add);
}

fn check_pins(smtp: &SmtpRelay, add: &mut impl FnMut(&str, &str)) {
    if smtp.pin_sha256.is_empty() {
        return;
    }
    match smtp.tls {
        TlsMode::None => add(
            "pin_sha256",
            "tls is \"none\", so there is no certificate to compare",
        ),
        TlsMode::Opportunistic => add(
            "pin_sha256",
            "tls is \"opportunistic\", which goes on without TLS; set tls = \"starttls\"",
        ),
        TlsMode::Starttls | TlsMode::Implicit => {}
    }
}

fn check_client_certificate(smtp: &SmtpRelay, add: &mut impl FnMut(&str, &str)) {
    let has_password =
        smtp.client_key_password_file.is_some() || smtp.client_key_password_env.is_some();
    if smtp.client_certificate_file.is_none() && (smtp.client_key_file.is_some() || has_password) {
        add(
            "client_certificate_file",
            "there is a client key or its password, but no certificate; name its PEM file",
        );
    }
    if smtp.client_key_password_file.is_some() && smtp.client_key_password_env.is_some() {
        add(
            "client_key_password_file",
            "client_key_password_file and client_key_password_env are given; give one",
        );
    }
    if smtp.client_certificate_file.is_some() && smtp.tls == TlsMode::None {
        add(
            "client_certificate_file",
            "tls is \"none\", so no certificate is shown; set tls = \"starttls\"",
        );
    }
}
