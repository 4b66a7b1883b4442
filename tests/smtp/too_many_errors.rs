//! Postfix at its defaults ends the connection at the 21st refused recipient: its
//! replies before that count, and the rest goes over another connection.

use std::time::Duration;

use sendport_core::domain::{Envelope, SubmissionEnd};
use sendport_smtp::relay::Relay;

use crate::support::client::{Open, envelope, last_reply, relay, small_message};
use crate::support::postfix::{Postfix, PostfixOptions};

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn earlier_replies_count_and_the_rest_is_sent() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let relay = relay(postfix.plain(), "tls = \"none\"\n[timeout]\nrcpt = \"20s\"");
    let names: Vec<String> = (0..100)
        .map(|n| {
            let who = if n < 74 && n % 2 == 1 {
                "nouser"
            } else {
                "user"
            };
            format!("{who}{n}@example.test")
        })
        .collect();
    let everybody = envelope(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let first = relay.submit(&everybody, &small_message(), &Open).await;
    assert_eq!(first.end, SubmissionEnd::Broken);
    assert_eq!(last_reply(&first).0.code, 421);
    let refused = first.replies.iter().filter(|r| r.reply.is_permanent());
    assert_eq!(refused.count(), 20);

    let unsettled = |ordinal| {
        first
            .reply_to_recipient(ordinal)
            .is_none_or(|r| !r.is_permanent())
    };
    let mut rest: Envelope = everybody.clone();
    rest.forward_paths.retain(|path| unsettled(path.ordinal));
    let second = relay.submit(&rest, &small_message(), &Open).await;
    assert!(second.is_accepted(), "{second:?}");
    let refused = second.replies.iter().filter(|r| r.reply.is_permanent());
    assert_eq!(refused.count(), 17);
    postfix.wait_for_messages(63, WITHIN).await;
    postfix.wait_until_idle(WITHIN).await;
    let arrived = postfix.count_by_message_id_and_recipient();
    assert_eq!(arrived.len(), 63);
    for ((_, recipient), count) in arrived {
        assert!(recipient.starts_with("user"), "{recipient}");
        assert_eq!(count, 1, "{recipient}");
    }
}
