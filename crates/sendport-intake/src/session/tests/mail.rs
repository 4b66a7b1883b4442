use sendport_core::domain::{BodyType, DsnReturn, Notify, NotifyOn, RecipientKind};

use super::*;

/// As the documentation of BizTalk and of Windows has it, word for word.
#[tokio::test]
async fn the_telnet_session_of_the_documentation_ends_in_a_message() {
    for hello in ["EHLO", "helo", "EHLO contoso.com", "HELO me@contoso.com"] {
        let server = Server::new("");
        let replies = server
            .lines(&[
                hello,
                "MAIL FROM: user@contoso.com",
                "RCPT TO: admin@fabrikam.com NOTIFY=success,failure",
                "data",
                "Subject: This is a test.",
                "This is a test message.",
                ".",
                "quit",
            ])
            .await;
        let ends: Vec<_> = replies.iter().rev().take(5).rev().cloned().collect();
        assert_eq!(
            ends,
            [
                "250 2.1.0 sender ok",
                "250 2.1.5 recipient ok",
                "354 send the message, end with a dot on a line of its own",
                "250 2.0.0 queued as 4711",
                "221 2.0.0 bye",
            ]
        );
        let (message, text) = server.message();
        assert_eq!(message.header.subject.as_deref(), Some("This is a test."));
        let body = "Subject: This is a test.\r\n\r\nThis is a test message.\r\n";
        assert!(
            text.ends_with(body) && text.starts_with("Received: from "),
            "{text}"
        );
        assert_eq!(text.matches("\r\nMessage-ID: <").count(), 1);
        assert_eq!(text.matches("\r\nDate: ").count(), 1);
    }
}

#[tokio::test]
async fn ehlo_lists_the_extensions() {
    let server = Server::new("max_recipients = 7\nmax_message_size = '1MiB'");
    let replies = server.lines(&["EHLO client.test"]).await;
    assert_eq!(
        replies,
        [
            "250-mail.test greets [127.0.0.1]",
            "250-PIPELINING",
            "250-8BITMIME",
            "250-SMTPUTF8",
            "250-CHUNKING",
            "250-DSN",
            "250-ENHANCEDSTATUSCODES",
            "250-SIZE 1048576",
            "250-LIMITS MAILMAX=1000 RCPTMAX=7",
            "250 HELP",
        ]
    );
}

#[tokio::test]
async fn the_envelope_is_as_the_client_gave_it() {
    let server = Server::new("");
    server
        .lines(&[
            "EHLO client.test",
            "MAIL FROM:<a@contoso.com> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By",
            "RCPT TO:<to@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old+2Bname@x.test",
            "RCPT TO:<CC@x.test> NOTIFY=NEVER",
            "RCPT TO:<to@X.TEST>",
            "RCPT TO:<j\u{fc}rgen@x.test>",
            "DATA",
            "To: A Person <to@x.test>",
            "Cc: cc@x.test, CC@x.test",
            "",
            ".",
        ])
        .await;
    let (message, _) = server.message();
    let envelope = message.envelope;
    assert_eq!(envelope.reverse_path.as_str(), "a@contoso.com");
    assert_eq!(envelope.body, BodyType::EightBitMime);
    assert!(envelope.smtp_utf8);
    assert_eq!(envelope.returns, Some(DsnReturn::Headers));
    assert_eq!(envelope.envelope_id.as_deref(), Some("x+y"));
    let addresses: Vec<_> = envelope
        .recipients
        .iter()
        .map(|it| it.address.as_str())
        .collect();
    assert_eq!(addresses, ["to@x.test", "CC@x.test", "j\u{fc}rgen@x.test"]);
    let [to, cc, bcc] = &envelope.recipients[..] else {
        panic!("three recipients");
    };
    assert_eq!(
        to.notify,
        Some(Notify::On([NotifyOn::Success, NotifyOn::Delay].into()))
    );
    assert_eq!(to.original.as_deref(), Some("rfc822;old+name@x.test"));
    assert_eq!(
        (cc.notify.clone(), bcc.notify.clone()),
        (Some(Notify::Never), None)
    );
    assert_eq!(
        [to.kind, cc.kind, bcc.kind],
        [RecipientKind::To, RecipientKind::Cc, RecipientKind::Bcc]
    );
    assert_eq!(message.client.helo.as_deref(), Some("client.test"));
    assert_eq!(message.client.address, Some([127, 0, 0, 1].into()));
    assert_eq!((&*message.intake, &*message.send_port), ("test", "default"));
}

#[tokio::test]
async fn commands_out_of_order_are_503() {
    let server = Server::new("");
    for lines in [
        &["MAIL FROM:<a@contoso.com>"][..],
        &["EHLO x", "RCPT TO:<a@x.test>"],
        &["EHLO x", "DATA"],
        &[
            "EHLO x",
            "MAIL FROM:<a@contoso.com>",
            "MAIL FROM:<a@contoso.com>",
        ],
        &[
            "EHLO x",
            "MAIL FROM:<a@contoso.com>",
            "EHLO x",
            "RCPT TO:<a@x.test>",
        ],
        &[
            "EHLO x",
            "MAIL FROM:<a@contoso.com>",
            "RSET",
            "RCPT TO:<a@x.test>",
        ],
    ] {
        let replies = server.lines(lines).await;
        let last = replies.last().unwrap();
        assert!(last.starts_with("503 5.5.1 "), "{lines:?}: {last}");
    }
    let without = ["EHLO x", "MAIL FROM:<a@contoso.com>", "RCPT TO:<>", "DATA"];
    let replies = server.lines(&without).await;
    assert_eq!(replies.last().unwrap(), "554 5.5.1 no valid recipients");
}

#[tokio::test]
async fn other_clients_and_other_senders_are_refused() {
    let foreign = Server::new("").client("192.0.2.1");
    let replies = foreign
        .lines(&["HELO x", "MAIL FROM:<a@contoso.com>", "RCPT TO:<a@x.test>"])
        .await;
    assert!(
        replies[2].starts_with("550 5.7.1 relaying denied"),
        "{replies:?}"
    );
    assert_eq!(
        foreign.recorder.checked.lock().len(),
        0,
        "it costs no query"
    );
    let server = Server::new("");
    let lines = [
        "HELO x",
        "MAIL FROM:<a@fabrikam.com>",
        "MAIL FROM:<>",
        "MAIL FROM:<a%b@contoso.com>",
        "MAIL FROM:<@x.test:a@contoso.com>",
    ];
    for reply in &server.lines(&lines).await[1..] {
        assert!(reply.starts_with("550 5.7.1 "), "{reply}");
    }
    let mapped = Server::new("").client("::ffff:127.0.0.1");
    let replies = mapped
        .lines(&["HELO x", "MAIL FROM:<a@contoso.com>", "RCPT TO:<a@x.test>"])
        .await;
    assert_eq!(replies[2], "250 2.1.5 recipient ok");
}

#[tokio::test]
async fn limits_are_answered_and_the_session_goes_on() {
    let server = Server::new("max_recipients = 1\nmax_message_size = '64KiB'");
    let replies = server
        .lines(&[
            "HELO x",
            "MAIL FROM:<a@contoso.com> SIZE=65537",
            "MAIL FROM:<a@contoso.com> SIZE=99999999999999999999",
            "MAIL FROM:<a@contoso.com> SIZE=65536",
            "RCPT TO:<a@x.test>",
            "RCPT TO:<b@x.test>",
            "DATA",
            ".",
        ])
        .await;
    assert!(replies[1].starts_with("552 5.3.4 ") && replies[2].starts_with("552 5.3.4 "));
    assert!(replies[5].starts_with("452 4.5.3 "), "{replies:?}");
    assert_eq!(replies.last().unwrap(), "250 2.0.0 queued as 4711");
    assert_eq!(*server.recorder.checked.lock(), [Some(65536)]);
}

#[tokio::test]
async fn a_client_has_its_number_of_messages() {
    let server = Server::new("max_messages_per_connection = 2");
    let transaction = "MAIL FROM:<a@contoso.com>\r\nRCPT TO:<a@x.test>\r\nDATA\r\nx\r\n.\r\n";
    let input = format!("HELO x\r\n{}", transaction.repeat(3));
    let replies = server.replies(input.as_bytes()).await;
    assert!(
        replies
            .last()
            .unwrap()
            .starts_with("421 4.7.0 too many messages"),
        "{replies:?}"
    );
    assert_eq!(server.messages().len(), 2);

    let server = Server::new("max_messages_per_minute_per_client = 2");
    let replies = server.replies(input.as_bytes()).await;
    assert!(
        replies.iter().any(|reply| reply.starts_with("450 4.7.1 ")),
        "{replies:?}"
    );
    assert_eq!(server.messages().len(), 2);
}

#[tokio::test]
async fn a_queue_that_takes_nothing_is_answered_before_and_after_the_content() {
    for (error, code) in [
        (QueueError::Unavailable("secret".to_owned()), "451 4.3.0 "),
        (QueueError::Full("secret".to_owned()), "452 4.3.1 "),
        (QueueError::Refused("secret".to_owned()), "554 5.3.0 "),
    ] {
        let recorder = Recorder {
            refusal: Mutex::new(Some(error)),
            ..Recorder::default()
        };
        let server = Server::with("", recorder);
        let lines = [
            "HELO x",
            "MAIL FROM:<a@contoso.com>",
            "RCPT TO:<a@x.test>",
            "DATA",
            ".",
            "NOOP",
        ];
        let replies = server.lines(&lines).await;
        let [.., committed, noop] = &replies[..] else {
            panic!("{replies:?}")
        };
        assert!(
            committed.starts_with(code) && !committed.contains("secret"),
            "{committed}"
        );
        assert_eq!(noop, "250 2.0.0 ok");
    }
}

#[tokio::test]
async fn the_postmaster_gets_what_is_addressed_to_the_server() {
    let server = Server::new("postmaster = 'dba@contoso.com'");
    server
        .lines(&[
            "EHLO client.test",
            "MAIL FROM:<a@contoso.com>",
            "RCPT TO:<Postmaster>",
            "DATA",
            "Subject: x",
            "",
            ".",
        ])
        .await;
    let (message, _) = server.message();
    let [postmaster] = &message.envelope.recipients[..] else {
        panic!("{:?}", message.envelope);
    };
    assert_eq!(postmaster.address.as_str(), "dba@contoso.com");
    let foreign = Server::new("postmaster = 'dba@contoso.com'").client("192.0.2.1");
    let replies = foreign
        .lines(&[
            "EHLO x",
            "MAIL FROM:<a@contoso.com>",
            "RCPT TO:<postmaster>",
        ])
        .await;
    assert!(
        replies.last().unwrap().starts_with("550 5.7.1 "),
        "{replies:?}"
    );
}
