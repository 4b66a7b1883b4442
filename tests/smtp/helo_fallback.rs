//! A server that does not know EHLO is greeted with HELO, and one that hangs up on it, too.

use sendport_core::domain::{Command, Fault};

use crate::support::client::{not_begun, relay, submit};
use crate::support::scripted_peer::{Expect, Peer, Step, good_transaction, send, then};

fn greeting() -> Vec<Step> {
    vec![
        send("220 old.example.test"),
        Expect("EHLO client.example.test"),
    ]
}

fn helo() -> [Step; 2] {
    [
        Expect("HELO client.example.test"),
        send("250-old.example.test\r\n250 PIPELINING"),
    ]
}

#[tokio::test]
async fn a_refused_ehlo_falls_back_on_the_same_connection() {
    for refusal in [
        "500 what?",
        "501 5.5.4 syntax error",
        "502 5.5.1 not implemented",
        "550 EHLO refused",
    ] {
        let script = then(then(greeting(), [send(refusal)]), helo());
        let peer = Peer::start(vec![then(script, good_transaction())]).await;
        let relay = relay(peer.address, "tls = \"none\"");
        let report = submit(&relay, &["a@example.test"]).await;
        assert!(report.is_accepted(), "{report:?}");
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_close_on_ehlo_falls_back_on_a_new_connection() {
    let second = then(vec![send("220 old.example.test")], helo());
    let peer = Peer::start(vec![greeting(), then(second, good_transaction())]).await;
    let relay = relay(peer.address, "tls = \"opportunistic\"");
    let report = submit(&relay, &["a@example.test"]).await;
    assert!(report.is_accepted(), "{report:?}");
    peer.finish().await;
}

#[tokio::test]
async fn no_fallback_where_tls_is_required() {
    let peer = Peer::start(vec![greeting()]).await;
    let relay = relay(peer.address, "tls = \"starttls\"");
    let report = submit(&relay, &["a@example.test"]).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(reply.command, Command::Ehlo);
    assert_ne!(fault, Some(Fault::Configuration), "{reply}");
    peer.finish().await;
}

#[tokio::test]
async fn reports_the_reply_to_ehlo_where_helo_fails_too() {
    for tls in ["none", "starttls"] {
        let mut script = then(greeting(), [send("501 5.5.4 no such name as yours")]);
        if tls == "none" {
            script.extend([Expect("HELO"), send("503 bad sequence")]);
        }
        let peer = Peer::start(vec![script]).await;
        let relay = relay(peer.address, &format!("tls = \"{tls}\""));
        let report = submit(&relay, &["a@example.test"]).await;
        let (reply, _) = not_begun(&report);
        assert_eq!(reply.to_string(), "501 5.5.4 no such name as yours");
        peer.finish().await;
    }
}
