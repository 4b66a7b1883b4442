use std::collections::BTreeSet;

use sendport_core::domain::{BodyType, RecipientDsn};

use super::*;

fn rules(settings: &str) -> ReportRules {
    let port = SendPort::with_settings("p", &["d"], settings);
    let text = format!("from = 'Contoso <a@contoso.com>'\nrelays = ['d']\n{settings}");
    let config = toml::from_str(&text).expect("a section");
    ReportRules::new(&port, &config)
}

fn stored() -> StoredMessage {
    StoredMessage {
        intake: "local".to_owned(),
        from_allowed: true,
        reverse_path: ReversePath("app@contoso.com".parse().ok()),
        message_id: "<1@app>".to_owned(),
        size_bytes: 26,
        body: BodyType::SevenBit,
        smtp_utf8: false,
        envelope_id: None,
        returns: None,
        recipient_dsn: BTreeMap::new(),
    }
}

fn with_notify(notify: Notify) -> StoredMessage {
    let dsn = RecipientDsn {
        notify: Some(notify),
        original: Some("rfc822;Ann@contoso.com".to_owned()),
    };
    StoredMessage {
        recipient_dsn: [("ann@contoso.com".to_owned(), dsn)].into(),
        ..stored()
    }
}

fn recipient() -> UnreportedRecipient {
    UnreportedRecipient {
        ordinal: 3,
        address: "ann@contoso.com".to_owned(),
        status: RecipientStatus::Failed,
        relay: Some("main".to_owned()),
        reply_code: Some(550),
        enhanced: Some("5.1.1".to_owned()),
        reply_text: Some("no such user".to_owned()),
        redirect_to: None,
        server_name: Some("mx.test".to_owned()),
        attempt_ended_at: None,
        offers_dsn: Some(false),
    }
}

/// Why it is not reported; empty: it is.
fn reason(settings: &str, action: ReportAction, stored: &StoredMessage) -> String {
    let plan = ReportPlan::of(&rules(settings), action, stored, vec![recipient()]);
    assert_eq!(plan.reported.len() + plan.left_out.len(), 1);
    let reasons: Vec<_> = plan.left_out.into_keys().collect();
    reasons.concat()
}

fn on(cases: &[NotifyOn]) -> Notify {
    Notify::On(cases.iter().copied().collect::<BTreeSet<_>>())
}

#[test]
fn a_failure_is_reported_unless_the_client_asked_for_none() {
    let failed = |stored: &StoredMessage| reason("", ReportAction::Failed, stored);
    assert_eq!(failed(&stored()), "");
    assert_eq!(failed(&with_notify(Notify::always())), "");
    for notify in [Notify::Never, on(&[NotifyOn::Success, NotifyOn::Delay])] {
        assert_eq!(
            failed(&with_notify(notify)),
            "NOTIFY of the client does not ask for it"
        );
    }
    let null = StoredMessage {
        reverse_path: ReversePath(None),
        ..stored()
    };
    assert_eq!(failed(&null), "it is the null reverse-path");
}

#[test]
fn delay_and_success_are_reported_where_that_was_asked() {
    for (action, case, key) in [
        (ReportAction::Delayed, NotifyOn::Delay, "delay"),
        (ReportAction::Relayed, NotifyOn::Success, "success"),
    ] {
        let none = reason("", action, &stored());
        assert_eq!(none, "the default of NOTIFY does not ask for it");
        assert_eq!(reason("", action, &with_notify(on(&[case]))), "");
        let configured = format!("dsn_notify = ['{key}']");
        assert_eq!(reason(&configured, action, &stored()), "");
        assert!(rules(&configured).applies_by_default(action));
        let own = reason(&configured, action, &with_notify(Notify::Never));
        assert_eq!(own, "NOTIFY of the client does not ask for it");
    }
}

#[test]
fn a_relay_with_dsn_reports_success_itself() {
    let asked = with_notify(on(&[NotifyOn::Success]));
    for offers_dsn in [Some(true), None] {
        let recipient = UnreportedRecipient {
            offers_dsn,
            ..recipient()
        };
        let plan = ReportPlan::of(&rules(""), ReportAction::Relayed, &asked, vec![recipient]);
        let reasons: Vec<_> = plan.left_out.into_keys().collect();
        assert_eq!(reasons, ["the relay reports it (RFC 3461)"]);
    }
}

#[test]
fn operators_are_notified_instead_where_the_send_port_says_so() {
    let why = reason("reports_to = 'operators'", ReportAction::Failed, &stored());
    assert_eq!(why, "reports_to of the send port is \"operators\"");
}

#[test]
fn a_redirected_message_is_not_reported_to_its_sender() {
    let redirected = UnreportedRecipient {
        redirect_to: Some("test@contoso.com".to_owned()),
        ..recipient()
    };
    let plan = ReportPlan::of(
        &rules(""),
        ReportAction::Failed,
        &stored(),
        vec![redirected, recipient()],
    );
    let reason = "a redirect sent the message to test@contoso.com".to_owned();
    assert_eq!(plan.left_out, [(reason, vec![3])].into());
    assert_eq!(plan.reported, [recipient()]);
}

/// The text of the report about one recipient.
fn composed(settings: &str, stored: &StoredMessage, recipient: UnreportedRecipient) -> String {
    let message = UnreportedMessage {
        created_at: Timestamp::UNIX_EPOCH,
        queued_since: Timestamp::UNIX_EPOCH,
        subject: Some("Order 4711".to_owned()),
        recipients: Vec::new(),
    };
    let source = ReportSource {
        action: ReportAction::Failed,
        host_name: "host.test",
        now: Timestamp::UNIX_EPOCH,
        stored,
        message: &message,
        content: b"Subject: secret\r\n\r\ncontent",
        recipients: &[recipient],
    };
    let report = compose(&rules(settings), &source).expect("a report");
    assert_eq!(report.envelope.reverse_path, ReversePath(None));
    assert_eq!(report.origin, AlertOrigin::Report);
    let ReceivedContent::Memory(bytes) = report.content else {
        panic!("in memory");
    };
    String::from_utf8(bytes).expect("text")
}

#[test]
fn the_report_has_what_the_relay_said_and_what_the_client_gave() {
    let text = composed("", &with_notify(Notify::always()), recipient());
    for line in [
        "From: Mail Delivery Service <a@contoso.com>\r\n",
        "To: app@contoso.com\r\n",
        "Reporting-MTA: dns; host.test\r\n",
        "Original-Recipient: rfc822;Ann@contoso.com\r\n",
        "Status: 5.1.1\r\n",
        "Remote-MTA: dns; mx.test\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
        "text/rfc822-headers\r\n",
        "Subject: secret\r\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(
        !text.contains("content\r\n"),
        "RET is HDRS by default: {text}"
    );
    let from = composed(
        "report_from = 'postmaster@contoso.com'",
        &stored(),
        recipient(),
    );
    assert!(from.contains("From: postmaster@contoso.com\r\n"), "{from}");
}

#[test]
fn the_whole_message_comes_back_where_the_client_asked_and_it_is_short() {
    let full = StoredMessage {
        returns: Some(DsnReturn::Full),
        ..stored()
    };
    assert!(composed("", &full, recipient()).contains("message/rfc822\r\n"));
    let by_port = composed("dsn_return = 'full'", &stored(), recipient());
    assert!(by_port.contains("\r\n\r\ncontent\r\n"), "{by_port}");
    let long = StoredMessage {
        size_bytes: PIECE as u64 + 1,
        ..full
    };
    assert!(composed("", &long, recipient()).contains("text/rfc822-headers\r\n"));
}

/// The relay would refuse the report as well.
#[test]
fn only_the_header_section_comes_back_where_the_content_was_refused() {
    for (code, enhanced) in [(554, Some("5.6.0")), (552, Some("5.3.4")), (552, None)] {
        let refused = UnreportedRecipient {
            reply_code: Some(code),
            enhanced: enhanced.map(str::to_owned),
            ..recipient()
        };
        let text = composed("dsn_return = 'full'", &stored(), refused);
        assert!(text.contains("text/rfc822-headers\r\n"), "{text}");
        assert!(!text.contains("\r\ncontent"), "{text}");
    }
}

/// It goes out unencrypted.
#[test]
fn a_send_port_that_encrypts_returns_nothing_of_the_content() {
    let mut rules = rules("dsn_return = 'full'");
    rules.encrypts = true;
    let source = ReportSource {
        action: ReportAction::Failed,
        host_name: "host.test",
        now: Timestamp::UNIX_EPOCH,
        stored: &stored(),
        message: &UnreportedMessage {
            created_at: Timestamp::UNIX_EPOCH,
            queued_since: Timestamp::UNIX_EPOCH,
            subject: Some("secret".to_owned()),
            recipients: Vec::new(),
        },
        content: b"Subject: secret\r\n\r\nsecret",
        recipients: &[recipient()],
    };
    let report = compose(&rules, &source).expect("a report");
    let ReceivedContent::Memory(bytes) = report.content else {
        panic!("in memory");
    };
    let text = String::from_utf8(bytes).expect("text");
    assert!(!text.contains("secret"), "{text}");
    assert!(text.contains("<1@app>"), "{text}");
}

#[test]
fn status_and_reply_fit_together() {
    let of = |change: &dyn Fn(&mut UnreportedRecipient)| {
        let mut changed = recipient();
        change(&mut changed);
        let text = composed("", &stored(), changed).replace("\r\n ", " ");
        let fields = text.lines().filter(|line| {
            ["Status:", "Diagnostic-Code:", "Remote-MTA:"]
                .iter()
                .any(|name| line.starts_with(name))
        });
        fields.collect::<Vec<_>>().join("|")
    };
    let expired = of(&|it| {
        it.status = RecipientStatus::Expired;
        it.reply_code = Some(450);
        it.reply_text = Some("expired: not sent before x; the last reply was: busy".to_owned());
    });
    assert_eq!(
        expired,
        "Status: 4.4.7|Diagnostic-Code: x-sendport; expired: not sent before x; the last reply was: busy"
    );
    let bare = of(&|it| it.enhanced = None);
    assert!(bare.starts_with("Status: 5.0.0|"), "{bare}");
    let own = of(&|it| {
        it.relay = None;
        it.server_name = None;
    });
    assert_eq!(
        own,
        "Status: 5.1.1|Diagnostic-Code: x-sendport; 550 5.1.1 no such user"
    );
}
