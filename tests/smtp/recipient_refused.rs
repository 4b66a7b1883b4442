//! One refused recipient harms no other.

use sendport_core::domain::{Command, SubmissionEnd};

use crate::support::client::{commands, relay, reply_to, submit};
use crate::support::scripted_peer::{Content, Expect, Peer, Step, hello, send, then};

fn script(extensions: &[&str], pipelined: bool) -> Vec<Step> {
    let asked = [
        Expect("MAIL FROM:<alerts@example.test>"),
        Expect("RCPT TO:<a@example.test>"),
        Expect("RCPT TO:<b@example.test>"),
        Expect("RCPT TO:<c@example.test>"),
    ];
    let reply = [
        "250 2.1.0 ok",
        "250 2.1.5 ok",
        "550 5.1.1 unknown",
        "451 4.2.1 busy",
    ]
    .map(send);
    let dialogue: Vec<Step> = if pipelined {
        asked.into_iter().chain(reply).collect()
    } else {
        asked
            .into_iter()
            .zip(reply)
            .flat_map(|(a, s)| [a, s])
            .collect()
    };
    then(
        then(hello(extensions), dialogue),
        [
            Expect("DATA"),
            send("354 go"),
            Content,
            send("250 2.0.0 accepted"),
            Expect("QUIT"),
            send("221 bye"),
        ],
    )
}

async fn each_recipient_has_its_own_reply(script: Vec<Step>) {
    let peer = Peer::start(vec![script]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let report = submit(
        &relay,
        &["a@example.test", "b@example.test", "c@example.test"],
    )
    .await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert!(report.is_accepted());
    assert_eq!(reply_to(&report, 0), "250 2.1.5 ok");
    assert_eq!(reply_to(&report, 1), "550 5.1.1 unknown");
    assert_eq!(reply_to(&report, 2), "451 4.2.1 busy");
    use Command::{Data, EndOfData, Mail, Rcpt};
    assert_eq!(commands(&report), [Mail, Rcpt, Rcpt, Rcpt, Data, EndOfData]);
    assert_eq!(
        report.facts.server_name.as_deref(),
        Some("peer.example.test")
    );
    sendport_smtp::relay::Relay::close(&relay).await;
    peer.finish().await;
}

#[tokio::test]
async fn with_pipelining_commands_precede_their_replies() {
    each_recipient_has_its_own_reply(script(&["PIPELINING"], true)).await;
}

#[tokio::test]
async fn without_pipelining_each_command_awaits_its_reply() {
    each_recipient_has_its_own_reply(script(&["SIZE"], false)).await;
}
