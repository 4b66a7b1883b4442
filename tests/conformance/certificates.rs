//! Recipients' certificates as rows.

use std::sync::Arc;

use chrono::TimeDelta;
use sendport_core::domain::{
    BoundBy, CertificateAdded, CertificateChoice, CertificateId, CertificateText,
};
use sendport_store::certificates::WhichCertificates;
use sendport_store::{Event, EventSeverity, Store};

use crate::fixture::*;

/// A certificate that differs from others by a number, valid for so many days.
pub(crate) fn text(address: &str, number: u32, days: i64) -> CertificateText {
    let today = now();
    let second = |at: sendport_core::domain::Timestamp| {
        chrono::DateTime::from_timestamp(at.timestamp(), 0).expect("a time")
    };
    CertificateText {
        address: address.to_owned(),
        bound_by: BoundBy::Certificate,
        thumbprint: format!("{number:040X}"),
        sha256: format!("{number:064X}"),
        subject: format!("CN={number}"),
        issuer: "CN=Contoso CA, O=O'Contoso".to_owned(),
        serial_number: "0A1B".to_owned(),
        valid_from: second(today - TimeDelta::days(1)),
        valid_to: second(today + TimeDelta::days(days) + TimeDelta::hours(2)),
        key_usage: "keyEncipherment, emailProtection".to_owned(),
        can_encrypt: true,
        key_algorithm: "RSA 2048".to_owned(),
        capabilities: None,
        choice: CertificateChoice::default(),
        pem: format!("-----BEGIN CERTIFICATE-----\n{number}\n-----END CERTIFICATE-----\n"),
        source: "file a.pem".to_owned(),
    }
}

async fn add(store: &Arc<dyn Store>, text: &CertificateText) -> CertificateAdded {
    store.add_certificate(text).await.expect("add")
}

/// The key of the only row for an address.
async fn id_of(store: &Arc<dyn Store>, address: &str) -> CertificateId {
    let rows = store.certificates(WhichCertificates::Of(address)).await;
    let rows = rows.expect("list");
    assert_eq!(rows.len(), 1, "for {address}");
    rows[0].id
}

pub(crate) fn event() -> Event {
    Event {
        severity: EventSeverity::Warning,
        event_type: "certificate-expiring",
        instance: None,
        alert: None,
        send_port: None,
        relay: None,
        message: "it ends".to_owned(),
    }
}

pub(crate) async fn a_certificate_comes_back_as_it_was_added(f: &dyn Fixture) {
    let store = f.fresh().await;
    let whole = CertificateText {
        bound_by: BoundBy::Operator,
        subject: "CN=Zoë O'Hara; DROP TABLE x --, O=日本".to_owned(),
        capabilities: Some("aes-256-gcm aes-256-cbc".to_owned()),
        choice: CertificateChoice {
            cipher: Some("aes-256-gcm".to_owned()),
            rsa_padding: Some("oaep".to_owned()),
        },
        pem: "x".repeat(20_000),
        ..text("zoë@contoso.com", 1, 365)
    };
    let bare = text("ops@contoso.com", 2, 365);
    for it in [&whole, &bare] {
        assert_eq!(add(&store, it).await, CertificateAdded::Added);
    }
    let rows = store.certificates(WhichCertificates::All).await;
    let rows = rows.expect("list");
    let texts: Vec<_> = rows.iter().map(|row| row.text.clone()).collect();
    assert_eq!(texts, [bare, whole.clone()], "by address");
    assert!(
        rows.iter()
            .all(|row| row.revoked.is_none() && !row.added_by.is_empty())
    );
    let age = now() - rows[0].added_at;
    assert!(age.num_seconds().abs() < 300, "{age}");
    let found = store
        .certificates(WhichCertificates::WithThumbprint(&whole.thumbprint))
        .await
        .expect("list");
    assert_eq!(found, rows[1..]);
}

pub(crate) async fn the_same_again_is_known_and_what_is_chosen_changes(f: &dyn Fixture) {
    let store = f.fresh().await;
    let plain = text("ops@contoso.com", 1, 365);
    assert_eq!(add(&store, &plain).await, CertificateAdded::Added);
    assert_eq!(add(&store, &plain).await, CertificateAdded::Known);
    let chosen = CertificateText {
        choice: CertificateChoice {
            cipher: Some("aes-128-cbc".to_owned()),
            rsa_padding: None,
        },
        ..plain.clone()
    };
    assert_eq!(add(&store, &chosen).await, CertificateAdded::Changed);
    assert_eq!(add(&store, &chosen).await, CertificateAdded::Known);
    assert_eq!(add(&store, &plain).await, CertificateAdded::Known);
    let able = CertificateText {
        capabilities: Some("aes-256-cbc".to_owned()),
        ..plain
    };
    assert_eq!(add(&store, &able).await, CertificateAdded::Changed);
    let rows = store
        .certificates(WhichCertificates::All)
        .await
        .expect("list");
    assert_eq!(rows.len(), 1);
    let it = &rows[0].text;
    assert_eq!(it.choice, chosen.choice);
    assert_eq!(it.capabilities.as_deref(), Some("aes-256-cbc"));
    let other = text("info@contoso.com", 1, 365);
    assert_eq!(
        add(&store, &other).await,
        CertificateAdded::Added,
        "for another address it is another row"
    );
}

pub(crate) async fn of_many_that_add_the_same_at_once_one_adds(f: &dyn Fixture) {
    let first = f.fresh().await;
    let mut adding = Vec::new();
    for _ in 0..6 {
        let store = f.another().await;
        adding.push(tokio::spawn(async move {
            add(&store, &text("ops@contoso.com", 1, 365)).await
        }));
    }
    let mut added = 0;
    for one in adding {
        match one.await.expect("no panic") {
            CertificateAdded::Added => added += 1,
            CertificateAdded::Known => {}
            CertificateAdded::Changed => panic!("nothing was chosen"),
        }
    }
    assert_eq!(added, 1);
    id_of(&first, "ops@contoso.com").await;
}

pub(crate) async fn hundreds_of_addresses_are_looked_up_at_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let wanted: Vec<_> = (0..620).map(|n| format!("r{n}@contoso.com")).collect();
    for n in [0, 7, 499, 500, 619] {
        add(&store, &text(&wanted[n as usize], n, 365)).await;
    }
    add(&store, &text(&wanted[7], 1000, 365)).await;
    add(&store, &text("other@contoso.com", 1001, 365)).await;
    let revoked = id_of(&store, &wanted[499]).await;
    let reason = Some("left in June");
    assert!(
        store
            .revoke_certificate(revoked, reason)
            .await
            .expect("revoke")
    );
    let entries = store.certificate_entries(&wanted).await.expect("look up");
    let mut found: Vec<_> = entries
        .iter()
        .map(|it| (it.address.as_str(), it.sha256.trim_start_matches('0')))
        .collect();
    found.sort_unstable();
    let mut expected = [
        ("r0@contoso.com", ""),
        ("r7@contoso.com", "7"),
        ("r7@contoso.com", "3E8"),
        ("r499@contoso.com", "1F3"),
        ("r500@contoso.com", "1F4"),
        ("r619@contoso.com", "26B"),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    let output = entries.iter().filter_map(|it| it.revoked.clone());
    let output: Vec<_> = output.map(|it| it.reason).collect();
    assert_eq!(output, [Some("left in June".to_owned())]);
    let ids: Vec<_> = entries.iter().map(|it| it.id).collect();
    let pems = store.certificate_pems(&ids).await.expect("read");
    assert_eq!(pems.len(), 6);
    let one = pems.iter().find(|(id, _)| *id == revoked).expect("there");
    assert_eq!(one.1, text("", 499, 0).pem);
    let none = store.certificate_entries(&[]).await.expect("look up");
    assert!(none.is_empty());
}

pub(crate) async fn a_revoked_certificate_has_a_time_and_a_reason(f: &dyn Fixture) {
    let store = f.fresh().await;
    let it = text("ops@contoso.com", 1, 365);
    add(&store, &it).await;
    let id = id_of(&store, "ops@contoso.com").await;
    let revoke = |reason| store.revoke_certificate(id, reason);
    assert!(revoke(Some("key was lost")).await.expect("revoke"));
    assert!(!revoke(Some("again")).await.expect("revoke"));
    assert_eq!(add(&store, &it).await, CertificateAdded::Known);
    let rows = store
        .certificates(WhichCertificates::All)
        .await
        .expect("list");
    let revoked = rows[0].revoked.clone().expect("revoked");
    assert_eq!(revoked.reason.as_deref(), Some("key was lost"));
    assert!((now() - revoked.at).num_seconds().abs() < 300);
    let log = f.table("EventLog");
    let output = f
        .scalar(&format!(
            "SELECT Message FROM {log} WHERE EventType = 'certificate-revoked'"
        ))
        .await;
    let output = output.expect("an event");
    assert!(
        output.starts_with(&format!(
            "revoked the certificate {} of ops@contoso.com by ",
            it.thumbprint
        )),
        "{output}"
    );
}

pub(crate) async fn removing_a_certificate_is_logged(f: &dyn Fixture) {
    let store = f.fresh().await;
    add(&store, &text("ops@contoso.com", 1, 365)).await;
    add(&store, &text("info@contoso.com", 1, 365)).await;
    let id = id_of(&store, "ops@contoso.com").await;
    assert!(store.remove_certificate(id).await.expect("remove"));
    assert!(!store.remove_certificate(id).await.expect("remove"));
    assert_eq!(
        f.rows("EventLog", "EventType = 'certificate-removed'")
            .await,
        1
    );
    let addresses = ["ops@contoso.com", "info@contoso.com"].map(str::to_owned);
    let left = store
        .certificate_entries(&addresses)
        .await
        .expect("look up");
    assert_eq!(left.len(), 1);
    assert!(
        store
            .certificate_pems(&[id])
            .await
            .expect("read")
            .is_empty()
    );
}

pub(crate) async fn addresses_are_stored_in_lower_case(f: &dyn Fixture) {
    let store = f.fresh().await;
    add(&store, &text("ops@contoso.com", 1, 365)).await;
    let table = f.table("Certificate");
    let update = format!("UPDATE {table} SET Address = 'Ops@contoso.com'");
    f.try_sql(&update).await.expect_err("it would not be found");
    let update = format!("UPDATE {table} SET Cipher = 'rc2'");
    f.try_sql(&update)
        .await
        .expect_err("there is no such cipher");
}

pub(crate) async fn certificates_that_expire_soon_without_a_successor_are_listed(f: &dyn Fixture) {
    let store = f.fresh().await;
    let signs = |it: CertificateText| CertificateText {
        key_usage: "digitalSignature, emailProtection".to_owned(),
        can_encrypt: false,
        ..it
    };
    let next = |it: CertificateText, begins: i64| CertificateText {
        valid_from: it.valid_from + TimeDelta::days(begins),
        ..it
    };
    for it in [
        text("soon@x.com", 1, 10),
        text("later@x.com", 2, 61),
        text("renewed@x.com", 3, 10),
        next(text("renewed@x.com", 4, 375), 9),
        text("gap@x.com", 5, 20),
        next(text("gap@x.com", 6, 385), 30),
        text("signs@x.com", 7, 30),
        signs(text("signs@x.com", 8, 400)),
        signs(text("onlysigns@x.com", 9, 10)),
        text("over@x.com", 10, -2),
        text("revoked@x.com", 11, 10),
        text("orphan@x.com", 12, 40),
        text("orphan@x.com", 13, 400),
        text("tomorrow@x.com", 14, 0),
        CertificateText {
            key_usage: "any, emailProtection".to_owned(),
            ..text("any@x.com", 15, 50)
        },
    ] {
        add(&store, &it).await;
    }
    for (address, number) in [("revoked@x.com", 11), ("orphan@x.com", 13)] {
        let rows = store.certificates(WhichCertificates::Of(address)).await;
        let rows = rows.expect("list");
        let thumbprint = text("", number, 0).thumbprint;
        let row = rows.iter().find(|row| row.text.thumbprint == thumbprint);
        let id = row.expect("there").id;
        assert!(store.revoke_certificate(id, None).await.expect("revoke"));
    }
    let found = store.expiring_certificates().await.expect("look");
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.address.as_str(), it.days_left, it.notified_at_days))
        .collect();
    assert_eq!(
        found,
        [
            ("tomorrow@x.com", 0, None),
            ("soon@x.com", 10, None),
            ("gap@x.com", 20, None),
            ("signs@x.com", 30, None),
            ("orphan@x.com", 40, None),
            ("any@x.com", 50, None),
        ]
    );
    let shown = f.rows("ExpiringCertificate", "DaysLeft < 30").await;
    assert_eq!(shown, 3);
}

pub(crate) async fn an_expiry_is_notified_once_by_one_of_many_instances(f: &dyn Fixture) {
    let store = f.fresh().await;
    add(&store, &text("ops@contoso.com", 1, 10)).await;
    let id = id_of(&store, "ops@contoso.com").await;
    let mut telling = Vec::new();
    for _ in 0..6 {
        let store = f.another().await;
        telling.push(tokio::spawn(async move {
            store
                .notify_expiry(id, 14, &event())
                .await
                .expect("recorded")
        }));
    }
    let mut announced = 0;
    for one in telling {
        announced += usize::from(one.await.expect("no panic"));
    }
    assert_eq!(announced, 1);
    let output =
        "EventType = 'certificate-expiring' AND Message = 'it ends' AND Severity = 'warning'";
    assert_eq!(f.rows("EventLog", output).await, 1);
    let found = store.expiring_certificates().await.expect("look");
    assert_eq!(found[0].notified_at_days, Some(14));
    assert!(
        store
            .notify_expiry(id, 7, &event())
            .await
            .expect("recorded")
    );
    let found = store.expiring_certificates().await.expect("look");
    assert_eq!(found[0].notified_at_days, Some(7));
    assert_eq!(f.rows("EventLog", output).await, 2);

    store.remove_certificate(id).await.expect("remove");
    add(&store, &text("ops@contoso.com", 2, 10)).await;
    let id = id_of(&store, "ops@contoso.com").await;
    assert!(
        store
            .notify_expiry(id, 14, &event())
            .await
            .expect("recorded")
    );
    assert_eq!(
        f.rows("CertificateNotification", "1 = 1").await,
        1,
        "of what is gone nothing is kept"
    );
}
