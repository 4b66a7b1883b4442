//! What the extensions mean that a server offers in its reply to `EHLO`.

use crate::domain::ServerLimits;

/// Keyword, and what it means to who sends mail.
const MEANINGS: &[(&str, &str)] = &[
    (
        "8BITMIME",
        "takes octets above 127 in the content (RFC 6152)",
    ),
    (
        "ATRN",
        "hands over the mail of a domain when asked (RFC 2645); not for senders",
    ),
    (
        "BINARYMIME",
        "takes content that has no lines (RFC 3030); sendport does not use it",
    ),
    (
        "BURL",
        "fetches content from IMAP (RFC 4468); sendport does not use it",
    ),
    (
        "CHECKPOINT",
        "goes on after a broken connection (RFC 1845); sendport does not use it",
    ),
    (
        "CHUNKING",
        "takes content without asking first, BDAT (RFC 3030)",
    ),
    (
        "DELIVERBY",
        "can be told by when to deliver (RFC 2852); sendport does not use it",
    ),
    (
        "DSN",
        "tells of delivery and failure when asked: NOTIFY, RET, ENVID (RFC 3461)",
    ),
    (
        "ENHANCEDSTATUSCODES",
        "says why in three numbers, such as 5.1.1 (RFC 2034)",
    ),
    (
        "ETRN",
        "starts the queue of a domain when asked (RFC 1985); not for senders",
    ),
    (
        "EXPN",
        "tells who is on a list (RFC 5321): better switched off",
    ),
    (
        "FUTURERELEASE",
        "can hold mail back (RFC 4865); sendport does not use it",
    ),
    ("HELP", "answers HELP (RFC 5321)"),
    (
        "MT-PRIORITY",
        "knows priorities of messages (RFC 6710); sendport does not use it",
    ),
    (
        "NO-SOLICITING",
        "does not want advertisements of some kinds (RFC 3865)",
    ),
    (
        "PIPELINING",
        "takes several commands at a time (RFC 2920): faster",
    ),
    (
        "PIPECONNECT",
        "takes commands before its greeting (Exim); sendport does not use it",
    ),
    (
        "PIPE_CONNECT",
        "takes commands before its greeting (Exim); sendport does not use it",
    ),
    (
        "PRDR",
        "answers for each recipient after the content (Exim); sendport does not use it",
    ),
    (
        "REQUIRETLS",
        "can be told to pass mail on encrypted only (RFC 8689); sendport does not use it",
    ),
    ("SMTPUTF8", "takes addresses that are not ASCII (RFC 6531)"),
    ("STARTTLS", "can encrypt from here on (RFC 3207)"),
    (
        "SUBMITTER",
        "can be told who is responsible (RFC 4405); sendport does not use it",
    ),
    (
        "TURN",
        "would turn the roles round: a risk, switched off by RFC 5321",
    ),
    ("VRFY", "may tell whether a mailbox exists (RFC 5321)"),
    (
        "X-ANONYMOUSTLS",
        "Exchange encrypts between its own servers; not for others",
    ),
    (
        "X-EXPS",
        "how Exchange servers sign in to each other; not for others",
    ),
    (
        "XCLIENT",
        "a proxy may say whose connection it is (Postfix): you are trusted as a proxy",
    ),
    (
        "XEXCH50",
        "what old Exchange servers tell each other; not for others",
    ),
    (
        "XFORWARD",
        "a filter may say whose mail it is (Postfix): you are trusted as a filter",
    ),
    (
        "XOORG",
        "Exchange servers of one organisation name it; not for others",
    ),
    (
        "XPROXY",
        "Exchange's front end speaks for a client; not for others",
    ),
    (
        "XRDST",
        "Exchange routes within its own organisation; not for others",
    ),
    ("XSHADOW", "Exchange keeps second copies; not for others"),
];

/// What a line of the reply to `EHLO` means, without its code: `SIZE 35882577`.
pub(super) fn meaning(line: &str) -> String {
    let mut words = line.split_ascii_whitespace();
    let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
    let parameters: Vec<&str> = words.collect();
    match keyword.as_str() {
        "SIZE" => size(parameters.first().copied()),
        "AUTH" => authentications(&parameters),
        "LIMITS" => limits(&parameters),
        _ if keyword.starts_with("AUTH=") => "AUTH again, for clients of before 1999".to_owned(),
        _ => {
            let known = MEANINGS.iter().find(|(known, _)| *known == keyword);
            known.map_or_else(
                || "an extension that sendport does not know".to_owned(),
                |(_, meaning)| (*meaning).to_owned(),
            )
        }
    }
}

/// RFC 1870.
fn size(limit: Option<&str>) -> String {
    match limit.and_then(|limit| limit.parse::<u64>().ok()) {
        None => "wants to know the size of a message beforehand (RFC 1870)".to_owned(),
        Some(0) => {
            "wants to know the size beforehand and has no limit of its own (RFC 1870)".to_owned()
        }
        Some(limit @ ..1_048_576) => format!("takes messages of up to {limit} octets (RFC 1870)"),
        Some(limit) => {
            let tenths = limit * 10 / (1 << 20);
            format!(
                "takes messages of up to {}.{} MiB (RFC 1870)",
                tenths / 10,
                tenths % 10
            )
        }
    }
}

/// RFC 9422.
fn limits(parameters: &[&str]) -> String {
    let limits = ServerLimits::parse(parameters.iter().copied());
    let known = [
        (limits.mails, "messages on a connection"),
        (limits.recipients, "recipients of a message"),
        (
            limits.recipient_domains,
            "domains of recipients on a connection",
        ),
    ];
    let known = known.map(|(limit, of)| Some(format!("{} {of}", limit?)));
    let known: Vec<_> = known.into_iter().flatten().collect();
    match known.is_empty() {
        true => "announces limits, none of which sendport knows (RFC 9422)".to_owned(),
        false => format!("takes at most {} (RFC 9422)", known.join(", ")),
    }
}

/// RFC 4954.
fn authentications(mechanisms: &[&str]) -> String {
    let explained: Vec<_> = mechanisms
        .iter()
        .map(|name| format!("{name} ({})", mechanism(&name.to_ascii_uppercase())))
        .collect();
    match explained.is_empty() {
        true => "offers AUTH without any way to sign in".to_owned(),
        false => format!("ways to sign in: {}", explained.join(", ")),
    }
}

fn mechanism(name: &str) -> &'static str {
    match name {
        "PLAIN" | "LOGIN" => "password as it is",
        "XOAUTH2" | "OAUTHBEARER" => "access token",
        "CRAM-MD5" | "DIGEST-MD5" => "password hashed, outdated",
        "NTLM" => "Windows, by password",
        "GSSAPI" => "Kerberos ticket",
        "EXTERNAL" => "client certificate",
        "ANONYMOUS" => "no proof",
        _ if name.starts_with("SCRAM-") => "password never shown",
        _ => "not known to sendport",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Exchange shows in the telnet session of its manual.
    #[test]
    fn everything_that_exchange_offers_is_explained() {
        let offered = "SIZE 37748736|PIPELINING|DSN|ENHANCEDSTATUSCODES|STARTTLS|X-ANONYMOUSTLS|\
                       AUTH NTLM|X-EXPS GSSAPI NTLM|8BITMIME|BINARYMIME|CHUNKING|XRDST|SMTPUTF8";
        for line in offered.split('|') {
            assert!(!meaning(line).contains("does not know"), "{line}");
        }
        assert_eq!(
            meaning("SIZE 37748736"),
            "takes messages of up to 36.0 MiB (RFC 1870)"
        );
        assert!(meaning("SIZE 1000").contains("1000 octets"));
        assert!(meaning("size 0").contains("no limit"));
        assert!(meaning("auth plain GSSAPI").contains("GSSAPI (Kerberos ticket)"));
        assert_eq!(
            meaning("LIMITS MAILMAX=5 RCPTMAX=100 X=1"),
            "takes at most 5 messages on a connection, 100 recipients of a message (RFC 9422)"
        );
        assert!(meaning("LIMITS RCPTMAX=0").contains("none of which"));
        assert!(meaning("X-UNKNOWN").contains("does not know"));
    }

    #[test]
    fn the_keywords_are_in_order_and_once() {
        assert!(MEANINGS.is_sorted_by(|a, b| a.0 < b.0 || a.0 == "PIPELINING"));
    }
}
