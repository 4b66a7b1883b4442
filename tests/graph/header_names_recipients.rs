//! Graph sends to whom the header names: it names exactly those that are due.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::fake_graph::NextAnswer;
use crate::{Cloud, insert};

const WITHIN: Duration = Duration::from_secs(60);

fn named(addresses: &[&str]) -> BTreeSet<String> {
    addresses.iter().map(|&it| it.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn blind_copies_are_in_the_header() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    insert(
        &site,
        "ToRecipients, BccRecipients",
        "'ops@contoso.example', 'audit@contoso.example'",
    );
    insert(&site, "BccRecipients", "'audit@contoso.example'");
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let mut taken: Vec<_> = cloud
        .graph
        .taken()
        .into_iter()
        .map(|it| it.recipients)
        .collect();
    taken.sort();
    assert_eq!(
        taken,
        [
            named(&["audit@contoso.example"]),
            named(&["audit@contoso.example", "ops@contoso.example"])
        ]
    );
}

/// A recipient that the send port refuses gets nothing, although the alert names it in To.
#[tokio::test(flavor = "multi_thread")]
async fn recipients_that_are_not_due_leave_the_header() {
    let cloud = Cloud::new().await;
    let port = "[send_port.few]\nfrom = 'alerts@contoso.example'\nrelays = ['m365']\n\
                allow_recipient_domains = ['contoso.example']\n";
    let site = cloud.site("['m365']", port);
    insert(
        &site,
        "SendPort, ToRecipients, CcRecipients",
        "'few', 'Ops <ops@contoso.example>, x@elsewhere.example', 'chief@contoso.example'",
    );
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let taken = cloud.graph.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(
        taken[0].recipients,
        named(&["ops@contoso.example", "chief@contoso.example"])
    );
    assert!(
        taken[0].text.contains("To: Ops <ops@contoso.example>\r\n"),
        "{}",
        taken[0].text
    );
    let said = "SELECT count(*) FROM Delivery WHERE Status = 'relayed' \
                AND ReplyText LIKE '%the header was changed and names only the recipients of this attempt%'";
    assert_eq!(site.value(said), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_recipients_than_a_message_may_have_go_in_several() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    let config = std::fs::read_to_string(site.config()).expect("read");
    let config = config.replace(
        "kind = 'graph'",
        "kind = 'graph'\nrecipients_per_message = 2",
    );
    std::fs::write(site.config(), config).expect("write");
    insert(
        &site,
        "ToRecipients",
        "'a@contoso.example; b@contoso.example; c@contoso.example'",
    );
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let taken: Vec<_> = cloud
        .graph
        .taken()
        .into_iter()
        .map(|it| it.recipients)
        .collect();
    assert_eq!(
        taken,
        [
            named(&["a@contoso.example", "b@contoso.example"]),
            named(&["c@contoso.example"])
        ]
    );
}

/// Too large for Graph: the only relay says what to do, and with another one behind it nothing fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_too_large_says_what_to_do() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('ops@contoso.example', 'large', \
               replace(hex(zeroblob(1700000)), '00', 'ab '))";
    site.database().execute(sql, []).expect("insert");
    // Nothing is sent, so nothing of this is used.
    cloud.graph.next(NextAnswer::TakeAndClose);
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT Status || ' ' || ReplyCode || ' ' || ExplanationKey FROM Recipient"),
        "failed 413 graph-message-too-large"
    );
    assert!(cloud.graph.times().is_empty());
}
