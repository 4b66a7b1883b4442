//! What is unsafe, seen from the outside.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use super::event::{Certificate, Warning};
use crate::domain::Timestamp;

/// A certificate that ends within so many days is spoken of.
pub const SOON_DAYS: i64 = 21;

/// A reply that takes longer is spoken of: Exchange's tarpit takes 5 s.
pub const SLOW: Duration = Duration::from_secs(4);

/// Two or three numbers with dots between them; four are an address.
#[expect(clippy::expect_used, reason = "constant, and compiled by a test")]
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?:^|[^0-9.])[0-9]+[.][0-9]+(?:[.][0-9]+)?(?:[^0-9.]|[.](?:[^0-9]|$)|$)")
        .expect("a constant pattern")
});

/// Ends of names that mean nothing outside.
const INSIDE: [&str; 6] = [
    ".local",
    ".lan",
    ".internal",
    ".corp",
    ".intranet",
    ".localdomain",
];

/// Sign-ins that show the password to who reads the wire.
const SHOWING: [&str; 2] = ["PLAIN", "LOGIN"];

/// The greeting says more than it has to.
pub(super) fn of_greeting(text: &str) -> Vec<Warning> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut found = Vec::new();
    if VERSION.is_match(rest) {
        let text = "the greeting tells which version of which software runs here: it helps \
                    attackers, and nobody else needs it";
        found.push(warning("greeting-reveals-version", text));
    }
    let name = name.to_ascii_lowercase();
    if INSIDE.iter().any(|end| name.ends_with(end)) {
        let text = format!(
            "the greeting tells a name of the inside, '{name}': servers outside cannot check it"
        );
        found.push(warning("greeting-reveals-internals", text));
    }
    found
}

/// AUTH is offered before anything is encrypted. `line` is what follows the code.
pub(super) fn of_offer_in_clear(line: &str) -> Option<Warning> {
    let mut words = line.split_ascii_whitespace();
    if !words.next()?.eq_ignore_ascii_case("AUTH") {
        return None;
    }
    let showing: Vec<String> = words
        .map(str::to_ascii_uppercase)
        .filter(|name| SHOWING.contains(&name.as_str()))
        .collect();
    (!showing.is_empty()).then(|| {
        let text = format!(
            "the server lets clients sign in by {} before the connection is encrypted: whoever \
             reads the wire would have the password. sendport does not do so unless \
             auth.allow_cleartext_auth says so",
            showing.join(" and ")
        );
        warning("cleartext-auth-offered", text)
    })
}

/// A secret goes over the wire as it is.
pub(super) fn of_authentication_in_clear(mechanism: &str) -> Warning {
    let text = match SHOWING.contains(&mechanism) || mechanism.contains("AUTH") {
        true => format!(
            "by {mechanism} the password or token goes over a connection that is not encrypted: \
             whoever reads the wire has it. Set tls = \"starttls\" or \"implicit\""
        ),
        false => format!("{mechanism} goes over a connection that is not encrypted"),
    };
    warning("cleartext-auth", text)
}

/// Nothing at all is encrypted.
pub(super) fn of_clear_text(offered: bool) -> Warning {
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
        let text = format!("{version} is outdated and can be broken (RFC 8996); the server should do TLS 1.2 or 1.3");
        warning("old-tls", text)
    })
}

/// A certificate of the chain ends soon, has ended, or does not count yet.
pub(super) fn of_certificate(certificate: &Certificate, now: Timestamp) -> Option<Warning> {
    let (days, subject) = (certificate.days_left, &certificate.subject);
    if certificate.not_before > now {
        let start = certificate.not_before.format("%Y-%m-%d %H:%M:%SZ");
        let now = now.format("%Y-%m-%d %H:%M:%SZ");
        let text = format!(
            "the certificate of '{subject}' is valid from {start} on, and it is {now} by this host's clock"
        );
        return Some(warning("certificate-not-yet-valid", text));
    }
    let end = certificate.not_after.format("%Y-%m-%d %H:%M:%SZ");
    let text = match days {
        ..0 => format!("the certificate of '{subject}' ended on {end}"),
        0..=SOON_DAYS => format!("the certificate of '{subject}' ends in {days} days, on {end}"),
        _ => return None,
    };
    Some(warning("certificate-expires-soon", text))
}

/// Nobody looked whether the certificate is the right one.
pub(super) fn of_unchecked_certificate() -> Warning {
    let text = "the server's certificate was not checked, so it could be anybody's: use tls = \
                \"starttls\" or \"implicit\" with verify_certificate";
    warning("certificate-not-checked", text)
}

/// `NOTIFY` was asked for and could not be said.
pub(super) fn of_notify_not_offered() -> Warning {
    let text = "the server does not offer DSN (RFC 3461), so NOTIFY was left out: it will not tell \
                of delivery, and of failure only as it pleases";
    warning("notify-not-offered", text)
}

/// The server lets clients wait.
pub(super) fn of_slow_reply(took: Duration) -> Warning {
    let text = format!(
        "the server took {:.1} s to answer: it slows clients down on purpose (a tarpit), looks up \
         names that nobody answers for, or has too much to do",
        took.as_secs_f64()
    );
    warning("slow-reply", text)
}

/// It took somebody else's recipient.
pub(super) fn of_open_relay(recipient: &str) -> Warning {
    let text = format!(
        "the server took {recipient} from a client that had not signed in: from a network that \
         it trusts that is meant so, from any other it is an open relay, which spammers find within \
         hours. Ask again from outside, and restrict relaying at the server"
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
    fn a_greeting_may_tell_its_name_and_the_time_and_no_version() {
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
    fn only_authentications_that_show_the_password_are_spoken_of() {
        assert!(of_offer_in_clear("AUTH NTLM LOGIN").is_some());
        for line in ["AUTH CRAM-MD5", "SIZE 1", ""] {
            assert_eq!(of_offer_in_clear(line), None, "{line}");
        }
        assert!(of_authentication_in_clear("XOAUTH2").text.contains("token"));
    }

    #[test]
    fn old_versions_of_tls_are_spoken_of() {
        assert_eq!(of_tls_version("TLSv1.2"), None);
        assert!(of_tls_version("TLSv1").is_some());
    }
}
