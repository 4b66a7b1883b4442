//! Messages that clients submitted, through relays of the kind `file`: what goes out, and to whom.

use sendport_core::domain::{
    BodyType, EnvelopeRecipient, IntakeClient, Notify, NotifyOn, ReceivedContent, ReceivedEnvelope,
    ReceivedHeader, ReceivedMessage, RecipientKind, ReversePath, TransactionId,
};
use sendport_store::LoadResult;
use sendport_store::received::ReceivedMessages as _;

use super::*;
use crate::settings::ReceivedProtected;

const MESSAGE: &str = "Return-Path: <old@contoso.com>\r\nReceived: from printer\r\nBcc: hidden@contoso.com\r\n\
                       From: Printer <printer@elsewhere.com>\r\nSubject: scan\r\n\r\n.page\r\n";

fn recipient(address: &str, kind: RecipientKind, notify: Option<Notify>) -> EnvelopeRecipient {
    EnvelopeRecipient {
        address: address.parse().expect("an address"),
        kind,
        notify,
        original: None,
    }
}

/// Inserts the message as an intake does, and reads its alert.
async fn submitted(memory: &MemoryBudget, reverse_path: &str) -> Alert {
    submitted_message(memory, reverse_path, MESSAGE).await
}

async fn submitted_message(memory: &MemoryBudget, reverse_path: &str, bytes: &str) -> Alert {
    let store = &memory.store;
    memory.create_database().await;
    let message = ReceivedMessage {
        transaction: TransactionId::random(),
        intake: "local".to_owned(),
        origin: AlertOrigin::Smtp,
        send_port: "default".to_owned(),
        client: IntakeClient {
            address: None,
            helo: None,
            user: None,
        },
        envelope: ReceivedEnvelope {
            reverse_path: ReversePath(reverse_path.parse().ok()),
            recipients: vec![
                recipient("ops@contoso.com", RecipientKind::To, None),
                recipient(
                    "hidden@contoso.com",
                    RecipientKind::Bcc,
                    Some(Notify::On([NotifyOn::Failure].into())),
                ),
            ],
            body: BodyType::SevenBit,
            smtp_utf8: false,
            envelope_id: Some("scan 7".to_owned()),
            returns: None,
        },
        header: ReceivedHeader {
            from_allowed: true,
            message_id: "<7@printer>".to_owned(),
            from: Some("Printer <printer@elsewhere.com>".to_owned()),
            subject: Some("scan".to_owned()),
        },
        content: ReceivedContent::Memory(bytes.as_bytes().to_vec()),
    };
    let id = store
        .insert_received(message.into())
        .await
        .expect("inserted");
    match memory.dispatcher.parts.contents.whole_alert(id).await {
        Ok(Some(LoadResult::Alert(alert))) => *alert,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_received_message_goes_out_as_it_came_without_bcc_and_return_path() {
    let memory = MemoryBudget::new("allow_principals = ['orders']");
    let alert = submitted(&memory, "printer@contoso.com").await;
    let decision = decision(memory.dispatch(alert).await);
    assert_eq!(decision.status, AlertStatus::Relayed);
    assert_eq!(decision.recipients.len(), 2);
    let attempt = decision.attempt.expect("an attempt");
    assert_eq!(attempt.message_id, "<7@printer>");
    let (_, bytes) = &memory.messages("first")[0];
    assert_eq!(
        String::from_utf8_lossy(bytes),
        "Received: from printer\r\nFrom: Printer <printer@elsewhere.com>\r\nSubject: scan\r\n\r\n.page\r\n"
    );
}

#[tokio::test]
async fn it_keeps_the_envelope_of_its_client() {
    let memory = MemoryBudget::new("dsn_notify = 'never'");
    let alert = submitted(&memory, "printer@contoso.com").await;
    let stored = received::stored(&alert, &*memory.store).await.unwrap();
    let port = &memory.dispatcher.parts.send_ports["default"];
    let paths: Vec<_> = expand_recipients(&alert)
        .iter()
        .map(|it| ForwardPath {
            ordinal: it.ordinal,
            address: it.address.mailbox().expect("parsed").address.clone(),
        })
        .collect();
    let found = envelope(&alert, port, stored.as_ref(), paths.clone());
    assert_eq!(found.reverse_path.as_str(), "printer@contoso.com");
    let dsn = found.dsn.expect("asked for");
    assert_eq!((dsn.envelope_id.as_str(), dsn.notify), ("scan 7", None));
    assert_eq!(dsn.recipients.len(), 1);
    assert!(dsn.recipients[&paths[1].ordinal].notify.is_some());

    // RFC 3461 section 7.1: a report about a report is never asked for.
    let null = sendport_core::domain::StoredMessage {
        reverse_path: ReversePath(None),
        ..stored.unwrap()
    };
    let found = envelope(&alert, port, Some(&null), paths);
    assert_eq!((found.reverse_path.0, found.dsn), (None, None));
}

#[tokio::test]
async fn a_redirect_wraps_it_and_names_its_recipients() {
    let memory = MemoryBudget::new("");
    let alert = submitted(&memory, "printer@contoso.com").await;
    memory.redirect("qa@test.example").await;
    let read = memory.dispatcher.parts.contents.whole_alert(alert.id).await;
    let Ok(Some(LoadResult::Alert(alert))) = read else {
        panic!("{read:?}")
    };
    let alert = *alert;
    let decision = decision(memory.dispatch(alert).await);
    assert_eq!(decision.status, AlertStatus::Relayed);
    let (_, bytes) = &memory.messages("first")[0];
    let sent = String::from_utf8_lossy(bytes);
    let (header, body) = sent.split_once("\r\n\r\n").expect("a body");
    assert!(header.contains("\r\nTo: qa@test.example"), "{header}");
    assert!(!header.contains("elsewhere.com"), "{header}");
    assert!(body.contains("hidden@contoso.com"), "{body}");
    assert!(body.contains("Content-Type: message/rfc822"), "{body}");
    assert!(body.contains("\r\nSubject: scan\r\n"), "{body}");
    let (_, file) = body
        .split_once("Content-Type: message/rfc822")
        .expect("a file");
    for removed in ["Bcc:", "Return-Path:"] {
        assert!(!file.contains(removed), "{file}");
    }
}

#[tokio::test]
async fn nothing_is_sent_for_a_from_that_the_send_port_may_not_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBudget::with(encrypting(folder.path(), WhenMissing::Plaintext));
    let alert = submitted(&memory, "printer@contoso.com").await;
    let decision = decision(memory.dispatch(alert).await);
    assert_eq!(decision.status, AlertStatus::Failed);
    let reason = decision.reason.expect("why");
    assert!(
        reason.contains("does not sign or encrypt as printer@elsewhere.com"),
        "{reason}"
    );
    let explained = decision.recipients[0].explanation.as_deref();
    assert_eq!(explained, Some("bad-from"));
    assert!(memory.messages("first").is_empty());
}

const SIGNED: &str = "From: Printer <printer@elsewhere.com>\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n\
                      --s\r\n\r\nscan\r\n--s\r\n\r\nx\r\n--s--\r\n";

#[tokio::test]
async fn what_the_client_signed_is_refused_or_passed_on_as_it_came() {
    let folder = tempfile::tempdir().expect("a folder");
    for received_protected in [ReceivedProtected::Refuse, ReceivedProtected::Pass] {
        let mut port = encrypting(folder.path(), WhenMissing::Fail);
        port.received_protected = received_protected;
        let memory = MemoryBudget::with(port);
        let alert = submitted_message(&memory, "printer@contoso.com", SIGNED).await;
        let decision = decision(memory.dispatch(alert).await);
        let sent = memory.messages("first");
        if received_protected == ReceivedProtected::Pass {
            // Nobody has a certificate, and nobody needs one.
            assert_eq!(decision.status, AlertStatus::Relayed);
            assert_eq!(decision.recipients.len(), 2);
            let attempt = decision.attempt.expect("an attempt");
            assert_eq!(attempt.protection, "none");
            assert_eq!(sent[0].1, SIGNED.as_bytes());
            continue;
        }
        assert_eq!(decision.status, AlertStatus::Failed);
        let reason = decision.reason.expect("why");
        let names_the_setting = "the message is signed already; received_protected = \"pass\"";
        assert!(reason.contains(names_the_setting), "{reason}");
        let explained = decision.recipients[0].explanation.as_deref();
        assert_eq!(explained, Some("received-protected"));
        assert!(sent.is_empty());
    }
}

#[tokio::test]
async fn octets_that_are_gone_fail_the_alert_with_the_reason() {
    let memory = MemoryBudget::new("");
    let alert = submitted(&memory, "printer@contoso.com").await;
    let file = memory.folder.path().join("sendport.db");
    let database = rusqlite::Connection::open(file).expect("open");
    database
        .execute("DELETE FROM ReceivedContent", [])
        .expect("deleted");
    let decision = decision(memory.dispatch(alert).await);
    assert_eq!(decision.status, AlertStatus::Failed);
    let reason = decision.reason.expect("why");
    assert!(reason.contains("bytes of the received message"), "{reason}");
}
