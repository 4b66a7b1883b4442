use std::path::Path;
use std::time::Duration;

use mail_parser::MessageParser;
use sendport::sink::{Sink, SinkOptions};

use crate::site::{Site, text};
use crate::support::people::{People, Person};
use crate::support::received::{messages, received};
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at};

const WITHIN: Duration = Duration::from_secs(60);

fn says(site: &Site, arguments: &[&str]) -> String {
    let output = site.sendport(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// The recipients of each envelope, in the order of the messages' files.
fn envelopes(folder: &Path) -> Vec<Vec<String>> {
    let read = |path| std::fs::read_to_string(path).expect("readable");
    let of_one = |text: String| {
        let lines = text.lines();
        let names = lines.map_while(|line| {
            let is_envelope = line.starts_with("X-Sender: ") || line.starts_with("X-Receiver: ");
            is_envelope.then_some(line)
        });
        let receivers = names.filter_map(|line| line.strip_prefix("X-Receiver: "));
        receivers.map(str::to_owned).collect()
    };
    let mut files = messages(folder);
    files.sort();
    files.into_iter().map(read).map(of_one).collect()
}

const ONE_ALERT: &str =
    "INSERT INTO Alert (ToRecipients, CcRecipients, BccRecipients, Subject, Body, BodyFormat)
    VALUES ('Ops <ops@example.test>', 'lead@example.test', 'audit@example.test', 'Late',
            '<html><body><p>It is late.</p></body></html>', 'html')";

/// In its texts, and nowhere else.
fn assert_shows_the_recipients(bytes: &[u8]) {
    let message = MessageParser::default().parse(bytes).expect("a message");
    let to = message
        .to()
        .and_then(|to| to.first())
        .expect("an addressee");
    assert_eq!(to.address(), Some("qa@example.test"));
    assert!(message.cc().is_none() && message.bcc().is_none());
    let plain = message.body_text(0).expect("a text");
    let head = "This message was redirected to qa@example.test by request 1 of an operator.\n\
        Without the redirect it goes to:\nTo: Ops <ops@example.test>\nCc: lead@example.test\nBcc: audit@example.test\n---";
    let plain = plain.replace("\r\n", "\n");
    assert!(
        plain.starts_with(head) && plain.contains("It is late."),
        "{plain}"
    );
    let html = message.body_html(0).expect("HTML");
    assert!(
        html.starts_with("<html><body><div")
            && html.contains("To: Ops &lt;ops@example.test&gt;<br>"),
        "{html}"
    );
}

/// One message to one address; its texts, the views and the commands show whom it did not go to. Once the redirect has
/// ended, a requeue sends it to them.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_alert_goes_to_one_address_until_the_redirect_ends() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    site.database().execute(ONE_ALERT, []).expect("insert");
    let to_qa = ["redirect", "--to", "qa@example.test", "--all"];
    let counted = says(&site, &[&to_qa[..], &["--dry-run"]].concat());
    assert!(
        counted.contains("1 match now, and alerts that are inserted until a release will, too; nothing was changed"),
        "{counted}"
    );
    let said = says(&site, &to_qa);
    assert!(said.contains("sendport release --redirect 1"), "{said}");
    let open = says(&site, &["requests", "--open"]);
    assert!(open.contains("all, to qa@example.test"), "{open}");
    let status = says(&site, &["status"]);
    assert!(
        status.contains("Note: alerts (all) go to qa@example.test instead of their recipients, until `sendport release --redirect 1`"),
        "{status}"
    );
    let preview = says(&site, &["preview", "1"]);
    for line in [
        "RCPT TO       <qa@example.test>\nRedirect      redirected to qa@example.test by request 1\n",
        "Instead of    ops@example.test, to\nInstead of    lead@example.test, cc\n",
    ] {
        assert!(preview.contains(line), "{line} is missing in\n{preview}");
    }
    let raw = site.sendport(&["preview", "1", "--raw"]).stdout;

    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(envelopes(mails.path()), [["qa@example.test"]]);
    let bytes = received(mails.path()).remove(0);
    assert!(bytes == raw, "the preview is what arrived");
    assert_shows_the_recipients(&bytes);

    let remark = "redirected to qa@example.test by request 1";
    let relayed = format!(
        "SELECT count(*) FROM Delivery WHERE Status = 'relayed' AND Remark = '{remark}' AND MessageId LIKE '%.redirect-1@%'"
    );
    assert_eq!(site.value(&relayed), "3");
    for arguments in [["status", "1"], ["why", "1"]] {
        let shown = says(&site, &arguments);
        assert!(shown.contains(remark), "{shown}");
    }

    says(&site, &["release", "--redirect", "1"]);
    says(&site, &["requeue", "--all", "--recipients", "redirected"]);
    site.wait_until_all_final(WITHIN).await;
    let all = [
        "ops@example.test",
        "lead@example.test",
        "audit@example.test",
    ];
    let mut sent: Vec<_> = envelopes(mails.path()).into_iter().flatten().collect();
    sent.sort();
    let mut expected = [&all[..], &["qa@example.test"]].concat();
    expected.sort_unstable();
    assert_eq!(sent, expected);
    assert_eq!(
        site.value("SELECT count(*) FROM Delivery WHERE Remark IS NOT NULL"),
        "0"
    );
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
}

/// A redirect that is added between two attempts is in force for the second one, which shows those that still wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_honoured_at_the_next_attempt() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[("audit", 1)]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    let service = site.run();
    site.database().execute(ONE_ALERT, []).expect("insert");
    let delayed = "SELECT count(*) FROM Recipient WHERE Status = 'delayed'";
    site.wait_until(delayed, "1", WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    says(
        &site,
        &[
            "redirect",
            "--to",
            "qa@example.test",
            "--send-port",
            "default",
        ],
    );
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(
        envelopes(mails.path())
            .into_iter()
            .flatten()
            .filter(|to| to == "audit@example.test")
            .count(),
        0
    );
    let bytes = received(mails.path());
    let redirected: Vec<_> = bytes
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes))
        .filter(|message| message.contains("\r\nTo: qa@example.test\r\n"))
        .collect();
    assert_eq!((bytes.len(), redirected.len()), (2, 1));
    let message = &redirected[0];
    assert!(
        message.contains("Bcc: audit@example.test") && !message.contains("Cc: lead@"),
        "{message}"
    );
    let remarks = "SELECT group_concat(coalesce(Remark, '-'), ',') FROM (SELECT * FROM Delivery ORDER BY Ordinal)";
    assert_eq!(
        site.value(remarks),
        "-,-,redirected to qa@example.test by request 1"
    );
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
}

/// The same address for the same alerts is refused while it is in force, and a release says what is behind it.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_say_which_redirect_is_in_force() {
    let site = Site::new(&send_port_over(&plain_relay(any_port())));
    let to_qa = [
        "redirect",
        "--to",
        "qa@example.test",
        "--send-port",
        "default",
    ];
    says(&site, &to_qa);
    let again = text(&site.sendport(&to_qa));
    assert!(
        again.contains("goes to qa@example.test already: request 1 of "),
        "{again}"
    );
    says(&site, &["redirect", "--to", "dev@example.test", "--all"]);
    says(&site, &to_qa);
    let said = says(&site, &["release", "--redirect", "3"]);
    assert!(
        said.contains("request 2 is in force now: all goes to dev@example.test"),
        "{said}"
    );
    let said = says(&site, &["release", "--redirect", "2"]);
    assert!(
        said.contains("request 1 is in force now: SendPort 'default' goes to qa@example.test"),
        "{said}"
    );
    let closed = send_port_over(&plain_relay(any_port())).replace(
        "[send_port.default.retry]",
        "allow_recipient_domains = [\"contoso.com\"]\n[send_port.default.retry]",
    );
    let said = says(&Site::new(&closed), &to_qa);
    assert!(
        said.contains("may not send to the domain 'example.test'"),
        "{said}"
    );
    let missing = text(&site.sendport(&["release", "--hold", "99"]));
    assert!(missing.contains("there is no request 99"), "{missing}");
}

/// SIGKILL in the middle: nothing goes to a recipient before or after it.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_everything_still_goes_to_the_one_address() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    says(&site, &["redirect", "--to", "qa@example.test", "--all"]);
    insert_many(&site, 500);
    for share in 1..=2 {
        let service = site.run();
        let some = format!(
            "SELECT count(*) >= {} FROM AlertState WHERE FinalAt IS NOT NULL",
            share * 100
        );
        site.wait_until(&some, "1", WITHIN).await;
        service.kill();
    }
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let envelopes = envelopes(mails.path());
    assert!(envelopes.len() >= 500, "{}", envelopes.len());
    assert!(envelopes.iter().all(|to| to == &["qa@example.test"]));
    let redirected = "SELECT count(*) FROM Delivery WHERE Status = 'relayed' AND Remark LIKE 'redirected to qa@%'";
    assert_eq!(site.value(redirected), "500");
    let elsewhere = "SELECT count(*) FROM Attempt WHERE RedirectTo IS NULL";
    assert_eq!(site.value(elsewhere), "0", "attempts in doubt say so too");
    sink.stop().await;
}

/// While a row that somebody wrote by hand has no usable address, alerts wait, and say why.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_redirect_lets_nothing_out() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    let refused = site.sendport(&["redirect", "--to", "nobody", "--all"]);
    assert!(!refused.status.success() && text(&refused).contains("nobody"));
    let by_hand =
        "INSERT INTO OperatorRequest (Verb, MatchesAll, RedirectTo) VALUES ('redirect', 1, 'qa@')";
    site.database().execute(by_hand, []).expect("insert");
    site.database().execute(ONE_ALERT, []).expect("insert");
    let service = site.run();
    let waits = "SELECT StatusReason LIKE 'waits for the end of redirect 1, whose address cannot be used: %' FROM AlertStatus";
    site.wait_until(waits, "1", WITHIN).await;
    assert_eq!(sink.received(), 0);
    let other = site.sendport(&["release", "--all"]);
    assert!(other.status.success(), "{}", text(&other));
    let wrong = site.sendport(&["release", "--hold", "1"]);
    assert!(text(&wrong).contains("request 1 is a redirect and not a hold"));
    let why = says(&site, &["why", "1"]);
    assert!(
        why.contains("redirect 1, whose address cannot be used"),
        "{why}"
    );
    let events = "SELECT count(*) FROM EventLog WHERE EventType = 'request-refused' AND Message LIKE 'the address of redirect 1 %'";
    site.wait_until(events, "1", WITHIN).await;
    assert_eq!(sink.received(), 0);
    says(&site, &["release", "--redirect", "1"]);
    let over = text(&site.sendport(&["release", "--redirect", "1"]));
    assert!(
        over.contains("request 1 is a redirect, and it has ended: released by request 3"),
        "{over}"
    );
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(envelopes(mails.path()).into_iter().flatten().count(), 3);
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
}

/// The reply about the address of the redirect blames no recipient, wherever it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_address_is_the_fault_of_the_redirect() {
    let mails = tempfile::tempdir().expect("a folder");
    let options = SinkOptions {
        listen: any_port(),
        folder: mails.path().to_owned(),
        refuse: vec!["gone".to_owned()],
        ..SinkOptions::default()
    };
    let sink = Sink::start(options).await.expect("start");
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    says(&site, &["redirect", "--to", "gone@example.test", "--all"]);
    site.database().execute(ONE_ALERT, []).expect("insert");
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;

    let reason = "redirected to gone@example.test by request 1, and that address was refused: 550";
    for (column, view) in [
        ("StatusReason", "AlertStatus"),
        ("Message", "EventLog WHERE EventType = 'alerts-failed'"),
    ] {
        let shown = site.value(&format!("SELECT {column} FROM {view}"));
        assert!(shown.contains(reason), "{view}: {shown}");
    }
    let blamed = "SELECT count(*) FROM FailedDelivery WHERE Fault = 'configuration' AND Advice LIKE 'Correct the redirect%'
        AND Reason LIKE 'redirected to gone@example.test: %'";
    assert_eq!(site.value(blamed), "3");
    for arguments in [["why", "1"], ["status", "1"]] {
        let shown = says(&site, &arguments);
        for part in [reason, "Correct the redirect, not the recipient"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }
    let sent = site.sendport(&[
        "send",
        "--to",
        "ops@example.test",
        "--subject",
        "s",
        "--wait",
    ]);
    assert!(
        !sent.status.success() && text(&sent).contains(reason),
        "{}",
        text(&sent)
    );

    says(&site, &["release", "--redirect", "1"]);
    says(&site, &["redirect", "--to", "qa@example.test", "--all"]);
    let sent = [
        "send",
        "--to",
        "ops@example.test",
        "--subject",
        "s",
        "--wait",
    ];
    let sent = says(&site, &sent);
    assert!(
        sent.contains("redirected to qa@example.test by request 3"),
        "{sent}"
    );
    says(&site, &["release", "--redirect", "3"]);
    says(&site, &["requeue", "--cause", "redirect-address-refused"]);
    site.wait_until_all_final(WITHIN).await;
    let relayed = "SELECT count(*) FROM Recipient WHERE Status = 'relayed' AND RedirectTo IS NULL";
    assert_eq!(site.value(relayed), "4");
    assert_eq!(service.stop(), Some(0));
    sink.stop().await;
}

/// The recipients need no certificate, and the notice is inside of what is signed and encrypted.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_message_is_signed_and_only_its_address_decrypts_it() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let keys = tempfile::tempdir().expect("a folder");
    let people = People::new(keys.path());
    people.add(&Person::new("alerts", "alerts@example.test"));
    people.add(&Person::new("qa", "qa@example.test"));
    people.publish("qa", &people.path("certificates"));
    let file = |name: &str| people.path(name).display().to_string();
    let port = format!(
        "[send_port.default]\nfrom = 'alerts@example.test'\nrelays = ['main']\nprotection = 'sign+encrypt'\n\
         [send_port.default.encryption]\ncertificates_folder = '{}'\n\
         [send_port.default.signing]\ncertificate_file = '{}'\nkey_file = '{}'\n",
        file("certificates"),
        file("alerts.pem"),
        file("alerts.key")
    );
    let site = Site::new(&(plain_relay(sink.local_addr()) + &port));
    site.database().execute(ONE_ALERT, []).expect("insert");
    says(&site, &["redirect", "--to", "qa@example.test", "1"]);
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(envelopes(mails.path()), [["qa@example.test"]]);
    let message = received(mails.path()).remove(0);
    let outside = String::from_utf8_lossy(&message);
    assert!(!outside.contains("ops@") && !outside.contains("audit@"));
    let signed = people.decrypt(&message, "qa").expect("it can be decrypted");
    let inside = people.verify(&signed).expect("the signature is valid");
    let inside = String::from_utf8_lossy(&inside);
    for shown in ["To: Ops <ops@example.test>", "Bcc: audit@example.test"] {
        assert!(inside.contains(shown), "{shown} is not in {inside}");
    }
    assert_eq!(
        site.value("SELECT EncryptedTo FROM Attempt"),
        people.thumbprint("qa")
    );
    sink.stop().await;
}
