//! The relay without the service: what is handed over, what is not, and what is in doubt.

use std::sync::Arc;

use sendport_core::clock::SystemClock;
use sendport_core::domain::{LocalCause, SubmissionEnd, SubmissionReport};
use sendport_graph::{GraphRelay, RelayDependencies};
use sendport_smtp::relay::Relay;
use sendport_smtp::relay::authentication::NoSharedLedger;
use sendport_smtp::settings::relay::RelayConfig;

use crate::Cloud;
use crate::support::client::{Open, Shut, envelope, message, small_message};
use crate::support::fake_graph::NextAnswer;

const OPS: &[&str] = &["ops@example.test"];

fn relay(cloud: &Cloud) -> GraphRelay {
    let section = cloud.section("timeout = '20s'");
    let section: toml::Table = section.parse().expect("TOML");
    let section = section["relay"]["m365"].clone();
    let RelayConfig::Graph(config) = section.try_into().expect("a relay") else {
        panic!("expected kind graph");
    };
    let around = RelayDependencies {
        authentications: Arc::new(NoSharedLedger),
        clock: Arc::new(SystemClock),
    };
    GraphRelay::new("m365", &config, around).expect("usable settings")
}

async fn submit(relay: &GraphRelay) -> SubmissionReport {
    relay.submit(&envelope(OPS), &small_message(), &Open).await
}

fn code(report: &SubmissionReport) -> u16 {
    match &report.end {
        SubmissionEnd::NotBegun { reply, .. } => reply.code,
        _ => report.replies.last().map_or(0, |said| said.reply.code),
    }
}

#[tokio::test]
async fn an_accepted_message_arrives_byte_for_byte() {
    let cloud = Cloud::new().await;
    let relay = relay(&cloud);
    let report = submit(&relay).await;
    assert!(report.is_accepted(), "{report:?}");
    let taken = cloud.graph.taken();
    assert_eq!(taken[0].text.as_bytes(), small_message().bytes());
    let reply = &report.replies.last().expect("a reply").reply.text;
    assert!(
        reply.contains("no answer for each of them (request-id 4711)"),
        "{reply}"
    );
    submit(&relay).await;
    assert_eq!(cloud.tokens.requests().len(), 1, "the token is cached");
}

#[tokio::test]
async fn no_byte_of_a_small_body_and_no_end_of_a_large_one_without_lease() {
    let cloud = Cloud::new().await;
    let relay = relay(&cloud);
    let large = message("big@example.test", &"0123456789\r\n".repeat(50_000));
    for message in [&small_message(), &large] {
        let report = relay.submit(&envelope(OPS), message, &Shut).await;
        assert_eq!(report.end, SubmissionEnd::Fenced, "{report:?}");
    }
    assert!(submit(&relay).await.is_accepted());
    assert_eq!(cloud.graph.taken().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_in_doubt() {
    let cloud = Cloud::new().await;
    let relay = relay(&cloud);
    cloud.graph.next(NextAnswer::TakeAndClose);
    let report = submit(&relay).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt, "{report:?}");
    assert_eq!(cloud.graph.taken().len(), 1);
    cloud.graph.next(NextAnswer::Refuse(
        "504 Gateway Timeout",
        "",
        "UnknownError",
    ));
    assert_eq!(submit(&relay).await.end, SubmissionEnd::InDoubt);
}

/// How much of it the kernel took before the connection ended decides between in doubt and not; see `gated_body`.
#[tokio::test]
async fn a_request_that_is_cut_off_is_not_accepted() {
    let cloud = Cloud::new().await;
    let relay = relay(&cloud);
    cloud.graph.next(NextAnswer::CloseBeforeBody);
    let large = message("big@example.test", &"0123456789\r\n".repeat(200_000));
    let report = relay.submit(&envelope(OPS), &large, &Open).await;
    assert!(
        !report.is_accepted() && report.end != SubmissionEnd::Answered,
        "{report:?}"
    );
    assert!(cloud.graph.taken().is_empty());
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let cloud = Cloud::new().await;
    let relay = relay(&cloud);
    assert!(submit(&relay).await.is_accepted());
    cloud.book.revoke_all();
    assert!(submit(&relay).await.is_accepted());
    assert_eq!(cloud.tokens.requests().len(), 2);
    for _ in 0..2 {
        cloud.graph.next(NextAnswer::Refuse(
            "401 Unauthorized",
            "",
            "InvalidAuthenticationToken",
        ));
    }
    let report = submit(&relay).await;
    assert_eq!(code(&report), 401, "{report:?}");
    let requests = cloud.graph.times().len();
    let report = submit(&relay).await;
    assert_eq!(code(&report), 401, "it rests");
    assert_eq!(
        cloud.graph.times().len(),
        requests,
        "Graph is not asked again"
    );
    assert!(relay.cooldown_remaining().is_some());
}

#[tokio::test]
async fn what_graph_cannot_take_is_refused_without_a_request() {
    let cloud = Cloud::new().await;
    let relay = relay(&cloud);
    let cause = |report: &SubmissionReport| report.replies[0].reply.local;
    let report = relay
        .submit(&envelope(&["b@example.test"]), &small_message(), &Open)
        .await;
    assert_eq!(cause(&report), Some(LocalCause::HeaderNamesOthers));
    let too_large = message("big@example.test", &"0123456789abcde\n".repeat(200_000));
    let report = relay.submit(&envelope(OPS), &too_large, &Open).await;
    assert_eq!(cause(&report), Some(LocalCause::RequestTooLarge));
    assert!(report.wants_another_relay() && report.facts.remote_address.is_none());
    assert!(cloud.graph.times().is_empty() && cloud.tokens.requests().is_empty());
    let largest = message("big@example.test", &"0123456789abcde\n".repeat(196_000));
    assert!(
        relay
            .submit(&envelope(OPS), &largest, &Open)
            .await
            .is_accepted()
    );
}

#[tokio::test]
async fn a_closed_port_leaves_the_message_to_another_relay() {
    let mut cloud = Cloud::new().await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    cloud.graph.url = format!("http://{}", gone.local_addr().expect("an address"));
    drop(gone);
    let report = submit(&relay(&cloud)).await;
    let SubmissionEnd::NotBegun { reply, .. } = report.end else {
        panic!("{report:?}");
    };
    assert_eq!(reply.local, Some(LocalCause::ConnectionRefused), "{reply}");
}
