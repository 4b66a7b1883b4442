//! What arrives unasked is the reply to nothing: the next message goes over a new connection, and
//! nothing counts as taken, or as refused for good, by a reply that was not its own.

use std::sync::Arc;

use sendport_core::domain::{Command, Fault, Reply, SubmissionEnd, SubmissionReport};
use sendport_core::replies::ReplyTable;
use sendport_smtp::relay::Relay;
use tokio::sync::Barrier;

use crate::support::certificates::TestAuthority;
use crate::support::client::{
    Open, envelope, last_reply, message, not_begun, relay, reply_to, submit,
};
use crate::support::scripted_peer::{
    Chunk, ClientGoes, Content, Expect, Peer, Step, Tls, good_transaction, hello, hello_again,
    send, then,
};

const A: &[&str] = &["a@example.test"];

const SETTINGS: &str = "tls = \"none\"";
const OVER_TLS: &str = "tls = \"implicit\"\nverify_certificate = false";

fn bye() -> [Step; 2] {
    [Expect("QUIT"), send("221 bye")]
}

/// Submits a message to these recipients as often as it is listed.
async fn submitted(sessions: Vec<Vec<Step>>, messages: &[&[&str]]) -> Vec<SubmissionReport> {
    let peer = Peer::start(sessions).await;
    let relay = relay(peer.address, SETTINGS);
    let mut reports = Vec::new();
    for recipients in messages {
        reports.push(submit(&relay, recipients).await);
    }
    relay.close().await;
    peer.finish().await;
    reports
}

/// The report of one message.
async fn report_of(sessions: Vec<Vec<Step>>) -> SubmissionReport {
    submitted(sessions, &[A]).await.remove(0)
}

/// One message arrives, whatever happens in the sessions.
async fn arrives(sessions: Vec<Vec<Step>>) {
    let report = report_of(sessions).await;
    assert!(report.is_accepted(), "{report:?}");
}

async fn the_next_goes_over_a_new_connection(spare: &str, settings: &str, begin: &[Step]) {
    let idle = Arc::new(Barrier::new(2));
    let spare = [
        Step::Meet(Arc::clone(&idle)),
        send(spare),
        Step::Meet(Arc::clone(&idle)),
        ClientGoes,
    ];
    let open = |offers| then(begin.to_vec(), then(hello(offers), good_transaction()));
    let first = then(open(&["PIPELINING"]), spare);
    let second = then(open(&["PIPELINING"]), bye());
    let server = TestAuthority::new().issue(&["127.0.0.1"]);
    let peer = Peer::start_with(vec![first, second], Some(server.acceptor())).await;
    let relay = relay(peer.address, settings);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    idle.wait().await;
    idle.wait().await;
    let report = submit(&relay, &["b@example.test"]).await;
    assert!(report.is_accepted(), "{report:?}");
    assert_eq!(report.replies.len(), 4, "of the new one alone: {report:?}");
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn an_unsolicited_reply_on_an_idle_connection_is_discarded() {
    for spare in [
        "554 5.4.7 idle too long",
        "451 4.7.0 Timeout waiting for client input",
        "550 5.1.1 unknown",
        "250 2.0.0 ok",
        "354 go",
        "250-half",
        "garbage",
    ] {
        the_next_goes_over_a_new_connection(spare, SETTINGS, &[]).await;
        the_next_goes_over_a_new_connection(spare, OVER_TLS, &[Tls]).await;
    }
}

/// The replies come slowly, so that content is written before the reply to RCPT is there.
#[tokio::test]
async fn a_late_reply_to_a_recipient_is_not_the_one_to_bdat() {
    let offers = ["CHUNKING", "ENHANCEDSTATUSCODES"];
    let shifted = [
        Expect("MAIL"),
        send("250 2.1.0 ok"),
        Expect("RCPT"),
        send("250 2.1.5 spare"),
        Chunk,
        send("250 2.1.5 ok"),
        send("554 5.7.1 refused"),
        ClientGoes,
    ];
    let refused = [
        Expect("MAIL"),
        send("250 2.1.0 ok"),
        Expect("RCPT"),
        send("250 2.1.5 ok"),
        Expect("DATA"),
        send("354 go"),
        Content,
        send("554 5.7.1 refused"),
        Expect("RSET"),
        send("250 2.0.0 ok"),
    ];
    let refused = then(then(hello(&offers), refused), hello_again(&[]));
    let refused = then(refused, bye());
    let reports = submitted(vec![then(hello(&offers), shifted), refused], &[A, A]).await;
    let (report, again) = (&reports[0], &reports[1]);
    assert!(!report.is_accepted(), "{report:?}");
    assert_eq!(report.end, SubmissionEnd::InDoubt);
    assert_eq!(report.replies.len(), 1, "none of them has a recipient");
    assert_eq!(again.end, SubmissionEnd::Answered);
    assert_eq!(last_reply(again).0.to_string(), "554 5.7.1 refused");
}

/// Without enhanced codes 354 distinguishes the replies.
#[tokio::test]
async fn a_late_reply_to_a_recipient_is_not_the_one_to_data() {
    let shifted = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("250 spare"),
        Expect("DATA"),
        send("250 ok"),
        ClientGoes,
    ];
    let mut refused = good_transaction();
    refused.pop();
    let refused = [send("554 refused"), Expect("RSET"), send("250 2.0.0 ok")]
        .into_iter()
        .fold(then(hello(&["CHUNKING"]), refused), |steps, step| {
            then(steps, [step])
        });
    let first = then(hello(&["CHUNKING"]), shifted);
    let refused = then(refused, then(hello_again(&[]), bye()));
    let report = report_of(vec![first, refused]).await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert_eq!(last_reply(&report).0.to_string(), "554 refused");
}

#[tokio::test]
async fn two_replies_to_the_content_leave_it_in_doubt() {
    let mut twice = good_transaction();
    twice.pop();
    let answers = Step::Send(b"550 5.7.1 no\r\n250 2.0.0 accepted\r\n".to_vec());
    let twice = then(then(hello(&[]), twice), [answers, ClientGoes]);
    let report = report_of(vec![twice]).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt, "{report:?}");
    let (last, _) = last_reply(&report);
    assert_eq!((last.command, last.code), (Command::EndOfData, 0));
}

#[tokio::test]
async fn a_421_after_the_reply_is_no_second_reply() {
    let mut goodbye = good_transaction();
    goodbye.pop();
    let answers = Step::Send(b"250 2.0.0 accepted\r\n421 4.3.2 bye\r\n".to_vec());
    let first = then(then(hello(&[]), goodbye), [answers, ClientGoes]);
    let second = then(then(hello(&[]), good_transaction()), bye());
    for report in submitted(vec![first, second], &[A, A]).await {
        assert!(report.is_accepted(), "{report:?}");
    }
}

/// The second recipient's refusal would count for all, and the first one's for the second.
#[tokio::test]
async fn no_recipient_is_refused_by_the_reply_to_another() {
    let shifted = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT TO:<a@"),
        send("250 spare"),
        Expect("RCPT TO:<b@"),
        send("550 5.1.1 a is unknown"),
        Expect("DATA"),
        send("250 b is known"),
        ClientGoes,
    ];
    let honest = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT TO:<a@"),
        send("550 5.1.1 a is unknown"),
        Expect("RCPT TO:<b@"),
        send("250 b is known"),
        Expect("DATA"),
        send("354 go"),
        Content,
        send("250 accepted"),
    ];
    let second = then(then(hello(&[]), honest), bye());
    let both: &[&str] = &["a@example.test", "b@example.test"];
    let reports = submitted(vec![then(hello(&[]), shifted), second], &[both]).await;
    let report = &reports[0];
    assert!(report.is_accepted(), "{report:?}");
    assert_eq!(reply_to(report, 0), "550 5.1.1 a is unknown");
    assert_eq!(reply_to(report, 1), "250 b is known");
}

/// RSET shows that the refusal of DATA was not the reply to DATA.
#[tokio::test]
async fn a_refusal_counts_only_where_rset_is_answered_in_step() {
    let shifted = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("250 spare"),
        Expect("DATA"),
        send("550 5.1.1 unknown"),
        Expect("RSET"),
        send("503 5.5.1 no valid recipients"),
        ClientGoes,
    ];
    let second = then(then(hello(&[]), good_transaction()), bye());
    arrives(vec![then(hello(&[]), shifted), second]).await;
}

/// A relay without enhanced codes says 550 once too often; the one to EHLO has several lines.
#[tokio::test]
async fn an_extra_refusal_refuses_no_recipient() {
    let ahead = |ahead: &[&str]| {
        let replies: String = ahead.iter().map(|reply| format!("{reply}\r\n")).collect();
        [
            Expect("MAIL"),
            Expect("RCPT"),
            Step::Send(replies.into_bytes()),
            Expect("RSET"),
        ]
    };
    let sender = [Expect("MAIL"), send("550 spare"), Expect("RSET")];
    let recipient = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("550 spare"),
        Expect("RSET"),
    ];
    let at_once = ahead(&["250 ok", "550 spare"]);
    let cases: [(&[&str], &[Step]); 3] = [
        (&[], &sender),
        (&[], &recipient),
        (&["PIPELINING"], &at_once),
    ];
    for (offers, shifted) in cases {
        let behind = [send("250 ok"), Expect("EHLO"), send("250 ok"), ClientGoes];
        let shifted = then(then(hello(offers), shifted.to_vec()), behind);
        let second = then(then(hello(offers), good_transaction()), bye());
        arrives(vec![shifted, second]).await;
    }
}

/// The answer to RSET was the one to the content.
#[tokio::test]
async fn an_extra_refusal_of_the_content_leaves_it_in_doubt() {
    let mut shifted = then(hello(&["ENHANCEDSTATUSCODES"]), good_transaction());
    shifted.pop();
    let behind = [
        send("550 5.7.1 spare"),
        Expect("RSET"),
        send("250 2.0.0 accepted"),
        Expect("EHLO"),
        send("250 2.0.0 reset"),
        ClientGoes,
    ];
    let report = report_of(vec![then(shifted, behind)]).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt, "{report:?}");
}

/// The refusal is known to be the answer, or the server takes no second EHLO.
#[tokio::test]
async fn a_refusal_without_a_code_is_final() {
    let greeted_again = then(hello_again(&[]), then(good_transaction(), bye()));
    let denied = [Expect("EHLO"), send("503 duplicate EHLO"), ClientGoes];
    let cases: [(_, &[&[&str]]); 2] = [(greeted_again, &[A, A]), (denied.to_vec(), &[A])];
    for (behind, messages) in cases {
        let refused = [
            Expect("MAIL"),
            send("250 ok"),
            Expect("RCPT"),
            send("550 unknown"),
            Expect("RSET"),
            send("250 ok"),
        ];
        let script = then(then(hello(&[]), refused), behind);
        let reports = submitted(vec![script], messages).await;
        assert_eq!(reports[0].end, SubmissionEnd::Answered);
        assert_eq!(reply_to(&reports[0], 0), "550 unknown");
        assert!(reports[1..].iter().all(SubmissionReport::is_accepted));
    }
}

/// A transaction by DATA, whose content is answered like this.
fn answered(content: &str) -> Vec<Step> {
    vec![
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("250 ok"),
        Expect("DATA"),
        send("354 go"),
        Content,
        send(content),
    ]
}

#[tokio::test]
async fn a_reply_sent_with_354_is_not_the_reply_to_the_content() {
    for spare in ["550 5.1.1 no", "554 5.4.7 idle too long"] {
        let with_spare = [
            Expect("MAIL"),
            send("250 ok"),
            Expect("RCPT"),
            send("250 ok"),
            Expect("DATA"),
            send(&format!("354 go\r\n{spare}")),
            ClientGoes,
        ];
        let first = then(hello(&[]), with_spare);
        let second = then(then(hello(&[]), answered("250 ok")), bye());
        arrives(vec![first, second]).await;
    }
}

#[tokio::test]
async fn only_x5z_accepts_a_message() {
    for other in ["221 2.0.0 bye", "220 ready", "214 help", "235 2.7.0 ok"] {
        let script = then(then(hello(&[]), answered(other)), [ClientGoes]);
        let report = report_of(vec![script]).await;
        assert_eq!(report.end, SubmissionEnd::InDoubt, "{other}: {report:?}");
    }
}

/// It is in doubt once; from then on each reply is waited for, and the first one is the content's.
#[tokio::test]
async fn extra_replies_do_not_repeat_the_message_forever() {
    let added = "250 2.0.0 stored\r\n250 2.0.0 thank you";
    let script = || then(then(hello(&[]), answered(added)), [ClientGoes]);
    let reports = submitted(vec![script(), script()], &[A, A]).await;
    assert_eq!(reports[0].end, SubmissionEnd::InDoubt, "{reports:?}");
    assert!(reports[1].is_accepted(), "{reports:?}");
}

/// Another message for each number.
async fn submit_nth(relay: &dyn Relay, n: u32) -> SubmissionReport {
    let message = message(&format!("{n}@example.test"), "Order 4711 is late.\r\n");
    let envelope = envelope(&["a@example.test"]);
    relay.submit(&envelope, &message, &Open).await
}

/// Which of the two answers counts is unknown: after two messages in doubt no third one is sent.
/// One message may be the reason itself.
#[tokio::test]
async fn extra_refusals_pause_the_relay_after_two_messages() {
    let added = "250 2.0.0 stored\r\n550 5.7.1 no";
    let script = || then(then(hello(&[]), answered(added)), [ClientGoes]);
    let peer = Peer::start(vec![script(), script(), script()]).await;
    let relay = relay(peer.address, SETTINGS);
    for message in [1, 1, 2] {
        let report = submit_nth(&relay, message).await;
        assert_eq!(report.end, SubmissionEnd::InDoubt, "{report:?}");
    }
    for message in 1..4 {
        let report = submit_nth(&relay, message).await;
        let SubmissionEnd::NotBegun { reply, fault } = &report.end else {
            panic!("it is left alone: {report:?}");
        };
        assert_eq!(*fault, Some(Fault::Configuration), "that pauses it");
        let output = &reply.text;
        assert!(output.contains("do not match the commands"), "{output}");
        assert_eq!(key_of(reply), DESYNCHRONISED);
    }
    relay.close().await;
    peer.finish().await;
}

const DESYNCHRONISED: &str = "replies-do-not-match-commands";

fn key_of(reply: &Reply) -> String {
    let table = ReplyTable::built_in();
    let entry = table.explain(reply).expect("an explanation");
    entry.key.to_string()
}

/// No session reaches the content: that is reported, and a third one is not opened.
#[tokio::test]
async fn extra_replies_to_the_greeting_pause_the_relay_after_two_sessions() {
    for added in ["250 extra", "550 5.7.1 extra"] {
        let script = || vec![send(&format!("220 hi\r\n{added}")), ClientGoes];
        let peer = Peer::start(vec![script(), script()]).await;
        let relay = relay(peer.address, SETTINGS);
        let (relays, ours) = (Some(Fault::Relay), Some(Fault::Configuration));
        for fault in [relays, relays, ours, ours] {
            let report = submit(&relay, &["a@example.test"]).await;
            let (reply, found) = not_begun(&report);
            assert_eq!(found, fault, "{reply}");
            assert_eq!(key_of(reply), DESYNCHRONISED);
        }
        relay.close().await;
        peer.finish().await;
    }
}

/// The second session is the first message's, a command at a time.
#[tokio::test]
async fn extra_replies_to_mail_pause_the_relay_after_two_messages() {
    let added = [Expect("MAIL"), send("250 ok\r\n250 extra"), ClientGoes];
    let script = || then(hello(&[]), added.clone());
    let peer = Peer::start(vec![script(), script(), script()]).await;
    let relay = relay(peer.address, SETTINGS);
    for message in [1, 2] {
        let report = submit_nth(&relay, message).await;
        let (reply, _) = last_reply(&report);
        assert_eq!(report.end, SubmissionEnd::Broken, "{report:?}");
        assert_eq!(key_of(reply), DESYNCHRONISED);
    }
    let report = submit_nth(&relay, 1).await;
    assert_eq!(
        not_begun(&report).1,
        Some(Fault::Configuration),
        "{report:?}"
    );
    relay.close().await;
    peer.finish().await;
}

/// One in doubt is none of two in a row where another one was answered in between.
#[tokio::test]
async fn a_message_answered_in_step_resets_the_count() {
    let added = "250 2.0.0 stored\r\n550 5.7.1 no";
    let twice = || then(then(hello(&[]), answered(added)), [ClientGoes]);
    let once = || then(then(hello(&[]), good_transaction()), bye());
    let scripts = vec![twice(), once(), twice(), once()];
    let peer = Peer::start(scripts).await;
    let settings = format!("{SETTINGS}\nmessages_per_connection = 1");
    let relay = relay(peer.address, &settings);
    for accepted in [false, true, false, true] {
        let report = submit(&relay, &["a@example.test"]).await;
        assert_eq!(report.is_accepted(), accepted, "{report:?}");
    }
    relay.close().await;
    peer.finish().await;
}
