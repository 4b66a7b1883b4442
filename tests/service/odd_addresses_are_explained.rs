//! What people write into the columns of recipients: good addresses get the message, and each of the others
//! shows why it failed.

use std::time::Duration;

use crate::site::Site;

const WITHIN: Duration = Duration::from_secs(60);

/// A list, the recipients that get a message, and a part of the reason of the others.
const LISTS: &[(&str, &[&str], &[&str])] = &[
    (
        "ops@example.test; undisclosed-recipients:;",
        &["ops@example.test"],
        &["groups are not supported"],
    ),
    (
        "Team: a@example.test, b@example.test;",
        &["b@example.test"],
        &["groups are not supported"],
    ),
    (
        "\"ops@example.test; b@example.test",
        &["b@example.test"],
        &["is not closed"],
    ),
    (
        "ops@example.test (Ops; all), b(x)@example.test;;,",
        &["ops@example.test", "b@example.test"],
        &[],
    ),
    (
        "\"a;b, c\"@example.test; \"Last, First\" <b@example.test>",
        &["\"a;b, c\"@example.test", "b@example.test"],
        &[],
    ),
    (
        "<@one.example,@two.example:a@example.test>",
        &[],
        &["source routes", "source routes"],
    ),
    (
        "ops@[192.0.2.1]; ops@[IPv6:2001:db8::1]; ops@[192.0.2.256]",
        &["ops@[192.0.2.1]", "ops@[IPv6:2001:db8::1]"],
        &["address literal"],
    ),
    (
        "ops@MÜNCHEN.example; ops@xn--mnchen-3ya.example; ops@-ü.example",
        &["ops@xn--mnchen-3ya.example"],
        &["IDNA"],
    ),
    (
        "ops@example.test、b@example.test",
        &[],
        &["separate addresses by an ASCII"],
    ),
    (
        "ops\u{202e}@example.test; \u{200b}b@example.test",
        &[],
        &["invisible", "invisible"],
    ),
    (
        "admin@example.test; \u{430}dmin@example.test",
        &["admin@example.test", "\u{430}dmin@example.test"],
        &[],
    ),
    (
        "ju\u{308}rgen@example.test; jürgen@EXAMPLE.test",
        &["jürgen@example.test"],
        &[],
    ),
    (
        "mailto:ops@example.test, ops at example.test",
        &[],
        &["without 'mailto:'", "there is no '@'"],
    ),
    (
        "Order desk, EMEA <ops@example.test>\r\n",
        &["ops@example.test"],
        &["a name that holds ',' or ';' needs quotation marks"],
    ),
    ("SMTP:ops@example.test", &[], &["without 'SMTP:'"]),
    (" \t; , ", &[], &[]),
];

/// The address, or the reason of a failure, of each recipient of an alert.
fn outcome(site: &Site, reference: &str) -> (Vec<String>, Vec<String>) {
    let list = |sql: &str| -> Vec<String> {
        let joined = site.value(&format!(
            "SELECT coalesce(group_concat(What, char(10)), '') FROM
             ({sql} AND Reference = '{reference}' ORDER BY Ordinal)"
        ));
        joined.lines().map(str::to_owned).collect()
    };
    (
        list("SELECT Address AS What FROM Delivery WHERE Status = 'relayed'"),
        list(
            "SELECT ReplyCode || ' ' || EnhancedStatusCode || ' ' || ReplyText AS What FROM Delivery WHERE Status = 'failed'",
        ),
    )
}

fn site() -> Site {
    let site = Site::new(
        "[relay.main]\nkind = \"file\"\nfolder = \"pickup\"\n
         [send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n",
    );
    std::fs::create_dir(site.path("pickup")).expect("make the folder");
    site
}

#[tokio::test]
async fn each_entry_of_a_list_is_judged_alone() {
    let site = site();
    let long = format!("reply+{}@example.test", "a".repeat(110));
    let list = format!("{long}; b@{}.example", "c".repeat(64));
    let (relayed, refused): (&[&str], &[&str]) = (&[&long], &["malformed"]);
    let more = [(&*list, relayed, refused)];
    for (n, (list, ..)) in LISTS.iter().chain(&more).enumerate() {
        let sql =
            "INSERT INTO Alert (ToRecipients, Subject, Body, Reference) VALUES (?1, 's', 'b', ?2)";
        let inserted = site.database().execute(sql, [list, &*n.to_string()]);
        inserted.expect("insert");
    }
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    for (n, (list, relayed, refused)) in LISTS.iter().chain(&more).enumerate() {
        let (to, why) = outcome(&site, &n.to_string());
        assert_eq!(to, *relayed, "{list}");
        assert_eq!(why.len(), refused.len(), "{list}: {why:?}");
        for (text, expected) in why.iter().zip(*refused) {
            assert!(
                text.starts_with("501 5.1.3 ") && text.contains(expected),
                "{list}: {text}"
            );
        }
    }
    let empty = "SELECT count(*) FROM AlertStatus WHERE Status = 'failed' AND StatusReason LIKE '%has no recipient%'";
    assert_eq!(site.value(empty), "1");
}

#[tokio::test]
async fn to_wins_over_cc_and_cc_over_bcc() {
    let site = site();
    let sql = "INSERT INTO Alert (ToRecipients, CcRecipients, BccRecipients, Subject, Body) VALUES (?1, ?2, ?3, 's', 'b')";
    let lists = [
        "ops@example.test; Ops <ops@EXAMPLE.TEST>; \"ops\"@example.test",
        "b@münchen.example; ops@example.test",
        "B@xn--mnchen-3ya.example; b@MÜNCHEN.example; ops@Example.test",
    ];
    site.database().execute(sql, lists).expect("insert");
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let rows = "SELECT group_concat(Kind || ' ' || Address, ', ') FROM (SELECT Kind, Address FROM Recipient ORDER BY Ordinal)";
    assert_eq!(
        site.value(rows),
        "to ops@example.test, to \"ops\"@example.test, cc b@xn--mnchen-3ya.example, bcc B@xn--mnchen-3ya.example"
    );
}

#[tokio::test]
async fn a_line_break_or_a_nul_fails_the_alert_and_nothing_is_written() {
    let site = site();
    for breaking in [
        "\r\nBcc: all@example.test",
        "\nx",
        "\r; x@example.test",
        "\0",
    ] {
        let sql = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES (?1, 's', 'b')";
        let list = format!("ops@example.test{breaking}");
        site.database().execute(sql, [list]).expect("insert");
    }
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let failed = "SELECT count(*) FROM AlertStatus WHERE Status = 'failed' AND StatusReason LIKE 'column ToRecipients holds%'";
    assert_eq!(site.value(failed), "4");
    let written = std::fs::read_dir(site.path("pickup")).expect("the folder");
    assert_eq!(written.count(), 0);
}
