//! Refused recipients leave a kept connection in step: with BDAT (RFC 3030) until the first RSET,
//! with DATA behind it.

use std::net::SocketAddr;
use std::time::Duration;

use sendport_core::domain::{SubmissionEnd, SubmissionReport};
use sendport_smtp::SmtpRelay;
use sendport_smtp::relay::Relay;

use crate::support::certificates::TestAuthority;
use crate::support::client::{Open, envelope, message, relay, reply_to};
use crate::support::exim::{Authenticator, Exim};
use crate::support::maildir::DeliveredMessage;
use crate::support::postfix::{Postfix, PostfixOptions};

const WITHIN: Duration = Duration::from_secs(60);
const GOOD: &str = "bob@example.test";
const BAD: &str = "nouser@example.test";

/// What does harm to a server that reads it as commands.
const BODY: &str = ".\r\nRSET\r\nMAIL FROM:<smuggled@example.test>\r\nRCPT TO:<bob@example.test>\r\n\
                    DATA\r\nSubject: smuggled\r\n\r\n.\r\n";

async fn send(relay: &SmtpRelay, id: &str, recipients: &[&str]) -> SubmissionReport {
    let message = message(id, BODY);
    relay.submit(&envelope(recipients), &message, &Open).await
}

async fn send_eight(address: SocketAddr) {
    let relay = relay(address, "tls = \"none\"\nmax_connections = 1");
    for id in ["1@x.test", "2@x.test", "3@x.test"] {
        assert!(send(&relay, id, &[GOOD]).await.is_accepted(), "{id}");
    }
    let refused = send(&relay, "refused@x.test", &[BAD]).await;
    assert_eq!(refused.end, SubmissionEnd::Answered, "{refused:?}");
    assert!(reply_to(&refused, 0).starts_with("550"), "{refused:?}");
    for id in ["4@x.test", "5@x.test"] {
        assert!(send(&relay, id, &[GOOD]).await.is_accepted(), "{id}");
    }
    let partly = send(&relay, "6@x.test", &[BAD, GOOD]).await;
    assert!(reply_to(&partly, 0).starts_with("550"), "{partly:?}");
    assert!(partly.is_accepted(), "{partly:?}");
    assert!(send(&relay, "7@x.test", &[GOOD]).await.is_accepted());
    relay.close().await;
}

fn seven_arrived(delivered: &[DeliveredMessage]) {
    let mut ids: Vec<_> = delivered.iter().map(|it| it.message_id.as_str()).collect();
    ids.sort_unstable();
    let expected: Vec<_> = (1..=7).map(|n| format!("<{n}@x.test>")).collect();
    assert_eq!(ids, expected);
    for arrived in delivered {
        let text = String::from_utf8_lossy(&arrived.bytes).replace('\n', "\r\n");
        assert!(text.ends_with(BODY), "{text}");
    }
}

#[tokio::test]
async fn postfix_resets_after_refusals() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    send_eight(postfix.plain()).await;
    postfix.wait_for_messages(7, WITHIN).await;
    postfix.wait_until_idle(WITHIN).await;
    seven_arrived(&postfix.messages());
    // One session.
    let counted = " mail=8 rcpt=7/9 data=4 bdat=3 rset=1 quit=1 ";
    postfix.wait_for_log(counted, WITHIN).await;
}

#[tokio::test]
async fn exim_resets_after_refusals() {
    if !Exim::available() {
        return;
    }
    let exim = Exim::start(&TestAuthority::new(), Authenticator::Spa).await;
    send_eight(exim.plain()).await;
    seven_arrived(&exim.wait_for_messages(7, WITHIN).await);
}
