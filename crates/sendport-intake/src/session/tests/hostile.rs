//! Clients that mean harm.

use super::*;

const ENVELOPE: &str = "EHLO x\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<a@x.test>\r\n";
const SMUGGLED: &str =
    "MAIL FROM:<evil@contoso.com>\r\nRCPT TO:<evil@x.test>\r\nDATA\r\nevil\r\n.\r\n";

/// Content with a bare line end is refused after its end, and nothing behind it is read.
#[tokio::test]
async fn a_second_message_cannot_be_smuggled() {
    let ends = [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\n.\r",
        "\r\r\n.\r\n",
        "\r\n.\r\r\n",
    ];
    for end in ends {
        let server = Server::new("");
        let input =
            format!("{ENVELOPE}DATA\r\nSubject: x\r\n\r\nfirst{end}{SMUGGLED}\r\n.\r\n{SMUGGLED}");
        let replies = server.replies(input.as_bytes()).await;
        let messages = server.messages();
        for message in &messages {
            assert_eq!(
                message.envelope.reverse_path.as_str(),
                "a@contoso.com",
                "{end:?} {replies:?}"
            );
        }
        let refused = replies
            .iter()
            .any(|reply| reply.starts_with("550 5.5.2 bare") || reply.starts_with("550 5.6.0"));
        assert!(refused && messages.is_empty(), "{end:?} {replies:?}");
    }
    for chunk in ["a\nb", "a\rb", "\n", "a\r"] {
        let server = Server::new("");
        let input = format!("{ENVELOPE}BDAT {} LAST\r\n{chunk}{SMUGGLED}", chunk.len());
        let replies = server.replies(input.as_bytes()).await;
        assert!(
            replies.last().unwrap().starts_with("550 5.5.2 bare"),
            "{chunk:?} {replies:?}"
        );
        assert!(server.messages().is_empty());
    }
}

#[tokio::test]
async fn a_command_with_a_bare_line_end_ends_the_session() {
    for line in [
        "NOOP\n",
        "NOOP\rRSET\r\n",
        "\n",
        "MAIL FROM:<a@contoso.com>\n",
        "\r\r\n",
    ] {
        let server = Server::new("");
        let replies = server
            .replies(format!("EHLO x\r\n{line}NOOP\r\n").as_bytes())
            .await;
        let last = replies.last().unwrap();
        assert!(last.starts_with("500 5.5.2 bare "), "{line:?} {replies:?}");
    }
}

/// A page in a browser on this host could send such requests to a port that trusts this host.
#[tokio::test]
async fn a_request_of_a_browser_ends_the_session() {
    let server = Server::new("");
    let input = format!("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nEHLO x\r\n{SMUGGLED}");
    let replies = server.replies(input.as_bytes()).await;
    assert_eq!(replies, ["421 4.7.0 this is an SMTP server"]);
    assert!(server.messages().is_empty());
}

#[tokio::test]
async fn errors_and_idle_commands_have_an_end() {
    let server = Server::new("max_errors = 3");
    let replies = server.lines(&["X"; 10]).await;
    assert_eq!(replies.len(), 5, "{replies:?}");
    assert_eq!(replies[4], "421 4.7.0 too many errors");
    let server = Server::new("");
    let replies = server.lines(&["NOOP"; 600]).await;
    assert_eq!(replies.len(), 501);
    assert!(replies[500].starts_with("421 4.7.0 too many commands"));
    // An accepted message begins anew.
    let server = Server::new("max_errors = 3");
    let message = format!("X\r\nX\r\nX\r\n{ENVELOPE}DATA\r\n.\r\n");
    let replies = server.replies(message.repeat(3).as_bytes()).await;
    assert_eq!(server.messages().len(), 3, "{replies:?}");
}

#[tokio::test]
async fn lines_that_are_too_long_or_no_text_are_refused() {
    let server = Server::new("");
    let long = format!("NOOP {}", "x".repeat(5000));
    let replies = server
        .replies(format!("{long}\r\nNO\0OP\r\nNOOP\r\n").as_bytes())
        .await;
    assert_eq!(
        replies,
        [
            "500 5.5.2 the line is too long",
            "500 5.5.2 the line has a control character",
            "250 2.0.0 ok"
        ]
    );
    let replies = server.replies(&vec![b'x'; 1 << 20]).await;
    assert_eq!(replies, ["500 5.5.2 the line is too long, closing"]);
    let replies = server.replies(b"\xff\xfe\r\nNOOP\r\n").await;
    assert_eq!(replies, ["500 5.5.2 the line is not UTF-8", "250 2.0.0 ok"]);
}

/// No reply repeats what a client could use to forge one.
#[tokio::test]
async fn a_reply_is_one_line() {
    let server = Server::new("");
    let replies = server
        .lines(&[
            "EHLO x",
            "MAIL FROM:<\"a\t250 ok\"@x.test>",
            "MAIL FROM:<a@contoso.com> X\u{85}=1",
        ])
        .await;
    for reply in &replies {
        assert!(reply.is_ascii() && !reply.contains('\r'), "{reply:?}");
    }
}

/// Parts of addresses that have made servers relay.
const LOCALS: &[&str] = &[
    "u",
    "u%evil.test",
    "u@evil.test",
    "evil.test!u",
    "\"u@evil.test\"",
    "\"u%evil.test\"",
    "\"evil.test!u\"",
    "u\\@evil.test",
    "\"u\\@evil.test\"",
    "@evil.test:u",
    "@good.test:u@evil.test",
    "@good.test,@evil.test:u",
    "u(@evil.test)",
    "\"u\"",
    "u+x",
    "<u@evil.test>",
    "u@evil.test,u",
    "u;u@evil.test",
    "u u@evil.test",
    "u=evil.test",
    "\"<u@evil.test>\"",
    "\"u@evil.test\" <u",
    "u@evil.test%",
    "%u",
    "!u",
];
const DOMAINS: &[&str] = &[
    "good.test",
    "evil.test",
    "GOOD.test",
    "good.test.",
    "good.test.evil.test",
    "xgood.test",
    "evil.test@good.test",
    "good.test@evil.test",
    "evil.test%good.test",
    "good.test%evil.test",
    "[127.0.0.1]",
    "[IPv6:::1]",
    "[good.test]",
    "good.test,evil.test",
    "good.test:evil.test",
    "good.test/evil.test",
    "good.test\\evil.test",
    "good.test evil.test",
    "good.test(evil.test)",
    "",
    "localhost",
    "\u{ff47}ood.test",
    "evil\u{3002}test",
    "#1",
    "2130706433",
];

/// Each is refused unless its domain is one that is allowed.
#[tokio::test]
async fn no_form_of_an_address_relays_to_another_domain() {
    let frames = [("<", ">"), ("", ""), ("<<", ">>"), ("< ", " >")];
    let mut count = 0;
    for (open, close) in frames {
        let server = Server::new("allow_recipient_domains = ['good.test']\nmax_errors = 100000");
        let mut lines = vec![
            "EHLO x".to_owned(),
            "MAIL FROM:<a@contoso.com> SMTPUTF8".to_owned(),
        ];
        for local in LOCALS {
            lines.extend(
                DOMAINS
                    .iter()
                    .map(|domain| format!("RCPT TO:{open}{local}@{domain}{close}")),
            );
        }
        lines.extend(["RCPT TO:<>", "RCPT TO:<u>", "RCPT TO:<@>"].map(str::to_owned));
        count += lines.len();
        lines.extend(["DATA", "."].map(str::to_owned));
        let lines: Vec<_> = lines.iter().map(|line| &**line).collect();
        server.lines(&lines).await;
        for message in server.messages() {
            for recipient in message.envelope.recipients {
                let address = recipient.address;
                assert!(
                    address.domain().eq_ignore_ascii_case("good.test"),
                    "{address}"
                );
                assert!(
                    !address.local_part().contains(['@', '%', '!', ':']),
                    "{address}"
                );
            }
        }
    }
    assert!(count > 2000, "{count}");
}
