use sendport_core::domain::{AlertId, Timestamp};

use super::*;

const ABOUT: About<'_> = About {
    send_port: "billing",
    environment: "production",
    to: "ops@contoso.com; oncall@contoso.com",
};

fn line(alert: i64, address: Option<&str>) -> UnreportedLine {
    UnreportedLine {
        alert: AlertId(alert),
        reference: Some(format!("order-{alert}")),
        subject: Some("Order is late".to_owned()),
        address: address.map(str::to_owned),
        status: "failed".to_owned(),
        status_at: Timestamp::UNIX_EPOCH,
        relay: address.map(|_| "main".to_owned()),
        reply: Some("550 5.1.1 no such user".to_owned()),
        advice: address.map(|_| "Correct the address.".to_owned()),
    }
}

fn text(unreported: &UnreportedFailures) -> String {
    compose(unreported, ABOUT).body.expect("a body")
}

#[test]
fn recipients_are_listed_under_their_alert() {
    let unreported = UnreportedFailures {
        alerts: 2,
        lines: vec![
            line(7, Some("a@x.com")),
            line(7, Some("b@x.com")),
            line(8, None),
        ],
        ..UnreportedFailures::default()
    };
    let digest = compose(&unreported, ABOUT);
    let subject = "sendport: 3 recipients failed at send port billing (production)";
    assert_eq!(digest.subject.as_deref(), Some(subject));
    assert_eq!(digest.to_recipients.as_deref(), Some(ABOUT.to));
    let expected = "\
3 recipients failed or expired at the send port billing of the environment production.

Alert 7, reference order-7: Order is late
  a@x.com: failed at 1970-01-01T00:00:00Z, relay main
    550 5.1.1 no such user
    What to do: Correct the address.
  b@x.com: failed at 1970-01-01T00:00:00Z, relay main
    550 5.1.1 no such user
    What to do: Correct the address.

Alert 8, reference order-8: Order is late
  the alert as a whole: failed at 1970-01-01T00:00:00Z
    550 5.1.1 no such user

All failures: SELECT * FROM sendport.FailedDelivery WHERE SendPort = 'billing' ORDER BY StatusAt DESC;
(On SQLite the view has no schema: FailedDelivery.)
";
    assert_eq!(digest.body.as_deref(), Some(expected));
}

#[test]
fn many_are_counted_and_the_first_of_them_listed() {
    let lines: Vec<_> = (1..=200).map(|n| line(n, Some("a@x.com"))).collect();
    let all_known = UnreportedFailures {
        alerts: 200,
        lines,
        ..UnreportedFailures::default()
    };
    let shown = text(&all_known);
    assert_eq!(shown.matches("a@x.com: failed").count(), MOST_LINES);
    assert!(shown.contains("And 150 more recipients: SELECT"), "{shown}");
    let more = UnreportedFailures {
        alerts: 1_200,
        ..all_known
    };
    let shown = text(&more);
    assert!(
        shown.starts_with("1200 alerts failed or expired"),
        "{shown}"
    );
    assert!(
        shown.contains("And 150 more recipients and 1000 more alerts: SELECT"),
        "{shown}"
    );
}

#[test]
fn texts_of_others_are_one_line_and_bounded() {
    let hostile = UnreportedLine {
        subject: Some("x\r\nAlert 1: all is well\u{1b}[2J".to_owned()),
        reply: Some("y".repeat(5_000)),
        ..line(7, Some("a@x.com"))
    };
    let unreported = UnreportedFailures {
        alerts: 1,
        lines: vec![hostile],
        ..UnreportedFailures::default()
    };
    let shown = text(&unreported);
    assert!(!shown.contains('\r') && !shown.contains('\u{1b}'));
    assert!(!shown.contains("\nAlert 1"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() < 400));
    assert!(shown.starts_with("1 recipient failed"));
}

#[test]
fn a_digest_goes_through_another_relay_first() {
    let relays = ["main", "backup", "third"].map(str::to_owned);
    let unreported = UnreportedFailures {
        alerts: 1,
        lines: vec![line(7, Some("a@x.com"))],
        ..UnreportedFailures::default()
    };
    let alert = |origin| Alert {
        origin,
        payload: compose(&unreported, ABOUT).payload,
        ..crate::fixture::alert()
    };
    let order = |origin| relay_order(&alert(origin), &relays);
    assert_eq!(order(AlertOrigin::Digest), ["backup", "third", "main"]);
    assert_eq!(
        order(AlertOrigin::Application),
        ["main", "backup", "third"],
        "applications cannot choose"
    );
}
