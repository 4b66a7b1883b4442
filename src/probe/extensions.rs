//! The meaning of the extensions that a server offers in its reply to `EHLO`.

use sendport_core::domain::ServerLimits;

/// Keyword, and its meaning for a sender of mail.
const MEANINGS: &[(&str, &str)] = &[
    (
        "8BITMIME",
        "accepts bytes above 127 in the content (RFC 6152)",
    ),
    (
        "ATRN",
        "delivers the queued mail of a domain on request (RFC 2645); not for senders",
    ),
    (
        "BINARYMIME",
        "accepts binary content (RFC 3030); sendport does not use it",
    ),
    (
        "BURL",
        "fetches content from IMAP (RFC 4468); sendport does not use it",
    ),
    (
        "CHECKPOINT",
        "resumes after a broken connection (RFC 1845); sendport does not use it",
    ),
    ("CHUNKING", "accepts content in chunks, BDAT (RFC 3030)"),
    (
        "DELIVERBY",
        "accepts a deadline for delivery (RFC 2852); sendport does not use it",
    ),
    (
        "DSN",
        "reports delivery and failure on request: NOTIFY, RET, ENVID (RFC 3461)",
    ),
    (
        "ENHANCEDSTATUSCODES",
        "gives reasons in three numbers, such as 5.1.1 (RFC 2034)",
    ),
    (
        "ETRN",
        "starts the queue of a domain on request (RFC 1985); not for senders",
    ),
    (
        "EXPN",
        "lists the members of a mailing list (RFC 5321): better disabled",
    ),
    (
        "FUTURERELEASE",
        "can delay mail until a time (RFC 4865); sendport does not use it",
    ),
    ("HELP", "answers HELP (RFC 5321)"),
    (
        "MT-PRIORITY",
        "supports priorities of messages (RFC 6710); sendport does not use it",
    ),
    (
        "NO-SOLICITING",
        "rejects some kinds of advertisements (RFC 3865)",
    ),
    (
        "PIPELINING",
        "accepts several commands at a time (RFC 2920): faster",
    ),
    (
        "PIPECONNECT",
        "accepts commands before its greeting (Exim); sendport does not use it",
    ),
    (
        "PIPE_CONNECT",
        "accepts commands before its greeting (Exim); sendport does not use it",
    ),
    (
        "PRDR",
        "replies for each recipient after the content (Exim); sendport does not use it",
    ),
    (
        "REQUIRETLS",
        "can require TLS at every hop (RFC 8689); sendport does not use it",
    ),
    ("SMTPUTF8", "accepts addresses beyond ASCII (RFC 6531)"),
    ("STARTTLS", "can switch to TLS (RFC 3207)"),
    (
        "SUBMITTER",
        "accepts the responsible submitter (RFC 4405); sendport does not use it",
    ),
    ("TURN", "would swap the roles: a risk, removed by RFC 5321"),
    ("VRFY", "may confirm whether a mailbox exists (RFC 5321)"),
    (
        "X-ANONYMOUSTLS",
        "TLS between Exchange servers; not for others",
    ),
    (
        "X-EXPS",
        "authentication between Exchange servers; not for others",
    ),
    (
        "XCLIENT",
        "a proxy may pass the client's address on (Postfix): this host is trusted as a proxy",
    ),
    (
        "XEXCH50",
        "data between old Exchange servers; not for others",
    ),
    (
        "XFORWARD",
        "a filter may pass the client's address on (Postfix): this host is trusted as a filter",
    ),
    (
        "XOORG",
        "names the organisation between Exchange servers; not for others",
    ),
    (
        "XPROXY",
        "Exchange's front end acts for a client; not for others",
    ),
    (
        "XRDST",
        "routing within an Exchange organisation; not for others",
    ),
    ("XSHADOW", "shadow redundancy of Exchange; not for others"),
];

/// The meaning of a line of the reply to `EHLO`, without its code: `SIZE 35882577`.
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
        None => "accepts the size of a message in advance (RFC 1870)".to_owned(),
        Some(0) => "accepts the size in advance and has no limit of its own (RFC 1870)".to_owned(),
        Some(limit @ ..1_048_576) => format!("accepts messages of up to {limit} bytes (RFC 1870)"),
        Some(limit) => {
            let tenths = limit * 10 / (1 << 20);
            format!(
                "accepts messages of up to {}.{} MiB (RFC 1870)",
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
        false => format!("accepts at most {} (RFC 9422)", known.join(", ")),
    }
}

/// RFC 4954.
fn authentications(mechanisms: &[&str]) -> String {
    let explained: Vec<_> = mechanisms
        .iter()
        .map(|name| format!("{name} ({})", mechanism(&name.to_ascii_uppercase())))
        .collect();
    match explained.is_empty() {
        true => "offers AUTH without a mechanism".to_owned(),
        false => format!("mechanisms: {}", explained.join(", ")),
    }
}

fn mechanism(name: &str) -> &'static str {
    match name {
        "PLAIN" | "LOGIN" => "plain password",
        "XOAUTH2" | "OAUTHBEARER" => "access token",
        "CRAM-MD5" | "DIGEST-MD5" => "password hashed, outdated",
        "NTLM" => "Windows password",
        "GSSAPI" => "Kerberos ticket",
        "EXTERNAL" => "client certificate",
        "ANONYMOUS" => "no proof",
        _ if name.starts_with("SCRAM-") => "password not sent",
        _ => "unknown to sendport",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply of Exchange in the telnet session of its manual.
    #[test]
    fn explains_all_extensions_of_exchange() {
        let offered = "SIZE 37748736|PIPELINING|DSN|ENHANCEDSTATUSCODES|STARTTLS|X-ANONYMOUSTLS|\
                       AUTH NTLM|X-EXPS GSSAPI NTLM|8BITMIME|BINARYMIME|CHUNKING|XRDST|SMTPUTF8";
        for line in offered.split('|') {
            assert!(!meaning(line).contains("does not know"), "{line}");
        }
        assert_eq!(
            meaning("SIZE 37748736"),
            "accepts messages of up to 36.0 MiB (RFC 1870)"
        );
        assert!(meaning("SIZE 1000").contains("1000 bytes"));
        assert!(meaning("size 0").contains("no limit"));
        assert!(meaning("auth plain GSSAPI").contains("GSSAPI (Kerberos ticket)"));
        assert_eq!(
            meaning("LIMITS MAILMAX=5 RCPTMAX=100 X=1"),
            "accepts at most 5 messages on a connection, 100 recipients of a message (RFC 9422)"
        );
        assert!(meaning("LIMITS RCPTMAX=0").contains("none of which"));
        assert!(meaning("X-UNKNOWN").contains("does not know"));
    }

    #[test]
    fn keywords_are_sorted_and_unique() {
        assert!(MEANINGS.is_sorted_by(|a, b| a.0 < b.0 || a.0 == "PIPELINING"));
    }
}
