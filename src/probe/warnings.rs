//! Warnings about a server that is unsafe, or will be.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use sendport_core::domain::Timestamp;

use super::event::{Certificate, Warning};

/// A certificate that expires within so many days gets a warning.
pub const SOON_DAYS: i64 = 21;

/// A reply that takes longer gets a warning: Exchange's tarpit takes 5 s.
pub const SLOW: Duration = Duration::from_secs(4);

/// Two or three numbers with dots between them; four are an address.
#[expect(clippy::expect_used, reason = "constant, and compiled by a test")]
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?:^|[^0-9.])[0-9]+[.][0-9]+(?:[.][0-9]+)?(?:[^0-9.]|[.](?:[^0-9]|$)|$)")
        .expect("a constant pattern")
});

/// Suffixes of internal names.
const INSIDE: [&str; 6] = [
    ".local",
    ".lan",
    ".internal",
    ".corp",
    ".intranet",
    ".localdomain",
];

/// Mechanisms that send the password itself.
const SENDING_PASSWORD: [&str; 2] = ["PLAIN", "LOGIN"];

/// The greeting reveals more than it has to.
pub(super) fn of_greeting(text: &str) -> Vec<Warning> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut found = Vec::new();
    if VERSION.is_match(rest) {
        let text = "the greeting reveals the software and its version, which helps attackers";
        found.push(warning("greeting-reveals-version", text));
    }
    let name = name.to_ascii_lowercase();
    if INSIDE.iter().any(|end| name.ends_with(end)) {
        let text = format!(
            "the greeting reveals an internal name, '{name}': external servers cannot verify it"
        );
        found.push(warning("greeting-reveals-internals", text));
    }
    found
}

/// AUTH is offered before TLS. `line` is what follows the code.
pub(super) fn of_cleartext_auth_offer(line: &str) -> Option<Warning> {
    let mut words = line.split_ascii_whitespace();
    if !words.next()?.eq_ignore_ascii_case("AUTH") {
        return None;
    }
    let sending: Vec<String> = words
        .map(str::to_ascii_uppercase)
        .filter(|name| SENDING_PASSWORD.contains(&name.as_str()))
        .collect();
    (!sending.is_empty()).then(|| {
        let text = format!(
            "the server allows AUTH {} before TLS, which would reveal the password to others on the \
             network. sendport does not do this without auth.allow_cleartext_auth",
            sending.join(" and ")
        );
        warning("cleartext-auth-offered", text)
    })
}

/// A secret is sent without TLS.
pub(super) fn of_cleartext_auth(mechanism: &str) -> Warning {
    let text = match SENDING_PASSWORD.contains(&mechanism) || mechanism.contains("AUTH") {
        true => format!(
            "AUTH {mechanism} sends the password or token over an unencrypted connection, which \
             reveals it to others on the network. Set tls = \"starttls\" or \"implicit\""
        ),
        false => format!("AUTH {mechanism} runs over an unencrypted connection"),
    };
    warning("cleartext-auth", text)
}

/// The session is not encrypted.
pub(super) fn of_unencrypted_session(offered: bool) -> Warning {
    let text = match offered {
        true => {
            "the connection is not encrypted although the server offers STARTTLS: set tls = \"starttls\""
        }
        false => "the connection is not encrypted, and the server does not offer STARTTLS here",
    };
    warning("not-encrypted", text)
}

/// Of a version before 1.2 (RFC 8996).
pub(super) fn of_tls_version(version: &str) -> Option<Warning> {
    let current = ["TLSv1.2", "TLSv1.3"].contains(&version);
    (!current).then(|| {
        let text = format!("{version} is deprecated and insecure (RFC 8996); the server should support TLS 1.2 or 1.3");
        warning("old-tls", text)
    })
}

/// A certificate of the chain expires soon, has expired, or is not valid yet.
pub(super) fn of_certificate(certificate: &Certificate, now: Timestamp) -> Option<Warning> {
    let (days, subject) = (certificate.days_left, &certificate.subject);
    if certificate.not_before > now {
        let start = sendport_core::clock::format(certificate.not_before, "%Y-%m-%d %H:%M:%SZ");
        let now = sendport_core::clock::format(now, "%Y-%m-%d %H:%M:%SZ");
        let text = format!(
            "the certificate of '{subject}' is valid from {start} on, and it is {now} by this host's clock"
        );
        return Some(warning("certificate-not-yet-valid", text));
    }
    let end = sendport_core::clock::format(certificate.not_after, "%Y-%m-%d %H:%M:%SZ");
    let text = match days {
        ..0 => format!("the certificate of '{subject}' expired on {end}"),
        0..=SOON_DAYS => format!("the certificate of '{subject}' expires in {days} days, on {end}"),
        _ => return None,
    };
    Some(warning("certificate-expires-soon", text))
}

/// The certificate was not verified.
pub(super) fn of_unchecked_certificate() -> Warning {
    let text = "the server's certificate was not verified, so the server may be an impostor: use tls = \
                \"starttls\" or \"implicit\" with verify_certificate";
    warning("certificate-not-verified", text)
}

/// `NOTIFY` was requested, and the server does not offer DSN.
pub(super) fn of_notify_not_offered() -> Warning {
    let text = "the server does not offer DSN (RFC 3461), so NOTIFY was omitted: it will not report \
                delivery, and may not report failure";
    warning("notify-not-offered", text)
}

/// The server replies slowly.
pub(super) fn of_slow_reply(took: Duration) -> Warning {
    let text = format!(
        "the server took {:.1} s to answer: it delays clients on purpose (a tarpit), its name \
         look-ups time out, or it is overloaded",
        took.as_secs_f64()
    );
    warning("slow-reply", text)
}

/// It accepted an external recipient.
pub(super) fn of_open_relay(recipient: &str) -> Warning {
    let text = format!(
        "the server accepted {recipient} from an unauthenticated client: intended for a trusted \
         network, otherwise an open relay, which spammers find within hours. Repeat the test from \
         outside, and restrict relaying at the server"
    );
    warning("open-relay", text)
}

fn warning(key: &'static str, text: impl Into<String>) -> Warning {
    let text = text.into();
    Warning { key, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(greeting: &str) -> Vec<&'static str> {
        let found = of_greeting(greeting);
        found.into_iter().map(|warning| warning.key).collect()
    }

    #[test]
    fn a_greeting_may_have_name_and_time_but_no_version() {
        for greeting in [
            "mail.contoso.com ESMTP Postfix",
            "mail.contoso.com Microsoft ESMTP MAIL Service ready at Sat, 21 Nov 2026 16:00:00 +0000",
            "[192.0.2.1] ESMTP from 192.0.2.7.",
            "mail",
        ] {
            assert_eq!(keys(greeting), [""; 0], "{greeting}");
        }
        for greeting in [
            "mail.contoso.com ESMTP Exim 4.96 Sat, 21 Nov 2026 16:00:00 +0000",
            "mail.contoso.com ESMTP Sendmail 8.14.4/8.14.4",
            "mail.contoso.com Python SMTP 1.4.6",
            "mail.contoso.com Some 10.2.",
        ] {
            assert_eq!(keys(greeting), ["greeting-reveals-version"], "{greeting}");
        }
        assert_eq!(
            keys("EX01.contoso.local hello"),
            ["greeting-reveals-internals"]
        );
    }

    #[test]
    fn warns_only_of_mechanisms_that_send_the_password() {
        assert!(of_cleartext_auth_offer("AUTH NTLM LOGIN").is_some());
        for line in ["AUTH CRAM-MD5", "SIZE 1", ""] {
            assert_eq!(of_cleartext_auth_offer(line), None, "{line}");
        }
        assert!(of_cleartext_auth("XOAUTH2").text.contains("token"));
    }

    #[test]
    fn warns_of_old_tls_versions() {
        assert_eq!(of_tls_version("TLSv1.2"), None);
        assert!(of_tls_version("TLSv1").is_some());
    }
}
