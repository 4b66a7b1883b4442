//! Messages that a client submitted whole: one alert each, with the same octets.

use std::io::Write as _;
use std::sync::Arc;

use sendport_core::domain::{
    AlertId, AlertOrigin, BodyType, DsnReturn, EnvelopeRecipient, IntakeClient, Notify, NotifyOn,
    ReceivedContent, ReceivedEnvelope, ReceivedHeader, ReceivedMessage, RecipientDsn,
    RecipientKind, ReversePath, TransactionId, expand_recipients,
};
use sendport_core::domain::{AlertStatus, RecipientStatus};
use sendport_store::Store;
use sendport_store::retention::{PurgeAmong, PurgeScope};

use crate::fixture::*;

pub(crate) fn to(address: &str, kind: RecipientKind) -> EnvelopeRecipient {
    EnvelopeRecipient {
        address: address.parse().expect("an address"),
        kind,
        notify: None,
        original: None,
    }
}

pub(crate) fn message(content: ReceivedContent) -> ReceivedMessage {
    ReceivedMessage {
        transaction: TransactionId::random(),
        intake: "local".to_owned(),
        origin: AlertOrigin::Smtp,
        send_port: "default".to_owned(),
        client: IntakeClient {
            address: Some("192.0.2.7".parse().expect("an address")),
            helo: Some("printer".to_owned()),
            user: Some("scans".to_owned()),
        },
        envelope: ReceivedEnvelope {
            reverse_path: ReversePath(Some("app@contoso.com".parse().expect("an address"))),
            recipients: vec![to("ops@contoso.com", RecipientKind::To)],
            body: BodyType::SevenBit,
            smtp_utf8: false,
            envelope_id: None,
            returns: None,
        },
        header: ReceivedHeader {
            from_allowed: true,
            message_id: "<1@printer>".to_owned(),
            from: Some("Printer <app@contoso.com>".to_owned()),
            subject: Some("Zähler 😀".to_owned()),
        },
        content,
    }
}

/// A key of its own, and the same text otherwise.
fn again(first: &ReceivedMessage, content: Vec<u8>) -> ReceivedMessage {
    ReceivedMessage {
        transaction: first.transaction,
        ..message(ReceivedContent::Memory(content))
    }
}

async fn octets(store: &Arc<dyn Store>, id: AlertId) -> Vec<u8> {
    let mut all = Vec::new();
    for ordinal in 0.. {
        match store.received_piece(id, ordinal).await.expect("a piece") {
            Some(piece) => all.extend(piece),
            None => break,
        }
    }
    all
}

pub(crate) async fn a_received_message_is_one_alert_with_the_same_octets(f: &dyn Fixture) {
    let store = f.fresh().await;
    let bytes = b"Subject: x\r\n\r\n\x00\xff all octets\r\n".to_vec();
    let first = message(ReceivedContent::Memory(bytes.clone()));
    let repeated = again(&first, b"another".to_vec());
    let other = message(ReceivedContent::Memory(bytes.clone()));
    let id = store.insert_received(first.into()).await.expect("inserted");
    let same = store.insert_received(repeated.into()).await.expect("there");
    assert_eq!(same, id, "the caller got no answer and asks again");
    let next = store.insert_received(other.into()).await.expect("inserted");
    assert_ne!(next, id, "another transaction with the same message");
    assert_eq!(f.rows("Alert", "1 = 1").await, 2);
    assert_eq!(octets(&store, id).await, bytes);
    let alert = load(&store, id).await;
    assert_eq!(alert.origin, AlertOrigin::Smtp);
    assert_eq!(alert.subject.as_deref(), Some("Zähler 😀"));
    assert_eq!(alert.to_recipients.as_deref(), Some("ops@contoso.com"));
    let from = alert.from_address.as_deref();
    assert_eq!(from, Some("Printer <app@contoso.com>"));
    let found = store.received(id).await.expect("read").expect("there");
    assert_eq!(found.reverse_path.as_str(), "app@contoso.com");
    assert_eq!(found.size_bytes, bytes.len() as u64);
    assert_eq!(found.message_id, "<1@printer>");
    let known = "ClientAddress = '192.0.2.7' AND HeloName = 'printer' AND UserName = 'scans' AND Intake = 'local'";
    assert_eq!(f.rows("ReceivedMessage", known).await, 2);
}

pub(crate) async fn its_envelope_comes_back_as_it_was(f: &dyn Fixture) {
    let store = f.fresh().await;
    let mut wanted = message(ReceivedContent::Memory(b"x\r\n".to_vec()));
    let failure = Notify::On([NotifyOn::Failure, NotifyOn::Delay].into());
    wanted.envelope = ReceivedEnvelope {
        reverse_path: ReversePath(None),
        recipients: vec![
            to("\"a; b\"@contoso.com", RecipientKind::To),
            to("\"c,d\"@[192.0.2.1]", RecipientKind::Cc),
            EnvelopeRecipient {
                notify: Some(failure.clone()),
                original: Some("rfc822;Ann+x@contoso.com".to_owned()),
                ..to("ann@contoso.com", RecipientKind::Bcc)
            },
            EnvelopeRecipient {
                notify: Some(Notify::Never),
                ..to("jürgen@contoso.com", RecipientKind::Bcc)
            },
        ],
        body: BodyType::EightBitMime,
        smtp_utf8: true,
        envelope_id: Some("Q+7".to_owned()),
        returns: Some(DsnReturn::Headers),
    };
    wanted.client.address = None;
    let addresses = wanted.envelope.recipients.iter();
    let addresses: Vec<_> = addresses.map(|it| it.address.to_string()).collect();
    let id = store
        .insert_received(wanted.into())
        .await
        .expect("inserted");
    let found = store.received(id).await.expect("read").expect("there");
    assert_eq!(found.reverse_path, ReversePath(None));
    assert_eq!(
        (found.body, found.smtp_utf8),
        (BodyType::EightBitMime, true)
    );
    assert_eq!(found.envelope_id.as_deref(), Some("Q+7"));
    assert_eq!(found.returns, Some(DsnReturn::Headers));
    let dsn = |notify, original: Option<&str>| RecipientDsn {
        notify,
        original: original.map(str::to_owned),
    };
    let ann = dsn(Some(failure), Some("rfc822;Ann+x@contoso.com"));
    assert_eq!(found.recipient_dsn.get("ann@contoso.com"), Some(&ann));
    let never = dsn(Some(Notify::Never), None);
    assert_eq!(found.recipient_dsn.get("jürgen@contoso.com"), Some(&never));
    assert_eq!(found.recipient_dsn.len(), 2);
    let alert = load(&store, id).await;
    let recipients = expand_recipients(&alert);
    let found: Vec<_> = recipients.iter().map(|it| it.address.text()).collect();
    assert_eq!(found, addresses);
}

pub(crate) async fn a_long_message_comes_out_of_a_file(f: &dyn Fixture) {
    let store = f.fresh().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(5_500_000).collect();
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    let length = bytes.len() as u64;
    let content = ReceivedContent::File { file, length };
    let id = store
        .insert_received(message(content).into())
        .await
        .expect("inserted");
    assert!(octets(&store, id).await == bytes);
    assert_eq!(f.rows("ReceivedContent", "1 = 1").await, 6);
}

pub(crate) async fn many_clients_at_once_get_an_alert_each(f: &dyn Fixture) {
    let store = f.fresh().await;
    let tasks: Vec<_> = (0..60)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let bytes = format!("{n}\r\n").into_bytes();
                let content = ReceivedContent::Memory(bytes.clone());
                let id = store.insert_received(message(content).into()).await;
                (id.expect("inserted"), bytes)
            })
        })
        .collect();
    let mut ids = Vec::new();
    for task in tasks {
        let (id, bytes) = task.await.expect("no panic");
        assert_eq!(octets(&store, id).await, bytes);
        ids.push(id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 60);
}

pub(crate) async fn a_message_that_is_refused_keeps_no_other(f: &dyn Fixture) {
    let store = f.fresh().await;
    let refused = ReceivedMessage {
        send_port: "x".repeat(200),
        ..message(ReceivedContent::Memory(b"x\r\n".to_vec()))
    };
    let good = message(ReceivedContent::Memory(b"y\r\n".to_vec()));
    let also = message(ReceivedContent::Memory(b"z\r\n".to_vec()));
    let (first, error, last) = tokio::join!(
        store.insert_received(good.into()),
        store.insert_received(refused.into()),
        store.insert_received(also.into()),
    );
    let error = error.expect_err("too long a name");
    assert!(!error.is_transient(), "{error}");
    assert_eq!(
        octets(&store, first.expect("inserted")).await,
        b"y\r\n".to_vec()
    );
    assert_eq!(
        octets(&store, last.expect("inserted")).await,
        b"z\r\n".to_vec()
    );
    assert_eq!(f.rows("Alert", "1 = 1").await, 2);
}

pub(crate) async fn its_octets_are_purged_as_a_body_is(f: &dyn Fixture) {
    let store = f.fresh().await;
    let content = ReceivedContent::Memory(b"Subject: x\r\n\r\nold\r\n".to_vec());
    let id = store
        .insert_received(message(content).into())
        .await
        .expect("inserted");
    let a = instance(&store, "a").await;
    let (token, claimed) = claim_one(&store, a).await;
    assert_eq!(claimed, id);
    let relayed = outcome(id, token, 1, &[RecipientStatus::Relayed]);
    record(&store, a, &relayed).await;
    f.advance(minutes(61)).await;
    let scope = PurgeScope {
        status: AlertStatus::Relayed,
        send_port: "default".to_owned(),
        older_than: minutes(60),
        among: PurgeAmong::AllBut(Vec::new()),
        request: None,
    };
    let purged = repeated(|| store.purge_bodies(&scope, u64::MAX)).await;
    assert_eq!((purged.alerts, purged.bytes), (1, 19));
    assert_eq!(octets(&store, id).await, b"");
    assert_eq!(f.rows("AlertStatus", "BodyPurgedAt IS NOT NULL").await, 1);
    let kept = store.received(id).await.expect("read");
    assert!(kept.is_some(), "how it came stays with the status");
    repeated(|| store.purge_alerts(&scope)).await;
    for table in ["Alert", "ReceivedMessage"] {
        assert_eq!(f.rows(table, "1 = 1").await, 0, "{table}");
    }
}

pub(crate) async fn it_is_explained_who_submitted_it(f: &dyn Fixture) {
    let store = f.fresh().await;
    let empty = || message(ReceivedContent::Memory(Vec::new()));
    let of_user = |user: Option<&str>| IntakeClient {
        address: None,
        helo: None,
        user: user.map(str::to_owned),
    };
    for (origin, client, who) in [
        (
            AlertOrigin::Smtp,
            empty().client,
            "user scans at 192.0.2.7 (printer) submitted the message to",
        ),
        (
            AlertOrigin::Pickup,
            of_user(None),
            "a program submitted the message as a file to",
        ),
        (
            AlertOrigin::Sendmail,
            of_user(Some("www-data")),
            "user www-data submitted the message with sendmail to",
        ),
    ] {
        let submitted = ReceivedMessage {
            origin,
            client,
            ..empty()
        };
        let id = store.insert_received(submitted.into()).await;
        let id = id.expect("inserted");
        assert_eq!(load(&store, id).await.origin, origin);
        let lines = store.explanation(id).await.expect("an explanation");
        let expected = format!("{who} intake 'local' for send port 'default'");
        assert_eq!(lines[0].sentence, expected);
    }
}
